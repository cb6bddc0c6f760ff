// What follows when a unit changed its state: jobs end, dependents start and stop, handlers run
// (systemd.unit(5)). Everything here is called from drain() alone.
#include <fmt/core.h>

#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::Directive;
using unit::JobMode;

// Starts for Upholds= and stops of unneeded units happen at most this often, so that a unit that
// cannot be kept in the wished state does not keep us busy.
constexpr Duration kAutomaticInterval = std::chrono::seconds(10);
constexpr std::uint32_t kAutomaticBurst = 16;

}  // namespace

void Core::note_change(UnitId unit, ActiveState from, ActiveState to, ChangeFlags flags) {
  changes_.push_back({unit, from, to, flags});
}

void Core::queue_recheck(Unit& unit) {
  if (unit.recheck_queued) return;
  unit.recheck_queued = true;
  rechecks_.push_back(unit.id);
}

void Core::queue_triggering(const Unit& unit) {
  each(unit, Dependency::TriggeredBy, [&](Unit& trigger) {
    const std::pair entry(trigger.id, unit.id);
    if (std::find(triggering_.begin(), triggering_.end(), entry) == triggering_.end()) {
      triggering_.push_back(entry);
    }
  });
}

void Core::queue_neighbours(Unit& unit) {
  static constexpr std::array kNeeded{Dependency::Requires, Dependency::Requisite,
                                      Dependency::Wants, Dependency::BindsTo, Dependency::Upholds};
  each(unit, kNeeded, [&](Unit& other) { queue_recheck(other); });
  each(unit, Dependency::BoundBy, [&](Unit& other) { queue_recheck(other); });
}

void Core::drain() {
  while (true) {
    if (!changes_.empty()) {
      const Change change = changes_.front();
      changes_.pop_front();
      process(change);
    } else if (!handlers_.empty()) {
      const Handlers next = handlers_.front();
      handlers_.pop_front();
      if (Unit* const unit = find(next.unit)) start_handlers(*unit, next.kind);
    } else if (!rechecks_.empty()) {
      Unit* const unit = find(rechecks_.front());
      rechecks_.pop_front();
      if (unit == nullptr) continue;
      unit->recheck_queued = false;
      recheck(*unit);
    } else if (!triggering_.empty()) {
      const auto [who, what] = triggering_.front();
      triggering_.pop_front();
      Unit* const unit = find(who);
      if (unit == nullptr || find(what) == nullptr) continue;
      UnitContext context(*this, *unit);
      unit->machine->triggered_changed(context, what);
    } else if (!run_queue_.empty()) {
      Job* const job = find_job(run_queue_.front());
      run_queue_.pop_front();
      if (job == nullptr) continue;
      job->queued = false;
      run(*job);
    } else if (!tell_idle()) {
      return;
    }
  }
}

bool Core::tell_idle() {
  if (idle_watchers_ == 0) return false;
  // Jobs of watchers themselves do not count: they may be what waits for idleness.
  for (const auto& [id, job] : jobs_) {
    if (!find(job->unit)->watches_idle) return false;
  }
  for (const UnitId id : unit_ids()) {
    Unit& unit = *find(id);
    if (!unit.watches_idle) continue;
    unit.watches_idle = false;
    --idle_watchers_;
    UnitContext context(*this, unit);
    unit.machine->jobs_idle(context);
  }
  return true;
}

bool Core::jobs_idle_or_watch(Unit& unit) {
  const std::size_t own = unit.job ? 1 : 0;
  if (jobs_.size() <= own) return true;
  if (!unit.watches_idle) {
    unit.watches_idle = true;
    ++idle_watchers_;
  }
  return false;
}

void Core::stamp(Unit& unit, ActiveState from, ActiveState to) {
  if (from == to) return;
  unit.state_changed = now_;
  if (is_inactive_or_failed(from) && !is_inactive_or_failed(to)) unit.inactive_exit = now_;
  if (!is_inactive_or_failed(from) && is_inactive_or_failed(to)) unit.inactive_enter = now_;
  if (!is_active_or_reloading(from) && is_active_or_reloading(to)) unit.active_enter = now_;
  if (is_active_or_reloading(from) && !is_active_or_reloading(to)) unit.active_exit = now_;
}

