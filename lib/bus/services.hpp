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
  /// Processes one client may keep: each is a descriptor of ours. Fewer for those who may not
  /// change anything.
  static constexpr std::size_t kMaxProcesses = 256;
  static constexpr std::size_t kMaxProcessesOfStranger = 32;

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
  /// Keeps a process's object for a client until it leaves, so that it can ask how it ended. False
  /// when the client keeps too many.
  bool keep_process(const std::string& client, const process::ProcessHandle& process,
                    std::size_t limit);
  /// Keeps a wait of a client's until it is over or the client leaves. Returns what end_wait()
  /// takes.
  std::uint64_t begin_wait(const std::string& client);
  void keep_wait(const std::string& client, std::uint64_t wait, runtime::WaitTicket ticket);
  void end_wait(const std::string& client, std::uint64_t wait);
  void forget_client(const std::string& client);
  /// All clients of the broker left: it went away.
  void forget_broker_clients();
  void forget_unit(UnitId unit) { references_.erase(unit); }

 private:
  runtime::Manager& manager_;
  std::set<std::string> subscribers_;
  std::map<UnitId, std::map<std::string, unsigned>> references_;
  std::map<std::string, std::map<ProcessId, process::ProcessHandle>> processes_;
  std::map<std::string, std::map<std::uint64_t, runtime::WaitTicket>> waits_;
  std::uint64_t next_wait_ = 1;
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
