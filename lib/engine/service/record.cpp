// A service outlives the daemon: its fields as text, and going on from the middle.
#include "engine/record.hpp"

#include <csignal>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;

namespace {

template <typename Archive, typename Record>
void each_command_field(Archive& a, Record& record) {
  a.directive("list", record.list);
  a.number("index", record.index);
  a.process("process", record.process);
  a.now("started", record.started);
  a.now("exited", record.exited);
  a.status("status", record.status);
}

template <typename Archive, typename AChild>
void each_child_field(Archive& a, const std::string& key, AChild& child) {
  a.spawn(key + ".spawn", child.spawn);
  a.process(key + ".process", child.process);
  a.number(key + ".index", child.index);
  a.directive(key + ".list", child.list);
  a.flag(key + ".in_flight", child.in_flight);
  a.flag(key + ".ignore_failure", child.ignore_failure);
  a.flag(key + ".doomed", child.doomed);
  a.number(key + ".connection", child.connection);
}

}  // namespace

template <typename Archive, typename Self>
void ServiceMachine::each_field(Archive& a, Self& self) {
  constexpr auto kLastResult = ServiceResult::exec_condition;
  auto& status = self.status_;
  a.choice("phase", self.phase_, Phase::auto_restart);
  a.choice("state", status.state, ServiceState::auto_restart);
  a.choice("result", status.result, kLastResult);
  a.choice("reload_result", status.reload_result, kLastResult);
  a.choice("lost_result", self.lost_result_, kLastResult);
  a.process("main", status.main);
  a.process("control", status.control);
  a.flag("main_is_alien", status.main_is_alien);
  a.text("status_text", status.status_text);
  a.number("status_errno", status.status_errno);
  a.number("restarts", status.restarts);
  a.flag("start_limit_hit", status.start_limit_hit);
  a.time("restart_at", status.restart_at);
  a.now("watchdog_last", status.watchdog_last);
  a.span("watchdog_interval", status.watchdog_interval);
  each_child_field(a, "main_child", self.main_);
  each_child_field(a, "control_child", self.control_);
  const auto command = [](auto& archive, auto& record) { each_command_field(archive, record); };
  // The last main process is a list of one, for the sake of its keys.
  std::vector<CommandStatus> last{status.main_status};
  a.list("main_status", last, command);
  if (Archive::kLoads && last.size() == 1) const_cast<ServiceStatus&>(status).main_status = last[0];
  a.list("commands", status.commands, command);
  a.time("deadline", self.deadline_);
  a.time("runtime_deadline", self.runtime_deadline_);
  a.time("reload_begun", self.reload_begun_);
  a.choice("notice", self.notice_, Notice::stopping);
  a.flag("tree_empty", self.tree_empty_, true);
  a.flag("main_known", self.main_known_);
  a.flag("main_exited", self.main_exited_);
  a.flag("bus_owned", self.bus_owned_);
  a.flag("stop_wanted", self.stop_wanted_);
  a.flag("stop_is_restart", self.stop_is_restart_);
  a.flag("let_go", self.let_go_);
  a.flag("signalled", self.signalled_);
  a.flag("cleared_hard", self.cleared_hard_);
  a.flag("counts_restarts", self.counts_restarts_);
  a.flag("restart_is_due", self.restart_is_due_);
  a.flag("kept_for_start", self.kept_for_start_);
  a.flag("idle_type", self.idle_type_);
  a.number("connection", self.connection_);
}

void ServiceMachine::save(Saver& to) const {
  // One that was never touched has nothing to say.
  if (phase_ == Phase::dead && status_.state == ServiceState::dead && !main_known_ &&
      status_.result == ServiceResult::success && status_.commands.empty() &&
      status_.restarts == 0 && connection_ == 0 && !kept_for_start_) {
    return;
  }
  each_field(to, *this);
  if (rare_) to.list("early", rare_->early, each_early_exit_field<Saver>);
}

void ServiceMachine::load(Loader& from) {
  each_field(from, *this);
  // A number that is not waited for any more will be another spawn's.
  for (Child* const child : {&main_, &control_}) {
    if (!child->in_flight) child->spawn = {};
  }
  std::vector<EarlyExit> early;
  from.list("early", early, each_early_exit_field<Loader>);
  if (!early.empty()) rare_ = std::make_unique<Rare>(Rare{std::move(early), {}});
}

