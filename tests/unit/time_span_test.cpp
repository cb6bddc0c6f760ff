#include "unit/time_span.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace pidward::unit {
namespace {

using namespace std::chrono_literals;

Duration span(std::string_view text) {
  auto parsed = parse_time_span(text);
  EXPECT_TRUE(parsed.has_value()) << text << ": " << (parsed ? "" : parsed.error().message());
  return parsed ? *parsed : Duration(-1);
}

std::string complaint(std::string_view text) {
  auto parsed = parse_time_span(text);
  EXPECT_FALSE(parsed.has_value()) << text;
  return parsed ? "" : parsed.error().message();
}

TEST(TimeSpan, ReadsTheExamplesOfTheManualPage) {
  EXPECT_EQ(span("2 h"), 2h);
  EXPECT_EQ(span("2hours"), 2h);
  EXPECT_EQ(span("48hr"), 48h);
  EXPECT_EQ(span("1y 12month"), Duration(std::chrono::seconds(31557600 + 12 * 2629800)));
  EXPECT_EQ(span("55s500ms"), 55500ms);
  EXPECT_EQ(span("300ms20s 5day"), 300ms + 20s + 120h);
}

TEST(TimeSpan, CountsABareNumberInTheDefaultUnit) {
  EXPECT_EQ(span("50"), 50s);
  EXPECT_EQ(*parse_time_span("50", Duration(1)), 50us);
  EXPECT_EQ(span("0"), 0s);
}

TEST(TimeSpan, KnowsEveryUnit) {
  for (const char* unit : {"us", "usec", "\u00b5s", "\u03bcs"})
    EXPECT_EQ(span(std::string("3") + unit), 3us) << unit;
  for (const char* unit : {"ms", "msec"}) EXPECT_EQ(span(std::string("3") + unit), 3ms) << unit;
  for (const char* unit : {"s", "sec", "second", "seconds"})
    EXPECT_EQ(span(std::string("3") + unit), 3s) << unit;
  for (const char* unit : {"m", "min", "minute", "minutes"})
    EXPECT_EQ(span(std::string("3") + unit), 3min) << unit;
  for (const char* unit : {"h", "hr", "hour", "hours"})
    EXPECT_EQ(span(std::string("3") + unit), 3h) << unit;
  for (const char* unit : {"d", "day", "days"})
    EXPECT_EQ(span(std::string("3") + unit), 72h) << unit;
  for (const char* unit : {"w", "week", "weeks"})
    EXPECT_EQ(span(std::string("3") + unit), 504h) << unit;
  EXPECT_EQ(span("1M"), span("1month"));
  EXPECT_NE(span("1M"), span("1m"));
}

TEST(TimeSpan, ReadsFractions) {
  EXPECT_EQ(span("1.5s"), 1500ms);
  EXPECT_EQ(span("+1.5s"), 1500ms);
  EXPECT_EQ(span("1.5 .5s"), 2000ms);
  EXPECT_EQ(span("1.5s.5"), 2000ms);
  EXPECT_EQ(span(".5h"), 30min);
  EXPECT_EQ(span("0.000001"), 1us);
}

TEST(TimeSpan, KnowsInfinity) {
  EXPECT_EQ(span("infinity"), kInfinity);
  EXPECT_EQ(span("  infinity "), kInfinity);
}

TEST(TimeSpan, SaysWhatIsWrong) {
  EXPECT_NE(complaint("5parsecs").find("'parsecs'"), std::string::npos);
  EXPECT_NE(complaint("-5s").find("negative"), std::string::npos);
  EXPECT_NE(complaint("").find("a number is expected"), std::string::npos);
  EXPECT_NE(complaint("s").find("a number is expected"), std::string::npos);
  EXPECT_NE(complaint("5s -1s").find("negative"), std::string::npos);
  EXPECT_NE(complaint("1.").find("a number is expected"), std::string::npos);
  EXPECT_NE(complaint("infinity 5s").find("a number is expected"), std::string::npos);
  EXPECT_NE(complaint("1.5.5s").find("a unit is expected"), std::string::npos);
  EXPECT_NE(complaint("+s").find("a number is expected"), std::string::npos);
  EXPECT_NE(complaint("5ns").find("'ns'"), std::string::npos);
}

TEST(TimeSpan, RefusesWhatDoesNotFit) {
  EXPECT_NE(complaint("9999999999999999999999s").find("longer"), std::string::npos);
  EXPECT_NE(complaint("18446744073709551615y").find("longer"), std::string::npos);
  EXPECT_NE(complaint("18446744073709551615s").find("longer"), std::string::npos);
  EXPECT_EQ(span("9223372036854775806us"), Duration(9223372036854775806));
  EXPECT_NE(complaint("9223372036854775807us").find("longer"), std::string::npos);
}

TEST(TimeSpan, ReadsNanoseconds) {
  EXPECT_EQ(*parse_nanoseconds("50"), 50U);
  EXPECT_EQ(*parse_nanoseconds("50us 3ns"), 50003U);
  EXPECT_EQ(*parse_nanoseconds("infinity"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_FALSE(parse_nanoseconds("1000y").has_value());
}

TEST(TimeSpan, ReadsBackWhatIsWritten) {
  for (const Duration each :
       {Duration(0), Duration(1), Duration(1500), Duration(90s), Duration(25h + 3s), kInfinity}) {
    EXPECT_EQ(span(format_span(each)), each);
  }
}

}  // namespace
}  // namespace pidward::unit
