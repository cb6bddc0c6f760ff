// The way down: ExecStop=, KillMode= in every stage, timeouts, what is left behind.
#include <csignal>

#include "engine/service/harness.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine::testing {
namespace {

using unit::KillMode;
using unit::TimeoutFailureMode;

TEST(ServiceStop, EndsWithTheLastProcessAndNotWithTheTimeout) {
  Service service;
  const ProcessId main = service.bring_up();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  EXPECT_TRUE(service.last_kill().also_continue);
  service.exit(main, killed(SIGTERM));
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm) << "others may still be there";
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
  EXPECT_EQ(service.context.all<KillProcesses>().size(), 1U) << "nobody is signalled twice";
  EXPECT_EQ(service.context.all<CleanUp>().size(), 1U);
}

TEST(ServiceStop, AnEmptyUnitToldBeforeTheExitIsAskedAboutAgain) {
  Service service;
  const ProcessId main = service.bring_up();
  service.stop();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  service.exit(main, killed(SIGTERM));
  EXPECT_EQ(service.context.all<WatchEmpty>().size(), 1U);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceStop, RunsExecStopThenSignalsThenExecStopPost) {
  Service service;
  service.commands(Directive::ExecStop, 2).commands(Directive::ExecStopPost, 1);
  const ProcessId main = service.bring_up();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::stop);
  EXPECT_EQ(service.last_spawn().main_process, main);
  service.run_command();
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  service.exit(main, code(0));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::stop_post);
  const std::vector<std::string> expected{"SERVICE_RESULT=success", "EXIT_CODE=exited",
                                          "EXIT_STATUS=0"};
  EXPECT_EQ(service.last_spawn().environment, expected);
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceStop, ExecStopRunsAfterACrashToo) {
  Service service;
  service.commands(Directive::ExecStop, 1);
  service.exit(service.bring_up(), killed(SIGSEGV));
  EXPECT_EQ(service.state(), ServiceState::stop);
  const std::vector<std::string> expected{"SERVICE_RESULT=signal", "EXIT_CODE=killed",
                                          "EXIT_STATUS=SEGV"};
  EXPECT_EQ(service.last_spawn().environment, expected);
  EXPECT_FALSE(service.last_spawn().main_process);
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
}

TEST(ServiceStop, AFailingExecStopSkipsTheRestAndFailsTheService) {
  Service service;
  service.commands(Directive::ExecStop, 2);
  const ProcessId main = service.bring_up();
  service.stop();
  service.run_command(code(1));
  EXPECT_EQ(service.spawns(Directive::ExecStop), 1U);
  service.exit(main, code(0));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::exit_code);
}

TEST(ServiceStop, KillModeChoosesWhomEachStageSignals) {
  struct Row {
    KillMode mode;
    KillWhom polite;
    KillWhom hard;
  };
  for (const Row& row :
       {Row{KillMode::control_group, KillWhom::all, KillWhom::all},
        Row{KillMode::mixed, KillWhom::main_and_control, KillWhom::all},
        Row{KillMode::process, KillWhom::main_and_control, KillWhom::main_and_control}}) {
    Service service;
    service.choose(Directive::KillMode, row.mode);
    service.bring_up();
    service.stop();
    EXPECT_EQ(service.last_kill().whom, row.polite);
    EXPECT_EQ(service.last_kill().signal, SIGTERM);
    service.fire(TimerKind::operation);
    EXPECT_EQ(service.state(), ServiceState::stop_sigkill);
    EXPECT_EQ(service.last_kill().whom, row.hard);
    EXPECT_EQ(service.last_kill().signal, SIGKILL);
    EXPECT_FALSE(service.last_kill().also_continue);
  }
}

TEST(ServiceStop, MixedKillsTheRestAsSoonAsTheMainProcessIsGone) {
  Service service;
  service.choose(Directive::KillMode, KillMode::mixed);
  const ProcessId main = service.bring_up();
  service.stop();
  service.exit(main, code(0));
  EXPECT_EQ(service.state(), ServiceState::stop_sigkill);
  EXPECT_EQ(service.last_kill().whom, KillWhom::all);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
}

