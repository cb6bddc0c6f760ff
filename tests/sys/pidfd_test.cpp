#include "sys/pidfd.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temporary_directory.hpp"
#include "sys/faulty_kernel.hpp"
#include "sys/features.hpp"
#include "sys/live_child.hpp"
#include "sys/reaper.hpp"

namespace pidward::sys {
namespace {

using Kind = ExitStatus::Kind;
using test::LiveChild;

// What this machine can do; a test of what it cannot checks the refusal instead.
const KernelFeatures& features() {
  static const KernelFeatures probed = *KernelFeatures::probe();
  return probed;
}

TEST(Pidfd, OfOneProcessHasOneInodeHoweverItWasOpened) {
  const LiveChild child = LiveChild::sleeping();
  const auto opened = Pidfd::open(child.pid());
  ASSERT_TRUE(opened);
  EXPECT_EQ(*child.pidfd().inode(), *opened->inode());
  EXPECT_EQ(*opened->pid(), child.pid());
}

// Whichever way the kernel has.
TEST(Pidfd, TellsItsNumberWithoutTheCallThatTellsEverything) {
  const bool tells_everything = features().has(Feature::pidfd_info);
  const LiveChild child = LiveChild::sleeping();
  test::FaultyKernel kernel;
  kernel.fail(SYS_ioctl, ENOTTY, 0, -1);
  EXPECT_EQ(*child.pidfd().pid(), child.pid());
  EXPECT_GT(kernel.count(SYS_openat), 0);
  kernel.forget_calls();
  kernel.fail(SYS_ioctl, 0, 0, 0);
  EXPECT_EQ(*child.pidfd().pid(), child.pid());
  EXPECT_EQ(kernel.count(SYS_openat) == 0, tells_everything);
}

TEST(Pidfd, OfTwoProcessesHasTwoInodesOnPidfs) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  EXPECT_EQ(*one.pidfd().inode() != *two.pidfd().inode(), features().has(Feature::pidfs));
  EXPECT_EQ(*one.pidfd().is_pidfs(), features().has(Feature::pidfs));
}

TEST(Pidfd, RefusesNumbersThatAreNoProcess) {
  for (const pid_t number : {0, -1, -1000}) {
    const auto refused = Pidfd::open(number);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
  }
  const auto nobody = Pidfd::open(0x3ffffff);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), Errc::no_such_process);
}

TEST(Pidfd, RefusesTheNumberOfAThread) {
  std::atomic<pid_t> number{0};
  std::atomic<bool> done{false};
  std::thread thread([&] {
    number = static_cast<pid_t>(raw_syscall(SYS_gettid));
    number.notify_all();
    done.wait(false);
  });
  number.wait(0);
  const auto refused = Pidfd::open(number);
  const long of_thread = raw_syscall(SYS_pidfd_open, number.load(), uapi::kPidfdThread);
  // Asked while it lives: of a thread that is gone nothing tells that it was one.
  std::optional<Result<Pidfd>> adopted;
  if (!is_error(of_thread)) {  // Linux 6.9 has pidfds of threads
    adopted = Pidfd::from_untrusted(Fd(adopt_fd, static_cast<int>(of_thread)));
  }
  done = true;
  done.notify_all();
  thread.join();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
  if (adopted) {
    ASSERT_FALSE(*adopted);
    EXPECT_EQ(adopted->error().code(), Errc::invalid_argument);
  }
}

