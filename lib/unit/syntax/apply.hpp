// Where both readers meet: assignments become settings, dependencies and diagnostics of a UnitSpec.
#pragma once

#include <string>
#include <string_view>

#include "unit/syntax/fragment.hpp"
#include "unit/syntax/ini.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {

/// Applies the assignments of one text. Use it from top to bottom and call finish() at the end.
class Applier {
 public:
  /// All three outlive the object. `file` is what diagnostics name.
  Applier(const ReadContext& context, std::string_view file, UnitSpec& into);

  /// True when a unit of this type has the section.
  [[nodiscard]] bool has_section(Section section) const;
  /// Says what is wrong with a section that is not for this unit; `as_error`: it is an error, not a
  /// warning.
  void bad_section(std::string_view name, TextPosition at, bool as_error);
  /// `value` as in an ini file. `unknown_is_error`: in YAML a key that does not exist is one.
  void assign(Section section, const IniAssignment& assignment, bool unknown_is_error);
  void report(Diagnostic::Severity severity, TextPosition at, std::string message,
              std::string advice = {});
  /// Puts the dependencies in order.
  void finish();

 private:
  void unknown_key(Section section, const IniAssignment& assignment, bool as_error);
  void reset(Section section, const Row& row, const IniAssignment& assignment);
  void parse_and_store(Section section, const Row& row, const IniAssignment& assignment);
  void store(Section section, const Row& row, std::string_view text, Value value, TextPosition at);
  void store_merged(const Row& row, Value value, TextPosition at);
  void store_capabilities(const Row& row, std::string_view text, std::uint64_t parsed);
  void add_dependencies(const Row& row, const std::vector<std::string>& names, TextPosition at);
  void warn_without_effect(const Row& row, const Value& value, TextPosition at);

  const ReadContext& context_;
  std::string_view file_;
  UnitSpec& into_;
  std::size_t reported_ = 0;
  bool error_reported_ = false;
};

}  // namespace pidward::unit
