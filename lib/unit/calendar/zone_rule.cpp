// The rule at the end of a zone file, in the notation of POSIX's TZ variable (RFC 8536, 3.3).
#include <charconv>

#include "unit/calendar/time_zone.hpp"

namespace pidward::unit {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year;

constexpr std::int64_t kSecondsPerDay = 86400;

class RuleText {
 public:
  explicit RuleText(std::string_view text) : rest_(text) {}
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// "CET" or "<+03>".
  bool take_name() {
    const bool quoted = take('<');
    const auto is_part = [quoted](char c) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      return letter || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    };
    std::size_t length = 0;
    while (length < rest_.size() && is_part(rest_[length])) ++length;
    rest_.remove_prefix(length);
    return length > 0 && (!quoted || take('>'));
  }
  std::optional<int> take_number() {
    int number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc() || number < 0) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return number;
  }
  /// "[+-]h[:mm[:ss]]" in seconds.
  std::optional<std::int64_t> take_span() {
    const bool negative = take('-');
    if (!negative) static_cast<void>(take('+'));
    std::int64_t total = 0;
    std::int64_t unit = 3600;
    do {
      const auto number = take_number();
      if (!number || *number > 167) return std::nullopt;
      total += *number * unit;
      unit /= 60;
    } while (unit > 0 && take(':'));
    return negative ? -total : total;
  }
  /// ",M3.5.0/2", ",J60" or ",59".
  std::optional<ZoneTurn> take_turn() {
    if (!take(',')) return std::nullopt;
    ZoneTurn turn;
    if (take('M')) {
      const auto month = take_number();
      if (!month || !take('.')) return std::nullopt;
      const auto week = take_number();
      if (!week || !take('.')) return std::nullopt;
      const auto day = take_number();
      if (!day || *month < 1 || *month > 12 || *week < 1 || *week > 5 || *day > 6)
        return std::nullopt;
      turn = {ZoneTurn::Kind::month_week_day, *month, *week, *day};
    } else {
      turn.kind = take('J') ? ZoneTurn::Kind::julian_day : ZoneTurn::Kind::day_of_year;
      const auto day = take_number();
      if (!day || *day > 365) return std::nullopt;
      turn.day = *day;
    }
    if (take('/')) {
      const auto span = take_span();
      if (!span) return std::nullopt;
      turn.seconds = *span;
    }
    return turn;
  }

 private:
  std::string_view rest_;
};

/// The turn in a year as seconds since 1970, by the clocks that are put.
std::int64_t turn_in(const ZoneTurn& turn, year in) {
  sys_days date = sys_days(in / std::chrono::January / 1);
  switch (turn.kind) {
    case ZoneTurn::Kind::month_week_day: {
      const auto month = in / std::chrono::month(static_cast<unsigned>(turn.month));
      const std::chrono::weekday day(static_cast<unsigned>(turn.day));
      date = turn.week == 5 ? sys_days(month / day[std::chrono::last])
                            : sys_days(month / day[static_cast<unsigned>(turn.week)]);
      break;
    }
    case ZoneTurn::Kind::day_of_year:
      date += days(turn.day);
      break;
    case ZoneTurn::Kind::julian_day:
      // Counts from 1 and knows no 29th of February.
      date += days(turn.day - 1 + (in.is_leap() && turn.day >= 60 ? 1 : 0));
      break;
  }
  return date.time_since_epoch().count() * kSecondsPerDay + turn.seconds;
}

}  // namespace

std::optional<ZoneRule> ZoneRule::parse(std::string_view text) {
  RuleText in(text);
  ZoneRule rule;
  if (!in.take_name()) return std::nullopt;
  const auto west = in.take_span();
  if (!west) return std::nullopt;
  rule.standard = -*west;
  if (in.at_end()) return rule;
  if (!in.take_name()) return std::nullopt;
  rule.daylight = rule.standard + 3600;
  if (const auto before_comma = in.take_span()) rule.daylight = -*before_comma;
  const auto begin = in.take_turn();
  const auto end = in.take_turn();
  if (!begin || !end || !in.at_end()) return std::nullopt;
  rule.begin = *begin;
  rule.end = *end;
  return rule;
}

std::int64_t ZoneRule::offset_at(std::int64_t utc_seconds) const {
  if (!daylight) return standard;
  const std::chrono::sys_seconds shown{std::chrono::seconds(utc_seconds + standard)};
  const year in = std::chrono::year_month_day(std::chrono::floor<days>(shown)).year();
  const std::int64_t from = turn_in(begin, in) - standard;
  const std::int64_t to = turn_in(end, in) - *daylight;
  // South of the equator summer spans the new year.
  const bool summer =
      from < to ? utc_seconds >= from && utc_seconds < to : utc_seconds >= from || utc_seconds < to;
  return summer ? *daylight : standard;
}

}  // namespace pidward::unit
