// Standard input, output and error, and the descriptors passed from 3 on. Internal to the layer.
#pragma once

#include "exec/identity.hpp"
#include "exec/plan_builder.hpp"

namespace pidward::exec {

/// Errors: contents for StandardInput=data that cannot be held, a named descriptor that is not
/// there.
CompileStatus add_stream_steps(PlanBuilder& builder, const ExecRequest& request,
                               const Identity& identity);
/// After the streams are set up: moves the passed descriptors to 3, 4, …
void add_passed_fd_steps(PlanBuilder& builder, const ExecRequest& request);

}  // namespace pidward::exec
