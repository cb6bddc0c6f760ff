// The way up of every type, and what each failure on it leads to.
#include <csignal>

#include "engine/record.hpp"
#include "engine/service/harness.hpp"

namespace pidward::engine::testing {
namespace {

TEST(ServiceStart, ASimpleServiceIsUpOnceThereIsAProcess) {
  Service service;
  service.start();
  EXPECT_EQ(service.state(), ServiceState::start);
  EXPECT_EQ(service.context.state, ActiveState::activating);
  const ProcessId main = service.spawned();
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().main, main);
  EXPECT_EQ(service.last_spawn().role, ProcessRole::main);
}

TEST(ServiceStart, AnExecServiceIsUpOnceTheProgramRuns) {
  Service service(ServiceType::exec);
  service.start();
  service.spawned();
  EXPECT_EQ(service.state(), ServiceState::start);
  service.executed();
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, ANotifyServiceIsUpOnceItSaysSo) {
  Service service(ServiceType::notify);
  service.start();
  service.spawned();
  service.executed();
  EXPECT_EQ(service.state(), ServiceState::start);
  EXPECT_TRUE(service.last_spawn().pass_notify_socket);
  service.notify(ready());
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, ADbusServiceIsUpOnceItOwnsItsName) {
  Service service(ServiceType::dbus);
  service.start();
  ASSERT_EQ(service.context.all<WatchBusName>().size(), 1U);
  const ProcessId main = service.spawned();
  service.event(BusNameChanged{service.context.id(), true, main});
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, ADbusServiceThatLosesItsNameIsStopped) {
  Service service(ServiceType::dbus);
  service.start();
  const ProcessId main = service.spawned();
  service.event(BusNameChanged{service.context.id(), true, main});
  service.event(BusNameChanged{service.context.id(), false, {}});
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
}

TEST(ServiceStart, AForkingServiceIsUpWhenItsParentIsDoneAndItsPidFileIsRead) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/x.pid"));
  service.start();
  EXPECT_EQ(service.last_spawn().role, ProcessRole::control);
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::start);
  const auto finds = service.context.all<FindMainProcess>();
  ASSERT_EQ(finds.size(), 1U);
  EXPECT_TRUE(finds[0].from_pid_file);
  EXPECT_TRUE(finds[0].wait);
  service.event(MainProcessFound{service.context.id(), ProcessId(900), true});
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().main, ProcessId(900));
  EXPECT_TRUE(service.status().main_is_alien);
}

TEST(ServiceStart, AForkingServiceMayWriteItsPidFileLate) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/x.pid"));
  service.start();
  service.run_command();
  service.event(MainProcessMissing{service.context.id(), Error(Errc::not_found, "no file")});
  EXPECT_EQ(service.state(), ServiceState::start);
  service.event(MainProcessFound{service.context.id(), ProcessId(900), false});
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, APidFileMayBeWrittenByExecStartPost) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/x.pid"));
  service.commands(Directive::ExecStartPost, 1);
  service.start();
  service.run_command();
  EXPECT_FALSE(service.context.all<FindMainProcess>().back().wait);
  service.event(MainProcessMissing{service.context.id(), Error(Errc::not_found, "no file")});
  EXPECT_EQ(service.state(), ServiceState::start_post);
  service.run_command();
  EXPECT_TRUE(service.context.all<FindMainProcess>().back().wait);
  service.event(MainProcessFound{service.context.id(), ProcessId(900), false});
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, AForkingServiceWhoseProcessesAllEndWithoutAPidFileFails) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/x.pid"));
  service.start();
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::protocol);
}

TEST(ServiceStart, AForkingServiceWithoutPidFileGetsItsMainProcessGuessed) {
  Service service(ServiceType::forking);
  service.start();
  service.run_command();
  EXPECT_FALSE(service.context.all<FindMainProcess>().back().from_pid_file);
  service.event(MainProcessFound{service.context.id(), ProcessId(901), false});
  EXPECT_EQ(service.status().main, ProcessId(901));
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, AForkingServiceWithSeveralProcessesRunsUntilTheLastIsGone) {
  Service service(ServiceType::forking);
  service.start();
  service.run_command();
  service.event(MainProcessMissing{service.context.id(), Error(Errc::not_found, "two")});
  EXPECT_EQ(service.state(), ServiceState::running);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
}

TEST(ServiceStart, GuessMainPidNoAsksForNothing) {
  Service service(ServiceType::forking);
  service.set(Directive::GuessMainPID, false);
  service.start();
  service.run_command();
  EXPECT_TRUE(service.context.all<FindMainProcess>().empty());
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, AOneshotRunsItsCommandsInTurnAndIsDown) {
  Service service(ServiceType::oneshot);
  service.commands(Directive::ExecStart, 3);
  service.start();
  for (int i = 0; i < 3; ++i) service.run_command();
  EXPECT_EQ(service.spawns(Directive::ExecStart), 3U);
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
  EXPECT_FALSE(std::any_of(service.context.changes.begin(), service.context.changes.end(),
                           [](const auto& c) { return c.first == ActiveState::active; }));
}

