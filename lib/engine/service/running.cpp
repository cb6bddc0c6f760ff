// Being up: what counts as good, reloads, the watchdog, the longest time to run.
#include <csignal>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;
using unit::ServiceType;

/// Is there still something that makes this service a running one?
bool ServiceMachine::is_good(MachineContext& c) const {
  const auto& settings = c.settings();
  if (service_type(settings) == ServiceType::dbus && !bus_owned_) return false;
  const auto exit_type = settings.choice<unit::ServiceExitType>(Directive::ExitType);
  if (exit_type == unit::ServiceExitType::cgroup) return main_.exists() || !tree_empty_;
  // Without a main process that we know, whatever is left is the service.
  return main_known_ ? main_.exists() : !tree_empty_;
}

/// Up, if it is; otherwise what the end of the service leads to.
void ServiceMachine::enter_running(MachineContext& c, ChangeFlags flags) {
  if (is_good(c)) {
    arm_runtime(c);
    set_phase(c, Phase::running, flags);
    if (!main_.exists()) c.emit(WatchEmpty{c.id()});
    // What it said before it was up.
    if (notice_ == Notice::stopping) return stop_by_notify(c);
    if (notice_ == Notice::reloading) happen(c, Happening::reloading);
    return;
  }
  const bool remains = c.settings().boolean(Directive::RemainAfterExit);
  if (status_.result == ServiceResult::success && remains) return set_phase(c, Phase::exited);
  begin_stop(c, ServiceResult::success);
}

void ServiceMachine::running_main_exit(MachineContext& c, const News& news) {
  lost_result_ = news.result;
  main_lost(c);
}

/// The main process of a running service is gone. A forking daemon may have handed over to another
/// and said so in its PID file (nginx and others upgrade that way).
void ServiceMachine::main_lost(MachineContext& c) {
  const auto& settings = c.settings();
  if (service_type(settings) == ServiceType::forking &&
      !settings.string(Directive::PIDFile).empty()) {
    set_phase(c, Phase::running_find);
    return c.emit(FindMainProcess{.unit = c.id(), .from_pid_file = true, .wait = false});
  }
  note(lost_result_);
  enter_running(c);
}

void ServiceMachine::arm_watchdog(MachineContext& c) {
  if (status_.watchdog_interval <= Duration::zero()) {
    if (c.armed(TimerKind::watchdog)) c.disarm(TimerKind::watchdog);
    return;
  }
  status_.watchdog_last = c.now();
  c.arm(TimerKind::watchdog, saturating_add(c.now().mono, status_.watchdog_interval));
}

/// RuntimeMaxSec= counts from the first moment up; a reload does not begin it anew.
void ServiceMachine::arm_runtime(MachineContext& c) {
  if (is_up(phase_)) return;
  const Duration longest = longest_runtime(c);
  if (longest == kInfinity) return;
  runtime_deadline_ = saturating_add(c.now().mono, longest);
  c.arm(TimerKind::runtime_max, runtime_deadline_);
}

void ServiceMachine::reload_begin(MachineContext& c) {
  const bool by_signal = service_type(c.settings()) == ServiceType::notify_reload;
  const Duration timeout = start_timeout(c.settings(), c.config());
  status_.reload_result = ServiceResult::success;
  reload_begun_ = c.now().mono;
  notice_ = Notice::none;
  if (by_signal && main_.process) {
    c.emit(KillProcesses{.unit = c.id(),
                         .whom = KillWhom::main,
                         .signal = signal_of(c.settings(), Directive::ReloadSignal, SIGHUP)});
  }
  if (run_list(c, Directive::ExecReload, Phase::reload, timeout)) return;
  wait_for_ready(c, Phase::reload_signal);
  if (main_.process) return;
  c.log(LogLevel::error, "service-reload-failed", "There is no main process to ask for a reload");
  finish_reload(c, ServiceResult::resources);
}

