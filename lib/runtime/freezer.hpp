// Freezing and thawing units by their control groups.
#pragma once

#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/cgroup_tree.hpp"
#include "runtime/unit_resources.hpp"

namespace pidward::runtime {

class Freezer {
 public:
  using Done = std::function<void(Status)>;

  explicit Freezer(CgroupTree& groups) : groups_(groups) {}

  /// Asks the kernel and calls `done` when all of the unit is frozen, or runs again. A later wish
  /// in the other direction ends an earlier one with an error. Errors: the unit has no group.
  void freeze(UnitId unit, Done done) { ask(unit, true, std::move(done)); }
  void thaw(UnitId unit, Done done) { ask(unit, false, std::move(done)); }
  [[nodiscard]] FreezerState state(UnitId unit);

  /// The kernel said something about the unit's group. True when the state is another one now.
  bool group_changed(UnitId unit);
  /// The unit is an earlier daemon's, which may have frozen it: that is looked at when it matters.
  void take_over(UnitId unit) { unseen_.insert(unit); }
  /// The unit is to be stopped: it must run for that.
  void release(UnitId unit);
  /// The unit is down.
  void forget(UnitId unit);

 private:
  struct Entry {
    FreezerState state = FreezerState::running;
    std::vector<Done> waiting;
  };
  void ask(UnitId unit, bool freeze, Done done);
  void look(UnitId unit);
  static void answer(Entry& entry, const Status& status);

  CgroupTree& groups_;
  std::unordered_map<UnitId, Entry> units_;  ///< those that are not simply running
  std::unordered_set<UnitId> unseen_;        ///< taken over, and not looked at yet
};

}  // namespace pidward::runtime
