// One unit file, or one drop-in, applied to a UnitSpec: where the text of both spellings becomes
// settings.
#pragma once

#include <string>

#include "unit/spec.hpp"
#include "unit/specifier.hpp"

namespace pidward::unit {

class TimeZones;

/// The text of one fragment or drop-in.
struct FragmentText {
  std::string path;  ///< for messages, and what %y and %Y speak of
  std::string content;
  bool yaml = false;  ///< YAML instead of systemd's ini
};

/// Larger files are refused with an error.
inline constexpr std::size_t kMaxFragmentSize = std::size_t{4} * 1024 * 1024;

/// What reading depends on besides the text.
struct ReadContext {
  UnitName name;  ///< the unit that is being made: specifiers are expanded for it
  const SpecifierContext* specifiers = nullptr;  ///< outlives the call; never null
  bool strict =
      false;  ///< unknown sections and directives are errors in ini too; they always are in YAML
  /// What %y and %Y speak of: the unit's own fragment, also while its drop-ins are read. Empty: the
  /// text's path.
  std::string fragment_path = {};
  const TimeZones* zones = nullptr;  ///< for calendar events; without it only UTC is known
};

/// Reads `text` and applies it to `into`: settings, dependencies (Origin::file) and diagnostics.
/// Call it for the fragment and then for each drop-in, in order. A bad line costs that line and
/// adds one diagnostic; as in systemd it is a warning, or an error where starting the unit without
/// the line would be wrong (a bad ExecStart=). Does not touch load_state, fragment or dropins:
/// those are the loader's.
void read_fragment(const FragmentText& text, const ReadContext& context, UnitSpec& into);

/// Applies one assignment, as both readers do for each line: `key` in `section` is given `value`,
/// which is written as in an ini file, unquoted. For transient units and set-property as well.
void apply_assignment(Section section, std::string_view key, std::string_view value,
                      const Location& where, const ReadContext& context, UnitSpec& into);

}  // namespace pidward::unit