TEST(ServiceStop, ProcessWaitsForTheMainProcessAloneAndSaysWhatIsLeft) {
  Service service;
  service.choose(Directive::KillMode, KillMode::process);
  const ProcessId main = service.bring_up();
  service.stop();
  service.exit(main, code(0));
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_TRUE(service.context.logged("service-left-behind"));
}

TEST(ServiceStop, KillModeNoneKillsNobodyAndSaysSo) {
  Service service;
  service.choose(Directive::KillMode, KillMode::none);
  service.bring_up();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_TRUE(service.context.all<KillProcesses>().empty());
  EXPECT_TRUE(service.context.logged("service-left-behind"));
}

TEST(ServiceStop, SignalsAreTheConfiguredOnes) {
  Service service;
  service.set(Directive::KillSignal, std::int64_t{SIGQUIT});
  service.set(Directive::RestartKillSignal, std::int64_t{SIGUSR2});
  service.set(Directive::FinalKillSignal, std::int64_t{SIGABRT});
  service.set(Directive::SendSIGHUP, true);
  service.bring_up();
  service.stop(JobType::restart);
  EXPECT_EQ(service.last_kill().signal, SIGUSR2);
  EXPECT_TRUE(service.last_kill().also_hangup);
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.last_kill().signal, SIGABRT);
  EXPECT_FALSE(service.last_kill().also_hangup);
  Service other;
  other.set(Directive::KillSignal, std::int64_t{SIGQUIT});
  other.set(Directive::RestartKillSignal, std::int64_t{SIGUSR2});
  other.bring_up();
  other.stop();
  EXPECT_EQ(other.last_kill().signal, SIGQUIT);
}

TEST(ServiceStop, TheWholeChainWithAProcessThatNeverEnds) {
  Service service;
  service.commands(Directive::ExecStop, 1).commands(Directive::ExecStopPost, 1);
  service.set(Directive::TimeoutStopSec, Duration(seconds(3)));
  service.bring_up();
  service.stop();
  service.spawned();
  std::vector<ServiceState> seen{service.state()};
  while (!is_inactive_or_failed(service.context.state) && seen.size() < 20) {
    EXPECT_EQ(service.context.armed(TimerKind::operation),
              service.context.now_.mono + Duration(seconds(3)));
    service.fire(TimerKind::operation);
    seen.push_back(service.state());
  }
  using enum ServiceState;
  // ExecStopPost= cannot run beside the ExecStop= process that will not end.
  const std::vector<ServiceState> expected{stop,          stop_sigterm,  stop_sigkill,
                                           final_sigterm, final_sigkill, failed};
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(service.result(), ServiceResult::timeout);
  EXPECT_TRUE(service.context.logged("service-stop-post-skipped"));
}

TEST(ServiceStop, ExecStopPostHasItsTimeoutAndItsFinalStages) {
  Service service;
  service.commands(Directive::ExecStopPost, 1);
  service.exit(service.bring_up(), code(0));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::stop_post);
  const ProcessId post = service.spawned();
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::final_sigterm);
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::final_sigkill);
  service.exit(post, killed(SIGKILL));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::timeout);
}

TEST(ServiceStop, TimeoutStopFailureModeChoosesWhatFollows) {
  const auto after = [](TimeoutFailureMode mode, bool exec_stop) {
    Service service;
    service.choose(Directive::TimeoutStopFailureMode, mode);
    if (exec_stop) service.commands(Directive::ExecStop, 1);
    service.bring_up();
    service.stop();
    if (exec_stop) service.spawned();
    service.fire(TimerKind::operation);
    return service.state();
  };
  EXPECT_EQ(after(TimeoutFailureMode::terminate, true), ServiceState::stop_sigterm);
  EXPECT_EQ(after(TimeoutFailureMode::abort, true), ServiceState::stop_watchdog);
  EXPECT_EQ(after(TimeoutFailureMode::kill, true), ServiceState::stop_sigkill);
  EXPECT_EQ(after(TimeoutFailureMode::terminate, false), ServiceState::stop_sigkill);
  EXPECT_EQ(after(TimeoutFailureMode::abort, false), ServiceState::stop_watchdog);
  EXPECT_EQ(after(TimeoutFailureMode::kill, false), ServiceState::stop_sigkill);
}

