// Stamps of timers, and the zone of this system.
#include "runtime/wall_clock.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "runtime/timer_stamps.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::runtime {
namespace {

TEST(TimerStamps, AreReadAsTheyWereWritten) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("state/timers/stamp-a.timer");
  auto never = read_timer_stamp(path);
  ASSERT_TRUE(never);
  EXPECT_EQ(*never, WallTime{});
  const WallTime at{Duration(1'700'000'000'123'456)};
  ASSERT_TRUE(write_timer_stamp(path, at));
  EXPECT_EQ(*read_timer_stamp(path), at);
  ASSERT_TRUE(write_timer_stamp(path, at + Duration(1)));
  EXPECT_EQ(*read_timer_stamp(path), at + Duration(1));
}

TEST(TimerStamps, AFileInTheWayIsAnErrorThatNamesIt) {
  const test::TemporaryDirectory directory;
  directory.write("timers", "");
  const Status stored = write_timer_stamp(directory.path("timers/stamp-a.timer"), WallTime{});
  ASSERT_FALSE(stored);
  EXPECT_NE(stored.error().message().find("timers"), std::string::npos);
}

TEST(LocalZone, IsAlwaysThere) {
  EXPECT_NE(read_local_zone(), nullptr);
}

}  // namespace
}  // namespace pidward::runtime
