// A property's value from the bus as the value a unit file's line would give: the way back of
// write_setting(), by the same directive table.
#pragma once

#include <string_view>

#include "bus/reader.hpp"
#include "unit/directive.hpp"

namespace pidward::bus {

/// Reads one value of D-Bus type `type` for `row`; the reader stands inside the variant. The value
/// is one that the directive's own syntax takes. Errors: invalid_argument, with the type that is
/// expected or what is wrong with the value; not_supported where pidward cannot take the directive
/// from the bus.
Result<unit::Value> decode_value(const unit::Row& row, std::string_view type, Reader& in);

}  // namespace pidward::bus