TEST(Pidfd, RefusesDescriptorsOfOtherThings) {
  auto file = open_path("/dev/null", O_RDONLY);
  auto pipe = make_pipe();
  auto directory = open_path("/proc/self", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(file && pipe && directory);
  EXPECT_FALSE(Pidfd::from_untrusted(*std::move(file)));
  EXPECT_FALSE(Pidfd::from_untrusted(std::move(pipe->read_end)));
  EXPECT_FALSE(Pidfd::from_untrusted(*std::move(directory)));
  EXPECT_FALSE(Pidfd::from_untrusted(Fd()));
}

TEST(Pidfd, RefusesWhatOnlyHasTheNameOfOne) {
  const test::TemporaryDirectory directory;
  auto file = open_path(directory.write("anon_inode:[pidfd]", ""), O_RDONLY);
  auto other = Fd(adopt_fd, static_cast<int>(raw_syscall(SYS_eventfd2, 0, 0)));
  ASSERT_TRUE(file && other);
  EXPECT_FALSE(Pidfd::from_untrusted(*std::move(file)));
  EXPECT_FALSE(Pidfd::from_untrusted(std::move(other)));
}

TEST(Pidfd, IsTakenFromAStrangerWhereTheKernelTellsLess) {
  test::FaultyKernel kernel;
  kernel.fail(SYS_ioctl, ENOTTY, 0, -1);
  const LiveChild child = LiveChild::sleeping();
  EXPECT_TRUE(Pidfd::from_untrusted(child.copy().release()));
}

TEST(Pidfd, AcceptsOnesOfStrangersAndOfTheDead) {
  auto init = Pidfd::open(1);
  ASSERT_TRUE(init);
  EXPECT_TRUE(Pidfd::from_untrusted(std::move(*init).release()));
  LiveChild child = LiveChild::zombie(0);
  EXPECT_TRUE(Pidfd::from_untrusted(child.copy().release()));
  child.end_and_collect();
  EXPECT_TRUE(Pidfd::from_untrusted(child.copy().release()));
}

TEST(Pidfd, PeeksWithoutCollectingAndCollectsOnce) {
  const LiveChild child = LiveChild::zombie(9);
  const auto peeked = child.pidfd().peek();
  ASSERT_TRUE(peeked && *peeked);
  EXPECT_EQ((*peeked)->status, (ExitStatus{Kind::exited, 9}));
  const auto collected = child.pidfd().reap();
  ASSERT_TRUE(collected && *collected);
  EXPECT_EQ((*collected)->pid, child.pid());
  EXPECT_EQ((*collected)->status, (ExitStatus{Kind::exited, 9}));
  EXPECT_EQ(child.pidfd().reap().error().sys_errno(), ECHILD);
}

TEST(Pidfd, SaysNothingOfAChildThatStillRuns) {
  const LiveChild child = LiveChild::sleeping();
  const auto none = child.pidfd().reap();
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  EXPECT_FALSE(*child.pidfd().has_ended());
  EXPECT_TRUE(*child.pidfd().exists());
}

TEST(Pidfd, TellsDeadFromCollected) {
  LiveChild child = LiveChild::zombie(0);
  EXPECT_TRUE(*child.pidfd().has_ended());
  EXPECT_TRUE(*child.pidfd().exists());
  child.end_and_collect();
  EXPECT_TRUE(*child.pidfd().has_ended());
  EXPECT_FALSE(*child.pidfd().exists());
  EXPECT_EQ(child.pidfd().pid().error().code(), Errc::no_such_process);
  EXPECT_EQ(child.pidfd().send_signal(SIGTERM).error().code(), Errc::no_such_process);
}

TEST(Pidfd, KillsAndTellsTheSignal) {
  const LiveChild child = LiveChild::sleeping();
  ASSERT_TRUE(child.pidfd().send_signal(SIGTERM));
  test::wait_for_end(child.pidfd());
  const auto end = child.pidfd().reap();
  ASSERT_TRUE(end && *end);
  EXPECT_EQ((*end)->status, (ExitStatus{Kind::killed, SIGTERM}));
}

TEST(Pidfd, SendsAValueWithASignal) {
  const auto ready = make_pipe();
  ASSERT_TRUE(ready);
  const LiveChild child([&] {
    const std::uint64_t set = 1ULL << (SIGUSR1 - 1);
    raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, nullptr, sizeof(set));
    if (!write_all(ready->write_end.get(), "!")) return 1;
    siginfo_t info{};
    raw_syscall(SYS_rt_sigtimedwait, &set, &info, nullptr, sizeof(set));
    return info.si_value.sival_int;
  });
  ASSERT_EQ(*read_some(ready->read_end.get(), 1), "!");
  ASSERT_TRUE(child.pidfd().send_signal(SIGUSR1, 42));
  test::wait_for_end(child.pidfd());
  EXPECT_EQ((*child.pidfd().reap())->status, (ExitStatus{Kind::exited, 42}));
}

// Mainline says so once the parent has collected it, the bundled series for 6.1 as soon as it has
// ended.
TEST(Pidfd, TellsHowAStrangerEndedAtTheLatestOnceItsParentCollectedIt) {
  LiveChild child = LiveChild::zombie(5);
  const auto before = child.pidfd().exit_status();
  child.end_and_collect();
  const auto after = child.pidfd().exit_status();
  if (!features().has(Feature::pidfd_exit_info)) {
    EXPECT_FALSE(after && *after);
    return;
  }
  ASSERT_TRUE(before && after && *after);
  if (*before) {
    EXPECT_EQ(**before, (ExitStatus{Kind::exited, 5}));
  }
  EXPECT_EQ(**after, (ExitStatus{Kind::exited, 5}));
}

TEST(Pidfd, IsReopenedByHandleUntilItIsCollected) {
  LiveChild child = LiveChild::sleeping();
  const auto handle = child.pidfd().handle();
  if (!features().has(Feature::pidfs_handles)) {
    EXPECT_EQ(Pidfd::from_handle(PidfsHandle{}).has_value(), false);
    return;
  }
  ASSERT_TRUE(handle);
  const auto parsed = PidfsHandle::parse(handle->to_string());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, *handle);
  const auto again = Pidfd::from_handle(*parsed);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again->inode(), *child.pidfd().inode());
  child.end_and_collect();
  const auto gone = Pidfd::from_handle(*parsed);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), Errc::no_such_process);
}

