// Calendar events: "Mon..Fri *-*-* 10:00", "weekly", "*-*~1 Europe/Berlin" (systemd.time(7),
// "Calendar Events").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "unit/calendar/time_zone.hpp"

namespace pidward::unit {

/// Seconds are counted in microseconds.
inline constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;

/// One entry of a list: a number, a range, or either with a step.
struct CalendarRange {
  std::int64_t first = 0;
  std::int64_t last = -1;  ///< -1: no end is given
  std::int64_t step = 0;   ///< 0: `first` alone
  friend bool operator==(const CalendarRange&, const CalendarRange&) = default;
  friend bool operator<(const CalendarRange& a, const CalendarRange& b) {
    return std::tie(a.first, a.last, a.step) < std::tie(b.first, b.last, b.step);
  }
};
/// Sorted and unique; empty: any.
using CalendarList = std::vector<CalendarRange>;

/// An event is every moment whose parts all match.
struct Calendar {
  std::uint8_t weekdays = 0;  ///< bit 0 is Monday; 0: any
  CalendarList years;         ///< 1970 to 2199
  CalendarList months;        ///< from 1
  CalendarList days;          ///< from 1; from the end of the month with `from_month_end`
  bool from_month_end = false;
  CalendarList hours, minutes;
  CalendarList microseconds;  ///< of the minute
  std::string zone_name;      ///< empty: the local zone
  TimeZonePtr zone;           ///< of zone_name; nullptr: the local zone
};

/// Reads an event; `zones` is asked for named zones, without it only UTC is known. Errors
/// (Errc::syntax): a sentence that says which part is wrong.
Result<Calendar> parse_calendar(std::string_view text, const TimeZones* zones);

/// In the normalised form: "*-*-* 00:00:00" for "daily". Parsing it gives the same event.
std::string format_calendar(const Calendar& calendar);

/// The first moment after `after` at which the event happens, or nothing if there is none.
/// `local` is used where the event names no zone. A moment that clocks skip does not happen; one
/// that they show twice happens the first time.
std::optional<WallTime> next_elapse(const Calendar& calendar, WallTime after,
                                    const TimeZone& local);

}  // namespace pidward::unit
