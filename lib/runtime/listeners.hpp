// The listening descriptors of socket units: opened, watched for traffic, accepted on, and lent to
// services.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/core.hpp"
#include "runtime/socket_open.hpp"
#include "runtime/state_keeper.hpp"

namespace pidward::runtime {

/// The entry that says how many connections there were.
inline constexpr const char* kConnectionsKey = "connections";

class Listeners final : private DescriptorHandler {
 public:
  struct Passed {
    const sys::Fd* fd;  ///< borrowed until the loop's next turn
    std::string name;   ///< for $LISTEN_FDNAMES
  };

  Listeners(Core& core, StateKeeper& keeper) : core_(core), keeper_(keeper) {}
  ~Listeners() override;
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  /// Answers with Listening or ListenFailed; at once if the sockets are open already.
  void listen(UnitId unit);
  /// Sockets of the last daemon's, in their order, before anything else is asked for. `names`:
  /// under which each is kept.
  void restore(UnitId unit, std::vector<ListeningSocket> sockets, std::vector<std::string> names);
  void close(UnitId unit, bool remove_files);
  /// Whether traffic is told by Incoming.
  void watch(UnitId unit, bool watch);
  void flush(UnitId unit);
  /// Closed, or its process has it: it is ours no more.
  void close_connection(std::uint64_t connection);
  /// The accepted connection, borrowed until close_connection(); nullptr when it is gone.
  [[nodiscard]] const sys::Fd* connection(std::uint64_t connection) const;
  /// Accepted by the last daemon, `purpose` as it was written. Told again by tell_connections().
  void restore_connection(UnitId unit, std::uint64_t connection, sys::Fd fd, std::string kept,
                          std::string peer);
  /// Connections of the last daemon's, once its units are back: who knows one already ignores it.
  void tell_connections();
  /// Numbers up to this one were given out.
  void numbers_given(std::uint64_t last) {
    next_connection_ = std::max(next_connection_, last + 1);
  }
  [[nodiscard]] std::vector<Passed> descriptors(UnitId unit) const;

 private:
  struct Unit {
    std::vector<ListeningSocket> sockets;
    std::vector<Watch> watches;
    std::vector<std::string> kept;  ///< names they are kept under
    std::string name;
    bool accept = false;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  Unit& add(UnitId unit, const unit::UnitSpec& spec, std::vector<ListeningSocket> sockets);
  void accept_one(UnitId unit, int fd);
  void opened(UnitId unit, Result<std::vector<ListeningSocket>> sockets);
  static std::string peer_name(int connection);
  void keep_connection(UnitId unit, std::uint64_t number, sys::Fd fd);
  [[nodiscard]] std::string purpose_of(std::uint64_t connection) const;

  Core& core_;
  StateKeeper& keeper_;
  std::unordered_map<UnitId, Unit> units_;
  std::unordered_set<UnitId> to_watch_;  ///< once their sockets are open
  std::unordered_map<int, UnitId> by_fd_;
  struct Connection {
    UnitId unit;
    sys::Fd fd;
    std::string kept;  ///< name it is kept under
    std::string peer;
  };
  std::map<std::uint64_t, Connection> connections_;
  std::uint64_t next_connection_ = 1;
};

}  // namespace pidward::runtime
