// Job types and modes as the bus and the command line spell them.
#pragma once

#include <optional>
#include <string_view>

#include "engine/state.hpp"
#include "unit/enums.hpp"

namespace pidward::bus {

std::optional<unit::JobMode> parse_job_mode(std::string_view text);

struct JobWord {
  engine::JobType type = engine::JobType::start;
  bool reload = false;  ///< reload instead where the unit can
};
/// "start", "reload-or-restart", "try-restart" …
std::optional<JobWord> parse_job_type(std::string_view text);

}  // namespace pidward::bus
