// The whole tree of a unit's processes: who belongs to it, signalling it, and telling when it is
// empty. By control group where there is one; else by descent: tracked processes, their
// descendants, and orphans that came to us.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/cgroup_tree.hpp"
#include "runtime/process_tracker.hpp"

namespace pidward::runtime {

class UnitTree {
 public:
  UnitTree(Core& core, CgroupTree& groups, ProcessTracker& tracker);

  /// Whether a spawn of a unit is unanswered: then the unit is not empty.
  void set_spawning(std::function<bool(UnitId)> spawning) { spawning_ = std::move(spawning); }
  /// A spawn of the unit was answered.
  void spawn_answered(UnitId unit);

  void kill(const engine::KillProcesses& effect);
  /// Posts UnitEmpty once no process of the unit is left.
  void watch_empty(UnitId unit);
  /// The unit's group has become empty.
  void group_empty(UnitId unit);
  /// A process of the unit ended (none: some child of ours that belongs to no unit).
  void process_ended(UnitId unit);
  void forget(UnitId unit);

  /// All processes of the unit there are now, as pidfds.
  [[nodiscard]] std::vector<sys::Pidfd> members(UnitId unit);
  [[nodiscard]] bool is_empty(UnitId unit);
  /// Which unit a process belongs to: by the table, its control group, or its parents.
  [[nodiscard]] std::optional<UnitId> unit_of(const sys::Pidfd& process) const;
  /// What a process that claims to be the unit's must be.
  [[nodiscard]] process::Expectation expectation(UnitId unit) const;

 private:
  [[nodiscard]] std::vector<sys::Pidfd> chosen(const engine::KillProcesses& effect);
  /// Whether the unit is what its control group is, and nothing else: a scope's process may be
  /// moved away by whoever manages it, and is the scope's no more.
  [[nodiscard]] bool is_its_group(UnitId unit) const;
  /// The unit's processes that are known, but for those that left a unit that is its group.
  [[nodiscard]] std::vector<process::ProcessHandle> tracked(UnitId unit) const;
  [[nodiscard]] bool is_main_or_control(UnitId unit, ProcessId process,
                                        engine::KillWhom whom) const;
  void settle(UnitId unit);
  /// A process that nobody could see when the unit was signalled gets the same signal, once.
  void signal_latecomer(UnitId unit, const sys::Pidfd& process);
  /// The same for everybody who is there now.
  void signal_latecomers(UnitId unit);
  /// Without control groups: takes orphans that came to us into the unit they belong to.
  void adopt_orphans(UnitId just_lost_one);
  [[nodiscard]] std::optional<UnitId> owner_of_orphan(const sys::Pidfd& process) const;

  Core& core_;
  CgroupTree& groups_;
  ProcessTracker& tracker_;
  std::function<bool(UnitId)> spawning_;
  /// A unit whose UnitEmpty is owed.
  struct Awaited {
    std::optional<engine::KillProcesses> signal;  ///< that everybody in it was sent, if one was
    std::unordered_set<std::uint64_t> signalled;  ///< who has got it
  };
  std::unordered_map<UnitId, Awaited> awaited_;
};

}  // namespace pidward::runtime
