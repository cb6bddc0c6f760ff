// The listening descriptors of socket units: opened, watched for traffic, accepted on, and lent to
// services.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/core.hpp"
#include "runtime/socket_open.hpp"
#include "runtime/state_keeper.hpp"

namespace pidward::runtime {

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
  void close_connection(std::uint64_t connection) { connections_.erase(connection); }
  /// The accepted connection; an empty descriptor when it is gone.
  sys::Fd take_connection(std::uint64_t connection);
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
  std::string peer_name(int connection);

  Core& core_;
  StateKeeper& keeper_;
  std::unordered_map<UnitId, Unit> units_;
  std::unordered_set<UnitId> to_watch_;  ///< once their sockets are open
  std::unordered_map<int, UnitId> by_fd_;
  std::unordered_map<std::uint64_t, sys::Fd> connections_;
  std::uint64_t next_connection_ = 1;
};

}  // namespace pidward::runtime
