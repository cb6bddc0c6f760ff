// What the objects share: the manager, the interface tables, and who holds what on the bus.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_set>

#include <boost/asio/io_context.hpp>

#include "bus/interface.hpp"

namespace pidward::bus {

/// Clients that subscribed and references they hold; all of a client's end when it leaves.
class Clients {
 public:
  explicit Clients(runtime::Manager& manager) : manager_(manager) {}
  /// False when it was so already.
  bool subscribe(const std::string& client) { return subscribers_.insert(client).second; }
  bool unsubscribe(const std::string& client) { return subscribers_.erase(client) > 0; }
  /// Whether a client of the broker listens.
  [[nodiscard]] bool broker_listens() const;
  void add_reference(const std::string& client, UnitId unit);
  /// False when the client holds none.
  bool drop_reference(const std::string& client, UnitId unit);
  [[nodiscard]] std::vector<std::string> holders(UnitId unit) const;
  void forget_client(const std::string& client);
  /// All clients of the broker left: it went away.
  void forget_broker_clients();
  void forget_unit(UnitId unit) { references_.erase(unit); }

 private:
  runtime::Manager& manager_;
  std::set<std::string> subscribers_;
  std::map<UnitId, std::map<std::string, unsigned>> references_;
};

struct Services {
  runtime::Manager& manager;
  boost::asio::io_context& io;
  Catalogue catalogue;
  Clients clients;
  int exit_code = 0;                      ///< SetExitCode, for Exit
  unsigned broker_requests = 0;           ///< job requests of broker clients that are under way
  std::unordered_set<JobId> broker_jobs;  ///< jobs whose JobRemoved must reach the broker

  Services(runtime::Manager& the_manager, boost::asio::io_context& the_io)
      : manager(the_manager), io(the_io), clients(the_manager) {}
};

}  // namespace pidward::bus
