// The table at work, and the small things that all deeds use.
#include "engine/service/machine.hpp"

#include <fmt/core.h>

#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;

ServiceMachine::ServiceMachine() = default;
ServiceMachine::~ServiceMachine() = default;

std::unique_ptr<Machine> make_service_machine(const unit::UnitSpec& /*spec*/) {
  return std::make_unique<ServiceMachine>();
}

ActiveState ServiceMachine::active() const {
  const ActiveState usual = active_state(status_.state);
  // Nothing may wait for a service that waits for everything: it counts as up from the beginning.
  if (idle_type_ && usual == ActiveState::activating && phase_ != Phase::auto_restart) {
    return ActiveState::active;
  }
  return usual;
}

std::string_view ServiceMachine::sub() const {
  return to_string(status_.state);
}

StartOutcome ServiceMachine::start(MachineContext& context, std::uint32_t leftovers) {
  if (phase_ == Phase::auto_restart && !restart_is_due_) {
    happen(context, Happening::start);
    return {.kind = StartOutcome::Kind::later, .result = JobResult::failed, .why = std::nullopt};
  }
  if (is_down(phase_)) {
    begin(context, leftovers);
    return {};
  }
  happen(context, Happening::start);
  if (active() != ActiveState::deactivating) return {};
  return {.kind = StartOutcome::Kind::later, .result = JobResult::failed, .why = std::nullopt};
}

void ServiceMachine::stop(MachineContext& context) {
  const auto job = context.job_type();
  stop_is_restart_ = job == JobType::restart || job == JobType::try_restart;
  stop_wanted_ = true;
  happen(context, Happening::stop);
}

void ServiceMachine::reload(MachineContext& context) {
  happen(context, Happening::reload);
}

bool ServiceMachine::can_reload(const unit::UnitSpec& spec) const {
  return !spec.settings.commands(Directive::ExecReload).empty() ||
         service_type(spec.settings) == unit::ServiceType::notify_reload;
}

void ServiceMachine::jobs_idle(MachineContext& context) {
  happen(context, Happening::idle_due);
}

Status ServiceMachine::kill(MachineContext& context, KillWhom whom, int signal) {
  const auto nobody = [&](std::string_view what) {
    return Error(Errc::no_such_process,
                 fmt::format("{} has no {} process to signal", context.spec().name.str(), what));
  };
  if (whom == KillWhom::main && !main_.process) return nobody("main");
  if (whom == KillWhom::control && !control_.process) return nobody("control");
  if (whom == KillWhom::main_and_control && !main_.process && !control_.process) {
    return nobody("main or control");
  }
  context.emit(KillProcesses{.unit = context.id(), .whom = whom, .signal = signal});
  return {};
}

void ServiceMachine::start_limit_hit(MachineContext& context) {
  status_.start_limit_hit = true;
  go_down(context, ServiceResult::start_limit_hit,
          "Started too often in too short a time (StartLimitBurst=); not starting again");
}

void ServiceMachine::preparation_failed(MachineContext& context, const Error& error) {
  go_down(context, ServiceResult::resources,
          fmt::format("The start could not be prepared: {}", error.to_string()));
}

/// From one of the resting phases to failed.
void ServiceMachine::go_down(MachineContext& c, ServiceResult result, std::string why) {
  if (!is_down(phase_)) return;
  c.log(LogLevel::error, "service-refused", std::move(why));
  // Why it failed says more than that it is not tried again.
  if (result != ServiceResult::start_limit_hit) status_.result = ServiceResult::success;
  note(result);
  status_.restart_at = {};
  counts_restarts_ = false;
  restart_is_due_ = false;
  if (phase_ == Phase::auto_restart) c.emit(CleanUp{.unit = c.id(), .restarting = false});
  set_phase(c, Phase::failed);
}