TEST(PidfsHandle, RefusesWhatItDidNotWrite) {
  for (const char* text : {"", "254", "254:", "254:0", "254:zz", ":00", "x:00", "254:00 ",
                           "254:AABB", "99999999999:00"}) {
    EXPECT_FALSE(PidfsHandle::parse(text)) << text;
  }
  EXPECT_FALSE(PidfsHandle::parse("1:" + std::string(66, '0')));
  EXPECT_TRUE(PidfsHandle::parse("1:" + std::string(64, '0')));
}

TEST(Pidfd, KeepsALabelThatEveryDescriptorOfItSees) {
  const LiveChild child = LiveChild::sleeping();
  const auto set = child.pidfd().set_label("unit", "a.service");
  if (!features().has(Feature::pidfs_xattrs)) {
    EXPECT_FALSE(set);
    return;
  }
  ASSERT_TRUE(set);
  const auto other = Pidfd::open(child.pid());
  ASSERT_TRUE(other);
  EXPECT_EQ(**other->label("unit"), "a.service");
  ASSERT_TRUE(other->remove_label("unit"));
  EXPECT_FALSE(*child.pidfd().label("unit"));
}

TEST(Pidfd, TakesACopyOfADescriptor) {
  const auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  const LiveChild child = LiveChild::sleeping();
  const auto taken = child.pidfd().get_fd(pipe->read_end.get());
  ASSERT_TRUE(taken);
  EXPECT_EQ(*inode_of(taken->get()), *inode_of(pipe->read_end.get()));
}

TEST(Reaper, NamesEndedChildrenWithoutConsumingThem) {
  const LiveChild child = LiveChild::zombie(3);
  const auto first = next_ended_child();
  const auto second = next_ended_child();
  ASSERT_TRUE(first && *first && second && *second);
  EXPECT_EQ((*first)->end.pid, child.pid());
  EXPECT_EQ((*second)->end.pid, child.pid());
  EXPECT_EQ((*first)->end.status, (ExitStatus{Kind::exited, 3}));
  ASSERT_TRUE((*first)->pidfd.reap());
  const auto third = next_ended_child();
  ASSERT_TRUE(third);
  EXPECT_FALSE(*third);
}

// Blocks until some child ended, without collecting it.
void wait_for_any_end() {
  siginfo_t info{};
  raw_syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL, nullptr);
}

// Collects the next ended child; its exit code, or -1.
int collect_next() {
  wait_for_any_end();
  const auto ended = next_ended_child();
  if (!ended || !*ended) return -1;
  const auto end = (*ended)->pidfd.reap();
  return end && *end ? (*end)->status.code : -1;
}

TEST(Reaper, FindsAnOrphanThatCameToTheSubreaper) {
  LiveChild subreaper([] {
    auto gate = make_pipe();
    if (!gate || !become_subreaper() || !*is_subreaper()) return 10;
    const auto stay_until_the_gate_opens = [&] {
      gate->write_end.reset();
      [[maybe_unused]] const auto nothing = read_some(gate->read_end.get(), 1);
      return 4;
    };
    const LiveChild middle([&] {
      // Left alone on purpose: its parent ends first.
      new LiveChild(stay_until_the_gate_opens);
      return 3;
    });
    if (collect_next() != 3) return 11;
    gate->write_end.reset();
    return collect_next() == 4 ? 0 : 12;
  });
  test::wait_for_end(subreaper.pidfd());
  EXPECT_EQ((*subreaper.pidfd().reap())->status, (ExitStatus{Kind::exited, 0}));
}

TEST(Pidfd, ReportsFailuresOfTheKernelWithTheirErrno) {
  const LiveChild child = LiveChild::sleeping();
  const std::size_t before = test::open_descriptors();
  test::FaultyKernel kernel;
  kernel.fail(SYS_pidfd_open, EMFILE);
  EXPECT_EQ(Pidfd::open(child.pid()).error().code(), Errc::limit_exceeded);
  kernel.fail(SYS_pidfd_send_signal, EPERM, 0, 2);
  EXPECT_EQ(child.pidfd().send_signal(SIGCONT).error().code(), Errc::access_denied);
  EXPECT_TRUE(*child.pidfd().exists());  // somebody we may not signal is somebody
  kernel.fail(SYS_waitid, EINTR, 0, 2);
  EXPECT_TRUE(child.pidfd().reap());
  kernel.fail(SYS_ioctl, ENOTTY);
  EXPECT_EQ(child.pidfd().info(uapi::kPidfdInfoPid).error().code(), Errc::not_supported);
  kernel.fail(SYS_open_by_handle_at, EBADF);
  EXPECT_EQ(Pidfd::from_handle(PidfsHandle{}).error().code(), Errc::not_supported);
  kernel.fail(SYS_name_to_handle_at, EOPNOTSUPP);
  EXPECT_EQ(child.pidfd().handle().error().code(), Errc::not_supported);
  EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace pidward::sys