void ServiceMachine::save_running(Saver& to, ProcessId main, Now now) {
  ServiceMachine machine;
  machine.phase_ = Phase::running;
  machine.status_.state = ServiceState::running;
  machine.status_.main = machine.main_.process = main;
  machine.status_.main_status.list = Directive::ExecStart;
  machine.status_.main_status.process = main;
  machine.status_.main_status.started = now;
  machine.main_known_ = true;
  machine.tree_empty_ = false;
  machine.save(to);
}

std::string record_of_running_service(ProcessId main, InvocationId invocation, Now now) {
  Saver to;
  to.text("invocation", invocation.to_string());
  for (const char* stamp : {"state_changed", "inactive_exit", "active_enter"}) to.now(stamp, now);
  ServiceMachine::save_running(to, main, now);
  return to.take();
}

void ServiceMachine::resume(MachineContext& c) {
  if (service_type(c.settings()) == unit::ServiceType::dbus && !is_down(phase_)) {
    c.emit(WatchBusName{.unit = c.id(), .watch = true});
  }
  // Each of these may move on, and what is new then needs no resuming.
  const Phase phase = phase_;
  const SpawnId control = control_.spawn;
  resume_child(c, ProcessRole::main);
  if (control_.spawn == control) resume_child(c, ProcessRole::control);
  if (phase_ == phase) resume_phase(c);
  // Whether its program ran was about to be told. If it did not, its exit code says so.
  if (phase_ == Phase::start && phase == phase_ && main_.process) {
    happen(c, Happening::executed);
  }
}

/// A spawn that was not answered is asked for again under its own number: the runtime knows whether
/// its process came to be.
void ServiceMachine::resume_child(MachineContext& c, ProcessRole role) {
  const bool is_main = role == ProcessRole::main;
  Child& child = is_main ? main_ : control_;
  if (child.in_flight) {
    const bool known = child.index < c.settings().commands(child.list).size();
    if (known) {
      c.expect_spawn(child.spawn);
      c.emit(spawn_effect(c, role, child));
      return;
    }
    if (child.connection != 0) c.emit(CloseConnection{child.connection});
    c.log(LogLevel::error, "service-spawn-lost",
          "The command that was about to run is not in the unit any more");
    is_main ? main_ended(c, {}, true) : control_ended(c, {}, true);
    return;
  }
  if (child.process && child.doomed) {
    const KillWhom whom = is_main ? KillWhom::main : KillWhom::control;
    c.emit(KillProcesses{.unit = c.id(), .whom = whom, .signal = SIGKILL});
  }
}

void ServiceMachine::resume_phase(MachineContext& c) {
  const bool has_file = !c.settings().string(Directive::PIDFile).empty();
  switch (phase_) {
    case Phase::dead:
    case Phase::failed:
    case Phase::exited:
    case Phase::auto_restart:
    case Phase::condition:
    case Phase::start_pre:
    case Phase::start:
    case Phase::start_post:
    case Phase::reload:
    case Phase::stop:
    case Phase::stop_post:
      return;
    case Phase::clearing: {
      const Directive harder = Directive::FinalKillSignal;
      const int signal = cleared_hard_ ? signal_of(c.settings(), harder, SIGKILL)
                                       : stop_signal(c.settings(), false);
      return c.emit(KillProcesses{.unit = c.id(), .whom = KillWhom::all, .signal = signal});
    }
    case Phase::idle_wait:
      if (c.jobs_idle_or_watch()) happen(c, Happening::idle_due);
      return;
    case Phase::start_find:
    case Phase::post_find:
      c.emit(FindMainProcess{.unit = c.id(), .from_pid_file = has_file, .wait = true});
      return c.emit(WatchEmpty{c.id()});
    case Phase::running_find:
      return c.emit(FindMainProcess{.unit = c.id(), .from_pid_file = true, .wait = false});
    case Phase::running:
    case Phase::reload_signal:
    case Phase::reload_notify:
      if (!main_.exists() && !control_.exists()) c.emit(WatchEmpty{c.id()});
      return;
    case Phase::stop_watchdog:
    case Phase::stop_sigterm:
    case Phase::stop_sigkill:
    case Phase::final_watchdog:
    case Phase::final_sigterm:
    case Phase::final_sigkill:
      // The signal may not have been sent any more; once too often is better than never.
      if (signalled_) signal_stage(c);
      if (!main_.exists() && !control_.exists()) c.emit(WatchEmpty{c.id()});
      return;
  }
}

}  // namespace pidward::engine