void ServiceMachine::reset_failed(MachineContext& context) {
  status_.restarts = 0;
  status_.start_limit_hit = false;
  if (!is_down(phase_)) return;
  if (phase_ == Phase::failed) {
    status_.result = ServiceResult::success;
    status_.reload_result = ServiceResult::success;
    set_phase(context, Phase::dead);
  }
  context.touch();
}

void ServiceMachine::removed(MachineContext& context) {
  take_connection(context, 0);
}

void ServiceMachine::take_connection(MachineContext& context, std::uint64_t connection) {
  if (connection_ != 0) context.emit(CloseConnection{connection_});
  connection_ = connection;
}

/// The first thing that went wrong names the result.
void ServiceMachine::note(ServiceResult result) {
  if (status_.result == ServiceResult::success) status_.result = result;
}

std::optional<ExitStatus> ServiceMachine::main_exit() const {
  if (!main_exited_) return std::nullopt;
  return status_.main_status.status;
}

/// Every change of phase goes through here. Timers that mean nothing in the new phase are disarmed;
/// the one of the operation always, who enters a phase arms it.
void ServiceMachine::set_phase(MachineContext& c, Phase next, ChangeFlags flags) {
  const auto disarm = [&](TimerKind kind, bool keep) {
    if (!keep && c.armed(kind)) c.disarm(kind);
  };
  const ActiveState from = active();
  const ServiceState old = status_.state;
  const bool settles = is_settling();
  phase_ = next;
  status_.state = service_state(next);
  signalled_ = false;
  deadline_ = MonoTime::max();
  disarm(TimerKind::operation, false);
  disarm(TimerKind::watchdog, is_watched(next));
  disarm(TimerKind::runtime_max, is_up(next));
  disarm(TimerKind::restart, next == Phase::auto_restart);
  disarm(TimerKind::idle, next == Phase::idle_wait);
  if (is_down(next)) {
    rare_.reset();
    take_connection(c, 0);
  }
  if (status_.state != old || settles) {
    c.changed(from, active(), flags);
  } else {
    c.touch();
  }
}

void ServiceMachine::arm_operation(MachineContext& c, Duration span) {
  deadline_ = span == kInfinity ? MonoTime::max() : saturating_add(c.now().mono, span);
  if (span == kInfinity) {
    if (c.armed(TimerKind::operation)) c.disarm(TimerKind::operation);
    return;
  }
  c.arm(TimerKind::operation, deadline_);
}

void ServiceMachine::happen(MachineContext& c, Happening happening) {
  happen(c, happening, News{});
}

void ServiceMachine::happen(MachineContext& c, Happening happening, const News& news) {
  const Deed what = deed(phase_, happening);
  if (what == Deed::impossible) {
    c.log(LogLevel::debug, "service-impossible",
          fmt::format("'{}' cannot happen to a service in phase '{}'; ignored",
                      to_string(happening), to_string(phase_)));
    return;
  }
  carry_out(c, what, news);
}

