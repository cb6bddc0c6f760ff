// Resource control with a kernel that has the controllers in cgroup v2. What is called
// WithControllers runs in the virtual machine (tests/vm), where they are sure to be there, and
// fails without them.
#include <chrono>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/supervisor.hpp"
#include "support/patience.hpp"
#include "sys/pidfd.hpp"

namespace pidward::testing {
namespace {

using ::testing::Test;

/// Eats memory until it is killed.
constexpr const char* kGlutton = "/usr/bin/tail /dev/zero";

class WithControllers : public Test {
 protected:
  void SetUp() override {
    const std::string controllers = read_file(cgroup_mount() + "/cgroup.controllers");
    for (const char* each : {"memory", "pids", "cpu", "cpuset", "io"}) {
      ASSERT_NE(controllers.find(each), std::string::npos)
          << "cgroup v2 has no " << each << " controller here, only: " << controllers;
    }
  }
  static std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  /// An interface file of the unit's group, without the end of its line.
  [[nodiscard]] std::string file(const std::string& unit, const std::string& name) const {
    std::string text = read_file(supervisor_.control_group(unit) + "/" + name);
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }
  void service(const std::string& name, const std::string& lines) const {
    supervisor_.write_unit(name, "[Unit]\nDefaultDependencies=no\n[Service]\n" + lines);
  }
  [[nodiscard]] CommandResult ctl(const std::vector<std::string>& words) const {
    return supervisor_.ctl(words);
  }

