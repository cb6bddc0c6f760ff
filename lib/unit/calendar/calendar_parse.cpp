#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "unit/calendar/calendar.hpp"
#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

constexpr std::size_t kMaxEntries = 256;

struct Shorthand {
  std::string_view name;
  std::string_view meaning;
};
constexpr std::array<Shorthand, 13> kShorthands{{
    {"minutely", "*:*"},
    {"hourly", "*:00"},
    {"daily", "00:00"},
    {"weekly", "Mon 00:00"},
    {"monthly", "*-*-01"},
    {"quarterly", "*-01,04,07,10-01"},
    {"biannually", "*-01,07-01"},
    {"bi-annually", "*-01,07-01"},
    {"semiannually", "*-01,07-01"},
    {"semi-annually", "*-01,07-01"},
    {"annually", "*-01-01"},
    {"anually", "*-01-01"},
    {"yearly", "*-01-01"},
}};
constexpr std::array<std::string_view, 7> kWeekdayNames{
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string in_lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}
bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

/// The limits of one part and what a message calls it.
struct Part {
  std::string_view what;
  std::int64_t least, most;
};
constexpr Part kYearPart{"year", 1970, 2199};
constexpr Part kMonthPart{"month", 1, 12};
constexpr Part kDayPart{"day", 1, 31};
constexpr Part kDayFromEndPart{"day from the end of the month", 1, 28};
constexpr Part kHourPart{"hour", 0, 23};
constexpr Part kMinutePart{"minute", 0, 59};
constexpr Part kMicrosecondPart{"second", 0, 60 * kMicrosecondsPerSecond - 1};

/// A list as written, with its limits still unchecked: what it counts is known later.
using List = std::optional<CalendarList>;

class CalendarReader {
 public:
  CalendarReader(std::string_view whole, const TimeZones* zones) : whole_(whole), zones_(zones) {}

  Result<Calendar> run() {
    rest_ = whole_;
    PIDWARD_CHECK(take_zone());
    if (rest_.empty()) return wrong("it is empty");
    const std::string word = in_lower_case(rest_);
    const auto* const shorthand =
        std::find_if(kShorthands.begin(), kShorthands.end(),
                     [&word](const Shorthand& each) { return each.name == word; });
    if (shorthand != kShorthands.end()) rest_ = shorthand->meaning;
    PIDWARD_CHECK(take_weekdays());
    PIDWARD_CHECK(take_date());
    PIDWARD_CHECK(take_time());
    if (!rest_.empty()) return wrong(fmt::format("'{}' is too much", rest_));
    return std::move(out_);
  }

 private:
  [[nodiscard]] Error wrong(std::string_view why) const {
    return Error(Errc::syntax, fmt::format("'{}' is not a calendar event: {}", whole_, why))
        .advise("Written for example \"Mon..Fri *-*-* 10:00\", \"*:0/15\" or \"weekly\".");
  }

  /// The last word, when it is no date and no time.
  Status take_zone() {
    const std::size_t space = rest_.rfind(' ');
    if (space == std::string_view::npos) return {};
    const std::string_view name = rest_.substr(space + 1);
    if (name.empty() || !is_letter(name.front())) return {};
    // "Mon, Tue" and "Mon Tue" are wrong, but not because of a zone.
    if (weekday(in_lower_case(name))) return {};
    out_.zone_name = in_lower_case(name) == "utc" ? "UTC" : std::string(name);
    if (zones_ != nullptr) {
      out_.zone = zones_->find(out_.zone_name);
    } else if (out_.zone_name == "UTC") {
      out_.zone = std::make_shared<const TimeZone>();
    }
    if (out_.zone == nullptr) return wrong(fmt::format("there is no time zone '{}' here", name));
    rest_ = rest_.substr(0, space);
    return {};
  }

  static std::optional<unsigned> weekday(std::string_view word) {
    for (unsigned i = 0; i < kWeekdayNames.size(); ++i) {
      if (word == kWeekdayNames[i] || word == kWeekdayNames[i].substr(0, 3)) return i;
    }
    return std::nullopt;
  }

  Result<unsigned> take_weekday() {
    std::size_t length = 0;
    while (length < rest_.size() && is_letter(rest_[length])) ++length;
    const auto found = weekday(in_lower_case(rest_.substr(0, length)));
    if (!found) return wrong(fmt::format("'{}' is no day of the week", rest_.substr(0, length)));
    rest_.remove_prefix(length);
    return *found;
  }