TEST(ServiceStop, AnAbortHasATimeoutOfItsOwn) {
  Service service;
  service.set(Directive::WatchdogSec, Duration(seconds(5)));
  service.set(Directive::TimeoutAbortSec, Duration(minutes(9)));
  service.set(Directive::WatchdogSignal, std::int64_t{SIGUSR1});
  service.bring_up();
  service.fire(TimerKind::watchdog);
  EXPECT_EQ(service.state(), ServiceState::stop_watchdog);
  EXPECT_EQ(service.last_kill().signal, SIGUSR1);
  EXPECT_EQ(service.context.armed(TimerKind::operation),
            service.context.now_.mono + Duration(minutes(9)));
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::stop_sigkill);
  EXPECT_EQ(service.result(), ServiceResult::watchdog);
}

TEST(ServiceStop, AnAbortTakesAsLongAsAStopWhereNothingElseIsSaid) {
  unit::Settings settings;
  EngineConfig config;
  config.default_timeout_stop = seconds(20);
  EXPECT_EQ(abort_timeout(settings, config), Duration(seconds(20)));
  settings.set(Directive::TimeoutStopSec, Duration(seconds(30)));
  EXPECT_EQ(abort_timeout(settings, config), Duration(seconds(30)));
  config.default_timeout_abort = seconds(40);
  EXPECT_EQ(abort_timeout(settings, config), Duration(seconds(40)));
  settings.set(Directive::TimeoutAbortSec, Duration(seconds(50)));
  EXPECT_EQ(abort_timeout(settings, config), Duration(seconds(50)));
  settings.set(Directive::TimeoutAbortSec, Duration(0));
  EXPECT_EQ(abort_timeout(settings, config), Duration(0)) << "no time at all, not all of it";
}

TEST(ServiceStop, DoesNotWaitForAnAbortToEnd) {
  Service service;
  service.set(Directive::WatchdogSec, Duration(seconds(5)));
  service.bring_up();
  service.fire(TimerKind::watchdog);
  ASSERT_EQ(service.state(), ServiceState::stop_watchdog);
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  EXPECT_EQ(service.result(), ServiceResult::watchdog);
}

TEST(ServiceStop, WithoutSigkillWhatWillNotEndIsLeftAlone) {
  Service service;
  service.set(Directive::SendSIGKILL, false);
  service.bring_up();
  service.stop();
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::final_sigterm);
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::failed);
  for (const auto& kill : service.context.all<KillProcesses>()) EXPECT_NE(kill.signal, SIGKILL);
}

TEST(ServiceStop, InfinityArmsNothing) {
  Service service;
  service.set(Directive::TimeoutStopSec, kInfinity);
  service.bring_up();
  service.stop();
  EXPECT_FALSE(service.context.armed(TimerKind::operation));
}

TEST(ServiceStop, AProcessUnderWayGetsTheSignalOnceItExists) {
  Service service;
  service.start();
  service.stop();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm) << "the spawn is not answered";
  service.context.clear();
  service.context.effects.emplace_back(Spawn{.spawn = SpawnId(1)});
  const ProcessId main = service.spawned();
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  service.exit(main, killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceStop, ASpawnThatIsNeverAnsweredKeepsTheServiceFromBeingDown) {
  Service service;
  service.start();
  service.stop();
  for (int i = 0; i < 5; ++i) service.fire(TimerKind::operation);
  EXPECT_FALSE(is_inactive_or_failed(service.context.state));
  service.spawn_failed(0);
  service.empty();
  EXPECT_TRUE(is_inactive_or_failed(service.context.state));
}

