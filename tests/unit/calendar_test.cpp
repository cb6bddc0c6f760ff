// Calendar events against what systemd says of them.
#include "unit/calendar/calendar.hpp"

#include <ctime>

#include <gmock/gmock.h>

#include "unit/memory_source.hpp"
#include "unit/zone_files.hpp"

namespace pidward::unit {
namespace {

using testing::HasSubstr;

struct Expectation {
  const char* zone;
  const char* from;
  const char* expression;
  const char* normalised;
  std::vector<std::string> times;
};
const Expectation kExpectations[] = {
#include "calendar_expectations.inc"
};
const char* const kRefused[] = {
#include "calendar_refused.inc"
};

WallTime utc(const char* text) {
  std::tm parts{};
  EXPECT_NE(::strptime(text, "%Y-%m-%d %H:%M:%S", &parts), nullptr) << text;
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}
std::string text(WallTime at) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[64];
  std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &parts);
  return buffer;
}

class CalendarTest : public ::testing::Test {
 protected:
  CalendarTest() { add_zone_files(files_); }

  MemorySource files_;
  TimeZones zones_{files_};
};

TEST_F(CalendarTest, HappensWhenSystemdSaysSo) {
  for (const Expectation& each : kExpectations) {
    SCOPED_TRACE(each.expression);
    const auto calendar = parse_calendar(each.expression, &zones_);
    ASSERT_TRUE(calendar) << calendar.error().to_string();
    const TimeZonePtr local = zones_.find(each.zone);
    ASSERT_NE(local, nullptr) << each.zone;
    WallTime at = utc(each.from);
    for (const std::string& expected : each.times) {
      const auto next = next_elapse(*calendar, at, *local);
      ASSERT_TRUE(next) << expected;
      EXPECT_GT(*next, at);
      EXPECT_EQ(text(*next), expected);
      at = *next;
    }
    if (each.times.empty()) {
      EXPECT_FALSE(next_elapse(*calendar, at, *local));
    }
  }
}

TEST_F(CalendarTest, HasANormalisedFormThatMeansTheSame) {
  for (const Expectation& each : kExpectations) {
    SCOPED_TRACE(each.expression);
    const auto calendar = parse_calendar(each.expression, &zones_);
    ASSERT_TRUE(calendar);
    EXPECT_EQ(format_calendar(*calendar), each.normalised);
    const auto again = parse_calendar(each.normalised, &zones_);
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(format_calendar(*again), each.normalised);
  }
}

TEST_F(CalendarTest, RefusesWhatSystemdRefuses) {
  for (const char* const each : kRefused) {
    EXPECT_FALSE(parse_calendar(each, &zones_)) << each;
  }
}

TEST_F(CalendarTest, SaysWhichPartIsWrong) {
  const auto said = [this](std::string_view expression) {
    const auto calendar = parse_calendar(expression, &zones_);
    return calendar ? "fine" : calendar.error().message();
  };
  EXPECT_THAT(said("*-13-01"), HasSubstr("the month is out of range"));
  EXPECT_THAT(said("10:00 Nowhere/City"), HasSubstr("no time zone 'Nowhere/City'"));
  EXPECT_THAT(said("Foo 10:00"), HasSubstr("'Foo' is no day of the week"));
  EXPECT_THAT(said("10"), HasSubstr("HOUR:MINUTE"));
  EXPECT_THAT(said("*:*/10"), HasSubstr("'/10' is too much"));
}

TEST_F(CalendarTest, TakesTheDateAndTimeOfIso8601) {
  const auto calendar = parse_calendar("2023-10-01T10:00:05", &zones_);
  ASSERT_TRUE(calendar);
  EXPECT_EQ(format_calendar(*calendar), "2023-10-01 10:00:05");
}

TEST_F(CalendarTest, KnowsOnlyUtcWithoutZones) {
  EXPECT_TRUE(parse_calendar("daily UTC", nullptr));
  EXPECT_FALSE(parse_calendar("daily Europe/Berlin", nullptr));
}

