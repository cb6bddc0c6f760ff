#include "process/process_table.hpp"

#include <csignal>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"

namespace pidward::process {
namespace {

using sys::Feature;
using sys::KernelFeatures;
using test::LiveChild;
using Kind = ExitStatus::Kind;

// Every promise of the table holds on every tier of identity.
class ProcessTableTest : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] ProcessHandle open(const LiveChild& child) {
    auto handle = table_.open(child.copy());
    EXPECT_TRUE(handle) << handle.error().to_string();
    return handle ? *std::move(handle) : ProcessHandle();
  }
  [[nodiscard]] ProcessHandle adopt(const LiveChild& child, UnitId unit = UnitId(1)) {
    auto handle = table_.adopt_child(child.copy(), unit, Role::main);
    EXPECT_TRUE(handle) << handle.error().to_string();
    return handle ? *std::move(handle) : ProcessHandle();
  }

  KernelFeatures features_ = *KernelFeatures::probe(KernelFeatures::split_names(GetParam()));
  ProcessTable table_{features_};
};
INSTANTIATE_TEST_SUITE_P(Tiers, ProcessTableTest,
                         testing::Values("", "pidfd-info", "pidfd-exit-info", "pidfs"));

TEST_P(ProcessTableTest, HasOneEntryForAProcessHoweverItWasOpened) {
  const LiveChild child = LiveChild::sleeping();
  const ProcessHandle by_clone = open(child);
  auto by_number = sys::Pidfd::open(child.pid());
  ASSERT_TRUE(by_number);
  const auto again = table_.open(*std::move(by_number));
  ASSERT_TRUE(again);
  EXPECT_EQ(by_clone, *again);
  EXPECT_EQ(by_clone->id(), (*again)->id());
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_EQ(by_clone->pid(), child.pid());
}

TEST_P(ProcessTableTest, AChildWhoseNumberIsKnownIsTheOneThatIsFoundByIt) {
  const LiveChild child = LiveChild::sleeping();
  const auto adopted =
      table_.adopt_child(child.copy(), UnitId(1), Role::main, Collected::by_us, child.pid());
  ASSERT_TRUE(adopted) << adopted.error().to_string();
  EXPECT_EQ((*adopted)->pid(), child.pid());
  EXPECT_EQ(open(child), *adopted);
  EXPECT_EQ(table_.size(), 1U);
}

TEST_P(ProcessTableTest, HasTwoEntriesForTwoProcesses) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  const ProcessHandle first = open(one);
  const ProcessHandle second = open(two);
  EXPECT_NE(first->id(), second->id());
  EXPECT_EQ(table_.size(), 2U);
}

TEST_P(ProcessTableTest, ForgetsAProcessWithItsLastHandle) {
  const std::size_t before = test::open_descriptors();
  LiveChild child = LiveChild::sleeping();
  ProcessHandle first = open(child);
  ProcessHandle copy = first;
  const ProcessId id = first->id();
  first.close();
  first.close();
  EXPECT_TRUE(table_.find(id));
  copy = ProcessHandle();
  EXPECT_FALSE(table_.find(id));
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_FALSE(*child.pidfd().has_ended());
  EXPECT_EQ(test::open_descriptors(), before + 1);  // the child's own
}

TEST_P(ProcessTableTest, CountsHandlesThroughCopiesAndMoves) {
  const LiveChild child = LiveChild::sleeping();
  ProcessHandle one = open(child);
  one.set_last_close({LastClose::Action::signal, SIGTERM});
  ProcessHandle two = std::move(one);
  ProcessHandle three = two;
  ProcessHandle& alias = two;
  two = alias;
  std::vector<ProcessHandle> many(10, two);
  two.close();
  many.clear();
  EXPECT_FALSE(*child.pidfd().has_ended());
  three.close();
  test::wait_for_end(child.pidfd());
  EXPECT_EQ((*child.pidfd().peek())->status, (ExitStatus{Kind::killed, SIGTERM}));
}

