// When something runs out: that unit's failure, with a sentence, and nobody else's.
#include <filesystem>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "bus/object_path.hpp"
#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

using test::Daemon;

constexpr const char* kSleeper =
    "[Unit]\nDefaultDependencies=no\n[Service]\nType=exec\nExecStart=/bin/sleep 1000\n";

TEST(Exhaustion, WithoutDescriptorsAStartFailsAndEverythingElseGoesOn) {
  const Supervisor supervisor({.system_units = false, .descriptors = 96});
  supervisor.write_unit("many@.service", kSleeper);
  const auto instance = [](int number) { return "many@" + std::to_string(number) + ".service"; };
  int failed = 0;
  CommandResult last;
  for (; failed < 96; ++failed) {
    last = supervisor.ctl({"start", instance(failed)});
    if (last.exit_code != 0) break;
  }
  ASSERT_GT(failed, 4) << last.output;
  ASSERT_LT(failed, 96);
  EXPECT_NE(last.output.find("No descriptors are left"), std::string::npos) << last.output;
  EXPECT_NE(last.output.find("LimitNOFILE="), std::string::npos) << last.output;
  EXPECT_NE(last.output.find(instance(failed)), std::string::npos) << last.output;
  // It answers, it shows processes, and the others run.
  EXPECT_EQ(supervisor.ctl({"status", instance(0)}).exit_code, 0);
  EXPECT_NE(supervisor.ctl({"ps", instance(0)}).output.find("sleep 1000"), std::string::npos);
  for (int i = 0; i < failed; ++i) {
    EXPECT_EQ(supervisor.property(instance(i), "ActiveState"), "active") << i;
  }
  EXPECT_EQ(supervisor.property(instance(failed), "ActiveState"), "failed");
  // It stops services, and then there is room again.
  EXPECT_EQ(supervisor.ctl({"stop", instance(0), instance(1)}).exit_code, 0);
  const CommandResult again = supervisor.ctl({"start", instance(failed)});
  EXPECT_EQ(again.exit_code, 0) << again.output;
}

