// Where in its window a timer elapses, and by how much it is put off.
#include "engine/timer/rules.hpp"

#include <gtest/gtest.h>

#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(TimerWindow, HoldsTheMomentAndIsNotLeft) {
  for (const std::uint64_t seed :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{12345678}, UINT64_MAX}) {
    for (const Duration accuracy : {Duration(0), Duration(1), Duration(milliseconds(300)),
                                    Duration(seconds(15)), Duration(minutes(1)), kInfinity}) {
      for (const Duration at : {Duration(0), Duration(1), Duration(123'456'789), kInfinity}) {
        const Duration placed = place_in_window(at, accuracy, seed);
        EXPECT_GE(placed, at);
        EXPECT_LE(placed, saturating_add(at, accuracy));
      }
    }
  }
}

TEST(TimerWindow, TimersOfOneMachineMeetInIt) {
  const Duration first = place_in_window(seconds(1003), minutes(1), 77);
  EXPECT_EQ(place_in_window(seconds(1001), minutes(1), 77), first);
  EXPECT_EQ(first.count() % Duration(minutes(1)).count(), 77);
  EXPECT_EQ(place_in_window(seconds(1003), Duration(1), 77), seconds(1003));
}

class RandomDelay : public EngineTest {
 protected:
  static EngineConfig with_random() {
    EngineConfig config;
    config.random = [state = std::uint64_t{1}]() mutable {
      return state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    };
    return config;
  }
  RandomDelay() : EngineTest(with_random()) {}

  Duration delay_of_a_start(bool fixed) {
    const std::vector<unit::Trigger> triggers{{"OnActiveSec", hours(1), {}, {}}};
    add({SpecBuilder("a.timer")
             .with(Dependency::Triggers, "a.service")
             .set(unit::kTimerStore, triggers)
             .set(Directive::AccuracySec, Duration(1))
             .set(Directive::FixedRandomDelay, fixed)
             .set(Directive::RandomizedDelaySec, Duration(minutes(10))),
         SpecBuilder("a.service")});
    start("a.timer");
    const Duration delay = armed("a.timer", TimerKind::trigger)->at - now_.mono - hours(1);
    stop("a.timer");
    return delay;
  }
};

TEST_F(RandomDelay, IsAnotherOneEachTimeAndLessThanTheSetting) {
  const Duration first = delay_of_a_start(false);
  EXPECT_GE(first, Duration::zero());
  EXPECT_LT(first, minutes(10));
  EXPECT_NE(delay_of_a_start(false), first);
}

TEST_F(RandomDelay, IsAlwaysTheSameWhenItIsFixed) {
  const Duration first = delay_of_a_start(true);
  EXPECT_LT(first, minutes(10));
  EXPECT_EQ(delay_of_a_start(true), first);
  EXPECT_NE(stable_number("a.timer", 1), stable_number("b.timer", 1));
  EXPECT_NE(stable_number("a.timer", 1), stable_number("a.timer", 2));
}

}  // namespace
}  // namespace pidward::engine::testing
