#include <array>

#include <fmt/core.h>

#include "unit/calendar/calendar.hpp"

namespace pidward::unit {
namespace {

constexpr std::array<std::string_view, 7> kShortWeekdays{"Mon", "Tue", "Wed", "Thu",
                                                         "Fri", "Sat", "Sun"};

std::string weekdays(std::uint8_t bits) {
  std::string out;
  const auto has = [bits](unsigned i) {
    return i < kShortWeekdays.size() && (bits >> i & 1U) != 0;
  };
  for (unsigned first = 0; first < kShortWeekdays.size(); ++first) {
    if (!has(first)) continue;
    unsigned last = first;
    while (has(last + 1)) ++last;
    if (!out.empty()) out += ',';
    out += kShortWeekdays[first];
    if (last > first) {
      out += last > first + 1 ? ".." : ",";
      out += kShortWeekdays[last];
    }
    first = last;
  }
  return out;
}

std::string number(std::int64_t value, bool microseconds) {
  if (!microseconds) return fmt::format("{:02}", value);
  const std::int64_t fraction = value % kMicrosecondsPerSecond;
  return fraction == 0 ? fmt::format("{:02}", value / kMicrosecondsPerSecond)
                       : fmt::format("{:02}.{:06}", value / kMicrosecondsPerSecond, fraction);
}

/// A step is not filled up with zeros.
std::string step(std::int64_t value, bool microseconds) {
  if (!microseconds) return fmt::format("{}", value);
  const std::int64_t fraction = value % kMicrosecondsPerSecond;
  return fraction == 0 ? fmt::format("{}", value / kMicrosecondsPerSecond)
                       : fmt::format("{}.{:06}", value / kMicrosecondsPerSecond, fraction);
}

std::string list(const CalendarList& entries, bool microseconds = false) {
  if (entries.empty()) return "*";
  std::string out;
  for (const CalendarRange& range : entries) {
    if (!out.empty()) out += ',';
    out += number(range.first, microseconds);
    if (range.last >= 0) out += ".." + number(range.last, microseconds);
    const std::int64_t usual = range.last >= 0 ? (microseconds ? kMicrosecondsPerSecond : 1) : 0;
    if (range.step != usual) out += "/" + step(range.step, microseconds);
  }
  return out;
}

}  // namespace

std::string format_calendar(const Calendar& calendar) {
  std::string out = weekdays(calendar.weekdays);
  if (!out.empty()) out += ' ';
  out += fmt::format("{}-{}{}{} {}:{}:{}", list(calendar.years), list(calendar.months),
                     calendar.from_month_end ? '~' : '-', list(calendar.days), list(calendar.hours),
                     list(calendar.minutes), list(calendar.microseconds, true));
  if (!calendar.zone_name.empty()) out += " " + calendar.zone_name;
  return out;
}

}  // namespace pidward::unit