TEST_P(ProcessTableTest, RunsThePolicyOfTheLastHandleOnce) {
  const LiveChild child = LiveChild::sleeping();
  int kills = 0;
  table_.set_tree_killer([&](const ProcessState& state) {
    ++kills;
    // The entry has left the table: whoever meets the process now gets a new one, without the
    // policy.
    EXPECT_FALSE(table_.find(state.id()));
    auto copy = state.pidfd().duplicate();
    ASSERT_TRUE(copy);
    auto reopened = table_.open(*std::move(copy));
    ASSERT_TRUE(reopened);
    EXPECT_EQ((*reopened)->last_close().action, LastClose::Action::none);
  });
  ProcessHandle handle = open(child);
  handle.set_last_close({LastClose::Action::kill_tree, 0});
  handle.close();
  EXPECT_EQ(kills, 1);
  EXPECT_EQ(table_.size(), 0U);
}

TEST_P(ProcessTableTest, KillsAWholeTreeByItself) {
  const auto ready = sys::make_pipe();
  ASSERT_TRUE(ready);
  const LiveChild child([&] {
    sys::raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
    if (!sys::write_all(ready->write_end.get(), "!")) return 1;
    for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  });
  for (std::size_t got = 0; got < 2;) got += sys::read_some(ready->read_end.get(), 2)->size();
  auto below = sys::children_of(child.pidfd(), features_);
  ASSERT_TRUE(below);
  ASSERT_EQ(below->size(), 1U);
  ProcessHandle handle = open(child);
  handle.set_last_close({LastClose::Action::kill_tree, 0});
  handle.close();
  test::wait_for_end(child.pidfd());
  test::wait_for_end(below->front());
}

