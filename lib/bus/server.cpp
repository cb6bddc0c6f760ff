#include "bus/server.hpp"

#include <fmt/core.h>

#include "base/log.hpp"
#include "bus/broker_door.hpp"
#include "bus/dispatcher.hpp"
#include "bus/private_door.hpp"
#include "bus/signals.hpp"

namespace pidward::bus {

struct Server::Impl {
  Services services;
  Dispatcher dispatcher;
  Signals signals;
  std::unique_ptr<PrivateDoor> private_door;
  std::unique_ptr<BrokerDoor> broker_door;

  Impl(boost::asio::io_context& io, runtime::Manager& manager)
      : services(manager, io), dispatcher(services), signals(services) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status open();
  void accepted(sys::Fd socket, const sys::Credentials& peer);
  void private_lost(const std::shared_ptr<Connection>& connection);
  void broker_lost();
};

Server::Impl::~Impl() {
  // Connections may outlive us in handlers that are queued; they must not call back.
  const auto connections = signals.connections();
  for (const auto& connection : connections) connection->close();
  signals.set_broker(nullptr);
  broker_door.reset();
  private_door.reset();
}

Status Server::Impl::open() {
  const runtime::Config& config = services.manager.config();
  PIDWARD_TRY(private_door, PrivateDoor::open(services.io, config.runtime_directory + "/private",
                                              services.manager.features(),
                                              [this](sys::Fd socket, const sys::Credentials& peer) {
                                                accepted(std::move(socket), peer);
                                              }));
  if (config.bus == runtime::BusMode::off) return {};
  broker_door = std::make_unique<BrokerDoor>(
      services.io, services.manager,
      BrokerDoor::Handlers{
          .call = [this](
                      const std::shared_ptr<Connection>& connection,
                      sd_bus_message* message) { return dispatcher.handle(connection, message); },
          .joined =
              [this](std::shared_ptr<Connection> broker) {
                const bool is_system = services.manager.config().scope == unit::Scope::system;
                if (is_system) dispatcher.set_system_bus(broker);
                signals.set_broker(std::move(broker));
              },
          .lost = [this] { broker_lost(); },
          .client_left =
              [this](const std::string& name) {
                services.clients.forget_client(name);
                dispatcher.forget_client(name);
              }});
  signals.set_name_watcher(
      [this](const std::string& name, bool watch) { broker_door->watch_name(name, watch); });
  Status status = broker_door->begin();
  if (status) return {};
  if (config.bus == runtime::BusMode::required) {
    return std::move(status.error())
        .within("bus: required")
        .advise("start the bus first, or set `bus: automatic`");
  }
  log(LogLevel::debug, fmt::format("bus: no broker yet: {}", status.error().message()));
  return {};
}

void Server::Impl::accepted(sys::Fd socket, const sys::Credentials& peer) {
  auto connection = Connection::serve(
      services.io, std::move(socket), peer,
      {.call = [this](const std::shared_ptr<Connection>& from,
                      sd_bus_message* message) { return dispatcher.handle(from, message); },
       .lost =
           [this](const std::shared_ptr<Connection>& gone, const Error& why) {
             log(LogLevel::debug, fmt::format("bus: private connection of user {} ended: {}",
                                              gone->peer().uid, why.message()));
             private_lost(gone);
           }});
  if (!connection) {
    log(LogLevel::warning, connection.error().to_string());
    return private_door->left(peer.uid);
  }
  signals.add(*std::move(connection));
}

void Server::Impl::private_lost(const std::shared_ptr<Connection>& connection) {
  services.clients.forget_client(
      fmt::format("private-{}", static_cast<const void*>(connection.get())));
  signals.remove(connection);
  private_door->left(connection->peer().uid);
}

void Server::Impl::broker_lost() {
  signals.set_broker(nullptr);
  dispatcher.set_system_bus(nullptr);
  services.clients.forget_broker_clients();
  services.broker_jobs.clear();
  dispatcher.forget_broker_clients();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(boost::asio::io_context& io,
                                               runtime::Manager& manager) {
  auto impl = std::make_unique<Impl>(io, manager);
  PIDWARD_CHECK(impl->open());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace pidward::bus
