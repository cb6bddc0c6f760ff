#include "engine/job.hpp"

#include "engine/machine.hpp"

namespace pidward::engine {
namespace {

// start, verify_active, stop, reload, restart: the types that can stand in a transaction.
constexpr std::size_t kMergeable = 5;
constexpr JobType kNever = JobType::nop;
using enum JobType;
constexpr JobType kMerged[kMergeable][kMergeable] = {
    {start, start, kNever, reload_or_start, restart},
    {start, verify_active, kNever, reload, restart},
    {kNever, kNever, stop, kNever, kNever},
    {reload_or_start, reload, kNever, reload, restart},
    {restart, restart, kNever, restart, restart},
};

bool stops_first(JobType type) {
  return type == stop || type == restart;
}

}  // namespace

std::optional<JobType> merge(JobType a, JobType b) {
  const auto row = static_cast<std::size_t>(a);
  const auto column = static_cast<std::size_t>(b);
  if (row >= kMergeable || column >= kMergeable) {
    if (a == b) return a;
    return std::nullopt;
  }
  const JobType merged = kMerged[row][column];
  if (merged == kNever) return std::nullopt;
  return merged;
}

bool is_mergeable(JobType a, JobType b) {
  return a == nop || b == nop || merge(a, b).has_value();
}

bool is_superset(JobType a, JobType b) {
  return b == nop || merge(a, b) == a;
}

JobType collapse(JobType type, ActiveState state) {
  const bool down = is_inactive_or_deactivating(state);
  switch (type) {
    case try_restart:
      return down ? nop : restart;
    case try_reload:
      return down ? nop : reload;
    case reload_or_start:
      return down ? start : reload;
    case start:
    case verify_active:
    case stop:
    case reload:
    case restart:
    case nop:
      return type;
  }
  return type;
}

bool is_redundant(JobType type, ActiveState state) {
  switch (type) {
    case start:
    case verify_active:
      return is_active_or_reloading(state);
    case stop:
      return is_inactive_or_failed(state);
    case nop:
      return true;
    // A reload may have new files to read, a restart new dependencies: never for nothing.
    case reload:
    case restart:
    case try_restart:
    case try_reload:
    case reload_or_start:
      return false;
  }
  return false;
}

bool waits_for(const Job& a, const Job& b, bool a_after_b) {
  if (a.type == nop || b.type == nop || a.ignore_order || b.ignore_order) return false;
  // Of two ordered units the second's stop goes first, whatever happens to the other.
  return a_after_b ? !stops_first(a.type) : stops_first(b.type);
}

}  // namespace pidward::engine
