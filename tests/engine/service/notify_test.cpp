// The notify protocol, reloads and the watchdog.
#include <csignal>

#include "engine/service/harness.hpp"

namespace pidward::engine::testing {
namespace {

using unit::NotifyAccess;

TEST(ServiceNotify, NotifyAccessDecidesByRole) {
  // access × main, control, other
  constexpr std::array<std::array<bool, 3>, 4> kAdmitted{{
      {false, false, false},  // none
      {true, false, false},   // main
      {true, true, false},    // exec
      {true, true, true},     // all
  }};
  for (std::size_t access = 0; access < kAdmitted.size(); ++access) {
    for (std::size_t role = 0; role < 3; ++role) {
      Service service;
      service.set(Directive::NotifyAccess, static_cast<std::int64_t>(access));
      const ProcessId main = service.bring_up();
      NotifyMessage message;
      message.status = "hello";
      const auto as = static_cast<ProcessRole>(role);
      service.notify(message, as == ProcessRole::main ? main : ProcessId(777), as);
      EXPECT_EQ(service.status().status_text == "hello", kAdmitted[access][role])
          << "NotifyAccess=" << unit::kNotifyAccessNames[access] << " from " << to_string(as);
      EXPECT_EQ(service.context.logged("service-notify-refused"), !kAdmitted[access][role]);
    }
  }
}

TEST(ServiceNotify, ARefusedSenderIsNamedOnce) {
  Service service(ServiceType::notify);
  service.start();
  service.spawned();
  for (int i = 0; i < 3; ++i) service.notify(ready(), ProcessId(4711), ProcessRole::other);
  EXPECT_EQ(service.state(), ServiceState::start);
  const auto& logs = service.context.logs;
  const auto refused = [](const LogRecord& record) {
    return record.id == "service-notify-refused";
  };
  EXPECT_EQ(std::count_if(logs.begin(), logs.end(), refused), 1);
  const auto said = std::find_if(logs.begin(), logs.end(), refused);
  EXPECT_NE(said->message.find("4711"), std::string::npos);
  EXPECT_EQ(said->process, ProcessId(4711));
}

TEST(ServiceNotify, AStrangerWithoutIdentityIsRefusedEvenByAll) {
  Service service;
  service.choose(Directive::NotifyAccess, NotifyAccess::all);
  service.bring_up();
  NotifyMessage message;
  message.status = "hello";
  service.notify(message, ProcessId(), ProcessRole::other);
  EXPECT_TRUE(service.status().status_text.empty());
}

TEST(ServiceNotify, StatusAndErrnoAreKept) {
  Service service(ServiceType::notify);
  service.start();
  service.spawned();
  NotifyMessage message;
  message.status = "working";
  message.error_number = 5;
  service.notify(message);
  EXPECT_EQ(service.status().status_text, "working");
  EXPECT_EQ(service.status().status_errno, 5);
}

TEST(ServiceNotify, TheMainProcessMayChange) {
  Service service(ServiceType::notify);
  service.start();
  const ProcessId first = service.spawned();
  NotifyMessage message = ready();
  message.main_process = ProcessId(900);
  service.notify(message);
  EXPECT_EQ(service.status().main, ProcessId(900));
  EXPECT_EQ(service.state(), ServiceState::running);
  service.exit(first, code(0));
  EXPECT_EQ(service.state(), ServiceState::running) << "the old one is nobody special now";
  service.exit(ProcessId(900), code(1));
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
}

TEST(ServiceNotify, TheControlProcessIsNeverTheMainProcess) {
  Service service;
  service.choose(Directive::NotifyAccess, NotifyAccess::all);
  service.commands(Directive::ExecStartPost, 1);
  service.start();
  const ProcessId main = service.spawned();
  const ProcessId post = service.spawned();
  NotifyMessage message;
  message.main_process = post;
  service.notify(message, main, ProcessRole::main);
  EXPECT_EQ(service.status().main, main);
}

TEST(ServiceNotify, StoppingCountsAsTheSignalItself) {
  Service service(ServiceType::notify);
  service.start();
  const ProcessId main = service.spawned();
  service.notify(ready());
  service.context.clear();
  NotifyMessage message;
  message.stopping = true;
  service.notify(message);
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_TRUE(service.context.all<KillProcesses>().empty());
  service.exit(main, code(0));
  EXPECT_EQ(service.last_kill().whom, KillWhom::all) << "the others have not been told";
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceNotify, ExtendTimeoutNeverShortens) {
  Service service(ServiceType::notify);
  service.set(Directive::TimeoutStartSec, Duration(seconds(30)));
  service.start();
  service.spawned();
  const MonoTime limit = *service.context.armed(TimerKind::operation);
  NotifyMessage message;
  message.extend_timeout = Duration(seconds(5));
  service.notify(message);
  EXPECT_EQ(service.context.armed(TimerKind::operation), limit);
  service.context.pass(seconds(28));
  service.notify(message);
  EXPECT_EQ(service.context.armed(TimerKind::operation), limit + Duration(seconds(3)));
}

TEST(ServiceNotify, ExtendTimeoutExtendsTheRuntimeToo) {
  Service service(ServiceType::notify);
  service.set(Directive::RuntimeMaxSec, Duration(seconds(10)));
  service.start();
  service.spawned();
  service.notify(ready());
  NotifyMessage message;
  message.extend_timeout = Duration(seconds(60));
  service.notify(message);
  EXPECT_EQ(service.context.armed(TimerKind::runtime_max),
            service.context.now_.mono + Duration(seconds(60)));
}

TEST(ServiceNotify, TheWatchdogStartsWithTheServiceAndIsPutOffByEachPing) {
  Service service(ServiceType::notify);
  service.set(Directive::WatchdogSec, Duration(seconds(20)));
  service.start();
  const auto& environment = service.last_spawn().environment;
  EXPECT_EQ(environment, std::vector<std::string>{"WATCHDOG_USEC=20000000"});
  service.spawned();
  EXPECT_FALSE(service.context.armed(TimerKind::watchdog));
  service.notify(ready());
  service.context.pass(seconds(15));
  NotifyMessage ping;
  ping.watchdog = true;
  service.notify(ping);
  EXPECT_EQ(service.context.armed(TimerKind::watchdog),
            service.context.now_.mono + Duration(seconds(20)));
  ping.watchdog_interval = Duration(seconds(60));
  service.notify(ping);
  EXPECT_EQ(service.context.armed(TimerKind::watchdog),
            service.context.now_.mono + Duration(seconds(60)));
  service.fire(TimerKind::watchdog);
  EXPECT_EQ(service.state(), ServiceState::stop_watchdog);
  EXPECT_EQ(service.last_kill().signal, SIGABRT);
  EXPECT_EQ(service.result(), ServiceResult::watchdog);
}

TEST(ServiceNotify, AServiceMayPullItsOwnWatchdog) {
  Service service;
  service.choose(Directive::NotifyAccess, NotifyAccess::main);
  service.bring_up();
  NotifyMessage message;
  message.watchdog_trigger = true;
  service.notify(message);
  EXPECT_EQ(service.state(), ServiceState::stop_watchdog);
}

TEST(ServiceReload, ExecReloadRunsAndTheServiceIsActiveAgain) {
  Service service;
  service.commands(Directive::ExecReload, 2);
  const ProcessId main = service.bring_up();
  EXPECT_TRUE(service.machine.can_reload(service.context.spec_));
  service.reload();
  EXPECT_EQ(service.context.state, ActiveState::reloading);
  EXPECT_EQ(service.last_spawn().main_process, main);
  service.run_command();
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_FALSE(service.context.changes.back().second.reload_failed);
}

TEST(ServiceReload, AFailedReloadIsSaidAndTheServiceStaysUp) {
  Service service;
  service.commands(Directive::ExecReload, 2);
  service.bring_up();
  service.reload();
  service.run_command(code(1));
  EXPECT_EQ(service.spawns(Directive::ExecReload), 1U);
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_TRUE(service.context.changes.back().second.reload_failed);
  EXPECT_EQ(service.status().reload_result, ServiceResult::exit_code);
  EXPECT_EQ(service.result(), ServiceResult::success);
}

TEST(ServiceReload, AReloadThatTakesTooLongIsKilledAndTheServiceStaysUp) {
  Service service;
  service.commands(Directive::ExecReload, 1);
  service.bring_up();
  service.reload();
  const ProcessId reload = service.spawned();
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.last_kill().whom, KillWhom::control);
  service.exit(reload, killed(SIGKILL));
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().reload_result, ServiceResult::timeout);
}

