// $PIDWARD_UNIT_PATH: directories of unit files with colons between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pidward::unit {

/// Splits at every colon. A colon at the end leaves an empty last entry, which stands for the usual
/// directories (SearchPathOptions::override_path); an empty text is no entry at all.
std::vector<std::string> split_unit_path(std::string_view text);

}  // namespace pidward::unit
