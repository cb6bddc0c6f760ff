// Running Exec…= lines: one process at a time, and one line after the other.
#include <algorithm>

#include <fmt/core.h>

#include "base/contract.hpp"
#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;

namespace {

/// Which lists get the descriptors of the unit's sockets.
bool gets_sockets(Directive list) {
  return list == Directive::ExecStart;
}

/// NOTIFY_SOCKET goes to the service itself whenever anybody may notify, to other commands only
/// where NotifyAccess= lets them.
bool gets_notify_socket(Directive list, unit::NotifyAccess access) {
  switch (access) {
    case unit::NotifyAccess::none:
      return false;
    case unit::NotifyAccess::main:
      return list == Directive::ExecStart;
    case unit::NotifyAccess::exec:
    case unit::NotifyAccess::all:
      return true;
  }
  return false;
}

std::vector<UnitId> sockets_of(MachineContext& c) {
  std::vector<UnitId> sockets;
  for (const UnitId other : c.related(unit::Dependency::TriggeredBy)) {
    const unit::UnitSpec* spec = c.spec_of(other);
    if (spec == nullptr || spec->name.type() != unit::UnitType::socket) continue;
    if (spec->settings.boolean(Directive::Accept)) continue;
    sockets.push_back(other);
  }
  return sockets;
}

/// What of timers and paths has triggered this unit, for its environment.
void announce_trigger(MachineContext& c, std::vector<std::string>& environment) {
  for (const UnitId other : c.related(unit::Dependency::TriggeredBy)) {
    const Machine* const machine = c.machine_of(other);
    const auto about = machine == nullptr ? std::nullopt : machine->trigger_environment();
    if (!about) continue;
    environment.push_back("TRIGGER_UNIT=" + c.spec_of(other)->name.str());
    environment.insert(environment.end(), about->begin(), about->end());
    return;
  }
}

/// How the one service ended whose OnFailure= or OnSuccess= names this one (systemd.exec(5),
/// $MONITOR_…). With several nobody could say which is meant.
void announce_monitored(MachineContext& c, std::vector<std::string>& environment) {
  std::vector<UnitId> others = c.related(unit::Dependency::OnFailureOf);
  for (const UnitId other : c.related(unit::Dependency::OnSuccessOf)) others.push_back(other);
  if (others.size() != 1) return;
  const UnitStatus other = c.status_of(others.front());
  if (other.service == nullptr) return;
  const CommandStatus& main = other.service->main_status;
  const bool ended = main.exited.mono != MonoTime();
  for (const std::string& each : result_environment(
           other.service->result, ended ? std::optional(main.status) : std::nullopt)) {
    environment.push_back("MONITOR_" + each);
  }
  environment.push_back("MONITOR_INVOCATION_ID=" + other.invocation.to_string());
  environment.push_back("MONITOR_UNIT=" + other.spec->name.str());
}

}  // namespace

void ServiceMachine::spawn(MachineContext& c, ProcessRole role, Directive list,
                           std::uint32_t index) {
  const auto& command = c.settings().commands(list).at(index);
  const bool is_main = role == ProcessRole::main;
  PIDWARD_EXPECT(!(is_main ? main_ : control_).exists());
  Child& child = is_main ? main_ : control_;
  child = Child{.spawn = c.new_spawn(),
                .process = {},
                .index = index,
                .list = list,
                .in_flight = true,
                .ignore_failure = command.ignore_failure,
                .doomed = false,
                .connection = gets_sockets(list) ? std::exchange(connection_, 0) : 0};
  Spawn effect = spawn_effect(c, role, child);
  tree_empty_ = false;
  const CommandStatus record{
      .list = list, .index = index, .process = {}, .started = c.now(), .exited = {}, .status = {}};
  if (is_main) {
    // A oneshot service runs several; the earlier ones stay in the list.
    if (main_exited_) status_.commands.push_back(status_.main_status);
    status_.main_status = record;
    main_known_ = true;
    main_exited_ = false;
  } else {
    status_.commands.push_back(record);
  }
  c.emit(std::move(effect));
}

