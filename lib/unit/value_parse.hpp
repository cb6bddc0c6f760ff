// From the text of one assignment to a Value: one parser for each Syntax.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "unit/directive.hpp"
#include "unit/name.hpp"
#include "unit/specifier.hpp"

namespace pidward::unit {

class TimeZones;

/// Something to tell about a value that was accepted.
struct ParseNote {
  bool dropped =
      false;  ///< a word of the value was left out; otherwise it was only read as something else
  std::string message;
  std::string advice;
};

/// For whom specifiers are expanded. Without `name` and `specifiers` they are left as they are, for
/// values that do not come from unit files (defaults, the bus).
struct ParseContext {
  const UnitName* name = nullptr;
  const SpecifierContext* specifiers = nullptr;
  std::string_view fragment_path = {};
  std::uint32_t line = 0;  ///< kept in ExecCommand::line
  /// Where notes go. With it, a bad word of a list costs that word alone, as in systemd; without
  /// it, the whole value.
  std::vector<ParseNote>* notes = nullptr;
  const TimeZones* zones = nullptr;  ///< for calendar events; without it only UTC is known
};

/// What one assignment of `text` to `row` means, by itself: lists hold what this line adds. Only
/// capability sets have a meaning when empty. Syntax::unit_names yields the names as a list of
/// words. Errors: Errc::syntax, a sentence that says what was found and what is expected; nothing
/// of the text is kept then.
Result<Value> parse_value(const Row& row, std::string_view text, const ParseContext& context = {});

/// Adds `line`, what a further assignment means, to what `value` holds already: lists grow, of
/// environment variables the later one wins, anything else is replaced. Both have the type of the
/// row's syntax.
void merge_value(const Row& row, Value& value, Value line);

}  // namespace pidward::unit
