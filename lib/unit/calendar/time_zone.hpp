// What the clocks on the wall show, and when: time zones as the zone files of the system have them
// (tzfile(5), RFC 8536). Pure: the bytes come from elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "unit/file_source.hpp"

namespace pidward::unit {

/// What a clock on the wall shows: a date and a time of day without a zone.
using CivilTime = std::chrono::local_time<Duration>;

/// One turn of a year's rule for daylight saving time, in POSIX's notation.
struct ZoneTurn {
  enum class Kind : std::uint8_t { month_week_day, day_of_year, julian_day };
  Kind kind = Kind::month_week_day;
  int month = 0, week = 0, day = 0;
  std::int64_t seconds = 7200;  ///< after midnight; may be negative or more than a day
};

/// What follows the last transition that is listed: "CET-1CEST,M3.5.0,M10.5.0/3".
struct ZoneRule {
  std::int64_t standard = 0;  ///< seconds east of Greenwich
  std::optional<std::int64_t> daylight;
  ZoneTurn begin, end;  ///< of daylight saving time

  static std::optional<ZoneRule> parse(std::string_view text);
  [[nodiscard]] std::int64_t offset_at(std::int64_t utc_seconds) const;
};

class TimeZone {
 public:
  /// UTC.
  TimeZone() = default;
  /// `bytes` is a zone file. Errors: Errc::syntax, what is wrong with it.
  static Result<TimeZone> parse(std::string_view bytes);

  [[nodiscard]] CivilTime to_civil(WallTime at) const;
  /// The first moment at which clocks show `civil`; nothing when they are put forward over it.
  [[nodiscard]] std::optional<WallTime> from_civil(CivilTime civil) const;

 private:
  struct Transition {
    std::int64_t at;      ///< seconds since 1970, UTC
    std::int64_t offset;  ///< from then on, seconds east of Greenwich
  };
  [[nodiscard]] std::int64_t offset_at(std::int64_t utc_seconds) const;

  std::int64_t first_offset_ = 0;
  std::vector<Transition> transitions_;
  std::optional<ZoneRule> rule_;
};
using TimeZonePtr = std::shared_ptr<const TimeZone>;

/// Zones by name, read once each from /usr/share/zoneinfo.
class TimeZones {
 public:
  /// `files` outlives the object.
  explicit TimeZones(const FileSource& files) : files_(&files) {}
  /// nullptr when there is no such zone. "UTC" is always there.
  [[nodiscard]] TimeZonePtr find(std::string_view name) const;
  /// The zone of this system: `variable` ($TZ) if it names one, else /etc/localtime, else UTC.
  [[nodiscard]] TimeZonePtr local(std::string_view variable) const;

 private:
  [[nodiscard]] TimeZonePtr read(const std::string& path) const;

  const FileSource* files_;
  mutable std::unordered_map<std::string, TimeZonePtr> known_;
};

}  // namespace pidward::unit
