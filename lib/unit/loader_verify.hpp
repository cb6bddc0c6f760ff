// What no single line shows: settings of a unit that do not go together. Exactly what systemd
// refuses is an error.
#pragma once

#include "unit/spec.hpp"

namespace pidward::unit {

/// Appends a diagnostic for each thing that is wrong. Call it after complete_unit().
void verify_unit(UnitSpec& spec);

}  // namespace pidward::unit
