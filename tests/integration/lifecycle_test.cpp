// What becomes of a service: watchdog, restarts, what is left over, instances, the end of all.
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "integration/supervisor.hpp"
#include "sys/cgroup.hpp"

namespace pidward::testing {
namespace {

using ::testing::Test;

class Lifecycle : public Test {
 protected:
  void service(const std::string& name, const std::string& lines,
               const std::string& of_unit = {}) const {
    supervisor_.write_unit(name,
                           "[Unit]\nDefaultDependencies=no\n" + of_unit + "[Service]\n" + lines);
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return supervisor_.directory.path(name);
  }
  [[nodiscard]] std::string says(const std::vector<std::string>& words) const {
    return supervisor_.ctl(words).output;
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  Supervisor supervisor_{Supervisor::Options{.system_units = false}};
};

TEST_F(Lifecycle, AMissedWatchdogEndsTheServiceWithItsSignal) {
  service("dog.service",
          "Type=notify\nNotifyAccess=all\nWatchdogSec=200ms\nWatchdogSignal=SIGUSR1\n"
          "ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 1000'\n");
  ASSERT_EQ(supervisor_.ctl({"start", "dog"}).exit_code, 0);
  EXPECT_TRUE(supervisor_.reaches("dog.service", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("dog.service", "Result"), "watchdog");
  EXPECT_EQ(supervisor_.property("dog.service", "ExecMainStatus"), std::to_string(SIGUSR1));
  EXPECT_TRUE(has(supervisor_.property("dog.service", "FailureMessages"), "No sign of life"));
}

TEST_F(Lifecycle, ASignOfLifeStartsTheWatchdogAnew) {
  service("dog.service",
          "Type=notify\nNotifyAccess=all\nWatchdogSec=10min\n"
          "ExecStart=/bin/sh -c 'systemd-notify --ready; read -r go < " +
              path("go") +
              "; systemd-notify --status=$WATCHDOG_USEC WATCHDOG=1; exec sleep 1000'\n");
  ASSERT_EQ(run_shell("mkfifo " + path("go")).exit_code, 0);
  ASSERT_EQ(supervisor_.ctl({"start", "dog"}).exit_code, 0);
  const auto before =
      std::stoull(supervisor_.property("dog.service", "WatchdogTimestampMonotonic"));
  EXPECT_GT(before, 0U);
  run_shell("echo go > " + path("go"));
  EXPECT_TRUE(supervisor_.reaches("dog.service", "StatusText", "600000000"));
  EXPECT_GT(std::stoull(supervisor_.property("dog.service", "WatchdogTimestampMonotonic")), before);
}

TEST_F(Lifecycle, ACrashingServiceShowsTriesLeftAndTheNextOne) {
  service("crash.service", "Restart=on-failure\nRestartSec=1h\nExecStart=/bin/sh -c 'exit 7'\n",
          "StartLimitIntervalSec=1h\nStartLimitBurst=4\n");
  ASSERT_EQ(supervisor_.ctl({"start", "crash"}).exit_code, 0);
  ASSERT_TRUE(supervisor_.reaches("crash.service", "SubState", "auto-restart"));
  const std::string status = says({"status", "crash"});
  EXPECT_TRUE(has(status, "activating (auto-restart)")) << status;
  EXPECT_TRUE(has(status, "Next try: in 59min")) << status;
  EXPECT_TRUE(has(status, "3 tries are left")) << status;
  EXPECT_TRUE(has(status, "status=7")) << status;
  EXPECT_EQ(supervisor_.ctl({"stop", "crash"}).exit_code, 0);
}

TEST_F(Lifecycle, TheStartLimitEndsTheRestartsAndIsSaid) {
  service("crash.service",
          "Restart=on-failure\nRestartSec=0\nExecStart=/bin/sh -c 'exit 7'\nExecStopPost=/bin/sh "
          "-c 'echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >> " +
              path("posts") + "'\n",
          "StartLimitIntervalSec=1h\nStartLimitBurst=3\n");
  supervisor_.ctl({"start", "crash"});
  ASSERT_TRUE(supervisor_.reaches("crash.service", "ActiveState", "failed"));
  // ExecStopPost= ran once for each try, before the next one began.
  EXPECT_EQ(supervisor_.directory.read("posts"),
            "exit-code exited 7\nexit-code exited 7\nexit-code exited 7\n");
  const CommandResult again = supervisor_.ctl({"start", "crash"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_TRUE(has(again.output, "too often")) << again.output;
  EXPECT_EQ(supervisor_.ctl({"reset-failed", "crash"}).exit_code, 0);
}

TEST_F(Lifecycle, AFailingStopPostFailsTheServiceButNotItsRestart) {
  service("post.service",
          "Restart=always\nRestartSec=0\nExecStart=/bin/sleep 1000\nExecStopPost=/bin/false\n");
  ASSERT_EQ(supervisor_.ctl({"start", "post"}).exit_code, 0);
  auto main = sys::Pidfd::open(supervisor_.main_pid("post.service"));
  ASSERT_TRUE(main);
  ASSERT_TRUE(main->send_signal(SIGTERM));
  ASSERT_TRUE(supervisor_.reaches("post.service", "NRestarts", "1"));
  ASSERT_TRUE(supervisor_.reaches("post.service", "SubState", "running"));
  // A stop that a person asks for is not followed by a restart, whatever ExecStopPost= says.
  EXPECT_EQ(supervisor_.ctl({"stop", "post"}).exit_code, 0);
  EXPECT_EQ(supervisor_.property("post.service", "Result"), "exit-code");
  EXPECT_EQ(supervisor_.property("post.service", "ActiveState"), "failed");
}

TEST_F(Lifecycle, WaitReturnsWithTheServicesOwnEnd) {
  service("good.service", "ExecStart=/bin/sleep 0.1\n");
  service("bad.service", "ExecStart=/bin/sh -c 'sleep 0.1; exit 3'\n");
  EXPECT_EQ(supervisor_.ctl({"start", "--wait", "good"}).exit_code, 0);
  EXPECT_EQ(supervisor_.property("good.service", "ActiveState"), "inactive");
  EXPECT_EQ(supervisor_.ctl({"start", "--wait", "bad"}).exit_code, 1);
  EXPECT_EQ(supervisor_.property("bad.service", "ActiveState"), "failed");
}

TEST_F(Lifecycle, WhatAnEarlierRunLeftIsEndedBeforeTheNextAndSaid) {
  const std::string commands = "Type=exec\nExecStart=/bin/sh -c '(sleep 1000 & echo $! > " +
                               path("left") + ".new; mv " + path("left") + ".new " + path("left") +
                               "); exec sleep 1000'\n";
  service("left.service", "KillMode=process\n" + commands);
  ASSERT_EQ(supervisor_.ctl({"start", "left"}).exit_code, 0);
  // The shell has become the second sleep: the first one is there.
  const std::string comm =
      "/proc/" + std::to_string(supervisor_.main_pid("left.service")) + "/comm";
  while (trim(run_shell("cat " + comm).output) != "sleep") {
  }
  auto leftover = sys::Pidfd::open(std::stoi(supervisor_.directory.read("left")));
  ASSERT_TRUE(leftover);
  ASSERT_EQ(supervisor_.ctl({"stop", "left"}).exit_code, 0);
  ASSERT_FALSE(*leftover->has_ended());  // KillMode=process asks for it
  service("left.service", "KillMode=control-group\n" + commands);
  ASSERT_EQ(supervisor_.ctl({"daemon-reload"}).exit_code, 0);
  ASSERT_EQ(supervisor_.ctl({"start", "left"}).exit_code, 0);
  EXPECT_TRUE(test::ends_in_time(*leftover));
  const std::string said = supervisor_.property("left.service", "FailureMessages");
  EXPECT_TRUE(has(said, "of an earlier run")) << said;
}

TEST_F(Lifecycle, WhoIsPutIntoAnEmptyGroupIsEndedBeforeTheNextStart) {
  service("waits.service", "ExecStart=/bin/false\nRestart=always\nRestartSec=1h\n");
  ASSERT_EQ(supervisor_.ctl({"start", "waits"}).exit_code, 0);
  ASSERT_TRUE(supervisor_.reaches("waits.service", "SubState", "auto-restart"));
  const std::string path = supervisor_.property("waits.service", "ControlGroup");
  const auto mount = sys::find_cgroup_mount();
  if (path.empty() || !mount || !*mount) GTEST_SKIP() << "no control groups";
  // Nobody is there, and somebody who asks sees that.
  EXPECT_FALSE(has(says({"ps", "waits"}), "sleep"));
  const auto group = sys::CgroupDir::open(**mount, path);
  ASSERT_TRUE(group) << group.error().to_string();
  const auto stranger = test::Program::start({.arguments = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(stranger);
  ASSERT_TRUE(group->attach(stranger->pidfd()));
  service("waits.service", "ExecStart=/bin/sleep 2000\n");
  ASSERT_EQ(supervisor_.ctl({"daemon-reload"}).exit_code, 0);
  EXPECT_EQ(supervisor_.ctl({"restart", "waits"}).exit_code, 0);
  EXPECT_TRUE(test::ends_in_time(stranger->pidfd()));
  EXPECT_TRUE(has(says({"ps", "waits"}), "sleep 2000"));
}

TEST_F(Lifecycle, InstancesOfATemplateAreUnitsOfTheirOwn) {
  service("copy@.service", "ExecStart=/bin/sleep 1000\nExecStartPre=/bin/sh -c 'echo %p %i %I > " +
                               path("out-") + "%i'\n");
  ASSERT_EQ(supervisor_.ctl({"start", "copy@one", "copy@a-b.service"}).exit_code, 0);
  EXPECT_EQ(supervisor_.directory.read("out-one"), "copy one one\n");
  EXPECT_EQ(supervisor_.directory.read("out-a-b"), "copy a-b a/b\n");
  EXPECT_NE(supervisor_.main_pid("copy@one.service"), supervisor_.main_pid("copy@a-b.service"));
  EXPECT_EQ(supervisor_.ctl({"stop", "copy@one"}).exit_code, 0);
  EXPECT_EQ(supervisor_.property("copy@a-b.service", "ActiveState"), "active");
  const CommandResult bare = supervisor_.ctl({"start", "copy@.service"});
  EXPECT_EQ(bare.exit_code, 1);
  EXPECT_TRUE(has(bare.output, "template")) << bare.output;
}

TEST_F(Lifecycle, SuccessActionEndsTheDaemonWithTheStatusAsked) {
  service("last.service", "Type=oneshot\nExecStart=/bin/true\n",
          "SuccessAction=exit\nSuccessActionExitStatus=42\n");
  service("other.service", "ExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(supervisor_.ctl({"start", "other"}).exit_code, 0);
  auto other = sys::Pidfd::open(supervisor_.main_pid("other.service"));
  ASSERT_TRUE(other);
  supervisor_.ctl({"start", "--no-block", "last"});
  const auto end = supervisor_.process().wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 42);
  EXPECT_TRUE(*other->has_ended());
}

TEST_F(Lifecycle, FailureActionOfADaemonThatIsNotInitLeavesThePowerAlone) {
  service("bad.service", "Type=oneshot\nExecStart=/bin/false\n", "FailureAction=reboot\n");
  EXPECT_EQ(supervisor_.ctl({"start", "bad"}).exit_code, 1);
  EXPECT_EQ(supervisor_.ctl({"is-failed", "bad"}).exit_code, 0);
  EXPECT_TRUE(has(supervisor_.output(), "not the init of this system")) << supervisor_.output();
}

TEST_F(Lifecycle, AFailedStartSaysWhyWithoutItsLog) {
  service("why.service", "Type=exec\nExecStart=/no/such/program\nStandardOutput=null\n");
  const CommandResult failed = supervisor_.ctl({"start", "-n0", "why"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_TRUE(has(failed.output, "ExecStart could not be run")) << failed.output;
  EXPECT_TRUE(has(failed.output, "No such file or directory")) << failed.output;
}

TEST_F(Lifecycle, ATerminalThatIsNotThereIs208AndNamed) {
  service(
      "tty.service",
      "Type=oneshot\nStandardInput=tty-fail\nTTYPath=/dev/no-such-terminal\nExecStart=/bin/true\n");
  const CommandResult failed = supervisor_.ctl({"start", "tty"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_TRUE(has(failed.output, "take the terminal /dev/no-such-terminal")) << failed.output;
  EXPECT_TRUE(has(failed.output, "208")) << failed.output;
}

}  // namespace
}  // namespace pidward::testing
