// From the text of one assignment to a Value: one parser for each Syntax.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "unit/directive.hpp"
#include "unit/name.hpp"
#include "unit/specifier.hpp"

namespace pidward::unit {

/// For whom specifiers are expanded. Without `name` and `specifiers` they are left as they are, for
/// values that do not come from unit files (defaults, the bus).
struct ParseContext {
  const UnitName* name = nullptr;
  const SpecifierContext* specifiers = nullptr;
  std::string_view fragment_path = {};
};

/// What one non-empty assignment of `text` to `row` means, by itself: lists hold what this line
/// adds. Syntax:: unit_names yields the names as a list of words. Errors: Errc::syntax, a sentence
/// that says what was found and what is expected; nothing of the text is kept then.
Result<Value> parse_value(const Row& row, std::string_view text, const ParseContext& context = {});

}  // namespace pidward::unit
