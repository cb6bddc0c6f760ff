#include <algorithm>

#include "unit/calendar/calendar.hpp"

namespace pidward::unit {
namespace {

using std::chrono::day;
using std::chrono::days;
using std::chrono::local_days;
using std::chrono::month;
using std::chrono::year;
using std::chrono::year_month;

constexpr int kLastYear = 2199;

/// The smallest number from `from` to `to` that the list has.
std::optional<std::int64_t> first_in(const CalendarList& list, std::int64_t from, std::int64_t to) {
  if (from > to) return std::nullopt;
  if (list.empty()) return from;
  std::optional<std::int64_t> best;
  for (const CalendarRange& range : list) {
    std::int64_t number = range.first;
    if (number < from) {
      if (range.step == 0) continue;
      number += (from - number + range.step - 1) / range.step * range.step;
    }
    const std::int64_t end = range.last >= 0 ? std::min(range.last, to) : to;
    if (number <= end && (!best || number < *best)) best = number;
  }
  return best;
}

/// Days counted from the end of the month, as days of this month.
CalendarList counted_from_start(const CalendarList& list, std::int64_t length) {
  CalendarList days_of_month;
  for (const CalendarRange& range : list) {
    CalendarRange counted{length + 1 - range.first, -1, range.step};
    if (range.last >= 0) {
      counted.last = counted.first;
      counted.first = length + 1 - range.last;
    }
    days_of_month.push_back(counted);
  }
  return days_of_month;
}

class Search {
 public:
  Search(const Calendar& calendar, WallTime after, const TimeZone& zone)
      : calendar_(calendar), after_(after), zone_(zone), from_(zone.to_civil(after)) {}

  [[nodiscard]] std::optional<WallTime> run() const {
    const auto begin = std::chrono::year_month_day(std::chrono::floor<days>(from_));
    auto in_year = first_in(calendar_.years, static_cast<int>(begin.year()), kLastYear);
    for (; in_year; in_year = first_in(calendar_.years, *in_year + 1, kLastYear)) {
      const bool same = *in_year == static_cast<int>(begin.year());
      auto in_month =
          first_in(calendar_.months, same ? static_cast<unsigned>(begin.month()) : 1, 12);
      for (; in_month; in_month = first_in(calendar_.months, *in_month + 1, 12)) {
        const year_month current =
            year(static_cast<int>(*in_year)) / month(static_cast<unsigned>(*in_month));
        const bool first_month = current == begin.year() / begin.month();
        if (const auto found = in(current, first_month ? static_cast<unsigned>(begin.day()) : 1))
          return found;
      }
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::optional<WallTime> in(year_month current, std::int64_t from_day) const {
    const auto length =
        static_cast<std::int64_t>(static_cast<unsigned>((current / std::chrono::last).day()));
    const CalendarList& list = calendar_.from_month_end && !calendar_.days.empty()
                                   ? counted_from_start(calendar_.days, length)
                                   : calendar_.days;
    for (auto number = first_in(list, from_day, length); number;
         number = first_in(list, *number + 1, length)) {
      const local_days date(current / day(static_cast<unsigned>(*number)));
      const unsigned weekday = std::chrono::weekday(date).iso_encoding() - 1;
      if (calendar_.weekdays != 0 && (calendar_.weekdays >> weekday & 1U) == 0) continue;
      if (const auto found = on(date)) return found;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<WallTime> on(local_days date) const {
    const Duration passed = from_ < date ? Duration(-1) : from_ - CivilTime(date);
    constexpr std::int64_t kMinute = Duration(std::chrono::minutes(1)).count();
    const auto next = [&](const CalendarList& list, std::int64_t from, std::int64_t count) {
      return first_in(list, from, count - 1);
    };
    for (auto hour = next(calendar_.hours, 0, 24); hour;
         hour = next(calendar_.hours, *hour + 1, 24)) {
      if (std::chrono::hours(*hour + 1) <= passed) continue;
      for (auto minute = next(calendar_.minutes, 0, 60); minute;
           minute = next(calendar_.minutes, *minute + 1, 60)) {
        const Duration begin = std::chrono::hours(*hour) + std::chrono::minutes(*minute);
        const std::int64_t least = (passed - begin).count() + 1;
        for (auto rest = microseconds_from(std::max<std::int64_t>(least, 0), kMinute); rest;
             rest = microseconds_from(*rest + 1, kMinute)) {
          const auto at = zone_.from_civil(CivilTime(date) + begin + Duration(*rest));
          if (at && *at > after_) return at;
          if (!at) break;  // clocks are put by minutes at least: all of this one is skipped
        }
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::int64_t> microseconds_from(std::int64_t from,
                                                              std::int64_t count) const {
    // "*" means every second.
    static const CalendarList kEverySecond{{0, -1, Duration(std::chrono::seconds(1)).count()}};
    return first_in(calendar_.microseconds.empty() ? kEverySecond : calendar_.microseconds, from,
                    count - 1);
  }

  const Calendar& calendar_;
  WallTime after_;
  const TimeZone& zone_;
  CivilTime from_;
};

}  // namespace

std::optional<WallTime> next_elapse(const Calendar& calendar, WallTime after,
                                    const TimeZone& local) {
  return Search(calendar, after, calendar.zone ? *calendar.zone : local).run();
}

}  // namespace pidward::unit
