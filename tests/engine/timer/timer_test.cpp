// Timer units in the whole engine: what they wait for, and what they do when it comes.
#include "engine/core/harness.hpp"
#include "unit/calendar/calendar.hpp"

namespace pidward::engine::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Build = SpecBuilder;

// 2023-11-14 22:13:20 UTC, a Tuesday.
constexpr WallTime kNow{seconds(1'700'000'000)};

unit::Trigger calendar(const char* expression) {
  auto parsed = unit::parse_calendar(expression, nullptr);
  EXPECT_TRUE(parsed) << expression;
  return {"OnCalendar", {}, expression, std::make_shared<const unit::Calendar>(*std::move(parsed))};
}
unit::Trigger after(const char* base, Duration span) {
  return {base, span, {}, {}};
}

EngineConfig at_start() {
  EngineConfig config;
  config.startup = MonoTime(seconds(900));
  return config;
}

class Timers : public EngineTest {
 protected:
  Timers() : EngineTest(at_start()) { now_.wall = kNow; }

  SpecBuilder timer(std::vector<unit::Trigger> triggers) {
    return Build("a.timer")
        .with(Dependency::Triggers, "a.service")
        .set(unit::kTimerStore, std::move(triggers))
        .set(Directive::AccuracySec, Duration(1));
  }
  void start_timer(const SpecBuilder& spec) {
    add({spec, Build("a.service")});
    EXPECT_EQ(result(start("a.timer")), JobResult::done);
  }
  std::string_view sub() { return engine_.status(id("a.timer")).sub; }
  const TimerStatus& status() { return *engine_.status(id("a.timer")).timer; }
};

TEST_F(Timers, ACalendarTimerWaitsForItsNextTimeOnTheWallClock) {
  start_timer(timer({calendar("hourly UTC")}));
  EXPECT_EQ(sub(), "waiting");
  EXPECT_FALSE(is_active("a.service"));
  const auto armed = this->armed("a.timer", TimerKind::calendar);
  ASSERT_TRUE(armed);
  EXPECT_EQ(armed->wall, kNow + minutes(46) + seconds(40));
  EXPECT_EQ(armed->at, now_.mono + minutes(46) + seconds(40));
  EXPECT_EQ(status().next_calendar, armed->wall);
  EXPECT_EQ(status().next_monotonic, MonoTime{});
  EXPECT_TRUE(clock_watchers_.contains(id("a.timer")));

  elapse("a.timer", TimerKind::calendar);
  EXPECT_EQ(sub(), "running");
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(status().last_trigger.wall, now_.wall);
  EXPECT_EQ(status().next_calendar, WallTime{});
  exit_main("a.service", 0);
  EXPECT_EQ(sub(), "waiting");
  EXPECT_EQ(this->armed("a.timer", TimerKind::calendar)->wall, now_.wall + hours(1));
  stop("a.timer");
  EXPECT_FALSE(is_armed("a.timer", TimerKind::calendar));
  EXPECT_TRUE(clock_watchers_.empty());
}

TEST_F(Timers, TheUnitIsToldWhatTriggeredIt) {
  start_timer(timer({after("OnActiveSec", seconds(5))}));
  elapse("a.timer", TimerKind::trigger);
  EXPECT_EQ(environment_, (std::vector<std::string>{"TRIGGER_UNIT=a.timer",
                                                    "TRIGGER_TIMER_REALTIME_USEC=1700000005000000",
                                                    "TRIGGER_TIMER_MONOTONIC_USEC=1005000000"}));
}

TEST_F(Timers, ATimeThatPassedWhileTheUnitRanCountsOnce) {
  start_timer(timer({calendar("hourly UTC")}));
  elapse("a.timer", TimerKind::calendar);
  now_.wall += hours(5) + minutes(1);
  now_.mono += hours(5) + minutes(1);
  exit_main("a.service", 0);
  EXPECT_LE(*armed("a.timer", TimerKind::calendar)->wall, now_.wall);
  elapse("a.timer", TimerKind::calendar);
  exit_main("a.service", 0);
  EXPECT_GT(*armed("a.timer", TimerKind::calendar)->wall, now_.wall);
}

TEST_F(Timers, TheEarliestOfAllTriggersCounts) {
  start_timer(timer({calendar("hourly UTC"), after("OnActiveSec", seconds(7)),
                     calendar("*:0/30 UTC"), after("OnStartupSec", seconds(105))}));
  EXPECT_EQ(armed("a.timer", TimerKind::calendar)->wall, kNow + minutes(16) + seconds(40));
  EXPECT_EQ(armed("a.timer", TimerKind::trigger)->at, MonoTime(seconds(1005)));
  ASSERT_EQ(status().next_of_each.size(), 4U);
  EXPECT_EQ(status().next_of_each[1], seconds(1007));
  elapse("a.timer", TimerKind::trigger);
  EXPECT_FALSE(is_armed("a.timer", TimerKind::calendar));
}

TEST_F(Timers, OnBootSecCountsFromTheBeginningAndOnceOnly) {
  start_timer(timer({after("OnBootSec", seconds(60))}));
  EXPECT_LE(armed("a.timer", TimerKind::trigger)->at, now_.mono);
  elapse("a.timer", TimerKind::trigger);
  exit_main("a.service", 0);
  EXPECT_EQ(sub(), "elapsed");
}

TEST_F(Timers, ATimerThatElapsedGoesWithRemainAfterElapseOff) {
  start_timer(timer({after("OnActiveSec", seconds(5))}).set(Directive::RemainAfterElapse, false));
  elapse("a.timer", TimerKind::trigger);
  EXPECT_EQ(state("a.timer"), ActiveState::active);
  exit_main("a.service", 0);
  EXPECT_EQ(state("a.timer"), ActiveState::inactive);
}

TEST_F(Timers, OneThatNeverElapsesIsStartedAllTheSame) {
  start_timer(timer({calendar("2001-01-01 UTC")}));
  EXPECT_EQ(sub(), "elapsed");
  EXPECT_FALSE(is_active("a.service"));
  add({Build("b.timer")
           .with(Dependency::Triggers, "a.service")
           .set(unit::kTimerStore, std::vector{calendar("2001-01-01 UTC")})
           .set(Directive::RemainAfterElapse, false)});
  EXPECT_EQ(result(start("b.timer")), JobResult::done);
  EXPECT_EQ(state("b.timer"), ActiveState::inactive);
}

TEST_F(Timers, APersistentTimerMakesUpForWhatItMissed) {
  stamp_ = kNow - hours(30);
  start_timer(timer({calendar("daily UTC")}).set(Directive::Persistent, true));
  const auto due = armed("a.timer", TimerKind::calendar);
  ASSERT_TRUE(due);
  // Due since midnight: that counts as the manager's start, which is past as well.
  EXPECT_EQ(status().next_calendar, kNow - seconds(100));
  EXPECT_EQ(due->wall, kNow);
  elapse("a.timer", TimerKind::calendar);
  EXPECT_EQ(stamp_, now_.wall);
  exit_main("a.service", 0);
  EXPECT_GT(*armed("a.timer", TimerKind::calendar)->wall, now_.wall);
}

TEST_F(Timers, APersistentTimerThatNeverRanMissedNothing) {
  start_timer(timer({calendar("daily UTC")}).set(Directive::Persistent, true));
  EXPECT_EQ(stamp_, kNow);
  EXPECT_GT(*armed("a.timer", TimerKind::calendar)->wall, kNow);
}

TEST_F(Timers, AStampOfTheFutureIsIgnored) {
  stamp_ = kNow + hours(100);
  start_timer(timer({calendar("daily UTC")}).set(Directive::Persistent, true));
  EXPECT_LT(*armed("a.timer", TimerKind::calendar)->wall, kNow + hours(24));
  EXPECT_NE(logs().find("in the future"), std::string::npos);
}

TEST_F(Timers, AClockThatIsSetMovesWhatIsWaitedFor) {
  start_timer(timer({calendar("daily UTC")}));
  now_.wall += hours(48);
  handle(WallClockChanged{});
  // The midnights that were skipped are due.
  EXPECT_LE(*armed("a.timer", TimerKind::calendar)->wall, now_.wall);
  elapse("a.timer", TimerKind::calendar);
  exit_main("a.service", 0);
  now_.wall -= hours(240);
  handle(WallClockChanged{});
  EXPECT_LE(*armed("a.timer", TimerKind::calendar)->wall, now_.wall + hours(24));
}

TEST_F(Timers, OnClockChangeAndOnTimezoneChangeElapse) {
  start_timer(timer({}).set(Directive::OnClockChange, true));
  EXPECT_EQ(sub(), "waiting");
  handle(TimeZoneChanged{std::make_shared<const unit::TimeZone>()});
  EXPECT_EQ(sub(), "waiting");
  handle(WallClockChanged{});
  EXPECT_TRUE(is_active("a.service"));
  exit_main("a.service", 0);
  EXPECT_EQ(sub(), "waiting");

  add({Build("z.timer")
           .with(Dependency::Triggers, "z.service")
           .set(Directive::OnTimezoneChange, true),
       Build("z.service")});
  start("z.timer");
  handle(TimeZoneChanged{std::make_shared<const unit::TimeZone>()});
  EXPECT_TRUE(is_active("z.service"));
}

TEST_F(Timers, TheLocalZoneIsTheOneThatWasToldLast) {
  start_timer(timer({calendar("daily")}));
  EXPECT_EQ(armed("a.timer", TimerKind::calendar)->wall, kNow + minutes(106) + seconds(40));
  const auto zone = unit::TimeZone::parse(
      std::string("TZif1") + std::string(27, '\0') + std::string("\0\0\0\0\0\0\0\1\0\0\0\1", 12) +
      std::string("\0\0\x0e\x10\0\0\0", 7));  // always one hour ahead
  ASSERT_TRUE(zone);
  handle(TimeZoneChanged{std::make_shared<const unit::TimeZone>(*zone)});
  EXPECT_EQ(armed("a.timer", TimerKind::calendar)->wall, kNow + minutes(46) + seconds(40));
}

TEST_F(Timers, AReloadKeepsATimerWaitingForItsNewTime) {
  start_timer(timer({calendar("daily UTC")}));
  reload({timer({calendar("hourly UTC")}), Build("a.service")});
  EXPECT_EQ(armed("a.timer", TimerKind::calendar)->wall, kNow + minutes(46) + seconds(40));
}

}  // namespace
}  // namespace pidward::engine::testing
