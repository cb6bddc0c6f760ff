// Resource limits, priorities and scheduling (systemd.exec(5), "Process Properties", "Scheduling").
// Internal.
#pragma once

#include "exec/plan_builder.hpp"

namespace pidward::exec {

void add_scheduling_steps(PlanBuilder& builder, const unit::Settings& settings);
void add_limit_steps(PlanBuilder& builder, const unit::Settings& settings);

}  // namespace pidward::exec
