// The way down: ExecStop=, the killing stages, ExecStopPost=.
#include <csignal>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;
using unit::KillMode;
using unit::TimeoutFailureMode;

void ServiceMachine::begin_stop(MachineContext& c, ServiceResult result) {
  if (phase_ == Phase::running_find) note(lost_result_);
  note(result);
  begin_stop_commands(c);
}

void ServiceMachine::begin_stop_commands(MachineContext& c) {
  const Duration timeout = stop_timeout(c.settings(), c.config());
  if (run_list(c, Directive::ExecStop, Phase::stop, timeout)) return;
  enter_stage(c, Phase::stop_sigterm, ServiceResult::success);
}

/// There is one control process at a time: the reload's goes before ExecStop= begins.
void ServiceMachine::abort_reload(MachineContext& c, ServiceResult result) {
  note(result);
  if (!control_.exists()) return begin_stop_commands(c);
  set_phase(c, Phase::stop);
  control_.doomed = true;
  c.emit(KillProcesses{.unit = c.id(), .whom = KillWhom::control, .signal = SIGKILL});
  arm_operation(c, stop_timeout(c.settings(), c.config()));
}

/// STOPPING=1: as if it had got its signal already.
void ServiceMachine::stop_by_notify(MachineContext& c) {
  set_phase(c, Phase::stop_sigterm);
  arm_operation(c, stop_timeout(c.settings(), c.config()));
  stage_progress(c);
}

/// The last lease is gone, and no restart brings the service back.
void ServiceMachine::let_go(MachineContext& c) {
  c.log(LogLevel::notice, "service-unheld", "The last lease on the service ended", main_.process);
  if (phase_ == Phase::running_find) note(lost_result_);
  let_go_ = stop_wanted_ = true;
  stop_is_restart_ = false;
  enter_stage(c, Phase::stop_sigterm, ServiceResult::success);
}

/// KillMode=, or what KillOnLastClose= makes of it.
KillMode ServiceMachine::kill_mode(MachineContext& c) const {
  const auto usual = c.settings().choice<KillMode>(Directive::KillMode);
  if (!let_go_) return usual;
  switch (c.settings().choice<unit::KillOnLastClose>(Directive::KillOnLastClose)) {
    case unit::KillOnLastClose::no:
      return usual;
    case unit::KillOnLastClose::main:
      return KillMode::process;
    case unit::KillOnLastClose::control_group:
      return KillMode::control_group;
  }
  return usual;
}

/// Begins a killing stage; one with nobody to wait for is passed over.
void ServiceMachine::enter_stage(MachineContext& c, Phase stage, ServiceResult result) {
  note(result);
  switch (look(c, stage)) {
    case Progress::over:
      return leave_stage(c, stage);
    case Progress::kill_the_rest:
      return enter_stage(c, is_final_stage(stage) ? Phase::final_sigkill : Phase::stop_sigkill,
                         ServiceResult::success);
    case Progress::waiting:
      break;
  }
  set_phase(c, stage);
  signal_stage(c);
  const bool aborting = stage == Phase::stop_watchdog || stage == Phase::final_watchdog;
  arm_operation(c, aborting ? abort_timeout(c.settings(), c.config())
                            : stop_timeout(c.settings(), c.config()));
}

/// Whom does this stage still wait for?
ServiceMachine::Progress ServiceMachine::look(MachineContext& c, Phase stage) const {
  if (main_.in_flight || control_.in_flight) return Progress::waiting;
  const auto mode = kill_mode(c);
  const bool known = main_.exists() || control_.exists();
  const bool last = stage == Phase::stop_sigkill || stage == Phase::final_sigkill;
  switch (mode) {
    case KillMode::none:
      return Progress::over;
    case KillMode::process:
      return known ? Progress::waiting : Progress::over;
    case KillMode::control_group:
      return known || !tree_empty_ ? Progress::waiting : Progress::over;
    case KillMode::mixed:
      if (known) return Progress::waiting;
      if (tree_empty_) return Progress::over;
      if (last) return Progress::waiting;
      return c.settings().boolean(Directive::SendSIGKILL) ? Progress::kill_the_rest
                                                          : Progress::over;
  }
  return Progress::over;
}

void ServiceMachine::leave_stage(MachineContext& c, Phase stage) {
  if (is_final_stage(stage)) return enter_dead(c, ServiceResult::success);
  enter_stop_post(c, ServiceResult::success);
}

