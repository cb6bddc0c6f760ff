// The same story for every packaged service: it becomes active by its own kind of readiness, its
// main process is known by inode, a real client gets a real answer, SIGKILL is treated as its
// Restart= says, and stop leaves nothing.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "integration/supervisor.hpp"
#include "sys/features.hpp"

namespace pidward::testing {

class ServiceTest : public ::testing::Test {
 protected:
  explicit ServiceTest(const Supervisor::Options& options = {}) : supervisor_(options) {}

  /// The unit as its package ships it: nothing of ours, nothing on top.
  void starts(const std::string& unit) {
    const CommandResult started = supervisor_.ctl({"start", unit});
    ASSERT_EQ(started.exit_code, 0) << started.output << supervisor_.ctl({"status", unit}).output;
    EXPECT_EQ(supervisor_.property(unit, "ActiveState"), "active");
    EXPECT_EQ(supervisor_.property(unit, "SubState"), "running");
    EXPECT_EQ(supervisor_.property(unit, "DropInPaths"), "");
    EXPECT_TRUE(supervisor_.property(unit, "FragmentPath").starts_with("/lib/systemd/system/") ||
                supervisor_.property(unit, "FragmentPath").starts_with("/usr/lib/systemd/system/"))
        << supervisor_.property(unit, "FragmentPath");
  }

  /// The inode that pidward knows the main process by is the inode of a pidfd we open ourselves;
  /// where pidfds have none of their own, the number has to do.
  void knows_its_main_process(const std::string& unit) {
    const int pid = supervisor_.main_pid(unit);
    ASSERT_GT(pid, 0);
    auto pidfd = sys::Pidfd::open(pid);
    ASSERT_TRUE(pidfd) << pidfd.error().to_string();
    const auto features = sys::KernelFeatures::probe();
    ASSERT_TRUE(features);
    std::string known = "\"pid\":" + std::to_string(pid);
    if (features->has(sys::Feature::pidfs)) {
      auto inode = pidfd->inode();
      ASSERT_TRUE(inode);
      known = std::to_string(*inode);
    }
    const std::string listed = supervisor_.ctl({"ps", "--json", unit}).output;
    EXPECT_NE(listed.find(known), std::string::npos) << listed;
    EXPECT_NE(listed.find("main"), std::string::npos) << listed;
  }

  /// A client's command line succeeds and says `answer`.
  static void answers(const std::string& script, const std::string& answer) {
    const CommandResult client = run_shell(script);
    EXPECT_EQ(client.exit_code, 0) << script << "\n" << client.output;
    EXPECT_NE(client.output.find(answer), std::string::npos) << script << "\n" << client.output;
  }
  static bool answers_now(const std::string& script) { return run_shell(script).exit_code == 0; }
  /// For services that say nothing when they are ready (Type=simple): asks until the client is
  /// served; there is no event to wait for.
  static void comes_to_answer(const std::string& script, const std::string& answer) {
    const auto deadline = std::chrono::steady_clock::now() + test::patience();
    while (!answers_now(script) && std::chrono::steady_clock::now() < deadline) {
    }
    answers(script, answer);
  }

  void reloads(const std::string& unit) {
    const int before = supervisor_.main_pid(unit);
    const CommandResult reloaded = supervisor_.ctl({"reload", unit});
    EXPECT_EQ(reloaded.exit_code, 0) << reloaded.output;
    EXPECT_EQ(supervisor_.property(unit, "ActiveState"), "active");
    EXPECT_EQ(supervisor_.main_pid(unit), before);
  }

  void kill_main(const std::string& unit) {
    auto pidfd = sys::Pidfd::open(supervisor_.main_pid(unit));
    ASSERT_TRUE(pidfd) << pidfd.error().to_string();
    ASSERT_TRUE(pidfd->send_signal(SIGKILL));
  }

  /// Restart= of the unit brings it back after SIGKILL, with another main process.
  void comes_back_after_sigkill(const std::string& unit) {
    const int before = supervisor_.main_pid(unit);
    kill_main(unit);
    EXPECT_TRUE(supervisor_.reaches(unit, "NRestarts", "1"))
        << supervisor_.ctl({"status", unit}).output;
    EXPECT_TRUE(supervisor_.reaches(unit, "SubState", "running"))
        << supervisor_.ctl({"status", unit}).output;
    EXPECT_NE(supervisor_.main_pid(unit), before);
    EXPECT_GT(supervisor_.main_pid(unit), 0);
  }

  /// A unit without Restart= (or whose Restart= does not cover signals) is failed, and says why.
  void stays_down_after_sigkill(const std::string& unit, const std::string& state,
                                const std::string& result) {
    kill_main(unit);
    EXPECT_TRUE(supervisor_.reaches(unit, "ActiveState", state))
        << supervisor_.ctl({"status", unit}).output;
    EXPECT_EQ(supervisor_.property(unit, "Result"), result);
    EXPECT_EQ(supervisor_.property(unit, "NRestarts"), "0");
  }

  /// The unit's own Restart=, as its file has it and `show` says.
  void has_restart(const std::string& unit, const std::string& value) {
    EXPECT_EQ(supervisor_.property(unit, "Restart"), value);
  }

  /// Every process that `ps` shows of the unit.
  std::vector<sys::Pidfd> processes(const std::string& unit) {
    std::vector<sys::Pidfd> found;
    const auto answer = supervisor_.client().manager(
        "ListProcesses", [&](bus::Writer& out) { out.as(std::vector<std::string>{unit}); });
    EXPECT_TRUE(answer);
    if (!answer) return found;
    bus::Reader in(answer->get());
    for (const bus::Data& row : bus::read_data(in).items) {
      auto process = sys::Pidfd::open(static_cast<pid_t>(row.items[1].number));
      if (process) found.push_back(*std::move(process));
    }
    return found;
  }

  /// Stop ends every process of the unit, and its control group, where there is one, is gone.
  void stops_without_leaving_anything(const std::string& unit, bool has_group = true) {
    const std::string group = supervisor_.control_group(unit);
    ASSERT_EQ(group.empty(), !has_group);
    ASSERT_EQ(std::filesystem::exists(group), has_group) << group;
    const std::vector<sys::Pidfd> before = processes(unit);
    EXPECT_FALSE(before.empty());
    const CommandResult stopped = supervisor_.ctl({"stop", unit});
    EXPECT_EQ(stopped.exit_code, 0) << stopped.output;
    EXPECT_EQ(supervisor_.property(unit, "ActiveState"), "inactive")
        << supervisor_.ctl({"status", unit}).output;
    EXPECT_EQ(supervisor_.main_pid(unit), 0);
    EXPECT_FALSE(std::filesystem::exists(group)) << group;
    for (const sys::Pidfd& process : before) {
      const auto ended = process.has_ended();
      EXPECT_TRUE(ended && *ended);
    }
  }

  Supervisor supervisor_;
};

}  // namespace pidward::testing