TEST(ServiceStart, AOneshotThatRemainsIsActiveAfterwards) {
  Service service(ServiceType::oneshot);
  service.set(Directive::RemainAfterExit, true);
  service.start();
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::exited);
  EXPECT_EQ(service.context.state, ActiveState::active);
}

TEST(ServiceStart, AOneshotEndsWithItsFirstFailure) {
  Service service(ServiceType::oneshot);
  service.commands(Directive::ExecStart, 2);
  service.start();
  service.run_command(code(1));
  service.empty();
  EXPECT_EQ(service.spawns(Directive::ExecStart), 1U);
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::exit_code);
}

TEST(ServiceStart, AOneshotKilledPolitelyHasFailedAllTheSame) {
  Service service(ServiceType::oneshot);
  service.start();
  service.run_command(killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.result(), ServiceResult::signal);
}

TEST(ServiceStart, AnIdleServiceWaitsForTheOthersButCountsAsUp) {
  Service service(ServiceType::idle);
  service.context.jobs_are_idle = false;
  service.start();
  EXPECT_TRUE(service.context.all<Spawn>().empty());
  EXPECT_EQ(service.context.state, ActiveState::active);
  service.machine.jobs_idle(service.context);
  service.spawned();
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, AnIdleServiceDoesNotWaitForever) {
  Service service(ServiceType::idle);
  service.context.jobs_are_idle = false;
  service.start();
  const MonoTime begun = service.context.now_.mono;
  service.fire(TimerKind::idle);
  EXPECT_EQ(service.context.now_.mono - begun, seconds(5));
  EXPECT_EQ(service.spawns(Directive::ExecStart), 1U);
}

TEST(ServiceStart, AllListsRunInTheirOrder) {
  Service service;
  service.commands(Directive::ExecCondition, 1)
      .commands(Directive::ExecStartPre, 2)
      .commands(Directive::ExecStartPost, 1);
  service.start();
  EXPECT_EQ(service.state(), ServiceState::condition);
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::start_pre);
  service.run_command();
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::start);
  const ProcessId main = service.spawned();
  EXPECT_EQ(service.state(), ServiceState::start_post);
  EXPECT_EQ(service.last_spawn().main_process, main);
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().commands.size(), 4U);
}

TEST(ServiceStart, ExecConditionSkipsWithOneTo254AndFailsWith255) {
  for (const int number : {1, 42, 254, 255}) {
    Service service;
    service.commands(Directive::ExecCondition, 2).commands(Directive::ExecStopPost, 1);
    service.start();
    service.run_command(code(number));
    service.empty();
    EXPECT_EQ(service.state(), ServiceState::stop_post) << "ExecStopPost= runs nevertheless";
    service.run_command();
    service.empty();
    const bool skipped = number < 255;
    EXPECT_EQ(service.state(), skipped ? ServiceState::dead : ServiceState::failed) << number;
    EXPECT_EQ(service.result(), skipped ? ServiceResult::exec_condition : ServiceResult::exit_code);
    EXPECT_EQ(service.context.changes.back().second.skipped, skipped);
    EXPECT_EQ(service.spawns(Directive::ExecStart), 0U);
  }
}

TEST(ServiceStart, ExecConditionThatIsKilledOrCannotRunFails) {
  Service one;
  one.commands(Directive::ExecCondition, 1);
  one.start();
  one.run_command(killed(SIGKILL));
  one.empty();
  EXPECT_EQ(one.result(), ServiceResult::signal);
  Service other;
  other.commands(Directive::ExecCondition, 1);
  other.start();
  other.spawn_failed(203);
  other.empty();
  EXPECT_EQ(other.state(), ServiceState::failed);
  EXPECT_EQ(other.result(), ServiceResult::exit_code);
}

TEST(ServiceStart, SuccessExitStatusCountsForCommandsToo) {
  Service service;
  service.commands(Directive::ExecCondition, 1);
  service.set(Directive::SuccessExitStatus, unit::ExitStatusSet{.codes = {3}, .signals = {}});
  service.start();
  service.run_command(code(3));
  EXPECT_EQ(service.state(), ServiceState::start);
}

TEST(ServiceStart, AFailedExecStartPreSkipsExecStopButNotExecStopPost) {
  Service service;
  service.commands(Directive::ExecStartPre, 2)
      .commands(Directive::ExecStop, 1)
      .commands(Directive::ExecStopPost, 1);
  service.start();
  service.run_command(code(1));
  service.empty();
  EXPECT_EQ(service.spawns(Directive::ExecStartPre), 1U);
  EXPECT_EQ(service.spawns(Directive::ExecStart), 0U);
  EXPECT_EQ(service.spawns(Directive::ExecStop), 0U);
  EXPECT_EQ(service.state(), ServiceState::stop_post);
  const auto environment = service.last_spawn().environment;
  EXPECT_EQ(environment, std::vector<std::string>{"SERVICE_RESULT=exit-code"});
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
}

