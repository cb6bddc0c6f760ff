#include "runtime/version.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fnmatch.h>

namespace pidward::runtime {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_version_char(char c) {
  return is_digit(c) || is_letter(c) || c == '~' || c == '-' || c == '^' || c == '.';
}

template <typename Predicate>
std::string_view take_while(std::string_view& text, Predicate predicate) {
  const auto end = std::ranges::find_if_not(text, predicate);
  const auto length = static_cast<std::size_t>(end - text.begin());
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(length);
  return taken;
}

int sign(int value) {
  return value < 0 ? -1 : value > 0 ? 1 : 0;
}

// '~', '-', '^' and '.' separate; at such a place the version that has the separator is the lower
// ('~', '-') or the higher one ('^', '.'), unless both have it. Nothing: both have it, or none.
int compare_separator(std::string_view& a, std::string_view& b, char separator, bool lowers) {
  const bool in_a = a.starts_with(separator);
  const bool in_b = b.starts_with(separator);
  if (in_a != in_b) return in_a == lowers ? -1 : 1;
  if (in_a) {
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return 0;
}

int compare_numbers(std::string_view a, std::string_view b) {
  const auto strip = [](std::string_view& text) {
    take_while(text, [](char c) { return c == '0'; });
  };
  strip(a);
  strip(b);
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return sign(a.compare(b));
}

// Capital letters sort before small ones, and a longer run after its own beginning.
int compare_letters(std::string_view a, std::string_view b) {
  return sign(a.compare(b));
}

}  // namespace

int compare_versions(std::string_view a, std::string_view b) {
  while (true) {
    take_while(a, [](char c) { return !is_version_char(c); });
    take_while(b, [](char c) { return !is_version_char(c); });
    if (const int order = compare_separator(a, b, '~', true); order != 0) return order;
    if (a.empty() || b.empty())
      return sign(static_cast<int>(!a.empty()) - static_cast<int>(!b.empty()));
    if (const int order = compare_separator(a, b, '-', true); order != 0) return order;
    if (const int order = compare_separator(a, b, '^', true); order != 0) return order;
    if (const int order = compare_separator(a, b, '.', true); order != 0) return order;
    const bool digits = (!a.empty() && is_digit(a.front())) || (!b.empty() && is_digit(b.front()));
    const std::string_view part_a = digits ? take_while(a, is_digit) : take_while(a, is_letter);
    const std::string_view part_b = digits ? take_while(b, is_digit) : take_while(b, is_letter);
    if (digits && part_a.empty() != part_b.empty()) return part_a.empty() ? -1 : 1;
    const int order = digits ? compare_numbers(part_a, part_b) : compare_letters(part_a, part_b);
    if (order != 0) return order;
  }
}

Comparison take_comparison(std::string_view& text) {
  // Longer operators first: "<" begins three others.
  static constexpr std::array<std::pair<std::string_view, Comparison>, 10> kOperators{{
      {"!$=", Comparison::not_glob},
      {"$=", Comparison::glob},
      {"<=", Comparison::less_or_equal},
      {">=", Comparison::greater_or_equal},
      {"<>", Comparison::not_equal},
      {"!=", Comparison::not_equal},
      {"==", Comparison::equal},
      {"<", Comparison::less},
      {">", Comparison::greater},
      {"=", Comparison::equal},
  }};
  for (const auto& [word, comparison] : kOperators) {
    if (!text.starts_with(word)) continue;
    text.remove_prefix(word.size());
    take_while(text, [](char c) { return c == ' ' || c == '\t'; });
    return comparison;
  }
  return Comparison::none;
}

bool holds(Comparison comparison, int order) {
  switch (comparison) {
    case Comparison::less:
      return order < 0;
    case Comparison::less_or_equal:
      return order <= 0;
    case Comparison::equal:
      return order == 0;
    case Comparison::not_equal:
      return order != 0;
    case Comparison::greater_or_equal:
      return order >= 0;
    case Comparison::greater:
      return order > 0;
    case Comparison::none:
    case Comparison::glob:
    case Comparison::not_glob:
      return false;
  }
  return false;
}

bool version_matches(std::string_view value, Comparison comparison, std::string_view other) {
  const bool glob = comparison == Comparison::glob || comparison == Comparison::not_glob ||
                    comparison == Comparison::none;
  if (!glob) return holds(comparison, compare_versions(value, other));
  const bool matches = ::fnmatch(std::string(other).c_str(), std::string(value).c_str(), 0) == 0;
  return matches != (comparison == Comparison::not_glob);
}

}  // namespace pidward::runtime