bool Core::process_job(Unit& unit, Job& job, const Change& change) {
  const ActiveState to = change.to;
  const bool ended = is_inactive_or_failed(to);
  const bool runs = job.state == JobState::running;
  const JobResult at_end = to == ActiveState::failed ? JobResult::failed : JobResult::done;
  if (!runs) queue_job(job);  // it may have waited for just this
  // While a start is prepared, the unit is inactive without that meaning anything.
  if (unit.preparing && ended) return false;
  switch (job.type) {
    case JobType::start:
    case JobType::verify_active:
      if (is_active_or_reloading(to)) {
        finish(job.id, JobResult::done, true);
        return false;
      }
      if (!runs || to == ActiveState::activating) return false;
      if (ended) finish(job.id, at_end, true);
      return true;
    case JobType::reload:
    case JobType::reload_or_start:
    case JobType::try_reload:
      if (!runs || to == ActiveState::activating || to == ActiveState::reloading) return false;
      if (to == ActiveState::active) {
        finish(job.id, change.flags.reload_failed ? JobResult::failed : JobResult::done, true);
        return false;
      }
      if (ended) finish(job.id, at_end, true);
      return true;
    case JobType::stop:
    case JobType::restart:
    case JobType::try_restart:
      if (ended) {
        finish(job.id, JobResult::done, true);
        return false;
      }
      if (!runs || to == ActiveState::deactivating) return false;
      finish(job.id, JobResult::failed, true);
      return true;
    case JobType::nop:
      return false;
  }
  return false;
}

void Core::process(const Change& change) {
  Unit* const found = find(change.unit);
  if (found == nullptr) return;
  Unit& unit = *found;
  const auto [id, from, to, flags] = change;
  stamp(unit, from, to);
  emit(UnitChanged{id});
  const bool unexpected = unit.job ? process_job(unit, *unit.job, change) : true;
  if (unexpected) {
    if (is_inactive_or_failed(from) && is_active_or_activating(to)) start_retroactively(unit);
    if (is_active_or_activating(from) && is_inactive_or_deactivating(to)) {
      stop_retroactively(unit);
    }
  }
  if (flags.skipped) unit.condition_result = false;
  const bool really_ended = !flags.will_restart && from != to;
  if (really_ended && to == ActiveState::failed) {
    log(LogLevel::notice, "unit-failed", unit.name(), fmt::format("{} failed", unit.name()));
    start_handlers(unit, Dependency::OnFailure);
    act(unit, Directive::FailureAction, Directive::FailureActionExitStatus,
        fmt::format("{} failed", unit.name()));
  }
  if (really_ended && to == ActiveState::inactive && from != ActiveState::failed &&
      !flags.skipped) {
    start_handlers(unit, Dependency::OnSuccess);
    act(unit, Directive::SuccessAction, Directive::SuccessActionExitStatus,
        fmt::format("{} succeeded", unit.name()));
  }
  queue_triggering(unit);
  queue_recheck(unit);
  if (from != to) {
    queue_neighbours(unit);
    // A bound unit must be up for a start to go on; others may have waited for our state.
    each(unit, Dependency::After, [&](Unit& other) {
      if (other.job) queue_job(*other.job);
    });
    each(unit, Dependency::Before, [&](Unit& other) {
      if (other.job) queue_job(*other.job);
    });
  }
}

void Core::start_retroactively(Unit& unit) {
  const auto start = [&](JobMode mode) {
    return [this, &unit, mode](Unit& other) {
      if (unit.has_edge(Dependency::After, other.id) || is_active_or_activating(other.active())) {
        return;
      }
      static_cast<void>(add_job(other.id, JobType::start, mode));
    };
  };
  static constexpr std::array kNeeded{Dependency::Requires, Dependency::BindsTo,
                                      Dependency::Upholds};
  static constexpr std::array kConflicts{Dependency::Conflicts, Dependency::ConflictedBy};
  each(unit, kNeeded, start(JobMode::replace));
  each(unit, Dependency::Wants, start(JobMode::fail));
  each(unit, kConflicts, [&](Unit& other) {
    if (is_inactive_or_deactivating(other.active())) return;
    static_cast<void>(add_job(other.id, JobType::stop, JobMode::replace));
  });
}

void Core::stop_retroactively(Unit& unit) {
  static constexpr std::array kBound{Dependency::BoundBy, Dependency::PropagatesStopTo};
  each(unit, kBound, [&](Unit& other) {
    if (is_inactive_or_deactivating(other.active())) return;
    static_cast<void>(add_job(other.id, JobType::stop, JobMode::replace));
  });
}