TEST(Exhaustion, WithoutAWatchLeftAStopStillEndsWithTheLastProcess) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Daemon daemon;
  daemon.unit("idle.target", "[Unit]\nDescription=Nothing at all\n");
  // Nobody's end is told but by the control group, and nothing else stops before the timeout.
  daemon.unit("forks.service",
              "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
              "ExecStart=/bin/sh -c '/bin/sleep 1000 & /bin/sleep 1000 &'\n"
              "TimeoutStopSec=infinity\n");
  ASSERT_TRUE(daemon.start(
      {.arguments = {"--unit", "idle.target", "--bus", "off"},
       .wrapper = {"/usr/bin/unshare", "--user", "--map-root-user", "/bin/sh", "-c",
                   "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"", "sh"}}));
  EXPECT_EQ(daemon.ctl({"start", "forks.service"}).code, 0);
  if (daemon.property("forks.service", "ControlGroup").empty()) GTEST_SKIP() << "no control groups";
  EXPECT_NE(daemon.ctl({"ps", "forks.service"}).out.find("sleep 1000"), std::string::npos);
  const auto stopped = daemon.ctl({"stop", "forks.service"});
  EXPECT_EQ(stopped.code, 0) << stopped.err;
  EXPECT_EQ(daemon.property("forks.service", "ActiveState"), "inactive");
  EXPECT_EQ(daemon.ctl({"ps", "forks.service"}).out.find("sleep 1000"), std::string::npos);
  EXPECT_NE(daemon.output().find("fs.inotify.max_user_watches"), std::string::npos)
      << daemon.output();
}

/// A user's own supervisor, whose user has nothing else that runs.
class NoProcesses : public ::testing::Test {
 protected:
  static constexpr uid_t kUser = 61347;
  static constexpr int kPlenty = 1000;

  void SetUp() override {
    for (const char* name : {"home", "run", "xdg-CONFIG", "xdg-DATA", "xdg-STATE", "xdg-CACHE"}) {
      std::filesystem::create_directories(daemon_.directory.path(name));
    }
    const std::string units = "xdg-CONFIG/pidward/user/";
    daemon_.directory.write(units + "idle.target", "[Unit]\nDescription=Nothing at all\n");
    daemon_.directory.write(units + "many@.service", kSleeper);
    daemon_.directory.write(units + "back.service",
                            std::string(kSleeper) + "Restart=always\nRestartSec=50ms\n");
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(daemon_.directory.path())) {
      ASSERT_EQ(::chown(entry.path().c_str(), kUser, kUser), 0);
    }
    ASSERT_EQ(::chown(daemon_.directory.path().c_str(), kUser, kUser), 0);
    ASSERT_TRUE(daemon_.start(
        {.user = true, .uid = kUser, .arguments = {"--unit", "idle.target", "--bus", "off"}}));
  }
  /// RLIMIT_NPROC of the daemon: with 1 the kernel refuses every clone with EAGAIN.
  /// Set by the user, who may where even root may not.
  void limit_processes(int most) {
    auto set = test::Program::start(
        {.arguments = {"/usr/bin/prlimit", "--pid", std::to_string(daemon_.process().pid()),
                       "--nproc=" + std::to_string(most) + ":"},
         .uid = kUser});
    ASSERT_TRUE(set);
    ASSERT_TRUE(set->wait()->is_success());
  }
  test::CtlResult ctl(const std::vector<std::string>& words) { return daemon_.ctl(words, kUser); }

  test::Daemon daemon_;
};

TEST_F(NoProcesses, WithoutProcessesAStartFailsAndEverythingElseGoesOn) {
  ASSERT_EQ(ctl({"start", "many@1"}).code, 0);
  limit_processes(1);
  const test::CtlResult refused = ctl({"start", "many@2"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("many@2.service"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("Cannot make a process"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("TasksMax="), std::string::npos) << refused.err;
  EXPECT_EQ(daemon_.property("many@2.service", "Result"), "resources");
  EXPECT_EQ(daemon_.property("many@1.service", "ActiveState"), "active");
  EXPECT_EQ(ctl({"status", "many@1"}).code, 0);
  EXPECT_EQ(ctl({"stop", "many@1"}).code, 0);
  limit_processes(kPlenty);
  EXPECT_EQ(ctl({"start", "many@2"}).code, 0);
}

TEST_F(NoProcesses, ARestartIsTriedAgainUntilThereAreSome) {
  ASSERT_EQ(ctl({"start", "back"}).code, 0);
  limit_processes(1);
  ASSERT_EQ(ctl({"kill", "-s", "KILL", "back"}).code, 0);
  // Refused at least once.
  ASSERT_TRUE(daemon_.wait_for_output("Cannot make a process"));
  limit_processes(kPlenty);
  ctl({"reset-failed", "back"});
  ASSERT_EQ(ctl({"start", "back"}).code, 0);
  EXPECT_TRUE(daemon_.reaches("back.service", "SubState", "running"));
}

TEST(Exhaustion, APidwardThatCannotOpenItsProcessesLeavesThemToAnother) {
  test::Daemon daemon;
  daemon.unit("many@.service", std::string(kSleeper) + "Restart=always\n");
  constexpr int kServices = 60;
  const auto instance = [](int number) { return "many@" + std::to_string(number) + ".service"; };
  ASSERT_TRUE(daemon.start({}));
  std::vector<int> mains;
  for (int i = 0; i < kServices; ++i) {
    ASSERT_EQ(daemon.ctl({"start", instance(i)}).code, 0);
    mains.push_back(daemon.main_pid(instance(i)));
  }
  ASSERT_TRUE(daemon.process().signal(SIGKILL));
  ASSERT_TRUE(daemon.process().wait());
  const auto directory = [&](const char* name) { return daemon.directory.path(name); };
  auto poor = test::Program::start(
      {.arguments = {PIDWARD_PROGRAM, "--system", "--config", directory("pidward.yaml"),
                     "--runtime-dir", directory("run"), "--log-dir", directory("log"),
                     "--state-dir", directory("state"), "--unit-path", directory("units")},
       .environment = {},
       .out = directory("poor.out"),
       .err = directory("poor.err"),
       .uid = {},
       .descriptors = 48});
  ASSERT_TRUE(poor);
  const auto end = poor->wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 1);
  EXPECT_NE(daemon.directory.read("poor.err").find("Cannot take over "), std::string::npos)
      << daemon.directory.read("poor.err");
  ASSERT_TRUE(daemon.start({}));
  for (int i = 0; i < kServices; ++i) {
    EXPECT_EQ(daemon.main_pid(instance(i)), mains[static_cast<std::size_t>(i)]) << i;
  }
}

TEST(Exhaustion, ClientsThatStayDoNotTakeWhatControlNeeds) {
  const Supervisor supervisor({.system_units = false, .descriptors = 96});
  supervisor.write_unit("one.service", kSleeper);
  ASSERT_EQ(supervisor.ctl({"start", "one"}).exit_code, 0);
  bus::Client client = supervisor.client();
  // More connections than there are descriptors: the last ones are closed at once.
  std::vector<sys::Fd> connections;
  for (int i = 0; i < 128; ++i) connections.push_back(supervisor.connect());
  pollfd refused{.fd = connections.back().get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&refused, 1, test::patience_ms()), 1);
  EXPECT_NE(refused.revents & POLLHUP, 0);
  // Who is in is served, down to control groups and pidfds.
  ASSERT_TRUE(client.manager("ListUnits"));
  bool stopped = false;
  ASSERT_TRUE(client.subscribe([&stopped](sd_bus_message* message) {
    stopped |= sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") > 0;
  }));
  ASSERT_TRUE(client.manager("StopUnit", [](bus::Writer& out) { out.s("one.service").s("fail"); }));
  while (!stopped) {
    const auto came = client.process(test::patience());
    ASSERT_TRUE(came && *came);
  }
  const auto state =
      client.property(bus::unit_path("one.service"), bus::kUnitInterface, "ActiveState");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->text, "inactive");
}

}  // namespace
}  // namespace pidward::testing