  Supervisor supervisor_{Supervisor::Options{.system_units = false}};
};

TEST_F(WithControllers, LimitsAreInTheKernel) {
  service("limited.service",
          "MemoryMin=1M\nMemoryLow=2M\nMemoryHigh=60M\nMemoryMax=64M\nMemorySwapMax=0\n"
          "TasksMax=12\nCPUWeight=50\nCPUQuota=20%\nCPUQuotaPeriodSec=50ms\nAllowedCPUs=0\n"
          "AllowedMemoryNodes=0\nExecStart=/bin/sleep 1000\n");
  service("free.service", "ExecStart=/bin/sleep 1000\n");
  const CommandResult started = ctl({"start", "limited", "free"});
  ASSERT_EQ(started.exit_code, 0) << started.output;
  const std::string unit = "limited.service";
  EXPECT_EQ(file(unit, "memory.min"), "1048576");
  EXPECT_EQ(file(unit, "memory.low"), "2097152");
  EXPECT_EQ(file(unit, "memory.high"), "62914560");
  EXPECT_EQ(file(unit, "memory.max"), "67108864");
  EXPECT_EQ(file(unit, "pids.max"), "12");
  EXPECT_EQ(file(unit, "cpu.weight"), "50");
  EXPECT_EQ(file(unit, "cpu.max"), "10000 50000");
  EXPECT_EQ(file(unit, "cpuset.cpus"), "0");
  EXPECT_EQ(file(unit, "cpuset.mems"), "0");
  EXPECT_EQ(supervisor_.property(unit, "MemoryMax"), "67108864");
  EXPECT_EQ(supervisor_.property(unit, "CPUWeight"), "50");
  // What is counted without being limited, in both.
  for (const char* each : {"limited.service", "free.service"}) {
    EXPECT_GT(std::stoull(supervisor_.property(each, "MemoryCurrent")), 0U) << each;
    EXPECT_LT(std::stoull(supervisor_.property(each, "MemoryCurrent")), UINT64_MAX) << each;
    EXPECT_EQ(file(each, "pids.current"), "1") << each;
  }
  EXPECT_EQ(file("free.service", "memory.max"), "max");
  EXPECT_EQ(file("free.service", "cpu.weight"), "100");
  EXPECT_EQ(supervisor_.output().find("has no effect"), std::string::npos) << supervisor_.output();
}

TEST_F(WithControllers, WhoTakesTooMuchMemoryIsKilledAndThatIsTheResult) {
  service("glutton.service",
          std::string("MemoryMax=16M\nMemorySwapMax=0\nExecStart=") + kGlutton + "\n");
  static_cast<void>(ctl({"start", "glutton"}));
  EXPECT_TRUE(supervisor_.reaches("glutton.service", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("glutton.service", "Result"), "oom-kill");
}

TEST_F(WithControllers, OomPolicyKillTakesTheWholeUnit) {
  service("family.service", std::string("MemoryMax=24M\nMemorySwapMax=0\nOOMPolicy=kill\n"
                                        "ExecStart=/bin/sh -c '") +
                                kGlutton + " & exec sleep 1000'\n");
  ASSERT_EQ(ctl({"start", "family"}).exit_code, 0);
  EXPECT_TRUE(supervisor_.reaches("family.service", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("family.service", "Result"), "oom-kill");
  // By the kernel, in one go: main process and glutton alike.
  EXPECT_EQ(supervisor_.property("family.service", "ExecMainStatus"), "9");
  EXPECT_EQ(supervisor_.control_group("family.service"), "");
}

TEST_F(WithControllers, OomPolicyStopEndsTheRestInOrder) {
  service("family.service", std::string("MemoryMax=24M\nMemorySwapMax=0\nOOMPolicy=stop\n"
                                        "ExecStart=/bin/sh -c '") +
                                kGlutton + " & exec sleep 1000'\n");
  ASSERT_EQ(ctl({"start", "family"}).exit_code, 0);
  EXPECT_TRUE(supervisor_.reaches("family.service", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("family.service", "Result"), "oom-kill");
  EXPECT_EQ(supervisor_.property("family.service", "ExecMainStatus"), "15");
}

TEST_F(WithControllers, OomPolicyContinueLetsTheRestLive) {
  service("family.service",
          std::string("Type=notify\nNotifyAccess=all\nMemoryMax=24M\nMemorySwapMax=0\n"
                      "OOMPolicy=continue\nExecStart=/bin/sh -c '") +
              kGlutton + "; systemd-notify --ready; exec sleep 1000'\n");
  ASSERT_EQ(ctl({"start", "family"}).exit_code, 0);
  EXPECT_NE(file("family.service", "memory.events").find("oom_kill 1"), std::string::npos);
  EXPECT_EQ(file("family.service", "memory.oom.group"), "0");
  EXPECT_EQ(supervisor_.property("family.service", "ActiveState"), "active");
  EXPECT_TRUE(supervisor_.wait_for_output("OOMPolicy="));
}

TEST_F(WithControllers, AKillForLackOfMemoryIsToldByTheNextDaemonToo) {
  const std::string go = supervisor_.directory.path("go");
  ASSERT_EQ(::mkfifo(go.c_str(), 0600), 0);
  const std::string waits = "MemoryMax=24M\nMemorySwapMax=0\nExecStart=/bin/sh -c ': <" + go + "; ";
  service("glutton.service", waits + "exec " + kGlutton + "'\n");
  service("family.service", waits + kGlutton + " & exec sleep 1000'\n");
  // What the last daemon has told of is old.
  service("before.service", std::string("Type=notify\nNotifyAccess=all\nMemoryMax=24M\n"
                                        "MemorySwapMax=0\nOOMPolicy=continue\n"
                                        "ExecStart=/bin/sh -c '") +
                                kGlutton + "; systemd-notify --ready; exec sleep 1000'\n");
  ASSERT_EQ(ctl({"start", "glutton", "family", "before"}).exit_code, 0);
  const auto kills = [this](const char* unit) { return file(unit, "memory.events"); };
  const std::string group = supervisor_.control_group("family.service") + "/memory.events";
  const auto glutton = sys::Pidfd::open(supervisor_.main_pid("glutton.service"));
  ASSERT_TRUE(glutton);
  ASSERT_NE(kills("before.service").find("oom_kill 1"), std::string::npos);
  supervisor_.kill_daemon();
  // Both read until there is nobody who writes.
  { const std::ofstream both(go); }
  EXPECT_TRUE(test::ends_in_time(*glutton));
  const auto begun = std::chrono::steady_clock::now();
  while (read_file(group).find("oom_kill 1") == std::string::npos &&
         std::chrono::steady_clock::now() - begun < test::patience()) {
    ::usleep(10000);
  }
  supervisor_.start_again();
  for (const char* unit : {"glutton.service", "family.service"}) {
    EXPECT_TRUE(supervisor_.reaches(unit, "ActiveState", "failed")) << unit;
    EXPECT_EQ(supervisor_.property(unit, "Result"), "oom-kill") << unit;
  }
  EXPECT_EQ(supervisor_.property("before.service", "ActiveState"), "active");
}

TEST_F(WithControllers, NoMoreTasksThanTasksMax) {
  service("forks.service",
          "Type=oneshot\nTasksMax=4\n"
          "ExecStart=/bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done'\n");
  EXPECT_NE(ctl({"start", "forks"}).exit_code, 0);
  EXPECT_EQ(supervisor_.property("forks.service", "Result"), "exit-code");
  EXPECT_NE(ctl({"status", "forks"}).output.find("annot fork"), std::string::npos);
}

TEST_F(WithControllers, WhoHasUsedItsQuotaWaits) {
  service("busy.service", "CPUQuota=10%\nExecStart=/bin/sh -c 'while :; do :; done'\n");
  ASSERT_EQ(ctl({"start", "busy"}).exit_code, 0);
  const auto throttled = [this] {
    const std::string stat = file("busy.service", "cpu.stat");
    const std::size_t at = stat.find("nr_throttled ");
    return at != std::string::npos && std::stoull(stat.substr(at + 13)) > 0;
  };
  const std::string stat = supervisor_.control_group("busy.service") + "/cpu.stat";
  EXPECT_EQ(
      run_shell("until grep -Eq '^nr_throttled [1-9]' " + stat + "; do sleep 0.1; done").exit_code,
      0);
  EXPECT_TRUE(throttled());
}

TEST_F(WithControllers, LimitsOfASliceAreForAllInIt) {
  supervisor_.write_unit("small.slice",
                         "[Unit]\nDefaultDependencies=no\n[Slice]\nMemoryMax=20M\n"
                         "MemorySwapMax=0\nCPUWeight=30\n");
  service("glutton.service", std::string("Slice=small.slice\nExecStart=") + kGlutton + "\n");
  service("sleeper.service", "Slice=small.slice\nExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(ctl({"start", "sleeper"}).exit_code, 0);
  const std::string slice = supervisor_.control_group("sleeper.service")
                                .substr(0, supervisor_.control_group("sleeper.service").rfind('/'));
  EXPECT_TRUE(slice.ends_with("/small.slice")) << slice;
  EXPECT_EQ(read_file(slice + "/memory.max"), "20971520\n");
  EXPECT_EQ(read_file(slice + "/cpu.weight"), "30\n");
  static_cast<void>(ctl({"start", "glutton"}));
  EXPECT_TRUE(supervisor_.reaches("glutton.service", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("glutton.service", "Result"), "oom-kill");
  EXPECT_EQ(supervisor_.property("sleeper.service", "ActiveState"), "active");
  ASSERT_EQ(ctl({"set-property", "small.slice", "MemoryMax=40M"}).exit_code, 0);
  EXPECT_EQ(read_file(slice + "/memory.max"), "41943040\n");
}

TEST_F(WithControllers, SetPropertyAndReloadReachTheRunningUnit) {
  const std::string lines = "ExecStart=/bin/sleep 1000\n";
  service("web.service", lines + "MemoryHigh=32M\n");
  ASSERT_EQ(ctl({"start", "web"}).exit_code, 0);
  ASSERT_EQ(ctl({"set-property", "web.service", "MemoryMax=48M", "TasksMax=9"}).exit_code, 0);
  EXPECT_EQ(file("web.service", "memory.max"), "50331648");
  EXPECT_EQ(file("web.service", "pids.max"), "9");
  EXPECT_EQ(file("web.service", "memory.high"), "33554432");
  // A controller that nobody needed before.
  ASSERT_EQ(ctl({"set-property", "web.service", "CPUWeight=idle"}).exit_code, 0);
  EXPECT_EQ(file("web.service", "cpu.idle"), "1");
  ASSERT_EQ(ctl({"set-property", "web.service", "CPUWeight=200", "MemoryMax=infinity"}).exit_code,
            0);
  EXPECT_EQ(file("web.service", "cpu.idle"), "0");
  EXPECT_EQ(file("web.service", "cpu.weight"), "200");
  EXPECT_EQ(file("web.service", "memory.max"), "max");
  service("web.service", lines);
  ASSERT_EQ(ctl({"daemon-reload"}).exit_code, 0);
  EXPECT_EQ(file("web.service", "memory.high"), "max");
  EXPECT_EQ(file("web.service", "pids.max"), "9");
  EXPECT_EQ(supervisor_.property("web.service", "ActiveState"), "active");
}

TEST(ResourceControl, WithoutControlGroupsWhatHasNoEffectIsNamed) {
  const Supervisor supervisor({.arguments = {"--no-cgroup"}, .system_units = false});
  supervisor.write_unit("limited.service",
                        "[Unit]\nDefaultDependencies=no\n[Service]\nMemoryMax=64M\nTasksMax=12\n"
                        "ExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(supervisor.ctl({"start", "limited"}).exit_code, 0);
  EXPECT_TRUE(supervisor.wait_for_output("MemoryMax= TasksMax= without effect"));
}

}  // namespace
}  // namespace pidward::testing
