// Restart= against every cause, its lists, its delays, its limits.
#include <csignal>

#include "engine/service/harness.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine::testing {
namespace {

using unit::RestartPolicy;

enum class Cause {
  clean_code,
  clean_signal,
  unclean_code,
  unclean_signal,
  core_dump,
  timeout,
  watchdog
};

/// Brings a service up and ends it by `cause`, down to the last process.
void end_by(Service& service, Cause cause) {
  const ProcessId main = service.bring_up();
  switch (cause) {
    case Cause::clean_code:
      service.exit(main, code(0));
      break;
    case Cause::clean_signal:
      service.exit(main, killed(SIGTERM));
      break;
    case Cause::unclean_code:
      service.exit(main, code(1));
      break;
    case Cause::unclean_signal:
      service.exit(main, killed(SIGKILL));
      break;
    case Cause::core_dump:
      service.exit(main, dumped(SIGSEGV));
      break;
    case Cause::timeout:
      service.fire(TimerKind::runtime_max);
      service.exit(main, killed(SIGTERM));
      break;
    case Cause::watchdog:
      service.fire(TimerKind::watchdog);
      service.exit(main, dumped(SIGABRT));
      break;
  }
  service.empty();
}

TEST(ServiceRestart, EveryPolicyAnswersEveryCauseAsDocumented) {
  struct Row {
    Cause cause;
    // no, on-success, on-failure, on-abnormal, on-watchdog, on-abort, always
    std::array<bool, 7> restarts;
  };
  constexpr std::array<Row, 7> kRows{{
      {Cause::clean_code, {false, true, false, false, false, false, true}},
      {Cause::clean_signal, {false, true, false, false, false, false, true}},
      {Cause::unclean_code, {false, false, true, false, false, false, true}},
      {Cause::unclean_signal, {false, false, true, true, false, true, true}},
      {Cause::core_dump, {false, false, true, true, false, true, true}},
      {Cause::timeout, {false, false, true, true, false, false, true}},
      {Cause::watchdog, {false, false, true, true, true, false, true}},
  }};
  for (const Row& row : kRows) {
    for (std::size_t policy = 0; policy < row.restarts.size(); ++policy) {
      Service service;
      service.set(Directive::Restart, static_cast<std::int64_t>(policy));
      service.set(Directive::RuntimeMaxSec, Duration(minutes(5)));
      service.set(Directive::WatchdogSec, Duration(minutes(1)));
      end_by(service, row.cause);
      EXPECT_EQ(service.state() == ServiceState::auto_restart, row.restarts[policy])
          << "cause " << static_cast<int>(row.cause)
          << ", Restart=" << unit::kRestartPolicyNames[policy];
    }
  }
}

TEST(ServiceRestart, AStopByAPersonIsNeverUndone) {
  for (const bool kills_badly : {false, true}) {
    Service service;
    service.choose(Directive::Restart, RestartPolicy::always);
    const ProcessId main = service.bring_up();
    service.stop();
    service.exit(main, kills_badly ? killed(SIGKILL) : killed(SIGTERM));
    service.empty();
    EXPECT_EQ(service.state(), kills_badly ? ServiceState::failed : ServiceState::dead);
    EXPECT_FALSE(service.context.armed(TimerKind::restart));
  }
}

TEST(ServiceRestart, TheListsOfExitStatusesOverrideThePolicy) {
  Service prevented;
  prevented.choose(Directive::Restart, RestartPolicy::always);
  prevented.set(Directive::RestartPreventExitStatus,
                unit::ExitStatusSet{.codes = {3}, .signals = {SIGABRT}});
  prevented.exit(prevented.bring_up(), code(3));
  prevented.empty();
  EXPECT_EQ(prevented.state(), ServiceState::failed);
  Service forced;
  forced.set(Directive::RestartForceExitStatus,
             unit::ExitStatusSet{.codes = {4}, .signals = {SIGUSR1}});
  forced.exit(forced.bring_up(), killed(SIGUSR1));
  forced.empty();
  EXPECT_EQ(forced.state(), ServiceState::auto_restart);
}

TEST(ServiceRestart, SuccessExitStatusMakesAnEndClean) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::on_failure);
  service.set(Directive::SuccessExitStatus,
              unit::ExitStatusSet{.codes = {75}, .signals = {SIGKILL}});
  service.exit(service.bring_up(), code(75));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceRestart, ASkippedStartIsNotRepeated) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.commands(Directive::ExecCondition, 1);
  service.start();
  service.run_command(code(1));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceRestart, AOneshotThatEndedWellIsNotRestarted) {
  Service service(ServiceType::oneshot);
  service.choose(Directive::Restart, RestartPolicy::always);
  service.start();
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceRestart, ForcedOrNotAOneshotThatEndedWellIsNotRestarted) {
  Service service(ServiceType::oneshot);
  service.set(Directive::RestartForceExitStatus, unit::ExitStatusSet{.codes = {0}, .signals = {}});
  service.start();
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceRestart, ARestartIsAJobAndIsCounted) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.exit(service.bring_up(), code(0));
  service.empty();
  EXPECT_EQ(service.context.state, ActiveState::activating);
  EXPECT_GT(service.status().restart_at, service.context.now_.mono);
  service.fire(TimerKind::restart);
  ASSERT_EQ(service.context.requests.size(), 1U);
  EXPECT_EQ(service.context.requests[0].second, JobType::restart);
  EXPECT_EQ(service.status().restarts, 1U);
  service.stop(JobType::restart);  // its first half
  EXPECT_EQ(service.state(), ServiceState::dead);
  service.start();
  service.spawned();
  EXPECT_EQ(service.status().restarts, 1U);
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceRestart, AStartByAPersonBeginsToCountAnew) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.exit(service.bring_up(), code(0));
  service.empty();
  service.fire(TimerKind::restart);
  service.stop(JobType::restart);
  service.exit((service.start(), service.spawned()), code(0));
  service.empty();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::dead);
  service.bring_up();
  EXPECT_EQ(service.status().restarts, 0U);
}