/// Sends the signal of the current stage to those whom KillMode= names.
void ServiceMachine::signal_stage(MachineContext& c) {
  const auto& settings = c.settings();
  const auto mode = kill_mode(c);
  if (mode == KillMode::none) return;
  const bool last = phase_ == Phase::stop_sigkill || phase_ == Phase::final_sigkill;
  const bool aborting = phase_ == Phase::stop_watchdog || phase_ == Phase::final_watchdog;
  const bool everybody = mode == KillMode::control_group || (mode == KillMode::mixed && last);
  KillProcesses kill{.unit = c.id()};
  kill.whom = everybody ? KillWhom::all : KillWhom::main_and_control;
  kill.signal = last       ? signal_of(settings, Directive::FinalKillSignal, SIGKILL)
                : aborting ? signal_of(settings, Directive::WatchdogSignal, SIGABRT)
                : let_go_
                    ? signal_of(settings, Directive::LastCloseSignal, stop_signal(settings, false))
                    : stop_signal(settings, stop_is_restart_);
  kill.also_continue = kill.signal != SIGKILL && kill.signal != SIGCONT;
  kill.also_hangup = !last && !aborting && settings.boolean(Directive::SendSIGHUP);
  signalled_ = true;
  c.emit(kill);
}

/// Somebody is gone (or the news of an empty unit came): is the stage over?
void ServiceMachine::stage_progress(MachineContext& c) {
  switch (look(c, phase_)) {
    case Progress::over:
      return leave_stage(c, phase_);
    case Progress::kill_the_rest:
      return enter_stage(c, is_final_stage(phase_) ? Phase::final_sigkill : Phase::stop_sigkill,
                         ServiceResult::success);
    case Progress::waiting:
      break;
  }
  if (main_.exists() || control_.exists()) return;
  // The others remain. If the service was stopping by itself they have not been told yet.
  if (!signalled_) return signal_stage(c);
  c.emit(WatchEmpty{c.id()});
}

void ServiceMachine::stage_timeout(MachineContext& c) {
  const bool final = is_final_stage(phase_);
  const auto say = [&](std::string_view what) {
    c.log(LogLevel::warning, "service-stop-timeout",
          fmt::format("State {} timed out; {}", to_string(status_.state), what), main_.process);
  };
  const bool kills = c.settings().boolean(Directive::SendSIGKILL);
  const bool aborts = c.settings().choice<TimeoutFailureMode>(Directive::TimeoutStopFailureMode) ==
                      TimeoutFailureMode::abort;
  const bool polite = phase_ == Phase::stop_sigterm || phase_ == Phase::final_sigterm;
  const bool last = phase_ == Phase::stop_sigkill || phase_ == Phase::final_sigkill;
  if (polite && aborts) {
    say("aborting it");
    return enter_stage(c, final ? Phase::final_watchdog : Phase::stop_watchdog,
                       ServiceResult::timeout);
  }
  if (!last && kills) {
    say("killing it");
    return enter_stage(c, final ? Phase::final_sigkill : Phase::stop_sigkill,
                       ServiceResult::timeout);
  }
  say(last ? "processes survive even being killed, going on without them"
           : "SendSIGKILL=no, so its processes are left alone");
  stop_waiting(c, final);
}

/// Goes on although processes live. A spawn that is not answered is waited for nevertheless: it
/// would come to life behind our back.
void ServiceMachine::stop_waiting(MachineContext& c, bool final) {
  if (main_.in_flight || control_.in_flight) {
    note(ServiceResult::timeout);
    return arm_operation(c, stop_timeout(c.settings(), c.config()));
  }
  if (final) return enter_dead(c, ServiceResult::timeout);
  enter_stop_post(c, ServiceResult::timeout);
}

/// What TimeoutStartFailureMode= or TimeoutStopFailureMode= makes of an operation that took too
/// long.
void ServiceMachine::escalate(MachineContext& c, Directive mode, bool final, ServiceResult result) {
  note(result);
  switch (c.settings().choice<TimeoutFailureMode>(mode)) {
    case TimeoutFailureMode::terminate:
      return enter_stage(c, final ? Phase::final_sigterm : Phase::stop_sigterm, result);
    case TimeoutFailureMode::abort:
      return enter_stage(c, final ? Phase::final_watchdog : Phase::stop_watchdog, result);
    case TimeoutFailureMode::kill:
      if (c.settings().boolean(Directive::SendSIGKILL)) {
        return enter_stage(c, final ? Phase::final_sigkill : Phase::stop_sigkill, result);
      }
      return stop_waiting(c, final);
  }
}

void ServiceMachine::enter_stop_post(MachineContext& c, ServiceResult result) {
  note(result);
  const Duration timeout = stop_timeout(c.settings(), c.config());
  if (control_.exists()) {
    if (!c.settings().commands(Directive::ExecStopPost).empty()) {
      c.log(LogLevel::warning, "service-stop-post-skipped",
            "ExecStopPost= is not run: an earlier command of the unit will not end",
            control_.process);
    }
  } else if (run_list(c, Directive::ExecStopPost, Phase::stop_post, timeout)) {
    return;
  }
  enter_stage(c, Phase::final_sigterm, ServiceResult::success);
}

}  // namespace pidward::engine