TEST(TimeZone, ShowsWhatItsTransitionsSay) {
  const auto zone = TimeZone::parse(zone_file("UTC0", {{1000, 3600}, {5000, -7200}}));
  ASSERT_TRUE(zone);
  const auto shown = [&zone](std::int64_t at) {
    const auto civil = zone->to_civil(WallTime(std::chrono::seconds(at)));
    return std::chrono::floor<std::chrono::seconds>(civil.time_since_epoch()).count();
  };
  EXPECT_EQ(shown(999), 999);
  EXPECT_EQ(shown(1000), 4600);
  EXPECT_EQ(shown(4999), 8599);
  EXPECT_EQ(shown(5000), 5000);  // what the footer says holds behind the last one
}

TEST(TimeZone, FindsTheFirstOfTwoMomentsAndNoneInAGap) {
  const auto zone = TimeZone::parse(zone_file("CET-1CEST,M3.5.0,M10.5.0/3", {}));
  ASSERT_TRUE(zone);
  const auto moment = [&zone](const char* civil) {
    const auto at = zone->from_civil(CivilTime(utc(civil).time_since_epoch()));
    return at ? text(*at) : "none";
  };
  EXPECT_EQ(moment("2023-03-26 01:59:59"), "2023-03-26 00:59:59");
  EXPECT_EQ(moment("2023-03-26 02:00:00"), "none");
  EXPECT_EQ(moment("2023-03-26 02:59:59"), "none");
  EXPECT_EQ(moment("2023-03-26 03:00:00"), "2023-03-26 01:00:00");
  EXPECT_EQ(moment("2023-10-29 02:30:00"), "2023-10-29 00:30:00");
  EXPECT_EQ(moment("2023-10-29 03:00:00"), "2023-10-29 02:00:00");
}

TEST(TimeZone, ReadsEveryFormOfRule) {
  const auto offset = [](std::string_view rule, const char* at) -> std::int64_t {
    const auto parsed = ZoneRule::parse(rule);
    EXPECT_TRUE(parsed) << rule;
    if (!parsed) return -1;
    return parsed->offset_at(
        std::chrono::floor<std::chrono::seconds>(utc(at).time_since_epoch()).count());
  };
  EXPECT_EQ(offset("<+0330>-3:30", "2023-01-01 00:00:00"), 12600);
  EXPECT_EQ(offset("EST5EDT,M3.2.0,M11.1.0", "2023-07-01 00:00:00"), -14400);
  EXPECT_EQ(offset("EST5EDT,M3.2.0,M11.1.0", "2023-01-01 00:00:00"), -18000);
  EXPECT_EQ(offset("NZST-12NZDT,M9.5.0,M4.1.0/3", "2023-01-01 00:00:00"), 46800);
  EXPECT_EQ(offset("IST-1GMT0,M10.5.0,M3.5.0/1", "2023-01-01 00:00:00"), 0);
  EXPECT_EQ(offset("AAA0BBB,J60,J61", "2024-03-01 12:00:00"), 3600);
  EXPECT_EQ(offset("AAA0BBB,59,60", "2024-02-29 12:00:00"), 3600);
  EXPECT_EQ(offset("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2023-07-01 00:00:00"), -3600);
  for (const char* const bad : {"", "CET", "CET-1CEST", "CET-1CEST,M13.1.0,M10.5.0",
                                "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1"}) {
    EXPECT_FALSE(ZoneRule::parse(bad)) << bad;
  }
}

TEST(TimeZone, GarbageIsNoZone) {
  const std::string good = zone_file("UTC0", {{1000, 3600}});
  ASSERT_TRUE(TimeZone::parse(good));
  for (std::size_t length = 0; length + 2 < good.size(); ++length) {
    EXPECT_FALSE(TimeZone::parse(std::string_view(good).substr(0, length))) << length;
  }
  EXPECT_FALSE(TimeZone::parse(zone_file("what", {})));
}

TEST(TimeZone, TheLocalOneComesFromTheVariableOrTheLink) {
  MemorySource files;
  add_zone_files(files);
  const TimeZones zones(files);
  EXPECT_EQ(zones.local(":Europe/Berlin"), zones.find("Europe/Berlin"));
  EXPECT_EQ(zones.local(""), zones.find("UTC"));
  files.add_link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
  EXPECT_NE(zones.local(""), zones.find("UTC"));
  EXPECT_EQ(zones.find("../../../etc/passwd"), nullptr);
}

}  // namespace
}  // namespace pidward::unit