TEST(ServiceReload, NotifyReloadSignalsAndWaitsForBothWords) {
  Service service(ServiceType::notify_reload);
  service.start();
  service.spawned();
  service.notify(ready());
  service.reload();
  EXPECT_EQ(service.state(), ServiceState::reload_signal);
  EXPECT_EQ(service.last_kill().signal, SIGHUP);
  EXPECT_EQ(service.last_kill().whom, KillWhom::main);
  NotifyMessage stale;
  stale.reloading = true;
  stale.monotonic = service.context.now_.mono - Duration(seconds(1));
  service.notify(stale);
  EXPECT_EQ(service.state(), ServiceState::reload_signal) << "an older reload's word";
  NotifyMessage fresh;
  fresh.reloading = true;
  fresh.monotonic = service.context.now_.mono;
  service.notify(fresh);
  EXPECT_EQ(service.state(), ServiceState::reload_notify);
  service.notify(ready());
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().reload_result, ServiceResult::success);
}

TEST(ServiceReload, NotifyReloadThatNeverAnswersTimesOut) {
  Service service(ServiceType::notify_reload);
  service.start();
  service.spawned();
  service.notify(ready());
  service.reload();
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::running);
  EXPECT_EQ(service.status().reload_result, ServiceResult::timeout);
}

TEST(ServiceReload, AServiceMayReloadOnItsOwnAccount) {
  Service service(ServiceType::notify);
  service.start();
  service.spawned();
  service.notify(ready());
  NotifyMessage message;
  message.reloading = true;
  service.notify(message);
  EXPECT_EQ(service.context.state, ActiveState::reloading);
  service.notify(ready());
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceReload, AMainProcessThatDiesWhileReloadingEndsTheService) {
  Service service;
  service.commands(Directive::ExecReload, 1);
  const ProcessId main = service.bring_up();
  service.reload();
  const ProcessId reload = service.spawned();
  service.exit(main, killed(SIGSEGV));
  EXPECT_EQ(service.state(), ServiceState::reload);
  service.exit(reload, code(0));
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.result(), ServiceResult::signal);
}

}  // namespace
}  // namespace pidward::engine::testing
