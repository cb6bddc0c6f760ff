// Installed jobs: waiting, running, finishing.
#include <fmt/core.h>

#include "base/contract.hpp"
#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::Directive;

}  // namespace

Job* Core::find_job(JobId id) {
  const auto at = jobs_.find(id);
  return at == jobs_.end() ? nullptr : at->second;
}

const Job* Core::find_job(JobId id) const {
  const auto at = jobs_.find(id);
  return at == jobs_.end() ? nullptr : at->second;
}

std::vector<JobId> Core::job_ids() const {
  std::vector<JobId> ids;
  ids.reserve(jobs_.size());
  for (const auto& [id, job] : jobs_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

void Core::queue_job(Job& job) {
  if (job.queued) return;
  job.queued = true;
  run_queue_.push_back(job.id);
}

void Core::set_state(Job& job, JobState state) {
  if (job.state == state) return;
  job.state = state;
  // A start that goes back to waiting will be prepared again from the beginning.
  if (state == JobState::waiting) find(job.unit)->preparing = false;
  emit(JobChanged{job.id});
}

void Core::merge_into(Job& installed, const Job& job) {
  if (installed.type != JobType::nop) {
    Unit& unit = *find(installed.unit);
    const auto merged = merge(installed.type, job.type);
    PIDWARD_EXPECT(merged.has_value());
    const bool started = installed.type == JobType::start && installed.state == JobState::running;
    installed.type = collapse(*merged, unit.active());
    installed.after_start = installed.type == JobType::reload && (started || installed.after_start);
  }
  installed.irreversible |= job.irreversible;
  installed.ignore_order |= job.ignore_order;
}

JobId Core::install(const Job& job) {
  Unit& unit = *find(job.unit);
  auto& place = job.type == JobType::nop ? unit.nop_job : unit.job;
  if (place && !is_mergeable(place->type, job.type)) finish(place->id, JobResult::canceled, false);
  if (place) {
    // A running restart still has its start before it; a reload must see files as they are now.
    const bool late = job.type != JobType::reload && is_superset(place->type, job.type);
    // One that failed and is to be started again by the job it still has begins that job anew.
    const bool keeps_running =
        place->state == JobState::running && late && !unit.machine->starts_afresh();
    merge_into(*place, job);
    if (!keeps_running) set_state(*place, JobState::waiting);
    queue_job(*place);
    emit(JobChanged{place->id});
    return place->id;
  }
  place = std::make_unique<Job>(job);
  place->id = JobId(++last_job_);
  place->begun = now_;
  jobs_.emplace(place->id, place.get());
  arm_job_timer(unit, *place, false);
  emit(JobAdded{place->id, unit.id});
  emit(UnitChanged{unit.id});
  queue_triggering(unit);
  queue_job(*place);
  return place->id;
}

void Core::arm_job_timer(Unit& unit, const Job& job, bool running) {
  if (job.type == JobType::nop) return;
  const auto& settings = unit.spec->settings;
  const Directive directive = running ? Directive::JobRunningTimeoutSec : Directive::JobTimeoutSec;
  Duration limit = kInfinity;
  if (settings.get(directive) != nullptr) limit = settings.span(directive);
  // A device that never shows up must not hold the rest for ever (systemd.device(5)).
  if (running && unit.type() == unit::UnitType::device && !settings.is_set(directive)) {
    limit = config_.default_timeout_start;
  }
  if (limit == kInfinity || limit.count() == 0) return;
  arm(unit, running ? TimerKind::job_running : TimerKind::job, saturating_add(now_.mono, limit));
}

bool Core::is_runnable(const Job& job) const {
  if (job.ignore_order || job.type == JobType::nop) return true;
  const Unit& unit = *find(job.unit);
  bool free = true;
  each(unit, Dependency::After, [&](const Unit& other) {
    free = free && (!other.job || !waits_for(job, *other.job, true));
  });
  each(unit, Dependency::Before, [&](const Unit& other) {
    free = free && (!other.job || !waits_for(job, *other.job, false));
  });
  return free;
}

std::vector<JobId> Core::waits_for_jobs(const Job& job) const {
  std::vector<JobId> found;
  if (job.state == JobState::running) return found;
  const auto look = [&](bool after) {
    return [&, after](const Unit& other) {
      if (other.job && waits_for(job, *other.job, after)) found.push_back(other.job->id);
    };
  };
  each(*find(job.unit), Dependency::After, look(true));
  each(*find(job.unit), Dependency::Before, look(false));
  std::sort(found.begin(), found.end());
  return found;
}

void Core::run(Job& job) {
  if (job.state != JobState::waiting || !is_runnable(job)) return;
  Unit& unit = *find(job.unit);
  set_state(job, JobState::running);
  arm_job_timer(unit, job, true);
  switch (job.type) {
    case JobType::start:
      return run_start(unit, job);
    case JobType::stop:
    case JobType::restart:
      return run_stop(unit, job);
    case JobType::reload:
      return run_reload(unit, job);
    case JobType::verify_active:
      return run_verify(unit, job);
    case JobType::nop:
      return finish(job.id, JobResult::done, true);
    // Collapsed when the transaction was built.
    case JobType::try_restart:
    case JobType::try_reload:
    case JobType::reload_or_start:
      PIDWARD_EXPECT(false && "a job type that depends on the state was installed");
  }
}

void Core::run_verify(Unit& unit, Job& job) {
  const ActiveState state = unit.active();
  if (is_active_or_reloading(state)) return finish(job.id, JobResult::done, true);
  if (state == ActiveState::activating) return set_state(job, JobState::waiting);
  finish(job.id, JobResult::skipped, true);
}

void Core::run_stop(Unit& unit, Job& job) {
  const ActiveState state = unit.active();
  if (is_inactive_or_failed(state)) return finish(job.id, JobResult::done, true);
  if (state == ActiveState::deactivating) return;
  UnitContext context(*this, unit);
  unit.machine->stop(context);
}

void Core::run_reload(Unit& unit, Job& job) {
  const ActiveState state = unit.active();
  if (state == ActiveState::reloading || state == ActiveState::activating ||
      (state == ActiveState::deactivating && job.after_start) || unit.machine->is_settling()) {
    return set_state(job, JobState::waiting);
  }
  if (!can_reload(unit)) return finish(job.id, JobResult::skipped, true);
  // A oneshot has run, with everything as it is now.
  if (job.after_start && is_inactive_or_failed(state)) {
    return finish(job.id, state == ActiveState::failed ? JobResult::failed : JobResult::done, true);
  }
  if (state != ActiveState::active) {
    log(LogLevel::warning, "reload-refused", unit.name(),
        fmt::format("{} cannot be reloaded because it is not active", unit.name()), job.id);
    return finish(job.id, JobResult::invalid, true);
  }
  if (!unit.machine->can_reload(*unit.spec)) return finish(job.id, JobResult::done, true);
  UnitContext context(*this, unit);
  unit.machine->reload(context);
}

void Core::log_finished(const Unit& unit, const Job& job, JobResult result) {
  const auto say = [&](LogLevel level, std::string text) {
    log(level, "job-finished", unit.name(), std::move(text), job.id);
  };
  switch (result) {
    case JobResult::failed:
    case JobResult::timeout:
    case JobResult::dependency:
    case JobResult::assert:
    case JobResult::unsupported:
    case JobResult::invalid:
    case JobResult::once:
      return say(LogLevel::warning, fmt::format("Job {}/{} ended with result '{}'", unit.name(),
                                                to_string(job.type), to_string(result)));
    case JobResult::done:
    case JobResult::canceled:
    case JobResult::skipped:
    case JobResult::collected:
      return say(LogLevel::debug, fmt::format("Job {}/{} ended with result '{}'", unit.name(),
                                              to_string(job.type), to_string(result)));
  }
}

void Core::finish(JobId job, JobResult result, bool recursive) {
  finishing_.push_back({job, result, recursive});
  if (is_finishing_) return;
  is_finishing_ = true;
  while (!finishing_.empty()) {
    const Finish next = finishing_.front();
    finishing_.pop_front();
    finish_one(next);
  }
  is_finishing_ = false;
}

void Core::finish_one(const Finish& finish) {
  Job* const job = find_job(finish.job);
  if (job == nullptr) return;
  Unit& unit = *find(job->unit);
  const JobType type = job->type;
  if (finish.result == JobResult::done && type == JobType::restart) {
    // Stopped: what is left of a restart is a start.
    job->type = JobType::start;
    set_state(*job, JobState::waiting);
    emit(JobChanged{job->id});
    queue_job(*job);
    return after_job(unit);
  }
  if (finish.result == JobResult::failed || finish.result == JobResult::invalid) ++failed_jobs_;
  log_finished(unit, *job, finish.result);
  if (type != JobType::nop) {
    disarm(unit, TimerKind::job);
    disarm(unit, TimerKind::job_running);
    unit.preparing = false;
  }
  jobs_.erase(finish.job);
  (type == JobType::nop ? unit.nop_job : unit.job).reset();
  emit(JobRemoved{finish.job, unit.id, finish.result});
  emit(UnitChanged{unit.id});
  if (type == JobType::nop) return;
  UnitContext context(*this, unit);
  unit.machine->job_gone(context);

  static constexpr std::array kConflicting{Dependency::ConflictedBy};
  static constexpr std::array kRequisite{Dependency::RequisiteOf};
  if (finish.result != JobResult::done && finish.recursive) {
    if (type == JobType::start || type == JobType::verify_active) {
      fail_dependents(unit, kStartFailureSpreads);
    } else if (type == JobType::stop) {
      fail_dependents(unit, kConflicting);
    }
  }
  // A verify-active job may have been merged into this start, which can be done without the unit
  // being active: a oneshot.
  if ((type == JobType::start || type == JobType::reload) &&
      !is_active_or_reloading(unit.active())) {
    fail_dependents(unit, kRequisite);
  }
  if (finish.result == JobResult::timeout || finish.result == JobResult::dependency) {
    handlers_.push_back({unit.id, Dependency::OnFailure});
  }
  queue_triggering(unit);
  after_job(unit);
}

void Core::fail_dependents(const Unit& unit, std::span<const Dependency> kinds) {
  each(unit, kinds, [&](const Unit& other) {
    if (!other.job) return;
    if (other.job->type != JobType::start && other.job->type != JobType::verify_active) return;
    log(LogLevel::warning, "dependency-failed", other.name(),
        fmt::format("{} is not started because of {}", other.name(), unit.name()), other.job->id);
    finish(other.job->id, JobResult::dependency, true);
  });
}

void Core::after_job(Unit& unit) {
  const auto requeue = [&](Unit& other) {
    if (other.job) queue_job(*other.job);
  };
  each(unit, Dependency::After, requeue);
  each(unit, Dependency::Before, requeue);
  queue_recheck(unit);
  queue_neighbours(unit);
}

void Core::job_timed_out(Unit& unit) {
  if (!unit.job) return;
  log(LogLevel::warning, "job-timeout", unit.name(),
      fmt::format("Job {}/{} timed out", unit.name(), to_string(unit.job->type)), unit.job->id);
  finish(unit.job->id, JobResult::timeout, true);
  act(unit, Directive::JobTimeoutAction, Directive::count_,
      fmt::format("a job of {} timed out", unit.name()));
}

}  // namespace pidward::engine
