// Condition…= and Assert…= (systemd.unit(5), "Conditions and Asserts"), asked of the real system.
// Reads files and looks users up: for the worker pool, not for the loop.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "unit/value.hpp"

namespace pidward::runtime {

/// What conditions are asked against besides the system itself. Plain data, copied to the pool.
struct ConditionContext {
  std::vector<std::string> environment;  ///< the manager's block, for ConditionEnvironment=
  std::string control_group_directory;   ///< where cgroup v2 is mounted; empty: nowhere
  bool unified_control_groups = false;   ///< version 2 alone
};

/// One line, without its '|' and '!'. Errors: the parameter is not valid, or the system would not
/// say; such a condition counts as not met.
Result<bool> check_condition(const unit::Condition& condition, const ConditionContext& context);

struct ConditionOutcome {
  bool conditions_ok = true;
  bool asserts_ok = true;
  std::string failed;  ///< "ConditionPathExists=!/etc/x", of whichever kind failed first
  std::vector<std::string> complaints;  ///< conditions that could not be asked, each in a sentence
};
/// All lines of a unit: every plain one holds, and of those with '|' at least one; asserts by
/// themselves.
ConditionOutcome check_conditions(const unit::ConditionList& list, const ConditionContext& context);

/// As it is written in a unit file.
std::string format_condition(const unit::Condition& condition);

}  // namespace pidward::runtime
