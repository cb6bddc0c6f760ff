// Jobs that meet a service on its way down, up again, or in between.
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using Build = SpecBuilder;

unit::ExecList one_command() {
  unit::ExecCommand command;
  command.path = "/bin/after";
  command.argv = {command.path};
  return {command};
}

Build restarting(std::string_view name, unit::RestartPolicy policy = unit::RestartPolicy::always) {
  return Build(name).set(Directive::Restart, static_cast<std::int64_t>(policy));
}

class Restarts : public EngineTest {
 protected:
  [[nodiscard]] ServiceState sub(std::string_view name) {
    return engine_.status(id(name)).service->state;
  }
};

TEST_F(Restarts, AStopDoesNotLoseAgainstARestartThatWasComing) {
  add({restarting("a.service").set(Directive::ExecStopPost, one_command())});
  start("a.service");
  exit_main("a.service", 1);
  ASSERT_EQ(sub("a.service"), ServiceState::stop_post);
  const JobId job = stop("a.service");
  exit_control("a.service", 0);
  EXPECT_EQ(result(job), JobResult::done);
  EXPECT_EQ(state("a.service"), ActiveState::failed);
  EXPECT_FALSE(is_armed("a.service", TimerKind::restart));
}

TEST_F(Restarts, AStopThatWaitsItsTurnKeepsARestartFromComing) {
  // b stops before a, which it comes after.
  add({restarting("a.service"), Build("b.service")
                                    .with(Dependency::After, "a.service")
                                    .set(Directive::ExecStop, one_command())});
  start("a.service");
  start("b.service");
  const JobId first = stop("b.service");
  const JobId second = stop("a.service");
  ASSERT_EQ(job_state("a.service"), JobState::waiting);
  exit_main("a.service", 1);
  EXPECT_EQ(result(second), JobResult::done);
  EXPECT_EQ(state("a.service"), ActiveState::failed);
  EXPECT_FALSE(is_armed("a.service", TimerKind::restart));
  exit_control("b.service", 0);
  EXPECT_EQ(result(first), JobResult::done);
}

TEST_F(Restarts, AStartThatFailsIsTriedAgainByTheJobItHas) {
  add({restarting("a.service", unit::RestartPolicy::on_failure)
           .type(ServiceType::oneshot)
           .set(Directive::RestartMode, static_cast<std::int64_t>(unit::RestartMode::direct)),
       Build("b.service")
           .with(Dependency::Requires, "a.service")
           .with(Dependency::After, "a.service")});
  const JobId job = start("b.service");
  exit_main("a.service", 1);
  ASSERT_EQ(sub("a.service"), ServiceState::auto_restart);
  EXPECT_EQ(job_state("a.service"), JobState::running);
  elapse("a.service", TimerKind::restart);
  EXPECT_EQ(started_, (std::vector<std::string>{"a.service", "a.service"}));
  exit_main("a.service", 0);
  EXPECT_EQ(result(job), JobResult::done);
  EXPECT_TRUE(is_active("b.service"));
}

TEST_F(Restarts, AFailureThatIsRestartedIsNoSuccess) {
  add({restarting("a.service").with(Dependency::OnSuccess, "good.service"), Build("good.service")});
  start("a.service");
  exit_main("a.service", 1);
  elapse("a.service", TimerKind::restart);
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(started_, (std::vector<std::string>{"a.service", "a.service"}));
}

TEST_F(Restarts, AReloadReachesWhatRemainsAfterItsExit) {
  for (const ServiceType type : {ServiceType::oneshot, ServiceType::simple}) {
    const std::string name = type == ServiceType::oneshot ? "a.service" : "b.service";
    add({Build(name).type(type).set(Directive::RemainAfterExit, true).reloadable()});
    start(name);
    exit_main(name, 0);
    ASSERT_EQ(sub(name), ServiceState::exited);
    const JobId good = ask(name, JobType::reload);
    EXPECT_EQ(sub(name), ServiceState::reload);
    exit_control(name, 0);
    EXPECT_EQ(result(good), JobResult::done);
    EXPECT_EQ(sub(name), ServiceState::exited);
    const JobId bad = ask(name, JobType::reload);
    exit_control(name, 1);
    EXPECT_EQ(result(bad), JobResult::failed);
    EXPECT_EQ(sub(name), ServiceState::exited);
  }
}

TEST_F(Restarts, AReloadWaitsUntilAHandOverIsThrough) {
  add({Build("a.service")});
  start("a.service");
  // A forking one is up without any of its processes being ours, which this world does not know.
  reload({Build("a.service")
              .type(ServiceType::forking)
              .set(Directive::PIDFile, std::string("/run/a.pid"))
              .reloadable()});
  exit_main("a.service", 0);
  ASSERT_TRUE(is_active("a.service")) << "its PID file may name another by now";
  const JobId job = ask("a.service", JobType::reload);
  EXPECT_EQ(job_state("a.service"), JobState::waiting);
  handle(MainProcessFound{id("a.service"), ProcessId(901), false});
  EXPECT_EQ(sub("a.service"), ServiceState::reload);
  exit_control("a.service", 0);
  EXPECT_EQ(result(job), JobResult::done);
}

}  // namespace
}  // namespace pidward::engine::testing
