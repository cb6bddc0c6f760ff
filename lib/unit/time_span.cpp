#include "unit/time_span.hpp"

#include <limits>

#include <fmt/core.h>

#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

/// Wide enough that no single product overflows.
__extension__ typedef unsigned __int128 Wide;

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};

constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1000 * kMicrosecond;
constexpr std::uint64_t kSecond = 1000 * kMillisecond;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kDay = 24 * kHour;
// systemd.time(7): a month is 30.44 days, a year 365.25.
constexpr std::uint64_t kMonth = 2629800 * kSecond;
constexpr std::uint64_t kYear = 31557600 * kSecond;

constexpr Unit kUnits[] = {
    {"nsec", 1},
    {"ns", 1},
    {"usec", kMicrosecond},
    {"us", kMicrosecond},
    {"\u00b5s", kMicrosecond},
    {"\u03bcs", kMicrosecond},
    {"msec", kMillisecond},
    {"ms", kMillisecond},
    {"seconds", kSecond},
    {"second", kSecond},
    {"sec", kSecond},
    {"s", kSecond},
    {"minutes", kMinute},
    {"minute", kMinute},
    {"min", kMinute},
    {"m", kMinute},
    {"hours", kHour},
    {"hour", kHour},
    {"hr", kHour},
    {"h", kHour},
    {"days", kDay},
    {"day", kDay},
    {"d", kDay},
    {"weeks", 7 * kDay},
    {"week", 7 * kDay},
    {"w", 7 * kDay},
    {"months", kMonth},
    {"month", kMonth},
    {"M", kMonth},
    {"years", kYear},
    {"year", kYear},
    {"y", kYear},
};

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

Error out_of_range(std::string_view text) {
  return {Errc::syntax, fmt::format("the time span '{}' is longer than can be counted", text)};
}

/// One number with its fraction, in units of 1/kScale.
constexpr std::uint64_t kScale = 1000000000;
struct Number {
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;  ///< of kScale
};

Result<Number> take_number(std::string_view& rest, std::string_view text) {
  Number number;
  bool any = false;
  if (rest.size() > 1 && rest[0] == '+' && is_digit(rest[1])) rest.remove_prefix(1);
  while (!rest.empty() && is_digit(rest.front())) {
    const auto digit = static_cast<std::uint64_t>(rest.front() - '0');
    if (number.whole > (std::numeric_limits<std::uint64_t>::max() - digit) / 10)
      return out_of_range(text);
    number.whole = number.whole * 10 + digit;
    rest.remove_prefix(1);
    any = true;
  }
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    any = false;
    for (std::uint64_t place = kScale / 10; !rest.empty() && is_digit(rest.front()); place /= 10) {
      number.fraction += place * static_cast<std::uint64_t>(rest.front() - '0');
      rest.remove_prefix(1);
      any = true;
    }
  }
  if (!any) {
    return Error(Errc::syntax,
                 fmt::format("'{}' is not a time span: a number is expected at '{}'", text, rest))
        .advise("Write it like 5s, 1min 30s or infinity.");
  }
  return number;
}

/// The unit that begins `rest`, or `bare` where the number stands alone. The name ends where its
/// letters do.
Result<std::uint64_t> take_unit(std::string_view& rest, std::string_view text, std::uint64_t bare,
                                bool nanoseconds) {
  const bool apart = !rest.empty() && is_blank(rest.front());
  skip_blanks(rest);
  std::size_t end = 0;
  while (end < rest.size() && !is_blank(rest[end]) && !is_digit(rest[end]) && rest[end] != '.' &&
         rest[end] != '-')
    ++end;
  const std::string_view name = rest.substr(0, end);
  if (name.empty()) {
    if (apart || rest.empty()) return bare;
    return Error(Errc::syntax,
                 fmt::format("'{}' is not a time span: a unit is expected at '{}'", text, rest))
        .advise("Units are us, ms, s, min, h, d, w, month and y.");
  }
  for (const Unit& unit : kUnits) {
    if (unit.name == name && (nanoseconds || unit.nanoseconds > 1)) {
      rest.remove_prefix(end);
      return unit.nanoseconds;
    }
  }
  return Error(Errc::syntax,
               fmt::format("'{}' in the time span '{}' is not a unit of time", name, text))
      .advise("Units are us, ms, s, min, h, d, w, month and y.");
}

/// Adds up to nanoseconds, in 128 bits so that the limit is checked once.
Result<Wide> sum_up(std::string_view text, std::uint64_t bare, bool nanoseconds) {
  std::string_view rest = text;
  Wide sum = 0;
  skip_blanks(rest);
  do {
    if (!rest.empty() && rest.front() == '-') {
      return Error(Errc::syntax, fmt::format("the time span '{}' is negative", text));
    }
    PIDWARD_TRY(const Number number, take_number(rest, text));
    PIDWARD_TRY(const std::uint64_t unit, take_unit(rest, text, bare, nanoseconds));
    sum += static_cast<Wide>(number.whole) * unit;
    sum += static_cast<Wide>(number.fraction) * unit / kScale;
    constexpr int kFarBelowOverflow = 120;
    if (sum >> kFarBelowOverflow != 0) return out_of_range(text);
    skip_blanks(rest);
  } while (!rest.empty());
  return sum;
}

std::string_view trimmed(std::string_view text) {
  skip_blanks(text);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<Duration> parse_time_span(std::string_view text, Duration default_unit) {
  const std::string_view span = trimmed(text);
  if (span == "infinity") return kInfinity;
  const auto bare = static_cast<std::uint64_t>(default_unit.count()) * kMicrosecond;
  PIDWARD_TRY(const Wide sum, sum_up(span, bare, false));
  const Wide microseconds = sum / kMicrosecond;
  if (microseconds >= static_cast<Wide>(kInfinity.count())) return out_of_range(span);
  return Duration(static_cast<Duration::rep>(microseconds));
}

Result<std::uint64_t> parse_nanoseconds(std::string_view text) {
  const std::string_view span = trimmed(text);
  if (span == "infinity") return std::numeric_limits<std::uint64_t>::max();
  PIDWARD_TRY(const Wide sum, sum_up(span, 1, true));
  if (sum >= std::numeric_limits<std::uint64_t>::max()) return out_of_range(span);
  return static_cast<std::uint64_t>(sum);
}

}  // namespace pidward::unit
