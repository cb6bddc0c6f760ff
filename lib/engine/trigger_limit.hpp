// How often a socket or a path may trigger its unit.
#pragma once

#include <cstdint>

#include "unit/spec.hpp"

namespace pidward::engine {

/// TriggerLimitIntervalSec=; where the unit says nothing, two seconds. 0: there is no limit.
[[nodiscard]] Duration trigger_interval(const unit::UnitSpec& spec);
/// TriggerLimitBurst=; where the unit says nothing, 20 for a socket that starts one service and 200
/// for the others (systemd.socket(5), systemd.path(5)). 0: there is no limit.
[[nodiscard]] std::uint32_t trigger_burst(const unit::UnitSpec& spec);

}  // namespace pidward::engine
