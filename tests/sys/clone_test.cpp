#include "sys/clone.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"

namespace pidward::sys {
namespace {

using Kind = ExitStatus::Kind;

struct Seen {
  long value = 0;
  const void* stack_address = nullptr;
};

PIDWARD_CHILD_CODE int write_into_memory(void* argument) {
  auto* seen = static_cast<Seen*>(argument);
  seen->value = raw_syscall(SYS_getpid);
  seen->stack_address = __builtin_frame_address(0);
  return 3;
}

PIDWARD_CHILD_CODE int wait_for_a_signal(void* /*argument*/) {
  for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  return 0;
}

PIDWARD_CHILD_CODE int tell_disposition_of_usr1(void* argument) {
  // The kernel's own layout of struct sigaction, whose first word is the handler.
  std::array<unsigned long, 4> action{1, 1, 1, 1};
  raw_syscall(SYS_rt_sigaction, SIGUSR1, nullptr, action.data(), 8);
  *static_cast<unsigned long*>(argument) = action[0];
  return 0;
}

ExitStatus end_of(const Child& child) {
  test::wait_for_end(child.pidfd);
  const auto end = child.pidfd.reap();
  EXPECT_TRUE(end && *end);
  return end && *end ? (*end)->status : ExitStatus{};
}

TEST(Clone, RunsAChildInOurMemoryOnAStackOfItsOwn) {
  const auto stack = ChildStack::create();
  ASSERT_TRUE(stack);
  Seen seen;
  const auto child = spawn_on_stack({}, *stack, write_into_memory, &seen);
  ASSERT_TRUE(child);
  EXPECT_EQ(end_of(*child), (ExitStatus{Kind::exited, 3}));
  EXPECT_EQ(seen.value, child->pid);
  const auto* low = static_cast<const char*>(stack->base());
  const auto* address = static_cast<const char*>(seen.stack_address);
  EXPECT_TRUE(address >= low && address < low + stack->size());
}

TEST(Clone, GoesOnWhileTheChildRuns) {
  const auto stack = ChildStack::create();
  ASSERT_TRUE(stack);
  const auto child = spawn_on_stack({}, *stack, wait_for_a_signal, nullptr);
  ASSERT_TRUE(child);
  EXPECT_FALSE(*child->pidfd.has_ended());
  ASSERT_TRUE(child->pidfd.send_signal(SIGKILL));
  EXPECT_EQ(end_of(*child), (ExitStatus{Kind::killed, SIGKILL}));
}

TEST(Clone, RunsManyChildrenAtOnce) {
  constexpr int kChildren = 50;
  std::vector<ChildStack> stacks;
  std::vector<Child> children;
  std::array<Seen, kChildren> seen{};
  for (Seen& one : seen) {
    auto stack = ChildStack::create(4096);
    ASSERT_TRUE(stack);
    stacks.push_back(*std::move(stack));
    auto child = spawn_on_stack({}, stacks.back(), write_into_memory, &one);
    ASSERT_TRUE(child);
    children.push_back(*std::move(child));
  }
  for (int i = 0; i < kChildren; ++i) {
    EXPECT_EQ(end_of(children[i]), (ExitStatus{Kind::exited, 3}));
    EXPECT_EQ(seen[i].value, children[i].pid);
  }
}

TEST(Clone, DoesNotLetTheChildRunOurSignalHandlers) {
  struct sigaction ours {};
  struct sigaction before {};
  ours.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR1, &ours, &before), 0);
  const auto stack = ChildStack::create();
  ASSERT_TRUE(stack);
  unsigned long handler = 77;
  const auto child = spawn_on_stack({}, *stack, tell_disposition_of_usr1, &handler);
  ASSERT_TRUE(child);
  EXPECT_EQ(end_of(*child), (ExitStatus{Kind::exited, 0}));
  EXPECT_EQ(handler, 0U);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(Clone, GivesAChildWithoutSharedMemoryACopy) {
  int value = 1;
  {
    const test::LiveChild child([&] {
      value = 2;
      return value;
    });
    test::wait_for_end(child.pidfd());
    EXPECT_EQ((*child.pidfd().reap())->status, (ExitStatus{Kind::exited, 2}));
  }
  EXPECT_EQ(value, 1);
}

TEST(Clone, ReportsTheKernelsRefusalAndLeavesNothingBehind) {
  const auto stack = ChildStack::create();
  ASSERT_TRUE(stack);
  const std::size_t before = test::open_descriptors();
  test::FaultyKernel kernel;
  kernel.fail(SYS_clone3, EAGAIN);
  const auto refused = spawn_on_stack({}, *stack, write_into_memory, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::limit_exceeded);
  CloneRequest impossible;
  impossible.cgroup = 1 << 20;  // no such descriptor
  EXPECT_EQ(spawn_on_stack(impossible, *stack, write_into_memory, nullptr).error().sys_errno(),
            EBADF);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(ChildStack, ReportsThatThereIsNoMemory) {
  test::FaultyKernel kernel;
  kernel.fail(SYS_mmap, ENOMEM);
  EXPECT_EQ(ChildStack::create().error().code(), Errc::limit_exceeded);
  kernel.fail(SYS_mprotect, ENOMEM);
  EXPECT_EQ(ChildStack::create().error().code(), Errc::limit_exceeded);
  EXPECT_EQ(kernel.count(SYS_munmap), 1);
}

TEST(ChildStack, IsUnmappedOnceHoweverItMoves) {
  test::FaultyKernel kernel;
  {
    auto first = ChildStack::create();
    auto second = ChildStack::create();
    ASSERT_TRUE(first && second);
    ChildStack moved = *std::move(first);
    moved = *std::move(second);
    EXPECT_TRUE(moved);
    EXPECT_EQ(kernel.count(SYS_munmap), 1);
  }
  EXPECT_EQ(kernel.count(SYS_munmap), 2);
}

TEST(ChildStackDeathTest, EndsTheProcessThatGrowsBeyondIt) {
  const auto stack = ChildStack::create(4096);
  ASSERT_TRUE(stack);
  auto* below = static_cast<char*>(stack->base()) - 1;
  EXPECT_DEATH(*static_cast<volatile char*>(below) = 1, "");
}

}  // namespace
}  // namespace pidward::sys
