// Terminals: TTYPath= and what belongs to it (systemd.exec(5)). Internal to the layer, but for
// release_terminal() in plan.hpp.
#pragma once

#include <string>
#include <vector>

#include "exec/identity.hpp"
#include "exec/plan_builder.hpp"

namespace pidward::exec {

/// Standard input is the terminal: tty, tty-force or tty-fail.
bool reads_terminal(const unit::Settings& settings);
/// Something is to be done to the terminal before the process is made.
bool prepares_terminal(const unit::Settings& settings);

/// TTYVHangup= and TTYReset=. May block. Returns what did not work; a start goes on without.
std::vector<std::string> prepare_terminal(const unit::Settings& settings);

/// Standard input becomes the terminal, which becomes the controlling one of the session and
/// belongs to the user of the service.
void add_terminal_steps(PlanBuilder& builder, const unit::Settings& settings,
                        const Identity& identity);

}  // namespace pidward::exec
