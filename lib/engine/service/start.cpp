// The way up: leftovers, ExecCondition=, ExecStartPre=, ExecStart= by its Type=, ExecStartPost=.
#include <csignal>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;
using unit::KillMode;
using unit::ServiceType;

namespace {

/// How long Type=idle waits for others (systemd.service(5)).
constexpr Duration kIdleWait = std::chrono::seconds(5);

}  // namespace

void ServiceMachine::begin(MachineContext& c, std::uint32_t leftovers) {
  const std::uint32_t restarts = counts_restarts_ ? status_.restarts : 0;
  const ServiceState state = status_.state;
  const std::uint32_t stored = status_.stored_descriptors;
  status_ = ServiceStatus{};
  status_.stored_descriptors = stored;
  status_.state = state;
  status_.restarts = restarts;
  status_.watchdog_interval = watchdog_interval(c.settings());
  deadline_ = runtime_deadline_ = MonoTime::max();
  notice_ = Notice::none;
  lost_result_ = ServiceResult::success;
  tree_empty_ = leftovers == 0;
  main_known_ = main_exited_ = bus_owned_ = false;
  stop_wanted_ = stop_is_restart_ = cleared_hard_ = let_go_ = false;
  counts_restarts_ = restart_is_due_ = false;
  idle_type_ = service_type(c.settings()) == ServiceType::idle;
  if (leftovers > 0 && deal_with_leftovers(c, leftovers)) return;
  enter_condition(c);
}

/// False: they may stay, go on.
bool ServiceMachine::deal_with_leftovers(MachineContext& c, std::uint32_t leftovers) {
  const auto mode = c.settings().choice<KillMode>(Directive::KillMode);
  const auto say = [&](std::string_view what) {
    c.log(LogLevel::warning, "service-leftovers",
          fmt::format("{} process{} of an earlier run {} still in the control group; {}", leftovers,
                      leftovers == 1 ? "" : "es", leftovers == 1 ? "is" : "are", what));
  };
  if (mode == KillMode::process || mode == KillMode::none) {
    say("left alone, as KillMode= asks for");
    return false;
  }
  if (!c.settings().boolean(Directive::SendSIGKILL)) {
    say("SendSIGKILL=no forbids to end them for sure, so the service is not started beside them");
    note(ServiceResult::resources);
    // By way of a start: what has failed before fails once more, and its job is told.
    set_phase(c, Phase::clearing);
    set_phase(c, Phase::failed);
    return true;
  }
  say("ending them before the start");
  set_phase(c, Phase::clearing);
  const int signal = stop_signal(c.settings(), false);
  c.emit(KillProcesses{.unit = c.id(),
                       .whom = KillWhom::all,
                       .signal = signal,
                       .also_continue = signal != SIGKILL,
                       .also_hangup = c.settings().boolean(Directive::SendSIGHUP)});
  arm_operation(c, stop_timeout(c.settings(), c.config()));
  return true;
}

void ServiceMachine::clear_harder(MachineContext& c) {
  if (cleared_hard_) {
    c.log(LogLevel::error, "service-leftovers",
          "Processes of an earlier run survive even SIGKILL; not starting beside them");
    note(ServiceResult::timeout);
    kept_for_start_ = false;
    c.emit(CleanUp{.unit = c.id(), .restarting = false});
    return set_phase(c, Phase::failed);
  }
  cleared_hard_ = true;
  c.log(LogLevel::warning, "service-leftovers",
        "Processes of an earlier run did not end when asked to; killing them");
  c.emit(KillProcesses{.unit = c.id(),
                       .whom = KillWhom::all,
                       .signal = signal_of(c.settings(), Directive::FinalKillSignal, SIGKILL)});
  arm_operation(c, stop_timeout(c.settings(), c.config()));
}

void ServiceMachine::enter_condition(MachineContext& c) {
  const Duration timeout = start_timeout(c.settings(), c.config());
  if (!run_list(c, Directive::ExecCondition, Phase::condition, timeout)) enter_start_pre(c);
}

void ServiceMachine::condition_done(MachineContext& c, const News& news) {
  if (news.result == ServiceResult::success) return enter_start_pre(c);
  const bool says_no = news.result == ServiceResult::exit_code && news.status.code < 255;
  if (!says_no || news.never_ran) return enter_stage(c, Phase::stop_sigterm, news.result);
  c.log(LogLevel::info, "service-skipped",
        fmt::format("ExecCondition= says no ({}); not started", news.status.to_string()),
        news.ended.process);
  enter_stage(c, Phase::stop_sigterm, ServiceResult::exec_condition);
}

void ServiceMachine::enter_start_pre(MachineContext& c) {
  const Duration timeout = start_timeout(c.settings(), c.config());
  if (!run_list(c, Directive::ExecStartPre, Phase::start_pre, timeout)) enter_start(c);
}

