// Every process of a unit that pidward started, found or was told of: its pidfd is waited on, and
// its end becomes an event. Processes that others hold (a bus client, a lease) are waited on
// without being held. SIGCHLD is a doorbell only: it makes us look, a little later, for children
// that nobody tracks.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "exec/gate.hpp"
#include "runtime/core.hpp"

namespace pidward::runtime {

class KeptDescriptors;
class StateKeeper;

class ProcessTracker final : private DescriptorHandler {
 public:
  /// Called before the end of a process is reported. False: the end is not to be reported (a start
  /// that failed before exec has been reported as such).
  using BeforeEnd = std::function<bool(ProcessId)>;
  /// Called after it was.
  using AfterEnd = std::function<void(UnitId, ProcessId)>;

  explicit ProcessTracker(Core& core);
  ~ProcessTracker() override;
  ProcessTracker(const ProcessTracker&) = delete;
  ProcessTracker& operator=(const ProcessTracker&) = delete;

  void set_hooks(BeforeEnd before, AfterEnd after) {
    before_end_ = std::move(before);
    after_end_ = std::move(after);
  }

  /// Who writes down which processes there are.
  void set_keeper(StateKeeper* keeper) { keeper_ = keeper; }

  /// A child we just made.
  struct Child {
    sys::Pidfd pidfd;
    int pid = 0;
    process::Collected collected = process::Collected::by_us;
    /// Where it waits, if it does: it is told there that it is about to be written down, and
    /// gate_opened() follows.
    exec::Gate* gate = nullptr;
  };
  Result<ProcessId> add_child(Child child, UnitId unit, process::Role role, SpawnId spawn = {});
  /// What else there is to do about a child need not hold it up any more.
  void gate_opened(ProcessId process);
  /// A process that was found or announced. Tracked already: its role stays.
  Status add(const process::ProcessHandle& handle, UnitId unit, process::Role role);
  /// Waits on a process without holding it: for as long as somebody else has a handle. What is
  /// tracked already stays tracked as it is.
  Status observe(const process::ProcessHandle& handle);
  /// Whether the process is held here, as one of a unit's.
  [[nodiscard]] bool is_tracked(ProcessId process) const;
  /// Whether its end, or how it ended, is still to come.
  [[nodiscard]] bool is_awaited(ProcessId process) const { return by_process_.contains(process); }
  /// Processes of the unit that have not ended.
  [[nodiscard]] std::vector<process::ProcessHandle> living(UnitId unit) const;
  [[nodiscard]] bool has_living(UnitId unit) const;
  /// Before we execute ourselves: the pidfds that are to stay open.
  void keep_all(KeptDescriptors& kept) const;
  /// Lets go of all processes of a unit.
  void forget(UnitId unit);
  /// Collects children that ended, tracked or not. For the doorbell.
  void reap();

 private:
  struct Late;
  struct Tracked {
    ProcessId process;
    process::ProcessHandle hold;  ///< empty: observed only
  };
  void drop(int fd);
  /// The table lets go of a process: so does whoever only observed it.
  void entry_gone(const process::ProcessState& state);
  void descriptor_ready(int fd, std::uint32_t events) override;
  Status watch(const process::ProcessHandle& handle, bool hold, SpawnId spawn = {},
               exec::Gate* gate = nullptr);
  void look(int fd, bool parent_is_done);
  void finish(int fd, ExitStatus status);
  void wait_for_parent(int fd);

  Core& core_;
  StateKeeper* keeper_ = nullptr;
  BeforeEnd before_end_;
  AfterEnd after_end_;
  std::unordered_map<int, Tracked> by_fd_;
  std::unordered_map<ProcessId, int> by_process_;
  std::unordered_map<int, std::unique_ptr<Late>> late_;
};

}  // namespace pidward::runtime
