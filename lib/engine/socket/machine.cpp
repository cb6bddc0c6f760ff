#include "engine/socket/machine.hpp"

#include <csignal>
#include <variant>

#include <fmt/core.h>

#include "engine/service/rules.hpp"
#include "unit/implicit.hpp"

namespace pidward::engine {

using unit::Directive;

std::unique_ptr<Machine> make_socket_machine(const unit::UnitSpec& spec) {
  return std::make_unique<SocketMachine>(spec);
}

SocketMachine::SocketMachine(const unit::UnitSpec& spec)
    : has_commands_(unit::socket_runs_commands(spec.settings)) {}

void SocketMachine::settings_replaced(MachineContext& context) {
  has_commands_ = unit::socket_runs_commands(context.settings());
}

StartOutcome SocketMachine::start(MachineContext& context, std::uint32_t leftovers) {
  if (!is_inactive_or_failed(active())) return {};
  const auto target = service(context);
  const bool accepts = context.settings().boolean(Directive::Accept);
  if (!accepts) {
    if (auto refused = refused_without_triggered(context)) return *std::move(refused);
  }
  if (target && !accepts && is_active_or_activating(context.active_state(*target))) {
    const unit::UnitSpec* spec = context.spec_of(*target);
    return {.kind = StartOutcome::Kind::refused,
            .result = JobResult::failed,
            .why = Error(Errc::failed,
                         fmt::format("{} runs already and would not get the sockets of {}",
                                     spec == nullptr ? "the service" : spec->name.str(),
                                     context.spec().name.str()))};
  }
  if (leftovers > 0) {
    context.log(LogLevel::warning, "socket-leftovers",
                fmt::format("{} process(es) of an earlier run are still there", leftovers));
  }
  status_.result = "success";
  tree_empty_ = leftovers == 0;
  trigger_limit_ = {};
  if (!run_list(context, Directive::ExecStartPre, SocketState::start_pre)) enter_start(context);
  return {};
}

void SocketMachine::stop(MachineContext& context) {
  happen(context, SocketHappening::stop);
}

void SocketMachine::handle(MachineContext& context, const Event& event) {
  if (std::holds_alternative<UnitEmpty>(event)) {
    if (control_.exists()) return;
    tree_empty_ = true;
    return happen(context, SocketHappening::empty);
  }
  if (const auto* fired = std::get_if<TimerFired>(&event)) {
    if (fired->kind == TimerKind::operation) happen(context, SocketHappening::timeout);
    return;
  }
  if (std::holds_alternative<Listening>(event)) return happen(context, SocketHappening::bound);
  if (const auto* failed = std::get_if<ListenFailed>(&event)) {
    if (status_.state == SocketState::start) {
      context.log(LogLevel::error, "socket-listen-failed", failed->error.to_string());
    }
    return happen(context, SocketHappening::bind_failed);
  }
  if (const auto* traffic = std::get_if<Incoming>(&event)) return incoming(context, *traffic);
  control_event(context, event);
}

/// Its commands are all the processes that it has.
Status SocketMachine::kill(MachineContext& context, KillWhom whom, int signal) {
  if (whom == KillWhom::main || !control_.process) {
    return Error(Errc::no_such_process,
                 fmt::format("{} has no such process to signal", context.spec().name.str()));
  }
  context.emit(KillProcesses{.unit = context.id(), .whom = whom, .signal = signal});
  return {};
}

void SocketMachine::start_limit_hit(MachineContext& context) {
  refuse_start(context, "start-limit-hit",
               "Started too often in too short a time (StartLimitBurst=)");
}

void SocketMachine::preparation_failed(MachineContext& context, const Error& error) {
  refuse_start(context, "resources",
               fmt::format("The start could not be prepared: {}", error.to_string()));
}

void SocketMachine::refuse_start(MachineContext& c, std::string_view result, std::string why) {
  if (!is_inactive_or_failed(active())) return;
  c.log(LogLevel::error, "socket-refused", std::move(why));
  status_.result = result;
  set_state(c, SocketState::failed);
}

void SocketMachine::reset_failed(MachineContext& context) {
  if (status_.state != SocketState::failed) return;
  status_.result = "success";
  set_state(context, SocketState::dead);
}

void SocketMachine::happen(MachineContext& c, SocketHappening happening) {
  carry_out(c, deed(status_.state, happening));
}

void SocketMachine::carry_out(MachineContext& c, SocketDeed what) {
  switch (what) {
    case SocketDeed::nothing:
    case SocketDeed::impossible:
    case SocketDeed::refuse:  // incoming() has the connection and closes it
      return;
    case SocketDeed::next_command:
      return next_command(c);
    case SocketDeed::post:
      if (!run_list(c, Directive::ExecStartPost, SocketState::start_post)) enter_listening(c);
      return;
    case SocketDeed::fail_bind:
      note("resources");
      return close(c);
    case SocketDeed::trigger:
      return start_service(c);
    case SocketDeed::listen_again:
      if (c.settings().boolean(Directive::FlushPending)) c.emit(FlushListen{c.id()});
      return enter_listening(c);
    case SocketDeed::yield:
      c.emit(WatchListen{.unit = c.id(), .watch = false});
      return set_state(c, SocketState::running);
    case SocketDeed::close_first:
      return stage(c, SocketState::stop_pre_sigterm);
    case SocketDeed::begin_stop:
      return stop_pre(c, "success");
    case SocketDeed::stage_newcomer:
      return signal_stage(c);
    case SocketDeed::stage_progress:
      return stage_progress(c);
    case SocketDeed::timed_out:
      return timed_out(c);
  }
}

void SocketMachine::set_state(MachineContext& c, SocketState next) {
  const ActiveState from = active();
  const bool same = status_.state == next;
  status_.state = next;
  if (c.armed(TimerKind::operation)) c.disarm(TimerKind::operation);
  if (same) return c.touch();
  c.changed(from, active());
}

void SocketMachine::note(std::string_view result) {
  if (status_.result == "success") status_.result = result;
}

/// TimeoutSec= for whatever has just begun.
void SocketMachine::arm(MachineContext& c) {
  Duration span = c.settings().is_set(Directive::TimeoutSec)
                      ? c.settings().span(Directive::TimeoutSec)
                      : c.config().default_timeout_start;
  if (span == Duration::zero() || span == kInfinity) return;
  c.arm(TimerKind::operation, saturating_add(c.now().mono, span));
}

void SocketMachine::enter_start(MachineContext& c) {
  set_state(c, SocketState::start);
  open_ = true;
  c.emit(Listen{c.id()});
  arm(c);
}

void SocketMachine::enter_listening(MachineContext& c) {
  c.emit(WatchListen{.unit = c.id(), .watch = true});
  set_state(c, SocketState::listening);
}

void SocketMachine::stop_pre(MachineContext& c, std::string_view result) {
  note(result);
  c.emit(WatchListen{.unit = c.id(), .watch = false});
  if (run_list(c, Directive::ExecStopPre, SocketState::stop_pre)) return;
  close(c);
}

/// Closes the sockets and runs what comes after.
void SocketMachine::close(MachineContext& c) {
  if (open_) {
    open_ = false;
    c.emit(
        CloseListen{.unit = c.id(), .remove_files = c.settings().boolean(Directive::RemoveOnStop)});
  }
  if (run_list(c, Directive::ExecStopPost, SocketState::stop_post)) return;
  stage(c, SocketState::final_sigterm);
}

/// A killing stage; passed over when nobody is there.
void SocketMachine::stage(MachineContext& c, SocketState next) {
  if (!control_.exists() && tree_empty_) {
    const bool final = next == SocketState::final_sigterm || next == SocketState::final_sigkill;
    return final ? enter_dead(c) : close(c);
  }
  set_state(c, next);
  signal_stage(c);
  arm(c);
}

void SocketMachine::signal_stage(MachineContext& c) {
  const bool last =
      status_.state == SocketState::stop_pre_sigkill || status_.state == SocketState::final_sigkill;
  KillProcesses kill{.unit = c.id(), .whom = KillWhom::all};
  kill.signal = last ? signal_of(c.settings(), Directive::FinalKillSignal, SIGKILL)
                     : stop_signal(c.settings(), false);
  kill.also_continue = kill.signal != SIGKILL && kill.signal != SIGCONT;
  c.emit(kill);
}

void SocketMachine::stage_progress(MachineContext& c) {
  if (control_.exists()) return;
  if (!tree_empty_) return c.emit(WatchEmpty{c.id()});
  leave_stage(c);
}

void SocketMachine::leave_stage(MachineContext& c) {
  const bool final =
      status_.state == SocketState::final_sigterm || status_.state == SocketState::final_sigkill;
  final ? enter_dead(c) : close(c);
}

void SocketMachine::timed_out(MachineContext& c) {
  c.log(LogLevel::warning, "socket-timeout",
        fmt::format("State {} took longer than TimeoutSec=", to_string(status_.state)),
        control_.process);
  note("timeout");
  switch (status_.state) {
    case SocketState::start_pre:
    case SocketState::start:
    case SocketState::start_post:
    case SocketState::stop_pre:
      return stage(c, SocketState::stop_pre_sigterm);
    case SocketState::stop_pre_sigterm:
      return stage(c, SocketState::stop_pre_sigkill);
    case SocketState::stop_post:
      return stage(c, SocketState::final_sigterm);
    case SocketState::final_sigterm:
      return stage(c, SocketState::final_sigkill);
    case SocketState::stop_pre_sigkill:
    case SocketState::final_sigkill:
      // A spawn that is not answered would come to life behind our back.
      if (control_.in_flight) return arm(c);
      control_ = {};
      status_.control = {};
      return leave_stage(c);
    case SocketState::dead:
    case SocketState::listening:
    case SocketState::running:
    case SocketState::failed:
      return;
  }
}

void SocketMachine::enter_dead(MachineContext& c) {
  early_.clear();
  for (const Connection& connection : connections_) {
    if (!connection.unit) c.emit(CloseConnection{connection.number});
  }
  std::erase_if(connections_, [](const Connection& one) { return !one.unit.has_value(); });
  if (has_commands_) c.emit(CleanUp{.unit = c.id(), .restarting = false});
  const bool well = status_.result == "success";
  if (!well) {
    c.log(LogLevel::warning, "socket-failed",
          fmt::format("Failed with result '{}'", status_.result));
  }
  set_state(c, well ? SocketState::dead : SocketState::failed);
}

}  // namespace pidward::engine
