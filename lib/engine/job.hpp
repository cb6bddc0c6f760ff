// Jobs: what is to be done to a unit, and the arithmetic of job types (systemctl(1), "--job-mode"
// and the verbs). Pure tables; who may do what when is in transaction.cpp and jobs.cpp.
#pragma once

#include <optional>

#include "engine/state.hpp"

namespace pidward::engine {

/// An installed job. A unit has at most one, beside one of type nop.
struct Job {
  JobId id;
  UnitId unit;
  JobType type = JobType::start;
  JobState state = JobState::waiting;
  bool irreversible = false;  ///< replace-irreversibly: only cancel removes it
  bool ignore_order = false;  ///< ignore-dependencies
  bool queued = false;        ///< is in the run queue
  bool after_start = false;   ///< a reload that was asked for while a start ran
  Now begun{};
};

/// One job that does what both ask for, or nothing when they exclude each other. Both are start,
/// verify_active, stop, reload or restart; the result may be reload_or_start. Of the other types
/// each merges with itself alone.
std::optional<JobType> merge(JobType a, JobType b);
/// The two do not exclude each other. A nop disturbs nobody.
bool is_mergeable(JobType a, JobType b);
/// Doing `a` also does `b`.
bool is_superset(JobType a, JobType b);
/// What a type that depends on the state ("try-restart") means for a unit in `state`; the others
/// stay.
JobType collapse(JobType type, ActiveState state);
/// A unit in `state` is already as `type` would make it.
bool is_redundant(JobType type, ActiveState state);
/// True when the job of `a` waits for the job of `b`, the unit of `a` being ordered After= the
/// unit of `b` (`a_after_b`) or Before= it. Stops come before starts; between two stops the later
/// unit goes first.
bool waits_for(const Job& a, const Job& b, bool a_after_b);

}  // namespace pidward::engine
