// Traffic: starting the service, or an instance of it for each connection.
#include <algorithm>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/socket/machine.hpp"
#include "engine/trigger_limit.hpp"

namespace pidward::engine {

using unit::Directive;

namespace {

/// "127.0.0.1" of "127.0.0.1:22-127.0.0.1:4711".
std::string source_of(std::string_view peer) {
  std::string_view remote = peer.substr(peer.rfind('-') + 1);
  return std::string(remote.substr(0, remote.rfind(':')));
}

/// "web@7-127.0.0.1:22-127.0.0.1:4711.service", of web.socket.
Result<unit::UnitName> instance_name(const unit::UnitName& socket, std::uint64_t number,
                                     std::string_view peer) {
  PIDWARD_TRY(const unit::UnitName pattern,
              unit::UnitName::parse(std::string(socket.prefix()) + "@.service"));
  const std::string instance = fmt::format("{}-{}", number, peer);
  auto name = pattern.with_instance(instance);
  return name ? name : pattern.with_instance(unit::escape(instance));
}

}  // namespace

/// The service that traffic starts (Accept=no): Service=, or the one of the same name. Others,
/// which name this socket in their Sockets=, only inherit from it.
std::optional<UnitId> SocketMachine::service(MachineContext& c) const {
  const std::string& named = c.settings().string(Directive::Service);
  const auto own = named.empty()
                       ? unit::UnitName::parse(fmt::format("{}.service", c.spec().name.stem()))
                       : unit::UnitName::parse(named);
  if (const auto found = own ? c.find(*own) : std::nullopt) return found;
  for (const UnitId other : c.related(unit::Dependency::Triggers)) {
    const unit::UnitSpec* spec = c.spec_of(other);
    if (spec != nullptr && spec->name.type() == unit::UnitType::service) return other;
  }
  return std::nullopt;
}

void SocketMachine::incoming(MachineContext& c, const Incoming& event) {
  const auto known = std::ranges::find_if(connections_, [&](const Connection& one) {
    return event.connection != 0 && one.number == event.connection;
  });
  if (known != connections_.end()) {
    if (!known->unit) return;
    // The last daemon had handed it on already. It is closed once its process has it.
    const auto* const machine = dynamic_cast<ServiceMachine*>(c.machine_of(*known->unit));
    if (machine != nullptr && machine->awaits_connection(event.connection)) return;
    return c.emit(CloseConnection{event.connection});
  }
  const bool stops = c.job_type() == JobType::stop;
  const bool trigger = deed(status_.state, SocketHappening::traffic) == SocketDeed::trigger;
  if (!trigger || stops) {
    if (event.connection != 0) return refuse(c, event, "the socket is being stopped");
    if (stops && open_) c.emit(FlushListen{c.id()});
    return;
  }
  if (!within_limit(c)) {
    c.log(LogLevel::error, "socket-trigger-limit",
          "More traffic than TriggerLimitBurst= allows; closing the sockets until a restart");
    if (event.connection != 0) c.emit(CloseConnection{event.connection});
    return stop_pre(c, "trigger-limit-hit");
  }
  if (event.connection != 0) return accept(c, event);
  happen(c, SocketHappening::traffic);
}

bool SocketMachine::within_limit(MachineContext& c) {
  const Duration interval = trigger_interval(c.spec());
  const std::uint32_t burst = trigger_burst(c.spec());
  if (interval == Duration::zero() || burst == 0) return true;
  return trigger_limit_.below(c.now().mono, interval, burst);
}

void SocketMachine::start_service(MachineContext& c) {
  const auto target = service(c);
  if (!target) {
    c.log(LogLevel::error, "socket-no-service", "There is no service for the traffic");
    return stop_pre(c, "resources");
  }
  if (!is_active_or_activating(c.active_state(*target))) {
    const auto job = c.request(*target, JobType::start, unit::JobMode::replace);
    if (!job) {
      c.log(LogLevel::error, "socket-start-failed",
            fmt::format("The service cannot be started: {}", job.error().to_string()));
      return stop_pre(c, "resources");
    }
  }
  c.emit(WatchListen{.unit = c.id(), .watch = false});
  set_state(c, SocketState::running);
}

void SocketMachine::refuse(MachineContext& c, const Incoming& event, std::string_view why) {
  c.emit(CloseConnection{event.connection});
  status_.refused += 1;
  c.log(LogLevel::warning, "socket-refused",
        fmt::format("A connection ({}) is refused: {}", event.peer, why));
  c.touch();
}

/// Accept=yes: one instance for this connection.
void SocketMachine::accept(MachineContext& c, const Incoming& event) {
  const auto& settings = c.settings();
  const std::string source = source_of(event.peer);
  if (connections_.size() >= settings.number(Directive::MaxConnections)) {
    return refuse(c, event, "MaxConnections= is reached");
  }
  const std::uint64_t per_source = settings.number(Directive::MaxConnectionsPerSource);
  const auto same = std::count_if(connections_.begin(), connections_.end(),
                                  [&](const Connection& one) { return one.source == source; });
  if (per_source != 0 && static_cast<std::uint64_t>(same) >= per_source) {
    return refuse(c, event, "MaxConnectionsPerSource= is reached");
  }
  const auto next_name = [&] { return instance_name(c.spec().name, status_.accepted, event.peer); };
  auto name = next_name();
  // An instance may be older than the count: that goes when the socket is dropped from memory.
  while (name && c.find(*name)) {
    status_.accepted += 1;
    name = next_name();
  }
  if (!name) return refuse(c, event, name.error().message());
  status_.accepted += 1;
  connections_.push_back({event.connection, source, *name, std::nullopt});
  status_.connections = static_cast<std::uint32_t>(connections_.size());
  if (const auto loaded = c.load(*name)) return unit_loaded(c, *loaded);
  c.touch();
}

void SocketMachine::unit_loaded(MachineContext& context, UnitId loaded) {
  const unit::UnitSpec* spec = context.spec_of(loaded);
  if (spec == nullptr) return;
  const auto waiting =
      std::find_if(connections_.begin(), connections_.end(),
                   [&](const Connection& one) { return !one.unit && one.instance == spec->name; });
  if (waiting == connections_.end()) return;
  waiting->unit = loaded;
  hand_over(context, *waiting);
}

void SocketMachine::hand_over(MachineContext& c, Connection& connection) {
  const UnitId instance = *connection.unit;
  auto* machine = dynamic_cast<ServiceMachine*>(c.machine_of(instance));
  const auto give_up = [&](std::string_view why) {
    c.log(LogLevel::error, "socket-start-failed",
          fmt::format("{} cannot be started for a connection: {}", connection.instance.str(), why));
    forget_instance(c, instance);
    // The next connection would fare no better.
    if (status_.state == SocketState::listening) stop_pre(c, "resources");
  };
  if (machine == nullptr) {
    c.emit(CloseConnection{connection.number});
    return give_up("it is no service");
  }
  if (!is_inactive_or_failed(c.active_state(instance))) {
    c.emit(CloseConnection{connection.number});
    c.log(LogLevel::error, "socket-instance-runs",
          fmt::format("A connection is closed: {}, which is to serve it, runs already",
                      connection.instance.str()));
    std::erase_if(connections_, [&](const Connection& one) { return &one == &connection; });
    status_.connections = static_cast<std::uint32_t>(connections_.size());
    return c.touch();
  }
  machine->take_connection(c.other_context(instance), connection.number);
  c.relate(c.id(), unit::Dependency::Triggers, instance);
  const auto job = c.request(instance, JobType::start, unit::JobMode::replace);
  if (!job) return give_up(job.error().to_string());
  c.touch();
}

/// The instance is done, or never began: its connection is closed if nobody took it.
void SocketMachine::forget_instance(MachineContext& c, UnitId instance) {
  if (auto* machine = dynamic_cast<ServiceMachine*>(c.machine_of(instance))) {
    machine->take_connection(c.other_context(instance), 0);
  }
  std::erase_if(connections_, [&](const Connection& one) { return one.unit == instance; });
  status_.connections = static_cast<std::uint32_t>(connections_.size());
  c.touch();
}

void SocketMachine::triggered_changed(MachineContext& context, UnitId triggered) {
  const ActiveState state = context.active_state(triggered);
  const bool has_job = context.job_type(triggered).has_value();
  const bool is_instance =
      std::any_of(connections_.begin(), connections_.end(),
                  [&](const Connection& one) { return one.unit == triggered; });
  if (is_instance) {
    if (is_inactive_or_failed(state) && !has_job) forget_instance(context, triggered);
    return;
  }
  if (context.settings().boolean(Directive::Accept) || service(context) != triggered) return;
  if (status_.state != SocketState::listening && status_.state != SocketState::running) return;
  const ServiceStatus* service_status = context.status_of(triggered).service;
  if (service_status != nullptr && state == ActiveState::failed &&
      service_status->start_limit_hit) {
    context.log(LogLevel::error, "socket-service-limit",
                "The service may not be started any more (its start limit); closing the sockets");
    return stop_pre(context, "service-start-limit-hit");
  }
  if (has_job) return;
  const bool restarting =
      service_status != nullptr && service_status->state == ServiceState::auto_restart;
  if (is_inactive_or_failed(state) || restarting) {
    return happen(context, SocketHappening::service_down);
  }
  if (is_active_or_activating(state)) happen(context, SocketHappening::service_up);
}

}  // namespace pidward::engine
