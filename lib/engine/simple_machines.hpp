// Machines of the unit types that need little or no process handling.
#pragma once

#include "engine/machine.hpp"

namespace pidward::engine {

/// Targets: a name for a moment. Active as soon as they are started.
std::unique_ptr<Machine> make_target_machine();
/// Slices: a control group for others. `-.slice` is active from the beginning and stays so.
std::unique_ptr<Machine> make_slice_machine(const unit::UnitSpec& spec);
/// Scopes: processes that somebody else started; the runtime moves them in before the start.
std::unique_ptr<Machine> make_scope_machine();
/// Timers (systemd.timer(5)).
std::unique_ptr<Machine> make_timer_machine();
/// Paths (systemd.path(5)).
std::unique_ptr<Machine> make_path_machine();
/// What a start of a timer or path comes to when the unit that it triggers is not loaded; nothing
/// when it is.
std::optional<StartOutcome> refused_without_triggered(const MachineContext& context);
/// Mounts, automounts, swaps and devices: what is true of the system.
std::unique_ptr<Machine> make_external_machine(unit::UnitType type);

}  // namespace pidward::engine