void ServiceMachine::carry_out(MachineContext& c, Deed what, const News& news) {
  const auto type = service_type(c.settings());
  switch (what) {
    case Deed::nothing:
    case Deed::impossible:
    case Deed::begin:            // start() has the leftovers and does it
    case Deed::remember_notify:  // notice_ has it
      return;
    case Deed::note_main_exit:
      lost_result_ = news.result;
      if (phase_ != Phase::reload) note(news.result);
      return;
    case Deed::hurry_restart:
      return c.arm(TimerKind::restart, c.now().mono);
    // A control process in the start phase is a forking service's, whatever Type= a reload of the
    // settings has made of it since: its exit decides.
    case Deed::start_started:
      if (control_.exists()) return;
      if (type == unit::ServiceType::simple || type == unit::ServiceType::idle) enter_start_post(c);
      return;
    case Deed::start_executed:
      if (control_.exists()) return;
      if (type == unit::ServiceType::exec) enter_start_post(c);
      return;
    case Deed::start_ready:
      if (control_.exists()) return;
      if (waits_for_ready(type)) enter_start_post(c);
      return;
    case Deed::start_owned:
      if (control_.exists()) return;
      if (type == unit::ServiceType::dbus) enter_start_post(c);
      return;
    case Deed::start_spawn:
      return start_spawn(c);
    case Deed::start_main_exit:
      return start_main_exit(c, news);
    case Deed::start_control_exit:
      return start_control_exit(c, news);
    case Deed::cleared:
      return enter_condition(c);
    case Deed::clear_harder:
      return clear_harder(c);
    case Deed::found:
      adopt(c, news.process, news.alien);
      return phase_ == Phase::start_find ? enter_start_post(c) : enter_running(c);
    case Deed::not_found:
      return not_found(c, news);
    case Deed::find_empty:
      return find_empty(c);
    case Deed::next_command:
      return next_command(c, news);
    case Deed::running_main_exit:
      return running_main_exit(c, news);
    case Deed::running_empty:
      return enter_running(c);
    case Deed::running_lost_name:
      if (type == unit::ServiceType::dbus) begin_stop(c, ServiceResult::success);
      return;
    case Deed::settle_found:
      main_exited_ = false;
      adopt(c, news.process, news.alien);
      return set_phase(c, Phase::running);
    case Deed::settle_missing:
      note(lost_result_);
      return enter_running(c);
    case Deed::reload_begin:
      return reload_begin(c);
    case Deed::reload_main_exit:
      lost_result_ = news.result;
      return finish_reload(c, ServiceResult::protocol);
    case Deed::reload_announced:
      if (phase_ == Phase::reload_signal) wait_for_ready(c, Phase::reload_notify);
      return;
    case Deed::reload_by_notify:
      status_.reload_result = ServiceResult::success;
      return wait_for_ready(c, Phase::reload_notify);
    case Deed::reload_done:
      return finish_reload(c, ServiceResult::success);
    case Deed::reload_timeout:
      return reload_timeout(c);
    case Deed::stop_by_notify:
      return stop_by_notify(c);
    case Deed::abort_start:
      return enter_stage(c, Phase::stop_sigterm, ServiceResult::success);
    case Deed::abort_reload:
      return abort_reload(c, ServiceResult::success);
    case Deed::begin_stop:
      return begin_stop(c, ServiceResult::success);
    case Deed::end_abort:
      return enter_stage(c, Phase::stop_sigterm, ServiceResult::success);
    case Deed::cancel_restart:
      return cancel_restart(c);
    case Deed::start_timeout:
      return start_too_slow(c);
    case Deed::stop_timeout:
      c.log(LogLevel::warning, "service-stop-timeout",
            "ExecStop= took too long; skipping the rest");
      return escalate(c, Directive::TimeoutStopFailureMode, false, ServiceResult::timeout);
    case Deed::stage_timeout:
      return stage_timeout(c);
    case Deed::stage_progress:
      // A command that our own signal ended did not fail.
      if ((news.ended.list == Directive::ExecStart && !let_go_) || !news.status.is_signal()) {
        note(news.result);
      }
      return stage_progress(c);
    case Deed::stage_newcomer:
      return signal_stage(c);
    case Deed::stop_post_timeout:
      c.log(LogLevel::warning, "service-stop-timeout",
            "ExecStopPost= took too long; skipping the rest");
      return escalate(c, Directive::TimeoutStopFailureMode, true, ServiceResult::timeout);
    case Deed::restart_now:
      return restart_now(c);
    case Deed::watchdog_missed:
      return watchdog_missed(c);
    case Deed::runtime_over:
      return runtime_over(c);
    case Deed::let_go:
      return let_go(c);
    case Deed::let_go_of_wait:
      stop_is_restart_ = false;
      return cancel_restart(c);
    case Deed::out_of_memory:
      return out_of_memory(c);
    case Deed::note_out_of_memory:
      return note(ServiceResult::oom_kill);
  }
}

}  // namespace pidward::engine