TEST(ServiceStop, ACommandThatOurOwnSignalEndedIsNoFailure) {
  Service service;
  service.commands(Directive::ExecStartPre, 1);
  service.start();
  const ProcessId pre = service.spawned();
  service.stop();
  service.exit(pre, killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceStop, AStopWhileReloadingEndsTheReloadFirst) {
  Service service;
  service.commands(Directive::ExecReload, 1).commands(Directive::ExecStop, 1);
  service.bring_up();
  service.reload();
  const ProcessId reload = service.spawned();
  service.stop();
  EXPECT_EQ(service.last_kill().whom, KillWhom::control);
  EXPECT_EQ(service.spawns(Directive::ExecStop), 0U);
  service.exit(reload, killed(SIGKILL));
  EXPECT_EQ(service.spawns(Directive::ExecStop), 1U);
  EXPECT_EQ(service.state(), ServiceState::stop);
}

TEST(ServiceStop, RuntimeMaxEndsAServiceAsATimeout) {
  Service service;
  service.set(Directive::RuntimeMaxSec, Duration(seconds(30)));
  service.set(Directive::RuntimeRandomizedExtraSec, Duration(seconds(10)));
  service.context.random_value = 4'000'000;
  service.bring_up();
  EXPECT_EQ(service.context.armed(TimerKind::runtime_max),
            service.context.now_.mono + Duration(seconds(34)));
  service.fire(TimerKind::runtime_max);
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.result(), ServiceResult::timeout);
}

TEST(ServiceStop, OutOfMemoryStopsTheServiceUnlessItsPolicySaysOtherwise) {
  Service stops;
  stops.commands(Directive::ExecStop, 1);
  const ProcessId main = stops.bring_up();
  stops.event(OutOfMemory{stops.context.id()});
  EXPECT_EQ(stops.state(), ServiceState::stop);
  EXPECT_EQ(stops.result(), ServiceResult::oom_kill);
  stops.exit(main, killed(SIGKILL));
  EXPECT_EQ(stops.result(), ServiceResult::oom_kill);

  Service goes_on;
  goes_on.choose(Directive::OOMPolicy, unit::OomPolicy::go_on);
  goes_on.bring_up();
  goes_on.event(OutOfMemory{goes_on.context.id()});
  EXPECT_EQ(goes_on.state(), ServiceState::running);

  Service dies;
  dies.choose(Directive::OOMPolicy, unit::OomPolicy::kill);
  dies.bring_up();
  dies.event(OutOfMemory{dies.context.id()});
  EXPECT_EQ(dies.state(), ServiceState::stop_sigkill);
  EXPECT_EQ(dies.last_kill().signal, SIGKILL);
  EXPECT_EQ(dies.result(), ServiceResult::oom_kill);
}

TEST(ServiceStop, OutOfMemoryWhileStartingFailsTheStart) {
  Service service(ServiceType::notify);
  service.start();
  service.spawned();
  service.event(OutOfMemory{service.context.id()});
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.result(), ServiceResult::oom_kill);
}

TEST(ServiceStop, ExitTypeCgroupRunsOnWithoutItsMainProcess) {
  Service service;
  service.choose(Directive::ExitType, unit::ServiceExitType::cgroup);
  service.exit(service.bring_up(), code(0));
  EXPECT_EQ(service.state(), ServiceState::running);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceStop, AForkingDaemonMayHandOverThroughItsPidFile) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/x.pid"));
  service.start();
  service.run_command();
  service.event(MainProcessFound{service.context.id(), ProcessId(900), false});
  service.exit(ProcessId(900), code(0));
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_FALSE(service.context.all<FindMainProcess>().back().wait);
  service.event(MainProcessFound{service.context.id(), ProcessId(901), false});
  EXPECT_EQ(service.status().main, ProcessId(901));
  service.exit(ProcessId(901), code(1));
  service.event(MainProcessMissing{service.context.id(), Error(Errc::not_found, "gone")});
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
}

TEST(ServiceStop, KillUnitReachesWhomItNamesAndSaysWhenNobodyIsThere) {
  Service service;
  service.bring_up();
  EXPECT_TRUE(service.machine.kill(service.context, KillWhom::main, SIGUSR1));
  EXPECT_EQ(service.last_kill().signal, SIGUSR1);
  const auto nobody = service.machine.kill(service.context, KillWhom::control, SIGUSR1);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), Errc::no_such_process);
}

}  // namespace
}  // namespace pidward::engine::testing