void ServiceMachine::reload_commands_done(MachineContext& c, ServiceResult result) {
  const bool timed_out = status_.reload_result == ServiceResult::timeout;
  const bool by_signal = service_type(c.settings()) == ServiceType::notify_reload;
  if (timed_out) return finish_reload(c, ServiceResult::timeout);
  if (result != ServiceResult::success || !by_signal || !main_.exists()) {
    return finish_reload(c, result);
  }
  switch (notice_) {
    case Notice::none:
    case Notice::stopping:
      return wait_for_ready(c, Phase::reload_signal);
    case Notice::reloading:
      return wait_for_ready(c, Phase::reload_notify);
    case Notice::ready:
      return finish_reload(c, ServiceResult::success);
  }
}

void ServiceMachine::wait_for_ready(MachineContext& c, Phase phase) {
  set_phase(c, phase);
  arm_operation(c, start_timeout(c.settings(), c.config()));
}

/// The reload is over, whatever became of it; the service stays up if it can.
void ServiceMachine::finish_reload(MachineContext& c, ServiceResult result) {
  status_.reload_result = result;
  const bool lost = main_known_ && !main_.exists();
  const bool crashed = lost && lost_result_ != ServiceResult::success;
  const ChangeFlags flags{.reload_failed = crashed || result != ServiceResult::success};
  if (notice_ == Notice::reloading) notice_ = Notice::none;
  if (!lost) return enter_running(c, flags);
  set_phase(c, Phase::running, flags);
  main_lost(c);
}

void ServiceMachine::reload_timeout(MachineContext& c) {
  const bool again = status_.reload_result == ServiceResult::timeout;
  status_.reload_result = ServiceResult::timeout;
  c.log(LogLevel::warning, "service-reload-timeout", "The reload took too long");
  if (!control_.exists()) return finish_reload(c, ServiceResult::timeout);
  if (again && !control_.in_flight) {
    c.log(LogLevel::error, "service-unkillable",
          "A process of ExecReload= survives even SIGKILL; not waiting for it any longer",
          control_.process);
    control_ = {};
    status_.control = {};
    return finish_reload(c, ServiceResult::timeout);
  }
  control_.doomed = true;
  c.emit(KillProcesses{.unit = c.id(), .whom = KillWhom::control, .signal = SIGKILL});
  arm_operation(c, stop_timeout(c.settings(), c.config()));
}

void ServiceMachine::watchdog_missed(MachineContext& c) {
  c.log(LogLevel::error, "service-watchdog",
        fmt::format("No sign of life within {}; ending it", format_span(status_.watchdog_interval)),
        main_.process);
  enter_stage(c, Phase::stop_watchdog, ServiceResult::watchdog);
}

/// OOMPolicy= (systemd.service(5)).
void ServiceMachine::out_of_memory(MachineContext& c) {
  const auto policy = c.settings().choice<unit::OomPolicy>(Directive::OOMPolicy);
  const std::string_view what = policy == unit::OomPolicy::go_on  ? "going on"
                                : policy == unit::OomPolicy::stop ? "stopping"
                                                                  : "killing the rest";
  c.log(LogLevel::error, "service-out-of-memory",
        fmt::format("The kernel killed a process of the unit for lack of memory; {}, as OOMPolicy= "
                    "says",
                    what));
  if (policy == unit::OomPolicy::go_on) return;
  if (policy == unit::OomPolicy::kill) {
    return enter_stage(c, Phase::stop_sigkill, ServiceResult::oom_kill);
  }
  switch (active_state(status_.state)) {
    case ActiveState::active:
      return begin_stop(c, ServiceResult::oom_kill);
    case ActiveState::reloading:
      return abort_reload(c, ServiceResult::oom_kill);
    case ActiveState::inactive:
    case ActiveState::failed:
    case ActiveState::activating:
    case ActiveState::deactivating:
      return enter_stage(c, Phase::stop_sigterm, ServiceResult::oom_kill);
  }
}

void ServiceMachine::runtime_over(MachineContext& c) {
  c.log(LogLevel::warning, "service-runtime-max", "Ran as long as RuntimeMaxSec= allows; stopping");
  if (phase_ == Phase::running || phase_ == Phase::running_find) {
    return begin_stop(c, ServiceResult::timeout);
  }
  abort_reload(c, ServiceResult::timeout);
}

}  // namespace pidward::engine