TEST(ServiceStart, TheMinusPrefixForgivesFailures) {
  Service service;
  service.commands(Directive::ExecStartPre, 2, true);
  service.start();
  service.run_command(code(1));
  service.spawn_failed(203);
  EXPECT_EQ(service.state(), ServiceState::start);
}

TEST(ServiceStart, AFailedExecStartPostEndsTheService) {
  Service service;
  service.commands(Directive::ExecStartPost, 1).commands(Directive::ExecStop, 1);
  service.start();
  const ProcessId main = service.spawned();
  service.run_command(code(1));
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  service.exit(main, killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.spawns(Directive::ExecStop), 0U);
}

TEST(ServiceStart, ASpawnThatFailsFailsTheStartWhateverTheType) {
  for (const auto type :
       {ServiceType::simple, ServiceType::exec, ServiceType::forking, ServiceType::oneshot,
        ServiceType::dbus, ServiceType::notify, ServiceType::notify_reload, ServiceType::idle}) {
    Service service(type);
    service.start();
    service.spawn_failed(203);
    service.empty();
    EXPECT_EQ(service.state(), ServiceState::failed);
    EXPECT_EQ(service.result(), ServiceResult::exit_code);
    Service other(type);
    other.start();
    other.spawn_failed(0);
    other.empty();
    EXPECT_EQ(other.result(), ServiceResult::resources);
  }
}

TEST(ServiceStart, AMainProcessThatEndsBeforeItIsReadyBreaksTheProtocol) {
  for (const auto type : {ServiceType::notify, ServiceType::notify_reload, ServiceType::dbus}) {
    Service service(type);
    service.start();
    service.exit(service.spawned(), code(0));
    service.empty();
    EXPECT_EQ(service.state(), ServiceState::failed);
    EXPECT_EQ(service.result(), ServiceResult::protocol);
  }
}

TEST(ServiceStart, AnExitToldBeforeItsSpawnIsNotLost) {
  Service service;
  service.start();
  service.exit(ProcessId(101), code(3));  // the harness names the first process 101
  EXPECT_EQ(service.state(), ServiceState::start);
  service.spawned();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.status().main_status.status, code(3));
}

TEST(ServiceStart, AnExitBeforeTheNewsOfExecIsTheExitOfTheProgram) {
  Service service(ServiceType::exec);
  service.start();
  service.exit(service.spawned(), code(7));
  service.executed();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::exit_code);
}

TEST(ServiceStart, EveryStepOfTheStartHasItsTimeout) {
  const auto ends_in_timeout = [](Service& service) {
    EXPECT_EQ(service.context.armed(TimerKind::operation),
              service.context.now_.mono + Duration(seconds(7)));
    service.fire(TimerKind::operation);
    EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
    EXPECT_EQ(service.result(), ServiceResult::timeout);
  };
  for (const auto list :
       {Directive::ExecCondition, Directive::ExecStartPre, Directive::ExecStartPost}) {
    Service service;
    service.set(Directive::TimeoutStartSec, Duration(seconds(7))).commands(list, 1);
    service.start();
    service.spawned();
    ends_in_timeout(service);
  }
  for (const auto type : {ServiceType::exec, ServiceType::forking, ServiceType::oneshot,
                          ServiceType::dbus, ServiceType::notify}) {
    Service service(type);
    service.set(Directive::TimeoutStartSec, Duration(seconds(7)));
    service.start();
    service.spawned();
    ends_in_timeout(service);
  }
  Service waiting(ServiceType::forking);
  waiting.set(Directive::TimeoutStartSec, Duration(seconds(7)));
  waiting.set(Directive::PIDFile, std::string("/run/x.pid"));
  waiting.start();
  waiting.run_command();
  ends_in_timeout(waiting);
}

TEST(ServiceStart, AOneshotMayTakeAsLongAsItLikes) {
  Service service(ServiceType::oneshot);
  service.start();
  service.spawned();
  EXPECT_FALSE(service.context.armed(TimerKind::operation));
}