TEST_P(ProcessTableTest, RefusesWhatIsNoPidfdOfAProcess) {
  auto file = sys::open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(file);
  const std::size_t before = test::open_descriptors();
  const auto refused = table_.open(sys::Pidfd(*std::move(file)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
  EXPECT_EQ(table_.open(sys::Pidfd()).error().code(), Errc::invalid_argument);
  EXPECT_EQ(test::open_descriptors(), before - 1);
  const long thread =
      sys::raw_syscall(SYS_pidfd_open, sys::raw_syscall(SYS_gettid), sys::uapi::kPidfdThread);
  if (!sys::is_error(thread)) {  // of our first thread, which is the process
    EXPECT_TRUE(table_.open(sys::Pidfd(sys::Fd(sys::adopt_fd, static_cast<int>(thread)))));
  }
  EXPECT_EQ(table_.size(), 0U);
}

TEST_P(ProcessTableTest, TakesInOurselvesAndInitAsForeign) {
  auto self = sys::Pidfd::self();
  auto init = sys::Pidfd::open(1);
  ASSERT_TRUE(self && init);
  const auto ours = table_.open(*std::move(self));
  const auto others = table_.open(*std::move(init));
  ASSERT_TRUE(ours && others);
  EXPECT_EQ((*ours)->role(), Role::foreign);
  EXPECT_FALSE((*others)->is_child());
}

TEST_P(ProcessTableTest, TakesInAZombieAndTellsHowItEnded) {
  const LiveChild child = LiveChild::zombie(6);
  const ProcessHandle handle = adopt(child);
  EXPECT_FALSE(handle->has_ended());
  const auto status = table_.collect(handle);
  ASSERT_TRUE(status && *status);
  EXPECT_EQ(**status, (ExitStatus{Kind::exited, 6}));
  EXPECT_EQ(handle->exit_status(), (ExitStatus{Kind::exited, 6}));
}

TEST_P(ProcessTableTest, TakesInTheCollectedOnlyWhereTheyHaveAnIdentity) {
  LiveChild child = LiveChild::zombie(0);
  const sys::Pidfd copy = child.copy();
  child.end_and_collect();
  auto dead = copy.duplicate();
  ASSERT_TRUE(dead);
  const auto handle = table_.open(*std::move(dead));
  if (features_.has(Feature::pidfs)) {
    ASSERT_TRUE(handle);
    EXPECT_EQ((*handle)->pid(), 0);
  } else {
    ASSERT_FALSE(handle);
    EXPECT_EQ(handle.error().code(), Errc::no_such_process);
  }
}

TEST_P(ProcessTableTest, KeepsTheStatusUntilEveryHolderReadIt) {
  const LiveChild child = LiveChild::zombie(2);
  ProcessHandle one = adopt(child);
  const ProcessHandle two = one;
  ASSERT_TRUE(table_.collect(one));
  one.close();
  EXPECT_EQ(two->exit_status(), (ExitStatus{Kind::exited, 2}));
  EXPECT_EQ(table_.collect(two)->value(), (ExitStatus{Kind::exited, 2}));
}

TEST_P(ProcessTableTest, SaysNothingOfAProcessThatRuns) {
  const LiveChild child = LiveChild::sleeping();
  const ProcessHandle handle = adopt(child);
  const auto status = table_.collect(handle);
  ASSERT_TRUE(status);
  EXPECT_FALSE(*status);
  EXPECT_FALSE(handle->has_ended());
  EXPECT_FALSE(handle->exit_status());
}

TEST_P(ProcessTableTest, AsksTheKernelHowAStrangerEnded) {
  LiveChild child = LiveChild::zombie(8);
  const ProcessHandle handle = open(child);
  const ExitStatus known =
      features_.has(Feature::pidfd_exit_info) ? ExitStatus{Kind::exited, 8} : ExitStatus{};
  // Some kernels know already while it is a zombie.
  EXPECT_THAT(**table_.collect(handle), ::testing::AnyOf(ExitStatus{}, known));
  child.end_and_collect();
  const auto status = table_.collect(handle);
  ASSERT_TRUE(status && *status);
  EXPECT_EQ(**status, known);
  EXPECT_TRUE(handle->has_ended());
}

TEST_P(ProcessTableTest, BelievesTheFirstKnownStatus) {
  const LiveChild child = LiveChild::sleeping();
  const ProcessHandle handle = open(child);
  table_.mark_exited(handle->id(), ExitStatus{});
  EXPECT_EQ(handle->exit_status(), ExitStatus{});
  table_.mark_exited(handle->id(), {Kind::exited, 1});
  table_.mark_exited(handle->id(), {Kind::killed, SIGKILL});
  EXPECT_EQ(handle->exit_status(), (ExitStatus{Kind::exited, 1}));
  table_.mark_exited(ProcessId(12345), {Kind::exited, 1});
}

TEST_P(ProcessTableTest, FindsByIdByPidfdAndByUnit) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  const LiveChild three = LiveChild::sleeping();
  const ProcessHandle first = adopt(one, UnitId(7));
  const ProcessHandle second = adopt(two, UnitId(7));
  const ProcessHandle third = adopt(three, UnitId(8));
  EXPECT_EQ(table_.find(first->id()), first);
  EXPECT_EQ(*table_.find(three.pidfd()), third);
  EXPECT_FALSE(*table_.find(*sys::Pidfd::self()));
  EXPECT_EQ(table_.processes_of(UnitId(7)), (std::vector{first, second}));
  EXPECT_TRUE(table_.processes_of(UnitId(9)).empty());
  EXPECT_EQ(table_.all(), (std::vector{first, second, third}));
}

TEST_P(ProcessTableTest, MovesAProcessFromUnitToUnit) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  const LiveChild three = LiveChild::sleeping();
  ProcessHandle first = adopt(one, UnitId(7));
  ProcessHandle second = adopt(two, UnitId(7));
  ProcessHandle third = adopt(three, UnitId(7));
  second.set_unit(UnitId(8));
  second.set_role(Role::control);
  EXPECT_EQ(table_.processes_of(UnitId(7)), (std::vector{first, third}));
  EXPECT_EQ(table_.processes_of(UnitId(8)), (std::vector{second}));
  EXPECT_EQ(second->role(), Role::control);
  third.close();
  EXPECT_EQ(table_.processes_of(UnitId(7)), (std::vector{first}));
  first.set_unit(UnitId());
  EXPECT_TRUE(table_.processes_of(UnitId(7)).empty());
  second.close();
  EXPECT_TRUE(table_.processes_of(UnitId(8)).empty());
}

