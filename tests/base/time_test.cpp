#include "base/time.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace pidward {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Time, AddsWithoutOverflow) {
  EXPECT_EQ(saturating_add(Duration(1), Duration(2)), Duration(3));
  EXPECT_EQ(saturating_add(kInfinity, Duration(-5)), kInfinity);
  EXPECT_EQ(saturating_add(Duration(5), kInfinity), kInfinity);
  EXPECT_EQ(saturating_add(Duration::max() - Duration(1), Duration(1)), kInfinity);
  EXPECT_EQ(saturating_add(Duration::max() - Duration(1), Duration(7)), kInfinity);
}

TEST(Time, NeverGoesBelowZero) {
  EXPECT_EQ(saturating_add(Duration(1), Duration(-2)), Duration(0));
  EXPECT_EQ(saturating_add(MonoTime(Duration(3)), Duration(-9)), MonoTime(Duration(0)));
}

TEST(Time, AddsSpansToMoments) {
  EXPECT_EQ(saturating_add(MonoTime(seconds(3)), seconds(2)), MonoTime(seconds(5)));
  EXPECT_EQ(saturating_add(MonoTime(seconds(3)), kInfinity), MonoTime(kInfinity));
}

TEST(Time, IsInfiniteOnTheBusAsTheLargestNumber) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(to_bus_usec(kInfinity), kMost);
  EXPECT_EQ(to_bus_usec(Duration(-1)), 0U);
  EXPECT_EQ(to_bus_usec(seconds(1)), 1000000U);
  EXPECT_EQ(from_bus_usec(kMost), kInfinity);
  EXPECT_EQ(from_bus_usec(std::uint64_t{1} << 63U), kInfinity);
  EXPECT_EQ(from_bus_usec(25), Duration(25));
}

TEST(Time, WritesSpansAsSystemdDoes) {
  EXPECT_EQ(format_span(kInfinity), "infinity");
  EXPECT_EQ(format_span(Duration(0)), "0");
  EXPECT_EQ(format_span(seconds(90)), "1min 30s");
  EXPECT_EQ(format_span(hours(24 * 7 + 1)), "1w 1h");
  EXPECT_EQ(format_span(milliseconds(1500)), "1s 500ms");
  EXPECT_EQ(format_span(Duration(42)), "42us");
}

TEST(Time, LeavesOutWhatIsBelowTheAccuracy) {
  EXPECT_EQ(format_span(minutes(1) + Duration(7), seconds(1)), "1min");
}

TEST(Time, ShowsSomethingEvenIfAllOfItIsBelowTheAccuracy) {
  EXPECT_EQ(format_span(milliseconds(3), seconds(1)), "3ms");
}

}  // namespace
}  // namespace pidward