TEST(ServiceStart, TimeoutStartFailureModeChoosesTheSignal) {
  using unit::TimeoutFailureMode;
  const auto end = [](TimeoutFailureMode mode, bool may_kill) {
    Service service(ServiceType::notify);
    service.choose(Directive::TimeoutStartFailureMode, mode);
    service.set(Directive::SendSIGKILL, may_kill);
    service.start();
    service.spawned();
    service.fire(TimerKind::operation);
    return std::pair(service.state(), service.last_kill().signal);
  };
  EXPECT_EQ(end(TimeoutFailureMode::terminate, true),
            std::pair(ServiceState::stop_sigterm, SIGTERM));
  EXPECT_EQ(end(TimeoutFailureMode::abort, true), std::pair(ServiceState::stop_watchdog, SIGABRT));
  EXPECT_EQ(end(TimeoutFailureMode::kill, true), std::pair(ServiceState::stop_sigkill, SIGKILL));
}

TEST(ServiceStart, LeftoversAreEndedFirstAndSaidSo) {
  Service service;
  service.start(2);
  EXPECT_TRUE(service.context.logged("service-leftovers"));
  EXPECT_TRUE(service.context.all<Spawn>().empty());
  EXPECT_EQ(service.last_kill().whom, KillWhom::all);
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.last_kill().signal, SIGKILL);
  service.empty();
  service.spawned();
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceStart, LeftoversThatSurviveEverythingKeepTheServiceDown) {
  Service service;
  service.start(1);
  service.fire(TimerKind::operation);
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_TRUE(service.context.all<Spawn>().empty());
  ASSERT_EQ(service.context.all<CleanUp>().size(), 1U);
  EXPECT_FALSE(service.context.all<CleanUp>().front().restarting);
}

TEST(ServiceStart, LeftoversThatTheUnitWantsToKeepAreOnlyReported) {
  for (const auto mode : {unit::KillMode::process, unit::KillMode::none}) {
    Service service;
    service.choose(Directive::KillMode, mode);
    service.start(2);
    EXPECT_TRUE(service.context.logged("service-leftovers"));
    EXPECT_TRUE(service.context.all<KillProcesses>().empty());
    EXPECT_EQ(service.spawns(Directive::ExecStart), 1U);
  }
}

TEST(ServiceStart, WithoutSigkillAServiceIsNotStartedBesideLeftovers) {
  Service service;
  service.set(Directive::SendSIGKILL, false);
  service.start(1);
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::resources);
  EXPECT_TRUE(service.context.all<Spawn>().empty());
}

TEST(ServiceStart, AServicePassesItsSocketsOrItsConnectionAndNotBoth) {
  Service service;
  service.context.add_neighbour(UnitId(2), "test.socket");
  service.context.edges[unit::Dependency::TriggeredBy] = {UnitId(2)};
  service.start();
  EXPECT_EQ(service.last_spawn().sockets, std::vector<UnitId>{UnitId(2)});
  Service instance;
  instance.context.add_neighbour(UnitId(2), "test.socket");
  instance.context.edges[unit::Dependency::TriggeredBy] = {UnitId(2)};
  instance.machine.take_connection(instance.context, 5);
  instance.start();
  EXPECT_EQ(instance.last_spawn().connection, 5U);
  EXPECT_TRUE(instance.last_spawn().sockets.empty());
}

TEST(ServiceStart, AConnectionThatNobodyTookIsClosed) {
  Service service;
  service.commands(Directive::ExecStartPre, 1);
  service.machine.take_connection(service.context, 5);
  service.start();
  service.run_command(code(1));
  service.empty();
  const auto closed = service.context.all<CloseConnection>();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].connection, 5U);
}

TEST(ServiceStart, AConnectionWhoseStartWasCalledOffIsClosed) {
  Service service;
  service.machine.take_connection(service.context, 5);
  service.context.job = JobType::start;
  service.machine.job_gone(service.context);
  EXPECT_TRUE(service.context.all<CloseConnection>().empty()) << "another start is to come";
  service.context.job = {};
  service.machine.job_gone(service.context);
  ASSERT_EQ(service.context.all<CloseConnection>().size(), 1U);
  EXPECT_FALSE(service.machine.awaits_connection(5));
}

TEST(ServiceStart, AConnectionThatNoProcessHasYetOutlivesTheEngine) {
  Service service;
  service.machine.take_connection(service.context, 5);
  Saver before;
  service.machine.save(before);
  service.start();
  Saver after;
  service.machine.save(after);
  // A loader reads from the text while it is used.
  const std::string before_text = before.take();
  const std::string after_text = after.take();
  Service waiting;
  Loader from_before(before_text);
  waiting.machine.load(from_before);
  waiting.start();
  EXPECT_EQ(waiting.last_spawn().connection, 5U);
  Service spawning;
  Loader from_after(after_text);
  spawning.machine.load(from_after);
  spawning.machine.resume(spawning.context);
  EXPECT_EQ(spawning.last_spawn().connection, 5U);
  EXPECT_TRUE(spawning.machine.awaits_connection(5));
}

TEST(ServiceStart, AnIdleMachineIsSmall) {
  EXPECT_LT(sizeof(ServiceMachine), 600U);
}

}  // namespace
}  // namespace pidward::engine::testing