/// What the child needs to be told, from what is known now.
Spawn ServiceMachine::spawn_effect(MachineContext& c, ProcessRole role, const Child& child) {
  const Directive list = child.list;
  Spawn effect;
  effect.spawn = child.spawn;
  effect.unit = c.id();
  effect.role = role;
  effect.list = list;
  effect.index = child.index;
  effect.invocation = c.invocation();
  effect.main_process = main_.process;
  effect.pass_notify_socket = gets_notify_socket(list, notify_access(c.settings()));
  if (list == Directive::ExecStop || list == Directive::ExecStopPost) {
    effect.environment = result_environment(status_.result, main_exit());
  }
  if (list == Directive::ExecStart && status_.watchdog_interval > Duration::zero()) {
    effect.environment.push_back(
        fmt::format("WATCHDOG_USEC={}", status_.watchdog_interval.count()));
  }
  if (const std::string& file = c.settings().string(Directive::PIDFile); !file.empty()) {
    effect.environment.push_back("PIDFILE=" + file);
  }
  if (list == Directive::ExecStartPre || list == Directive::ExecStart) {
    announce_monitored(c, effect.environment);
  }
  announce_trigger(c, effect.environment);
  effect.connection = child.connection;
  if (gets_sockets(list) && child.connection == 0) effect.sockets = sockets_of(c);
  return effect;
}

/// The entry of the control process, running or just ended: the latest one that has not ended.
CommandStatus* ServiceMachine::control_record() {
  const auto open =
      std::find_if(status_.commands.rbegin(), status_.commands.rend(),
                   [](const CommandStatus& record) { return record.exited.mono == MonoTime{}; });
  return open == status_.commands.rend() ? nullptr : &*open;
}

/// Enters `phase` and runs the first command of `list`; false, and nothing done, if there is none.
bool ServiceMachine::run_list(MachineContext& c, Directive list, Phase phase, Duration timeout) {
  if (c.settings().commands(list).empty()) return false;
  std::erase_if(status_.commands, [&](const CommandStatus& record) { return record.list == list; });
  set_phase(c, phase);
  spawn(c, ProcessRole::control, list, 0);
  arm_operation(c, timeout);
  return true;
}

/// A command ended: the next of its list, or what follows the list.
void ServiceMachine::next_command(MachineContext& c, const News& news) {
  const auto& list = c.settings().commands(news.ended.list);
  const std::uint32_t next = news.ended.index + 1;
  const bool more =
      next < list.size() && news.result == ServiceResult::success && !news.ended.doomed;
  if (!more) return list_done(c, news);
  const bool stopping = phase_ == Phase::stop || phase_ == Phase::stop_post;
  spawn(c, ProcessRole::control, news.ended.list, next);
  arm_operation(c, stopping ? stop_timeout(c.settings(), c.config())
                            : start_timeout(c.settings(), c.config()));
}

void ServiceMachine::list_done(MachineContext& c, const News& news) {
  const bool good = news.result == ServiceResult::success;
  if (phase_ == Phase::condition) return condition_done(c, news);
  if (phase_ == Phase::reload) return reload_commands_done(c, news.result);
  if (phase_ == Phase::stop) {
    // A reload's command that had to go before the first ExecStop=.
    if (news.ended.list != Directive::ExecStop) return begin_stop_commands(c);
    return enter_stage(c, Phase::stop_sigterm, news.result);
  }
  if (phase_ == Phase::stop_post) return enter_stage(c, Phase::final_sigterm, news.result);
  if (!good) return enter_stage(c, Phase::stop_sigterm, news.result);
  if (phase_ == Phase::start_pre) return enter_start(c);
  after_start_post(c);
}

/// Takes a process that we did not spawn (or not as the main process) as the main process.
void ServiceMachine::adopt(MachineContext& c, ProcessId process, bool alien) {
  main_ = Child{.spawn = {},
                .process = process,
                .index = 0,
                .list = Directive::ExecStart,
                .in_flight = false,
                .ignore_failure = false,
                .doomed = false,
                .connection = 0};
  const auto& list = c.settings().commands(Directive::ExecStart);
  if (!list.empty()) main_.ignore_failure = list.front().ignore_failure;
  main_known_ = true;
  main_exited_ = false;
  tree_empty_ = false;
  status_.main = process;
  status_.main_is_alien = alien;
  status_.main_status = CommandStatus{.list = Directive::ExecStart,
                                      .index = 0,
                                      .process = process,
                                      .started = c.now(),
                                      .exited = {},
                                      .status = {}};
  c.log(LogLevel::debug, "service-main", "Has a new main process", process);
  c.touch();
}

}  // namespace pidward::engine