void ServiceMachine::enter_start(MachineContext& c) {
  if (c.settings().commands(Directive::ExecStart).empty()) return enter_start_post(c);
  if (service_type(c.settings()) == ServiceType::idle && !c.jobs_idle_or_watch()) {
    set_phase(c, Phase::idle_wait);
    return c.arm(TimerKind::idle, saturating_add(c.now().mono, kIdleWait));
  }
  start_spawn(c);
}

void ServiceMachine::start_spawn(MachineContext& c) {
  const auto type = service_type(c.settings());
  set_phase(c, Phase::start);
  if (type == ServiceType::dbus) c.emit(WatchBusName{.unit = c.id(), .watch = true});
  spawn(c, type == ServiceType::forking ? ProcessRole::control : ProcessRole::main,
        Directive::ExecStart, 0);
  arm_operation(c, start_timeout(c.settings(), c.config()));
}

void ServiceMachine::start_main_exit(MachineContext& c, const News& news) {
  const auto type = service_type(c.settings());
  // Of a forking service the program that runs decides; a main process it announced may come and
  // go.
  if (type == ServiceType::forking && control_.exists()) return;
  if (news.result != ServiceResult::success) {
    return enter_stage(c, Phase::stop_sigterm, news.result);
  }
  const auto commands = c.settings().commands(Directive::ExecStart).size();
  if (type == ServiceType::oneshot && news.ended.index + 1 < commands) {
    spawn(c, ProcessRole::main, Directive::ExecStart, news.ended.index + 1);
    return arm_operation(c, start_timeout(c.settings(), c.config()));
  }
  if (waits_for_ready(type) || type == ServiceType::dbus) {
    c.log(LogLevel::error, "service-not-ready",
          fmt::format("The main process ended before it {}",
                      type == ServiceType::dbus ? "took its bus name" : "said that it is ready"),
          news.ended.process);
    return enter_stage(c, Phase::stop_sigterm, ServiceResult::protocol);
  }
  enter_start_post(c);
}

void ServiceMachine::start_control_exit(MachineContext& c, const News& news) {
  if (news.result != ServiceResult::success) {
    return enter_stage(c, Phase::stop_sigterm, news.result);
  }
  if (main_.exists()) return enter_start_post(c);
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  if (!has_file && !c.settings().boolean(Directive::GuessMainPID)) {
    c.emit(WatchEmpty{c.id()});
    return enter_start_post(c);
  }
  // ExecStartPost= may be what writes the file; then it is waited for afterwards.
  const bool post = !c.settings().commands(Directive::ExecStartPost).empty();
  look_for_main(c, Phase::start_find, has_file && !post);
}

void ServiceMachine::look_for_main(MachineContext& c, Phase phase, bool wait) {
  set_phase(c, phase);
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  c.emit(FindMainProcess{.unit = c.id(), .from_pid_file = has_file, .wait = wait});
  if (wait) c.emit(WatchEmpty{c.id()});
  arm_operation(c, start_timeout(c.settings(), c.config()));
}

void ServiceMachine::not_found(MachineContext& c, const News& news) {
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  const bool post = !c.settings().commands(Directive::ExecStartPost).empty();
  const bool waiting = phase_ == Phase::post_find || (has_file && !post);
  const std::string why = news.why != nullptr ? news.why->to_string() : "no reason given";
  if (waiting) {
    c.log(LogLevel::notice, "service-main-missing",
          fmt::format("The PID file does not name the main process yet: {}", why));
    return;
  }
  if (!has_file) {
    c.log(LogLevel::info, "service-main-missing",
          fmt::format("The main process cannot be told: {}", why));
  }
  c.emit(WatchEmpty{c.id()});
  enter_start_post(c);
}

void ServiceMachine::find_empty(MachineContext& c) {
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  if (!has_file) return;  // the answer to the guess is still to come
  c.log(LogLevel::error, "service-main-missing",
        "All processes ended before the PID file named a main process");
  enter_stage(c, Phase::stop_sigterm, ServiceResult::protocol);
}

void ServiceMachine::enter_start_post(MachineContext& c) {
  arm_watchdog(c);
  const Duration timeout = start_timeout(c.settings(), c.config());
  if (!run_list(c, Directive::ExecStartPost, Phase::start_post, timeout)) after_start_post(c);
}

void ServiceMachine::after_start_post(MachineContext& c) {
  // A main process that failed meanwhile: the service was never fully up, so no ExecStop=.
  if (main_exited_ && status_.result != ServiceResult::success) {
    return enter_stage(c, Phase::stop_sigterm, status_.result);
  }
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  if (service_type(c.settings()) == ServiceType::forking && has_file && !main_known_) {
    return look_for_main(c, Phase::post_find, true);
  }
  enter_running(c);
}

void ServiceMachine::start_too_slow(MachineContext& c) {
  c.log(
      LogLevel::warning, "service-start-timeout",
      fmt::format("The start took longer than {} (state {}); ending it",
                  format_span(start_timeout(c.settings(), c.config())), to_string(status_.state)));
  escalate(c, Directive::TimeoutStartFailureMode, false, ServiceResult::timeout);
}

}  // namespace pidward::engine
