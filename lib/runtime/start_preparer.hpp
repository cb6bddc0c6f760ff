// Before and after: PrepareStart (conditions, control group, what an earlier run left) and CleanUp
// (control group, runtime directories, terminal). For one unit they never overlap.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "exec/plan.hpp"
#include "runtime/conditions/conditions.hpp"
#include "runtime/unit_tree.hpp"

namespace pidward::runtime {

class StartPreparer {
 public:
  struct Surroundings {
    exec::Roots roots;
    std::function<ConditionContext()> conditions;
    /// The processes a scope was made with.
    std::function<std::vector<sys::Pidfd>(UnitId)> take_processes;
  };
  StartPreparer(Core& core, CgroupTree& groups, ProcessTracker& tracker, UnitTree& tree,
                Surroundings surroundings);

  void prepare(const engine::PrepareStart& effect);
  void clean_up(const engine::CleanUp& effect);
  /// The condition or assertion that did not hold when the unit was last started; empty: none.
  [[nodiscard]] std::string failed_condition(UnitId unit) const;
  void forget(UnitId unit) { failed_.erase(unit); }
  /// Moves a process into the unit's group, or the one at `subgroup` below it, and makes it the
  /// unit's. Errors: it is the main or control process of another unit, it ended.
  Status take_in(UnitId unit, const std::string& subgroup, sys::Pidfd process);

 private:
  void answer(UnitId unit, ConditionOutcome outcome);
  /// Moves the processes a scope was made with into it.
  Status fill_scope(UnitId unit);
  [[nodiscard]] bool runs_processes(const unit::UnitSpec& spec) const;

  Core& core_;
  CgroupTree& groups_;
  ProcessTracker& tracker_;
  UnitTree& tree_;
  Surroundings surroundings_;
  std::unordered_map<UnitId, std::string> failed_;
  std::unordered_set<UnitId>
      cleaning_;  ///< directories are being removed on the pool, terminals reset
  std::unordered_map<UnitId, engine::PrepareStart> waiting_;  ///< for that
};

}  // namespace pidward::runtime