TEST_P(ProcessTableTest, RunsPoliciesInReverseOrderWhenItEnds) {
  std::vector<LiveChild> children;
  std::vector<ProcessHandle> handles;
  std::vector<ProcessId> killed;
  table_.set_tree_killer([&](const ProcessState& state) {
    killed.push_back(state.id());
    handles.clear();  // a policy may let go of others
  });
  std::vector<ProcessId> opened;
  for (int i = 0; i < 4; ++i) {
    children.push_back(LiveChild::sleeping());
    handles.push_back(open(children.back()));
    handles.back().set_last_close({LastClose::Action::kill_tree, 0});
    opened.insert(opened.begin(), handles.back()->id());
  }
  table_.shutdown(ProcessTable::Leftovers::run_policies);
  table_.shutdown(ProcessTable::Leftovers::run_policies);
  EXPECT_EQ(killed, opened);
  EXPECT_EQ(table_.size(), 0U);
}

TEST_P(ProcessTableTest, LeavesProcessesAloneForItsSuccessor) {
  const LiveChild child = LiveChild::sleeping();
  ProcessHandle handle = open(child);
  handle.set_last_close({LastClose::Action::signal, SIGKILL});
  table_.shutdown(ProcessTable::Leftovers::leave_alone);
  EXPECT_EQ(handle->pid(), child.pid());
  EXPECT_TRUE(handle.send_signal(0));
  handle.set_unit(UnitId(3));
  handle.close();
  EXPECT_FALSE(*child.pidfd().has_ended());
  EXPECT_EQ(table_.open(child.copy()).error().code(), Errc::shutting_down);
}

TEST_P(ProcessTableTest, TellsTheObserverOfEveryEntryThatGoes) {
  std::vector<ProcessId> gone;
  table_.set_observer([&](const ProcessState& state) { gone.push_back(state.id()); });
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  ProcessHandle first = open(one);
  const ProcessHandle second = open(two);
  const std::vector<ProcessId> expected{first->id(), second->id()};
  first.close();
  table_.shutdown(ProcessTable::Leftovers::leave_alone);
  EXPECT_EQ(gone, expected);
}

TEST_P(ProcessTableTest, IsAsBeforeAfterAFailedOpen) {
  const LiveChild child = LiveChild::sleeping();
  const std::size_t before = test::open_descriptors();
  {
    test::FaultyKernel kernel;
    kernel.fail(SYS_ioctl, ENOTTY, 0, -1);  // fdinfo tells what the process does not
    kernel.fail(SYS_openat, EMFILE);
    EXPECT_EQ(table_.open(child.copy()).error().code(), Errc::limit_exceeded);
    kernel.fail(features_.has(Feature::pidfs) ? SYS_fstatfs : SYS_openat, EIO);
    EXPECT_FALSE(table_.adopt_child(child.copy(), UnitId(1), Role::main));
  }
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_TRUE(table_.processes_of(UnitId(1)).empty());
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST_P(ProcessTableTest, HoldsThousandsAndIsFlatAfterwards) {
  const std::size_t before = test::open_descriptors();
  const LiveChild child = LiveChild::sleeping();
  for (int round = 0; round < 2000; ++round) {
    const ProcessHandle handle = adopt(child, UnitId(static_cast<std::uint32_t>(round % 7 + 1)));
    EXPECT_EQ(table_.size(), 1U);
  }
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_EQ(test::open_descriptors(), before + 1);
}

TEST(ProcessTable, EndsWithItsPolicies) {
  const LiveChild child = LiveChild::sleeping();
  ProcessHandle handle;
  {
    ProcessTable table(*KernelFeatures::probe());
    handle = *table.open(child.copy());
    handle.set_last_close({LastClose::Action::signal, SIGTERM});
  }
  test::wait_for_end(child.pidfd());
  EXPECT_EQ((*child.pidfd().peek())->status, (ExitStatus{Kind::killed, SIGTERM}));
  EXPECT_EQ(handle->pid(), child.pid());
}

}  // namespace
}  // namespace pidward::process