  Status take_weekdays() {
    if (rest_.empty() || !is_letter(rest_.front())) return {};
    do {
      PIDWARD_TRY(const unsigned first, take_weekday());
      unsigned last = first;
      if (take("..") || take("-")) {
        PIDWARD_TRY(last, take_weekday());
        if (last < first) return wrong("a range of weekdays goes forward from Monday to Sunday");
      }
      for (unsigned i = first; i <= last; ++i) out_.weekdays |= static_cast<std::uint8_t>(1U << i);
    } while (take(",") && !rest_.empty() && rest_.front() != ' ');
    if (out_.weekdays == 0x7FU) out_.weekdays = 0;
    if (!rest_.empty() && rest_.front() != ' ') {
      return wrong(fmt::format("a blank is expected in front of '{}'", rest_));
    }
    skip_blanks();
    return {};
  }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  void skip_blanks() {
    while (take(" ")) {
    }
  }
  [[nodiscard]] bool at_date_end() const { return rest_.empty() || rest_.front() == ' '; }

  /// "@SECONDS" since 1970, as a date in UTC.
  Status take_timestamp() {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), seconds);
    constexpr std::int64_t kEnd = 7'258'118'400;  // 2200-01-01
    if (error != std::errc() || seconds < 0 || seconds >= kEnd)
      return wrong("a number of seconds since 1970 is expected behind '@'");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    const std::chrono::sys_seconds at{std::chrono::seconds(seconds)};
    const auto midnight = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(midnight);
    const std::int64_t in_day = (at - midnight).count();
    out_.years = {{static_cast<int>(date.year())}};
    out_.months = {{static_cast<unsigned>(date.month())}};
    out_.days = {{static_cast<unsigned>(date.day())}};
    out_.hours = {{in_day / 3600}};
    out_.minutes = {{in_day / 60 % 60}};
    out_.microseconds = {{in_day % 60 * kMicrosecondsPerSecond}};
    out_.zone_name = "UTC";
    out_.zone = std::make_shared<const TimeZone>();
    timestamp_ = true;
    return {};
  }

  /// "YEAR-MONTH-DAY" or "MONTH-DAY", with '~' in front of days counted from the end of the month.
  Status take_date() {
    if (rest_.empty()) return {};
    if (take("@")) return take_timestamp();
    const std::string_view begin = rest_;
    PIDWARD_TRY(List first, take_list(false));
    if (rest_.empty() || rest_.front() == ':') {
      rest_ = begin;  // this was a time
      return {};
    }
    PIDWARD_CHECK(take_separator());
    PIDWARD_TRY(List second, take_list(false));
    List days;
    if (at_date_end()) {
      days = std::move(second);
      second = std::exchange(first, std::nullopt);
    } else {
      if (out_.from_month_end) return wrong("'~' stands in front of days");
      PIDWARD_CHECK(take_separator());
      PIDWARD_TRY(days, take_list(false));
      if (!at_date_end() && rest_.front() != 'T')
        return wrong(fmt::format("'{}' behind the date", rest_));
    }
    if (first) complete_years(*first);
    PIDWARD_CHECK(keep(kYearPart, std::move(first), out_.years));
    PIDWARD_CHECK(keep(kMonthPart, std::move(second), out_.months));
    out_.from_month_end = out_.from_month_end && days;
    PIDWARD_CHECK(
        keep(out_.from_month_end ? kDayFromEndPart : kDayPart, std::move(days), out_.days));
    if (!take("T")) skip_blanks();
    return {};
  }

  Status take_separator() {
    if (take("~")) {
      out_.from_month_end = true;
      return {};
    }
    if (take("-")) return {};
    return wrong(fmt::format("'-' is expected in front of '{}'", rest_));
  }

  /// Two digits are a year from 1970 to 2069.
  static void complete_years(CalendarList& list) {
    const auto complete = [](std::int64_t& number) {
      if (number >= 0 && number < 70) number += 2000;
      if (number >= 70 && number < 100) number += 1900;
    };
    for (CalendarRange& range : list) {
      complete(range.first);
      if (range.last >= 0) complete(range.last);
    }
  }

  /// "HOUR:MINUTE[:SECOND]"; without a time it is midnight.
  Status take_time() {
    if (timestamp_) return {};
    if (rest_.empty()) {
      out_.hours = out_.minutes = out_.microseconds = {{0}};
      return {};
    }
    PIDWARD_TRY(List hours, take_list(false));
    if (!take(":")) return wrong("a time is written HOUR:MINUTE or HOUR:MINUTE:SECOND");
    PIDWARD_TRY(List minutes, take_list(false));
    List seconds = CalendarList{{0}};
    if (take(":")) {
      PIDWARD_TRY(seconds, take_list(true));
    }
    PIDWARD_CHECK(keep(kHourPart, std::move(hours), out_.hours));
    PIDWARD_CHECK(keep(kMinutePart, std::move(minutes), out_.minutes));
    return keep(kMicrosecondPart, std::move(seconds), out_.microseconds);
  }

  /// "*" (then there is no list), or entries with commas between.
  Result<List> take_list(bool microseconds) {
    if (take("*")) return List();
    CalendarList list;
    do {
      if (list.size() >= kMaxEntries) return wrong("a list has too many entries");
      CalendarRange range;
      PIDWARD_TRY(range.first, take_number(microseconds));
      if (take("..")) {
        PIDWARD_TRY(range.last, take_number(microseconds));
        range.step = microseconds ? kMicrosecondsPerSecond : 1;
      }
      if (take("/")) {
        PIDWARD_TRY(range.step, take_number(microseconds));
        if (range.step == 0) return wrong("a step of 0 leads nowhere");
      } else if (microseconds && range.last >= 0 && range.last - range.first < range.step) {
        return wrong("a range of seconds without a step is a second long at least");
      }
      list.push_back(range);
    } while (take(","));
    return List(std::move(list));
  }

  /// Digits; of a second also a fraction, rounded to microseconds.
  Result<std::int64_t> take_number(bool microseconds) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    const bool digits = !rest_.empty() && is_digit(rest_.front());
    if (!digits || error != std::errc() || number > kYearPart.most * kMicrosecondsPerSecond)
      return wrong(rest_.empty() ? "a number is missing at the end"
                                 : fmt::format("a number is expected at '{}'", rest_));
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (!microseconds) return number;
    number *= kMicrosecondsPerSecond;
    if (rest_.starts_with("..") || !take(".")) return number;
    if (rest_.empty() || !is_digit(rest_.front())) return wrong("digits are missing behind '.'");
    std::int64_t place = kMicrosecondsPerSecond;
    std::int64_t next = 0;  // the first digit that does not count any more
    for (; !rest_.empty() && is_digit(rest_.front()); rest_.remove_prefix(1)) {
      const int digit = rest_.front() - '0';
      if (place == 1) next = digit;
      if (place > 1) number += digit * (place / 10);
      place /= 10;
    }
    return number + (next >= 5 ? 1 : 0);
  }

  /// Checks a list against the limits of its part and brings it into its shortest form.
  Status keep(const Part& part, List list, CalendarList& to) const {
    if (!list) {
      to.clear();
      return {};
    }
    for (CalendarRange& range : *list) {
      const auto inside = [&part](std::int64_t number) {
        return number >= part.least && number <= part.most;
      };
      // The end is what the steps reach, and may be written beyond the limits.
      const bool has_end = range.last >= 0;
      const bool forward = !has_end || range.last >= range.first;
      if (has_end && forward) range.last -= (range.last - range.first) % range.step;
      if (!forward || !inside(range.first) || (has_end && !inside(range.last))) {
        return wrong(fmt::format("the {} is out of range", part.what));
      }
      if (range.last == range.first) range = {range.first};
      // A step with no end is to lead to a second number at least.
      const std::int64_t room = out_.from_month_end && &to == &out_.days ? range.first - part.least
                                                                         : part.most - range.first;
      if (range.last < 0 && range.step > room) {
        return wrong(fmt::format("the step leads out of the range of the {}", part.what));
      }
    }
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
    to = *std::move(list);
    return {};
  }

  std::string_view whole_;
  std::string_view rest_;
  const TimeZones* zones_;
  Calendar out_;
  bool timestamp_ = false;
};

}  // namespace

Result<Calendar> parse_calendar(std::string_view text, const TimeZones* zones) {
  return CalendarReader(text, zones).run();
}

}  // namespace pidward::unit
