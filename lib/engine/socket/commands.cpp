// The commands of a socket unit: ExecStartPre=, ExecStartPost=, ExecStopPre=, ExecStopPost=.
#include <algorithm>
#include <variant>

#include <fmt/core.h>

#include "engine/service/rules.hpp"
#include "engine/socket/machine.hpp"

namespace pidward::engine {

using unit::Directive;

void SocketMachine::spawn(MachineContext& c, Directive list, std::uint32_t index) {
  const auto& command = c.settings().commands(list).at(index);
  control_ = Control{.spawn = c.new_spawn(),
                     .process = {},
                     .list = list,
                     .index = index,
                     .in_flight = true,
                     .ignore_failure = command.ignore_failure};
  tree_empty_ = false;
  c.emit(spawn_effect(c));
}

Spawn SocketMachine::spawn_effect(MachineContext& c) const {
  Spawn effect;
  effect.spawn = control_.spawn;
  effect.unit = c.id();
  effect.role = ProcessRole::control;
  effect.list = control_.list;
  effect.index = control_.index;
  effect.invocation = c.invocation();
  return effect;
}

/// Runs the first command of a list in `state`; false, and nothing done, if there is none or an
/// earlier command will not end.
bool SocketMachine::run_list(MachineContext& c, Directive list, SocketState state) {
  if (c.settings().commands(list).empty() || control_.exists()) return false;
  set_state(c, state);
  spawn(c, list, 0);
  arm(c);
  return true;
}

/// Spawned, SpawnFailed, ProcessExited; anything else is none of a socket's business.
void SocketMachine::control_event(MachineContext& c, const Event& event) {
  if (const auto* spawned = std::get_if<Spawned>(&event)) {
    if (!control_.in_flight || control_.spawn != spawned->spawn) return;
    control_.in_flight = false;
    control_.process = status_.control = spawned->process;
    happen(c, SocketHappening::spawned);
    const auto early = std::find_if(early_.begin(), early_.end(), [&](const auto& exit) {
      return exit.first == spawned->process;
    });
    if (early == early_.end()) return;
    const ProcessExited exit{c.id(), early->first, early->second};
    early_.clear();
    return control_event(c, exit);
  }
  if (const auto* failed = std::get_if<SpawnFailed>(&event)) {
    if (!control_.exists() || control_.spawn != failed->spawn) return;
    c.log(LogLevel::error, "socket-spawn-failed",
          fmt::format("{} could not be run: {}", unit::row(control_.list).name,
                      failed->error.to_string()));
    return control_ended(c, failed->exit_code > 0 ? "exit-code" : "resources");
  }
  if (const auto* exited = std::get_if<ProcessExited>(&event)) {
    if (exited->process && exited->process == control_.process) {
      const ServiceResult result = judge_exit(exited->status, CleanRule::command, {});
      return control_ended(c, to_string(result));
    }
    if (control_.in_flight && early_.size() < 4) {
      early_.emplace_back(exited->process, exited->status);
    }
  }
}

void SocketMachine::control_ended(MachineContext& c, std::string_view result) {
  ended_ = std::exchange(control_, {});
  status_.control = {};
  ended_result_ = ended_.ignore_failure && result != "resources" ? "success" : result;
  c.touch();
  happen(c, SocketHappening::control_exit);
}

void SocketMachine::next_command(MachineContext& c) {
  const bool good = ended_result_ == "success";
  if (good && ended_.index + 1 < c.settings().commands(ended_.list).size()) {
    spawn(c, ended_.list, ended_.index + 1);
    return arm(c);
  }
  note(ended_result_);
  switch (status_.state) {
    case SocketState::start_pre:
      return good ? enter_start(c) : stage(c, SocketState::stop_pre_sigterm);
    case SocketState::start_post:
      return good ? enter_listening(c) : stage(c, SocketState::stop_pre_sigterm);
    case SocketState::stop_pre:
      return stage(c, SocketState::stop_pre_sigterm);
    case SocketState::stop_post:
      return stage(c, SocketState::final_sigterm);
    case SocketState::dead:
    case SocketState::start:
    case SocketState::listening:
    case SocketState::running:
    case SocketState::stop_pre_sigterm:
    case SocketState::stop_pre_sigkill:
    case SocketState::final_sigterm:
    case SocketState::final_sigkill:
    case SocketState::failed:
      return;
  }
}

}  // namespace pidward::engine
