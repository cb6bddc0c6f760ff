// The end of the last lease: KillOnLastClose=.
#include <csignal>

#include "engine/service/harness.hpp"

namespace pidward::engine::testing {
namespace {

using unit::KillMode;
using unit::KillOnLastClose;

struct LeasedService : Service {
  explicit LeasedService(KillOnLastClose policy) { choose(Directive::KillOnLastClose, policy); }
};
void let_go(Service& service) {
  service.event(HoldersGone{service.context.id()});
}

TEST(ServiceUnheld, GoesDownWithoutExecStopAndStaysDown) {
  LeasedService service(KillOnLastClose::control_group);
  service.choose(Directive::Restart, unit::RestartPolicy::always);
  service.commands(Directive::ExecStop, 1).commands(Directive::ExecStopPost, 1);
  const ProcessId main = service.bring_up();
  let_go(service);
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  EXPECT_EQ(service.last_kill().signal, SIGTERM);
  EXPECT_EQ(service.last_kill().whom, KillWhom::all);
  service.exit(main, killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.spawns(Directive::ExecStop), 0U);
  EXPECT_EQ(service.state(), ServiceState::stop_post);
  service.run_command();
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_EQ(service.result(), ServiceResult::success);
}

TEST(ServiceUnheld, SendsItsOwnSignalAndThenKillsWhatStays) {
  LeasedService service(KillOnLastClose::control_group);
  service.set(Directive::LastCloseSignal, std::int64_t{SIGINT});
  service.choose(Directive::KillMode, KillMode::none);
  const ProcessId main = service.bring_up();
  let_go(service);
  EXPECT_EQ(service.last_kill().signal, SIGINT);
  EXPECT_EQ(service.last_kill().whom, KillWhom::all) << "KillMode= has no say";
  service.fire(TimerKind::operation);
  EXPECT_EQ(service.state(), ServiceState::stop_sigkill);
  EXPECT_EQ(service.last_kill().signal, SIGKILL);
  EXPECT_EQ(service.last_kill().whom, KillWhom::all);
  service.exit(main, killed(SIGKILL));
  EXPECT_EQ(service.state(), ServiceState::stop_sigkill) << "others may still be there";
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::failed);
  EXPECT_EQ(service.result(), ServiceResult::timeout);
}

TEST(ServiceUnheld, MainMeansTheMainProcessAlone) {
  LeasedService service(KillOnLastClose::main);
  const ProcessId main = service.bring_up();
  let_go(service);
  EXPECT_EQ(service.last_kill().whom, KillWhom::main_and_control);
  service.exit(main, killed(SIGTERM));
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceUnheld, IsNoNewsToAServiceThatDoesNotLiveByLeases) {
  Service service;
  service.bring_up();
  let_go(service);
  EXPECT_EQ(service.state(), ServiceState::running);
}

TEST(ServiceUnheld, CutsAStartShort) {
  LeasedService service(KillOnLastClose::control_group);
  service.commands(Directive::ExecStartPre, 1);
  service.start();
  const ProcessId process = service.spawned();
  let_go(service);
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
  service.exit(process, killed(SIGTERM));
  service.empty();
  EXPECT_EQ(service.state(), ServiceState::dead);
}

TEST(ServiceUnheld, CancelsARestartThatIsDue) {
  LeasedService service(KillOnLastClose::control_group);
  service.choose(Directive::Restart, unit::RestartPolicy::always);
  const ProcessId main = service.bring_up();
  service.exit(main, code(1));
  service.empty();
  ASSERT_EQ(service.state(), ServiceState::auto_restart);
  let_go(service);
  EXPECT_EQ(service.state(), ServiceState::dead);
  EXPECT_FALSE(service.context.armed(TimerKind::restart));
}

TEST(ServiceUnheld, AStopThatIsUnderWayGoesOn) {
  LeasedService service(KillOnLastClose::control_group);
  service.commands(Directive::ExecStop, 1);
  service.bring_up();
  service.stop();
  let_go(service);
  EXPECT_EQ(service.state(), ServiceState::stop);
  service.run_command();
  EXPECT_EQ(service.state(), ServiceState::stop_sigterm);
}

TEST(ServiceUnheld, TheNextLifeIsAnOrdinaryOne) {
  LeasedService service(KillOnLastClose::control_group);
  service.choose(Directive::KillMode, KillMode::process);
  const ProcessId first = service.bring_up();
  let_go(service);
  service.exit(first, killed(SIGTERM));
  service.empty();
  ASSERT_EQ(service.state(), ServiceState::dead);
  service.bring_up();
  service.stop();
  EXPECT_EQ(service.last_kill().whom, KillWhom::main_and_control);
}

}  // namespace
}  // namespace pidward::engine::testing
