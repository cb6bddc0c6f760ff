// Down, for good or for the length of a restart delay.
#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;

/// The end of every way down.
void ServiceMachine::enter_dead(MachineContext& c, ServiceResult result) {
  note(result);
  const auto& settings = c.settings();
  const bool skipped = status_.result == ServiceResult::exec_condition;
  const bool well = skipped || status_.result == ServiceResult::success;
  // What is asked to stop stays down, also where it was on its way down already, or waits its turn.
  const bool stays_down = stop_wanted_ || c.job_type() == JobType::stop;
  const bool restarts = !stays_down && shall_restart(settings, status_.result, main_exit());
  const bool direct = restarts && settings.choice<unit::RestartMode>(Directive::RestartMode) ==
                                      unit::RestartMode::direct;
  const auto mode = kill_mode(c);
  const bool leaves = mode == unit::KillMode::process || mode == unit::KillMode::none;
  if (!tree_empty_ && leaves) {
    c.log(LogLevel::notice, "service-left-behind",
          fmt::format("Processes may be left running, as KillMode={} asks for",
                      unit::kKillModeNames.at(static_cast<std::size_t>(mode))));
  }
  main_ = {};
  control_ = {};
  status_.main = {};
  status_.control = {};
  status_.main_is_alien = false;
  if (service_type(settings) == unit::ServiceType::dbus) {
    c.emit(WatchBusName{.unit = c.id(), .watch = false});
  }
  if (!direct) {
    const auto job = c.job_type();
    // A start that runs is the one that ends here.
    const bool comes_back = restarts || job == JobType::restart || job == JobType::try_restart ||
                            (job == JobType::start && c.job_waits());
    c.emit(CleanUp{.unit = c.id(), .restarting = comes_back});
    kept_for_start_ = comes_back && !restarts;
    if (!well) {
      c.log(LogLevel::warning, "service-failed",
            fmt::format("Failed with result '{}'", to_string(status_.result)));
    }
    set_phase(c, well ? Phase::dead : Phase::failed,
              {.will_restart = restarts, .skipped = skipped});
  }
  if (restarts) schedule_restart(c);
}

void ServiceMachine::schedule_restart(MachineContext& c) {
  const Duration delay = restart_delay(c.settings(), c.config(), status_.restarts + 1);
  status_.restart_at = delay == kInfinity ? MonoTime::max() : saturating_add(c.now().mono, delay);
  set_phase(c, Phase::auto_restart);
  if (delay != kInfinity) c.arm(TimerKind::restart, status_.restart_at);
  const std::uint32_t left = c.status_of(c.id()).start_tries_left;
  std::string tries = "no limit on tries";
  if (left == 0) tries = "no try left: StartLimitBurst= will refuse it";
  if (left > 0 && left != UINT32_MAX) {
    tries = fmt::format("{} {} left", left, left == 1 ? "try" : "tries");
  }
  c.log(LogLevel::info, "service-restart-scheduled",
        fmt::format("Ended with result '{}'; restart number {} comes in {}, {}",
                    to_string(status_.result), status_.restarts + 1, format_span(delay), tries));
}

/// The delay is over. A restart is a job like any other: conditions and limits hold for it too.
void ServiceMachine::restart_now(MachineContext& c) {
  const auto pending = c.job_type();
  if (pending == JobType::stop) return;  // it comes here next
  const bool direct =
      c.settings().choice<unit::RestartMode>(Directive::RestartMode) == unit::RestartMode::direct;
  status_.restarts += 1;
  counts_restarts_ = true;
  restart_is_due_ = direct;
  const auto job =
      c.request(c.id(), direct ? JobType::start : JobType::restart, unit::JobMode::replace);
  if (job) return c.touch();
  go_down(c, ServiceResult::resources,
          fmt::format("The restart could not be scheduled: {}", job.error().to_string()));
}

/// The start that something was kept for, or that a connection waits for, has ended, one way or
/// another.
void ServiceMachine::job_gone(MachineContext& c) {
  if (is_down(phase_) && !c.job_type()) take_connection(c, 0);
  if (!kept_for_start_ || c.job_type() == JobType::start) return;
  kept_for_start_ = false;
  if (is_down(phase_)) c.emit(CleanUp{.unit = c.id(), .restarting = false});
}

/// A stop during the delay; or the first half of the restart itself.
void ServiceMachine::cancel_restart(MachineContext& c) {
  if (!stop_is_restart_) counts_restarts_ = false;
  restart_is_due_ = false;
  status_.restart_at = {};
  c.emit(CleanUp{.unit = c.id(), .restarting = stop_is_restart_});
  kept_for_start_ = stop_is_restart_;
  set_phase(c, Phase::dead, {.will_restart = stop_is_restart_});
}

}  // namespace pidward::engine
