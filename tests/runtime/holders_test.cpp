// What becomes of a unit when its holder is gone: KillOnLastClose=, KillOnManagerExit=,
// PrivatePIDs=, with a real manager and the trees that are hardest to catch.
#include <algorithm>
#include <csignal>

#include <linux/close_range.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "hard_tree.hpp"
#include "manager_fixture.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;

struct Means {
  const char* name;
  bool groups;
  const char* setting;
  const char* tree;
  const char* disabled = "";
};

class HoldersTest : public ManagerTest, public testing::WithParamInterface<Means> {
 protected:
  void SetUp() override {
    use_groups_ = GetParam().groups;
    disabled_ = GetParam().disabled;
  }
  [[nodiscard]] static bool is_grouped() {
    return std::string_view(GetParam().tree).starts_with("cgroup");
  }
  std::string hard_tree() { return runtime::hard_tree(directory_, is_grouped()); }
  bool is_complete(const std::string& unit) {
    std::size_t known = 0;
    bool in_group = !is_grouped();
    bool forked_twice = false;
    for (const ProcessInfo& process : manager_->list_processes(status(unit).id)) {
      ++known;
      forked_twice = forked_twice || process.command == kForkedTwice;
      in_group = in_group || process.control_group.ends_with("/sub/group");
    }
    return known >= hard_tree_size(is_grouped()) && in_group && forked_twice;
  }
  /// A tracer that attaches to a process of the unit and then never looks again.
  std::optional<test::LiveChild> trace(const std::string& unit, const std::string& command) {
    pid_t number = 0;
    for (const ProcessInfo& process : manager_->list_processes(status(unit).id)) {
      if (process.command == command) number = static_cast<pid_t>(process.pid);
    }
    auto ready = sys::make_pipe();
    if (number == 0 || !ready) return std::nullopt;
    const int write_end = ready->write_end.get();
    std::optional<test::LiveChild> tracer(std::in_place, [number, write_end] {
      // Not the leases.
      ::close_range(3, static_cast<unsigned>(write_end) - 1, 0);
      ::close_range(static_cast<unsigned>(write_end) + 1, ~0U, 0);
      if (::ptrace(PTRACE_SEIZE, number, nullptr, nullptr) != 0) return 1;
      if (::write(write_end, "x", 1) != 1) return 2;
      for (;;) ::pause();
    });
    ready->write_end.reset();
    EXPECT_EQ(sys::read_some(ready->read_end.get(), 1).value_or(""), "x");
    return tracer;
  }
  UnitLease lease(const std::string& unit) {
    std::optional<Result<UnitLease>> answer;
    manager_->lease_unit({unit, unit::JobMode::replace, {}},
                         [&](Result<UnitLease> result) { answer = std::move(result); });
    run_until([&] { return answer.has_value(); });
    EXPECT_TRUE(*answer) << answer->error().to_string();
    return **std::move(answer);
  }
  /// Pidfds of all there is of the unit.
  std::vector<sys::Pidfd> tree(const std::string& unit) {
    std::vector<sys::Pidfd> found;
    for (const ProcessInfo& process : manager_->list_processes(status(unit).id)) {
      auto handle = manager_->open_process_by_pid(process.pid);
      if (!handle) continue;
      if (auto copy = (*handle)->pidfd().duplicate()) found.push_back(*std::move(copy));
    }
    return found;
  }
  static bool all_ended(const std::vector<sys::Pidfd>& processes) {
    return std::ranges::all_of(processes, [](const sys::Pidfd& process) {
      const auto ended = process.has_ended();
      return ended && *ended;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(
    Means, HoldersTest,
    testing::Values(Means{"Groups", true, "", "cgroup"},
                    Means{"Descendants", false, "", "descendants"},
                    Means{"PidNamespace", false, "PrivatePIDs=yes\n", "pid-namespace"},
                    Means{"GroupsWithoutInodes", true, "", "cgroup", "pidfs"},
                    Means{"DescendantsWithoutInodes", false, "", "descendants", "pidfs"},
                    Means{"GroupsWithoutInfo", true, "", "cgroup", "pidfd-info"},
                    Means{"GroupsWithoutExits", true, "", "cgroup", "pidfd-exit-info"},
                    Means{"GroupsWithoutHandles", true, "", "cgroup", "pidfs-handles"},
                    Means{"GroupsWithoutXattrs", true, "", "cgroup", "pidfs-xattrs"},
                    Means{"GroupsWithoutKill", true, "", "cgroup-freeze", "cgroup-kill"},
                    Means{"NoGroupToWrite", true, "", "descendants", "cgroup"},
                    Means{"DescendantsWithoutChildren", false, "", "descendants", "proc-children"}),
    [](const auto& means) { return means.param.name; });

TEST_P(HoldersTest, TheWholeTreeGoesWithTheLastLease) {
  service("t.service", std::string("KillOnLastClose=control-group\nLastCloseSignal=SIGKILL\n") +
                           GetParam().setting + hard_tree());
  service("other.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("other.service");
  UnitLease first = lease("t.service");
  UnitLease second = lease("t.service");
  wait_for("t.service", ActiveState::active);
  EXPECT_TRUE(manager_->means(status("t.service").id).tree.starts_with(GetParam().tree))
      << manager_->means(status("t.service").id).tree;
  run_until([&] { return is_complete("t.service"); });
  const std::vector<sys::Pidfd> before = tree("t.service");
  ASSERT_GE(before.size(), hard_tree_size(is_grouped()));
  // The init of a pid namespace does not end before a tracer has looked at what it traces in there.
  const bool may_trace = std::string_view(GetParam().tree) != "pid-namespace";
  const auto tracer = may_trace ? trace("t.service", kForkedTwice) : std::nullopt;
  ASSERT_EQ(tracer.has_value(), may_trace);
  // Our child, and here we are the manager: one it knows is not taken for an orphan.
  const auto known = tracer ? manager_->open_process(std::move(tracer->copy()).release())
                            : Result<process::ProcessHandle>(process::ProcessHandle());
  ASSERT_TRUE(known);
  first.descriptor.reset();
  run_until([&] { return manager_->list_leases().size() == 1; });
  EXPECT_EQ(status("t.service").active, ActiveState::active);
  second.descriptor.reset();
  wait_for("t.service", ActiveState::inactive);
  run_until([&] { return all_ended(before); });
  EXPECT_EQ(status("other.service").active, ActiveState::active);
  if (tracer) {
    EXPECT_FALSE(*tracer->pidfd().has_ended());
  }
}

TEST_P(HoldersTest, WhoeverIsDeafIsKilledWhenTheTimeToStopIsOver) {
  service("d.service", std::string("KillOnLastClose=control-group\nTimeoutStopSec=300ms\n") +
                           GetParam().setting + hard_tree());
  start_manager();
  UnitLease held = lease("d.service");
  wait_for("d.service", ActiveState::active);
  run_until([&] { return is_complete("d.service"); });
  const std::vector<sys::Pidfd> before = tree("d.service");
  held.descriptor.reset();
  run_until([&] { return all_ended(before); });
  run_until([&] { return status("d.service").active == ActiveState::failed; });
}

TEST_P(HoldersTest, ALeasedUnitThatCrashesComesBackAndIsLetGoWithItsLease) {
  service("r.service",
          std::string("KillOnLastClose=control-group\nRestart=always\nRestartSec=0\n") +
              "LastCloseSignal=SIGKILL\nExecStart=/bin/sleep 1000\n" + GetParam().setting);
  start_manager();
  UnitLease held = lease("r.service");
  wait_for("r.service", ActiveState::active);
  const ProcessId first = status("r.service").service->main;
  ASSERT_TRUE(manager_->kill(status("r.service").id, engine::KillWhom::main, SIGKILL));
  run_until([&] {
    const engine::UnitStatus now = status("r.service");
    return now.service->main && now.service->main != first;
  });
  held.descriptor.reset();
  wait_for("r.service", ActiveState::inactive);
}

TEST_P(HoldersTest, AStartThatNobodyLeasedIsLeftAlone) {
  service("u.service", std::string("KillOnLastClose=control-group\nLastCloseSignal=SIGKILL\n") +
                           "ExecStart=/bin/sleep 1000\n" + GetParam().setting);
  start_manager();
  start("u.service");
  wait_for("u.service", ActiveState::active);
  EXPECT_EQ(manager_->lease_count(status("u.service").id), 0U);
  // From the first lease on it counts.
  UnitLease held = lease("u.service");
  held.descriptor.reset();
  wait_for("u.service", ActiveState::inactive);
}

TEST_P(HoldersTest, SaysHowAServiceDiesWithTheManager) {
  service("m.service",
          std::string("KillOnManagerExit=yes\nKillSignal=SIGKILL\nExecStart=/bin/sleep 1000\n") +
              GetParam().setting);
  service("s.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("m.service");
  start("s.service");
  wait_for("m.service", ActiveState::active);
  wait_for("s.service", ActiveState::active);
  const std::string kernel =
      manager_->features().has(sys::Feature::autokill) ? "autokill" : "parent-death-signal";
  const std::string expected = is_grouped() ? kernel + "+cgroup" : kernel;
  EXPECT_EQ(manager_->means(status("m.service").id).manager_exit, expected);
  EXPECT_EQ(manager_->means(status("s.service").id).manager_exit, "survive");
  // A descriptor for somebody else names the same process.
  const auto main = manager_->find_process(status("m.service").service->main);
  ASSERT_TRUE(main);
  const auto given = manager_->pidfd_for_client(*main);
  ASSERT_TRUE(given) << given.error().to_string();
  if (manager_->features().has(sys::Feature::pidfs)) {
    EXPECT_EQ(*sys::inode_of(given->get()), (*main)->id().number());
  }
  EXPECT_TRUE(manager_->kill(status("m.service").id, engine::KillWhom::main, SIGTERM));
}

TEST_F(ManagerTest, AServiceWithPrivatePidsIsTheInitOfItsOwnNamespace) {
  const std::string file = directory_.path("pid");
  service("p.service", "PrivatePIDs=yes\nTimeoutStopSec=200ms\nExecStart=/bin/sh -c 'echo $$$$ > " +
                           file + "; readlink /proc/self >> " + file + "; sleep 1000; :'\n");
  start_manager();
  start("p.service");
  wait_for("p.service", ActiveState::active);
  run_until([&] { return directory_.read("pid").ends_with("2\n"); });
  EXPECT_EQ(directory_.read("pid"), "1\n2\n") << "its own number, and a child's in its /proc";
  // Once readlink is gone and what comes after it is there.
  std::vector<ProcessInfo> processes;
  run_until([&] {
    processes = manager_->list_processes(status("p.service").id);
    return processes.size() == 2 && processes[1].command == "sleep 1000";
  });
  ASSERT_EQ(processes.size(), 2U);
  EXPECT_GT(processes[0].pid, 2U);
  stop("p.service");
  run_until([&] { return manager_->list_processes(std::nullopt).empty(); });
}

}  // namespace
}  // namespace pidward::runtime
