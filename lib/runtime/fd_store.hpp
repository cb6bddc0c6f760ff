// The descriptor stores of services (FileDescriptorStoreMax=, sd_pid_notify_with_fds(3)): what a
// service gave us to keep, and gets back as $LISTEN_FDS when it is started again.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/state_keeper.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

class FdStore final : private DescriptorHandler {
 public:
  struct Stored {
    const sys::Fd* fd;  ///< borrowed until the loop's next turn
    std::string name;
    bool poll;
  };

  FdStore(Core& core, StateKeeper& keeper) : core_(core), keeper_(keeper) {}
  ~FdStore() override;
  FdStore(const FdStore&) = delete;
  FdStore& operator=(const FdStore&) = delete;

  /// Keeps descriptors that just arrived until it is decided what becomes of them. The number is
  /// never 0.
  std::uint64_t hold(std::vector<sys::Fd> arrived);
  /// Closes those that were not stored meanwhile.
  void release(std::uint64_t held) { held_.erase(held); }

  /// Descriptors of a file that is in the unit's store already, and those beyond
  /// FileDescriptorStoreMax=, are closed.
  void store(const engine::StoreDescriptors& effect);
  void remove(const engine::RemoveDescriptors& effect);
  /// The unit went down: what FileDescriptorStorePreserve= does not keep is closed.
  void clean_up(UnitId unit, bool restarting);
  void forget(UnitId unit);
  /// Puts back what the last daemon had, in the order it was stored; kept elsewhere under `kept`.
  void restore(UnitId unit, sys::Fd fd, std::string name, bool poll, std::string kept);

  [[nodiscard]] std::vector<Stored> descriptors(UnitId unit) const;

 private:
  struct Entry {
    sys::Fd fd;
    std::string name;
    bool poll = true;
    std::string kept;  ///< the name it is kept under, should we die
    Watch watch;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  void add(UnitId unit, Entry fresh);
  void tell(UnitId unit);

  Core& core_;
  StateKeeper& keeper_;
  std::unordered_map<UnitId, std::list<Entry>> stores_;
  std::unordered_map<int, UnitId> watched_;
  std::unordered_map<std::uint64_t, std::vector<sys::Fd>> held_;
  std::uint64_t next_held_ = 1;
};

}  // namespace pidward::runtime
