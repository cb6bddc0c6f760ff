#include <csignal>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/process_table.hpp"
#include "sys/cgroup.hpp"
#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"

namespace pidward::process {
namespace {

using sys::KernelFeatures;
using test::LiveChild;

class VerifyTest : public testing::Test {
 protected:
  Error refusal(pid_t pid, const Expectation& expected = {}) {
    auto handle = open_pid_verified(table_, pid, expected);
    EXPECT_FALSE(handle);
    EXPECT_EQ(table_.size(), 0U);
    return handle ? Error(Errc::failed, "accepted") : handle.error();
  }
  ProcessTable table_{*KernelFeatures::probe()};
};

TEST_F(VerifyTest, BelievesALiveProcessWhereItIsExpected) {
  const LiveChild child = LiveChild::sleeping();
  Expectation expected;
  expected.cgroup = *sys::cgroup_path_of(child.pidfd());
  expected.descendant_of_us = true;
  const auto handle = open_pid_verified(table_, child.pid(), expected);
  ASSERT_TRUE(handle) << handle.error().to_string();
  EXPECT_EQ((*handle)->pid(), child.pid());
  EXPECT_EQ((*handle)->role(), Role::foreign);
}

TEST_F(VerifyTest, RefusesAProcessOfAnotherGroupAndNamesBoth) {
  const LiveChild child = LiveChild::sleeping();
  Expectation expected;
  expected.cgroup = "/no/such/group";
  const Error error = refusal(child.pid(), expected);
  EXPECT_EQ(error.code(), Errc::process_mismatch);
  EXPECT_NE(error.message().find("/no/such/group"), std::string::npos);
  EXPECT_NE(error.message().find(*sys::cgroup_path_of(child.pidfd())), std::string::npos);
}

TEST_F(VerifyTest, RefusesWhoIsNotOurDescendant) {
  const auto parent = sys::Pidfd::open(getppid());
  ASSERT_TRUE(parent);
  Expectation expected;
  expected.descendant_of_us = true;
  const Status refused = verify(*parent, expected);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::process_mismatch);
}

TEST_F(VerifyTest, BelievesAGrandchildToBeADescendant) {
  const auto ready = sys::make_pipe();
  ASSERT_TRUE(ready);
  const LiveChild child([&] {
    const long made = sys::raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
    if (made == 0 && !sys::write_all(ready->write_end.get(), "!")) return 1;
    for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  });
  ASSERT_EQ(*sys::read_some(ready->read_end.get(), 1), "!");
  const auto below = sys::children_of(child.pidfd(), table_.features());
  ASSERT_TRUE(below);
  ASSERT_EQ(below->size(), 1U);
  Expectation expected;
  expected.descendant_of_us = true;
  EXPECT_TRUE(verify(below->front(), expected));
  EXPECT_EQ(*sys::kill_tree(child.pidfd(), table_.features()), 2U);
}

TEST_F(VerifyTest, RefusesTheDeadTheGoneAndTheNeverThere) {
  LiveChild child = LiveChild::zombie(0);
  EXPECT_EQ(refusal(child.pid()).code(), Errc::no_such_process);
  child.end_and_collect();
  EXPECT_EQ(refusal(child.pid()).code(), Errc::no_such_process);
  EXPECT_EQ(refusal(0x3ffffff).code(), Errc::no_such_process);
}

TEST_F(VerifyTest, RefusesNumbersThatNameNoProcess) {
  EXPECT_EQ(refusal(0).code(), Errc::invalid_argument);
  EXPECT_EQ(refusal(-5).code(), Errc::invalid_argument);
}

TEST_F(VerifyTest, RefusesPidwardAndInit) {
  EXPECT_EQ(refusal(getpid()).code(), Errc::process_mismatch);
  EXPECT_EQ(refusal(1).code(), Errc::process_mismatch);
}

TEST_F(VerifyTest, RefusesAProcessThatEndsWhileItIsChecked) {
  const LiveChild child = LiveChild::sleeping();
  Expectation expected;
  expected.cgroup = *sys::cgroup_path_of(child.pidfd());
  test::FaultyKernel kernel;
  kernel.fail(SYS_pidfd_send_signal, ESRCH);
  EXPECT_EQ(refusal(child.pid(), expected).code(), Errc::no_such_process);
}

TEST_F(VerifyTest, LeavesNoDescriptorOpen) {
  const LiveChild child = LiveChild::sleeping();
  Expectation expected;
  expected.cgroup = "/no/such/group";
  expected.descendant_of_us = true;
  const std::size_t before = test::open_descriptors();
  refusal(child.pid(), expected);
  EXPECT_TRUE(open_pid_verified(table_, child.pid(), {}));
  EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace pidward::process
