// The way back: a Value as the text that a unit file would have, for show, for drop-ins that
// set-property writes and for transient units.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "unit/directive.hpp"

namespace pidward::unit {

/// One "KEY=TEXT" line.
struct AssignmentText {
  std::string key;
  std::string text;
  friend bool operator==(const AssignmentText&, const AssignmentText&) = default;
};

/// Bytes as base64, padded, in one line (RFC 4648, section 4).
std::string format_base64(std::string_view bytes);

/// The lines that, read one after the other by parse_value() and merge_value() without specifiers,
/// give `value` again. Lists of words are one line, commands one line each, conditions and the like
/// have the key of their kind.
std::vector<AssignmentText> format_value(const Row& row, const Value& value);

/// The texts of those lines put together with "; " between: for people.
std::string format_for_people(const Row& row, const Value& value);

/// The same lines as text of a unit file that makes the directive this and nothing else: what
/// earlier files said is reset first, and every '%' is doubled so that it is no specifier. Errors:
/// a text that no line can hold (a line break, a control character, a backslash at its end).
Result<std::string> format_for_file(const Row& row, const Value& value);

}  // namespace pidward::unit
