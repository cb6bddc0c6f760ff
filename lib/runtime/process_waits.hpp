// Who waits for the end of which process: clients' waits, and units bound to processes that pidward
// did not start.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/process_details.hpp"
#include "runtime/process_tracker.hpp"
#include "runtime/state_keeper.hpp"

namespace pidward::runtime {

class ProcessWaits {
 public:
  using Done = std::function<void(ExitStatus)>;

  ProcessWaits(Core& core, ProcessTracker& tracker) : core_(core), tracker_(tracker) {}

  /// Calls `done` once, later, on the loop. The process is held until then or until the ticket is
  /// dropped. A process that cannot be watched (no descriptors left) is answered as `unknown`.
  WaitTicket add(const process::ProcessHandle& process, Done done);
  /// The process ended: its waits are answered.
  void ended(ProcessId process);

 private:
  struct Wait;
  static void answer(const std::weak_ptr<Wait>& waiting);

  Core& core_;
  ProcessTracker& tracker_;
  std::unordered_map<ProcessId, std::vector<std::weak_ptr<Wait>>> waits_;
};

/// Which units stop when which processes end.
class Bindings {
 public:
  using Ended = std::function<void(UnitId, const process::ProcessState&)>;

  Bindings(Core& core, ProcessWaits& waits, StateKeeper& keeper)
      : core_(core), waits_(waits), keeper_(keeper) {}
  void set_ended(Ended ended) { ended_ = std::move(ended); }
  /// Binds a unit that is there. Binding twice to the same process is one binding.
  void bind(UnitId unit, const process::ProcessHandle& process);
  /// The unit is down: its bindings are over.
  void forget(UnitId unit);
  /// What the last pidward wrote down of its bindings. Returns the units that are bound to a
  /// process that ended meanwhile, and its number.
  std::vector<std::pair<UnitId, pid_t>> recover(const StateEntries& entries);
  [[nodiscard]] std::vector<ProcessId> of(UnitId unit) const;

 private:
  struct Binding {
    process::ProcessHandle process;
    WaitTicket wait;
    std::string key;  ///< of what is written of it
  };
  Core& core_;
  ProcessWaits& waits_;
  StateKeeper& keeper_;
  Ended ended_;
  std::unordered_map<UnitId, std::vector<Binding>> bound_;
};

}  // namespace pidward::runtime
