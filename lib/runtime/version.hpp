// Comparing versions as ConditionKernelVersion= and ConditionOSRelease= do. Pure.
#pragma once

#include <string_view>

namespace pidward::runtime {

/// Version order of the UAPI group's "Version Format Specification": negative, 0 or positive.
int compare_versions(std::string_view a, std::string_view b);

/// A comparison at the head of a condition's parameter: "<", "<=", "=", "==", "!=", "<>", ">=",
/// ">", or "$=" and "!$=" for shell globs.
enum class Comparison : unsigned char {
  none,
  less,
  less_or_equal,
  equal,
  not_equal,
  greater_or_equal,
  greater,
  glob,
  not_glob
};
/// Takes the operator off the front of `text`, with the blanks behind it.
Comparison take_comparison(std::string_view& text);
/// Whether `order` (as compare_versions() returns it) satisfies an order comparison.
bool holds(Comparison comparison, int order);
/// "VALUE OP OTHER" for versions; globs are matched with fnmatch(3).
bool version_matches(std::string_view value, Comparison comparison, std::string_view other);

}  // namespace pidward::runtime