TEST(ServiceRestart, AStartDuringTheDelayCutsItShort) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.set(Directive::RestartSec, Duration(minutes(10)));
  service.exit(service.bring_up(), code(0));
  service.empty();
  EXPECT_EQ(service.start().kind, StartOutcome::Kind::later);
  EXPECT_EQ(service.context.armed(TimerKind::restart), service.context.now_.mono);
}

TEST(ServiceRestart, AStopDuringTheDelayIsFinal) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.exit(service.bring_up(), code(0));
  service.empty();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_FALSE(service.context.armed(TimerKind::restart));
  EXPECT_EQ(service.status().restart_at, MonoTime{});
}

TEST(ServiceRestart, PassesThroughFailedOrSkipsItAsRestartModeSays) {
  Service normal;
  normal.choose(Directive::Restart, RestartPolicy::on_failure);
  normal.exit(normal.bring_up(), code(1));
  normal.empty();
  const auto& changes = normal.context.changes;
  ASSERT_GE(changes.size(), 2U);
  EXPECT_EQ(changes[changes.size() - 2].first, ActiveState::failed);
  EXPECT_TRUE(changes[changes.size() - 2].second.will_restart);
  Service direct;
  direct.choose(Directive::Restart, RestartPolicy::on_failure);
  direct.choose(Directive::RestartMode, unit::RestartMode::direct);
  direct.exit(direct.bring_up(), code(1));
  direct.empty();
  for (const auto& [state, flags] : direct.context.changes) {
    EXPECT_FALSE(is_inactive_or_failed(state));
  }
  EXPECT_FALSE(direct.machine.starts_afresh()) << "the delay is not over";
  direct.fire(TimerKind::restart);
  EXPECT_TRUE(direct.machine.starts_afresh());
  EXPECT_EQ(direct.context.requests.back().second, JobType::start);
  EXPECT_EQ(direct.start().kind, StartOutcome::Kind::begun);
  direct.spawned();
  EXPECT_EQ(direct.state(), ServiceState::running);
  EXPECT_EQ(direct.status().restarts, 1U);
}

TEST(ServiceRestart, ARestartThatCannotBeScheduledFails) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.exit(service.bring_up(), code(0));
  service.empty();
  service.context.refuse_requests = true;
  service.fire(TimerKind::restart);
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::resources);
}

TEST(ServiceRestart, TheStartLimitEndsItInFailed) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.exit(service.bring_up(), code(0));
  service.empty();
  service.machine.start_limit_hit(service.context);
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::start_limit_hit);
  service.machine.reset_failed(service.context);
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
}

TEST(ServiceRestart, SaysHowManyTriesAreLeftAndWhenTheNextOneIs) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::always);
  service.set(Directive::RestartSec, Duration(seconds(2)));
  service.context.tries_left = 3;
  service.exit(service.bring_up(), code(0));
  service.empty();
  const auto& logs = service.context.logs;
  const auto said = std::find_if(logs.begin(), logs.end(), [](const LogRecord& record) {
    return record.id == "service-restart-scheduled";
  });
  ASSERT_NE(said, logs.end());
  EXPECT_NE(said->message.find("3 tries left"), std::string::npos) << said->message;
  EXPECT_NE(said->message.find("2s"), std::string::npos) << said->message;
  EXPECT_EQ(service.status().restart_at, service.context.now_.mono + Duration(seconds(2)));
}

TEST(ServiceRestart, TheDelayGrowsInStepsToItsMaximum) {
  unit::Settings settings;
  settings.set(Directive::RestartSec, Duration(seconds(1)));
  settings.set(Directive::RestartMaxDelaySec, Duration(seconds(16)));
  settings.set(Directive::RestartSteps, std::uint64_t{4});
  const EngineConfig config;
  const auto near = [&](std::uint32_t nth, Duration expected) {
    const Duration off = restart_delay(settings, config, nth) - expected;
    return off > -Duration(milliseconds(1)) && off < Duration(milliseconds(1));
  };
  EXPECT_TRUE(near(1, seconds(1)));
  EXPECT_TRUE(near(2, seconds(2)));
  EXPECT_TRUE(near(3, seconds(4)));
  EXPECT_TRUE(near(4, seconds(8)));
  EXPECT_TRUE(near(5, seconds(16)));
  EXPECT_TRUE(near(1000, seconds(16)));
}

TEST(ServiceRestart, TheDelayStaysWithoutStepsOrMaximum) {
  unit::Settings settings;
  settings.set(Directive::RestartSec, Duration(seconds(1)));
  const EngineConfig config;
  EXPECT_EQ(restart_delay(settings, config, 50), Duration(seconds(1)));
  settings.set(Directive::RestartSteps, std::uint64_t{4});
  EXPECT_EQ(restart_delay(settings, config, 50), Duration(seconds(1)));
  EXPECT_EQ(restart_delay(unit::Settings{}, config, 1), config.default_restart);
}

TEST(ServiceRestart, AnEndThatNobodyCanTellCountsAsAGoodOne) {
  Service service;
  service.choose(Directive::Restart, RestartPolicy::on_failure);
  service.exit(service.bring_up(), ExitStatus{});
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

}  // namespace
}  // namespace pidward::engine::testing
