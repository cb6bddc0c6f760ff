// From a start job to the machine's start(): limits, dependencies, conditions.
#include <fmt/core.h>

#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::Directive;

bool has_start_limit(const Unit& unit) {
  switch (unit.type()) {
    case unit::UnitType::service:
    case unit::UnitType::socket:
    case unit::UnitType::timer:
    case unit::UnitType::path:
      return true;
    case unit::UnitType::target:
    case unit::UnitType::slice:
    case unit::UnitType::scope:
    case unit::UnitType::mount:
    case unit::UnitType::automount:
    case unit::UnitType::swap:
    case unit::UnitType::device:
      return false;
  }
  return false;
}

}  // namespace

Duration Core::start_limit_interval(const Unit& unit) const {
  const auto& settings = unit.spec->settings;
  return settings.is_set(Directive::StartLimitIntervalSec)
             ? settings.span(Directive::StartLimitIntervalSec)
             : config_.default_start_limit_interval;
}

std::uint32_t Core::start_limit_burst(const Unit& unit) const {
  const auto& settings = unit.spec->settings;
  if (!settings.is_set(Directive::StartLimitBurst)) return config_.default_start_limit_burst;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(settings.number(Directive::StartLimitBurst), UINT32_MAX));
}

bool Core::check_start_limit(Unit& unit) {
  if (!has_start_limit(unit)) return true;
  const Duration interval = start_limit_interval(unit);
  const std::uint32_t burst = start_limit_burst(unit);
  if (unit.start_limit.below(now_.mono, interval, burst)) return true;
  log(LogLevel::warning, "start-limit-hit", unit.name(),
      fmt::format("{} was started {} times within {}: not started again (StartLimitBurst=)",
                  unit.name(), burst, format_span(interval)),
      unit.job->id);
  act(unit, Directive::StartLimitAction, Directive::count_,
      fmt::format("{} hit its start limit", unit.name()));
  return false;
}

bool Core::bound_units_active(const Unit& unit) const {
  bool all = true;
  each(unit, Dependency::BindsTo, [&](const Unit& other) {
    if (!unit.has_edge(Dependency::After, other.id)) return;
    all = all && is_active_or_reloading(other.active());
  });
  return all;
}

void Core::run_start(Unit& unit, Job& job) {
  const ActiveState state = unit.active();
  if (is_active_or_reloading(state)) return finish(job.id, JobResult::done, true);
  if (state == ActiveState::deactivating) return set_state(job, JobState::waiting);
  if (!is_external(unit) && unit.spec->load_state != unit::LoadState::loaded) {
    return finish(job.id, JobResult::failed, true);
  }
  if (state == ActiveState::activating && !unit.machine->starts_afresh()) {
    return begin_start(unit, 0);
  }
  if (unit.type() == unit::UnitType::scope && unit.inactive_enter.mono != MonoTime{}) {
    return finish(job.id, JobResult::once, true);
  }
  if (!bound_units_active(unit)) return finish(job.id, JobResult::dependency, true);
  for (std::size_t i = 0; i < unit.invocation.bytes.size(); i += 8) {
    const std::uint64_t bits = random();
    for (std::size_t k = 0; k < 8; ++k) {
      unit.invocation.bytes[i + k] = static_cast<std::uint8_t>(bits >> (8 * k));
    }
  }
  const auto& settings = unit.spec->settings;
  const bool prepare = unit.machine->needs_preparation() || !settings.conditions().empty();
  if (!prepare || is_external(unit)) {
    unit.condition_result = unit.assert_result = true;
    unit.condition_checked = unit.assert_checked = now_;
    return start_within_limit(unit, 0);
  }
  unit.preparing = true;
  ++unit.prepares_unanswered;
  // Services deal with what is left over themselves; a scope's processes are there on purpose.
  const bool kill = unit.type() == unit::UnitType::socket &&
                    settings.choice<unit::KillMode>(Directive::KillMode) != unit::KillMode::none;
  emit(PrepareStart{unit.id, unit.invocation, kill});
}

void Core::prepared(const StartPrepared& answer) {
  Unit* const unit = find(answer.unit);
  if (unit == nullptr || unit->prepares_unanswered == 0) return;
  if (--unit->prepares_unanswered > 0) return;  // a later one is still to be answered
  const bool wanted = unit->preparing && unit->job && unit->job->state == JobState::running;
  unit->preparing = false;
  const auto put_back = [&](JobResult result) {
    emit(CleanUp{unit->id, false});
    // One that waited to be restarted does not go on waiting.
    if (unit->machine->starts_afresh()) {
      UnitContext context(*this, *unit);
      unit->machine->stop(context);
    }
    finish(unit->job->id, result, true);
  };
  if (!wanted) {
    if (is_inactive_or_failed(unit->active())) emit(CleanUp{unit->id, false});
    return;
  }
  unit->condition_result = answer.conditions_ok;
  unit->assert_result = answer.asserts_ok;
  unit->condition_checked = unit->assert_checked = now_;
  emit(UnitChanged{unit->id});
  if (answer.error) {
    const JobId job = unit->job->id;
    log(LogLevel::error, "prepare-failed", unit->name(),
        fmt::format("{} cannot be started: {}", unit->name(), answer.error->message()), job);
    UnitContext context(*this, *unit);
    unit->machine->preparation_failed(context, *answer.error);
    return finish(job, JobResult::failed, true);
  }
  if (!answer.conditions_ok) {
    log(LogLevel::info, "condition-failed", unit->name(),
        fmt::format("{} is not started, a condition does not hold ({})", unit->name(),
                    answer.failed_condition));
    return put_back(JobResult::done);
  }
  if (!answer.asserts_ok) {
    log(LogLevel::error, "assert-failed", unit->name(),
        fmt::format("{} is not started, an assertion does not hold ({})", unit->name(),
                    answer.failed_condition));
    return put_back(JobResult::assert);
  }
  if (!bound_units_active(*unit)) return put_back(JobResult::dependency);
  start_within_limit(*unit, answer.leftovers);
}

/// A start that a condition keeps from happening does not count (systemd.unit(5),
/// StartLimitIntervalSec=).
void Core::start_within_limit(Unit& unit, std::uint32_t leftovers) {
  if (check_start_limit(unit)) return begin_start(unit, leftovers);
  const JobId job = unit.job->id;
  if (is_inactive_or_failed(unit.active())) emit(CleanUp{unit.id, false});
  UnitContext context(*this, unit);
  unit.machine->start_limit_hit(context);
  finish(job, JobResult::failed, true);
}

void Core::begin_start(Unit& unit, std::uint32_t leftovers) {
  const JobId job = unit.job->id;
  UnitContext context(*this, unit);
  const StartOutcome outcome = unit.machine->start(context, leftovers);
  switch (outcome.kind) {
    case StartOutcome::Kind::begun:
      return;
    case StartOutcome::Kind::later:
      if (Job* const waiting = find_job(job)) set_state(*waiting, JobState::waiting);
      return;
    case StartOutcome::Kind::refused:
      if (outcome.why) {
        const LogLevel level =
            outcome.result == JobResult::skipped ? LogLevel::debug : LogLevel::error;
        log(level, "start-refused", unit.name(), outcome.why->message(), job);
      }
      return finish(job, outcome.result, true);
  }
}

}  // namespace pidward::engine