void Core::start_handlers(Unit& unit, Dependency kind) {
  if (!has_any(unit, kind)) return;
  // Two units that handle each other's failures and fail at once would never let go of us.
  if (!unit.handlers.below(now_.mono, kAutomaticInterval, kAutomaticBurst)) {
    return log(LogLevel::warning, "handlers-too-often", unit.name(),
               fmt::format("{} of {} was acted on too often within {}: left out this time",
                           to_string(kind), unit.name(), format_span(kAutomaticInterval)));
  }
  const auto directive =
      kind == Dependency::OnFailure ? Directive::OnFailureJobMode : Directive::OnSuccessJobMode;
  const auto mode = unit.spec->settings.choice<JobMode>(directive);
  each(unit, kind, [&](Unit& other) {
    const auto outcome = add_job(other.id, JobType::start, mode);
    if (outcome) return;
    log(LogLevel::warning, "handler-not-started", unit.name(),
        fmt::format("{} of {} names {}, which cannot be started: {}", to_string(kind), unit.name(),
                    other.name(), outcome.error().message()));
  });
}

void Core::act(const Unit& unit, Directive action, Directive exit_status, std::string reason) {
  const auto& settings = unit.spec->settings;
  if (!settings.is_set(action)) return;
  const auto what = settings.choice<unit::EmergencyAction>(action);
  if (what == unit::EmergencyAction::none) return;
  SystemAction effect{what, std::nullopt, std::move(reason)};
  if (exit_status != Directive::count_ && settings.is_set(exit_status)) {
    effect.exit_status = static_cast<int>(settings.integer(exit_status));
  }
  emit(std::move(effect));
}

const Unit* Core::upholder(const Unit& unit) const {
  const Unit* found = nullptr;
  if (!is_inactive_or_failed(unit.active()) || unit.job) return found;
  each(unit, Dependency::UpheldBy, [&](const Unit& other) {
    if (found == nullptr && !other.job && is_active_or_reloading(other.active())) found = &other;
  });
  return found;
}

const Unit* Core::inactive_binding(const Unit& unit) const {
  const Unit* found = nullptr;
  if (unit.active() != ActiveState::active || unit.job) return found;
  each(unit, Dependency::BindsTo, [&](const Unit& other) {
    if (found == nullptr && !other.job && is_inactive_or_failed(other.active())) found = &other;
  });
  return found;
}

bool Core::is_unneeded(const Unit& unit) const {
  if (unit.active() != ActiveState::active || unit.job) return false;
  if (!unit.spec->settings.boolean(Directive::StopWhenUnneeded)) return false;
  bool pinned = false;
  each(unit, kPins, [&](const Unit& other) {
    pinned = pinned || other.job || !is_inactive_or_failed(other.active());
  });
  return !pinned;
}

void Core::recheck(Unit& unit) {
  if (const Unit* const by = upholder(unit)) {
    automatic_job(unit, JobType::start, JobMode::fail,
                  fmt::format("{} upholds it (Upholds=)", by->name()));
  } else if (const Unit* const gone = inactive_binding(unit)) {
    automatic_job(unit, JobType::stop, JobMode::replace,
                  fmt::format("{}, which it is bound to (BindsTo=), is not active", gone->name()));
  } else if (is_unneeded(unit)) {
    automatic_job(unit, JobType::stop, JobMode::fail,
                  "nothing needs it any more (StopWhenUnneeded=)");
  }
}

void Core::automatic_job(Unit& unit, JobType type, JobMode mode, std::string_view why) {
  if (!unit.automatic.below(now_.mono, kAutomaticInterval, kAutomaticBurst)) {
    // Look again when the window is over: the wish stands, only the pace does not.
    arm(unit, TimerKind::retry,
        saturating_add(unit.automatic.begin, kAutomaticInterval + Duration(1)));
    return;
  }
  const auto outcome = add_job(unit.id, type, mode);
  if (outcome) {
    log(LogLevel::info, "automatic-job", unit.name(),
        fmt::format("Queued a {} of {}: {}", to_string(type), unit.name(), why), outcome->job);
    return;
  }
  log(LogLevel::warning, "automatic-job-refused", unit.name(),
      fmt::format("Cannot {} {}, although {}: {}", to_string(type), unit.name(), why,
                  outcome.error().message()));
}

}  // namespace pidward::engine
