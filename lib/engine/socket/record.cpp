// A socket unit outlives the daemon. Instances that run, or are about to, are counted again; of a
// connection that has no instance yet nothing is written: the runtime tells of it anew.
#include "engine/record.hpp"

#include <algorithm>
#include <array>

#include "engine/service/rules.hpp"
#include "engine/socket/machine.hpp"

namespace pidward::engine {

namespace {

constexpr std::array<std::string_view, 9> kResults{
    "success",           "resources",       "timeout",
    "exit-code",         "signal",          "core-dump",
    "trigger-limit-hit", "start-limit-hit", "service-start-limit-hit"};

std::string_view known_result(std::string_view text) {
  const auto* const found = std::find(kResults.begin(), kResults.end(), text);
  return found == kResults.end() ? "resources" : *found;
}

}  // namespace

template <typename Archive, typename Self>
void SocketMachine::each_field(Archive& a, Self& self) {
  a.choice("state", self.status_.state, SocketState::failed);
  a.number("accepted", self.status_.accepted);
  a.number("refused", self.status_.refused);
  a.process("control", self.status_.control);
  a.spawn("control_child.spawn", self.control_.spawn);
  a.process("control_child.process", self.control_.process);
  a.directive("control_child.list", self.control_.list);
  a.number("control_child.index", self.control_.index);
  a.flag("control_child.in_flight", self.control_.in_flight);
  a.flag("control_child.ignore_failure", self.control_.ignore_failure);
  a.time("trigger_limit.begin", self.trigger_limit_.begin);
  a.number("trigger_limit.count", self.trigger_limit_.count);
  a.flag("tree_empty", self.tree_empty_, true);
  a.flag("open", self.open_);
}

void SocketMachine::save(Saver& to) const {
  // One that was never touched has nothing to say.
  if (status_.state == SocketState::dead && status_.accepted == 0 && status_.refused == 0 &&
      status_.result == "success" && trigger_limit_.count == 0 && early_.empty()) {
    return;
  }
  each_field(to, *this);
  if (status_.result != "success") to.text("result", std::string(status_.result));
  to.list("early", early_, each_early_exit_field<Saver>);
  std::vector<Instance> instances;
  for (const Connection& connection : connections_) {
    if (connection.unit)
      instances.push_back({connection.number, connection.source, connection.instance.str()});
  }
  to.list("instances", instances, [](auto& archive, auto& instance) {
    archive.number("connection", instance.connection);
    archive.text("source", instance.source);
    archive.text("unit", instance.unit);
  });
}

void SocketMachine::load(Loader& from) {
  each_field(from, *this);
  if (!control_.in_flight) control_.spawn = {};
  from.list("early", early_, each_early_exit_field<Loader>);
  std::string result = "success";
  from.text("result", result);
  status_.result = known_result(result);
  from.list("instances", restored_, [](auto& archive, auto& instance) {
    archive.number("connection", instance.connection);
    archive.text("source", instance.source);
    archive.text("unit", instance.unit);
  });
}

void SocketMachine::resume(MachineContext& c) {
  for (const Instance& instance : std::exchange(restored_, {})) {
    auto name = unit::UnitName::parse(instance.unit);
    if (!name) continue;
    const auto found = c.find(*name);
    if (!found) continue;
    if (is_inactive_or_failed(c.active_state(*found)) && !c.job_type(*found)) continue;
    connections_.push_back(Connection{.number = instance.connection,
                                      .source = instance.source,
                                      .instance = *std::move(name),
                                      .unit = found});
    c.relate(c.id(), unit::Dependency::Triggers, *found);
  }
  status_.connections = static_cast<std::uint32_t>(connections_.size());
  if (open_) c.emit(Listen{c.id()});
  if (control_.in_flight && control_.index < c.settings().commands(control_.list).size()) {
    c.expect_spawn(control_.spawn);
    c.emit(spawn_effect(c));
  } else if (control_.in_flight) {
    c.log(LogLevel::error, "socket-spawn-lost",
          "The command that was about to run is not in the unit any more");
    return control_ended(c, "resources");
  }
  switch (status_.state) {
    case SocketState::listening:
      return c.emit(WatchListen{.unit = c.id(), .watch = true});
    case SocketState::stop_pre_sigterm:
    case SocketState::stop_pre_sigkill:
    case SocketState::final_sigterm:
    case SocketState::final_sigkill:
      return signal_stage(c);
    case SocketState::dead:
    case SocketState::start_pre:
    case SocketState::start:
    case SocketState::start_post:
    case SocketState::running:
    case SocketState::stop_pre:
    case SocketState::stop_post:
    case SocketState::failed:
      return;
  }
}

}  // namespace pidward::engine
