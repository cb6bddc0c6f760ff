// Resource limits, priorities and scheduling (systemd.exec(5), "Process Properties", "Scheduling").
// Internal.
#pragma once

#include <optional>

#include "exec/plan_builder.hpp"

namespace pidward::exec {

/// The RLIMIT_… number of a Limit…= directive; nothing for any other.
std::optional<int> resource_of(unit::Directive limit);

void add_scheduling_steps(PlanBuilder& builder, const unit::Settings& settings);
void add_limit_steps(PlanBuilder& builder, const unit::Settings& settings);

}  // namespace pidward::exec
