#include "sys/proc.hpp"

#include <algorithm>
#include <csignal>
#include <set>

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"
#include "sys/reaper.hpp"

namespace pidward::sys {
namespace {

using test::LiveChild;

TEST(ProcStat, IsReadWhateverTheCommandIsCalled) {
  const auto stat =
      parse_stat("42 (a) b ( c)) S 7 42 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->comm, "a) b ( c)");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 7);
  EXPECT_EQ(stat->session, 41);
  EXPECT_EQ(stat->start_ticks, 987654U);
}

TEST(ProcStat, RefusesWhatIsCutOrGarbled) {
  for (const char* line : {"", "42", "42 (x", "42 (x)", "42 (x) S 1 2 3", "x (y) S 7 42 41",
                           ") 1 (", "42 (x) SS 7 42 41 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 9 0"}) {
    EXPECT_FALSE(parse_stat(line)) << line;
  }
}

TEST(Proc, TellsNameArgumentsAndExecutableOfALiveProcess) {
  const auto self = Pidfd::self();
  ASSERT_TRUE(self);
  EXPECT_EQ(*comm_of(*self), "test_sys");
  EXPECT_FALSE(cmdline_of(*self)->empty());
  EXPECT_TRUE(executable_of(*self)->ends_with("test_sys"));
  EXPECT_EQ(stat_of(*self)->pid, getpid());
  EXPECT_GT(stat_of(*self)->start_ticks, 0U);
  ASSERT_TRUE(environ_of(*self));
}

TEST(Proc, TellsNothingOfAProcessThatWasCollected) {
  LiveChild child = LiveChild::zombie(0);
  EXPECT_EQ(stat_of(child.pidfd())->state, 'Z');
  child.end_and_collect();
  EXPECT_EQ(stat_of(child.pidfd()).error().code(), Errc::no_such_process);
  EXPECT_EQ(comm_of(child.pidfd()).error().code(), Errc::no_such_process);
  EXPECT_EQ(cgroup_path_of(child.pidfd()).error().code(), Errc::no_such_process);
}

// The process is collected between the reading and the second look: what was read may be another's.
TEST(Proc, DoesNotBelieveWhatItReadOfAProcessThatWentMeanwhile) {
  const LiveChild child = LiveChild::sleeping();
  test::FaultyKernel kernel;
  kernel.fail(SYS_pidfd_send_signal, ESRCH);
  EXPECT_EQ(comm_of(child.pidfd()).error().code(), Errc::no_such_process);
}

class ProcTierTest : public testing::TestWithParam<const char*> {
 protected:
  const KernelFeatures features_ = *KernelFeatures::probe(KernelFeatures::split_names(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(Tiers, ProcTierTest,
                         testing::Values("", "pidfd-info", "proc-children", "pidfs"));

TEST_P(ProcTierTest, TellsOwnerAndParent) {
  const LiveChild child = LiveChild::sleeping();
  const auto info = inspect(child.pidfd(), features_);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->pid, child.pid());
  EXPECT_EQ(info->ppid, getpid());
  EXPECT_EQ(info->uid, geteuid());
  EXPECT_EQ(info->gid, getegid());
}

TEST_P(ProcTierTest, TellsNothingOfTheCollected) {
  LiveChild child = LiveChild::zombie(0);
  child.end_and_collect();
  EXPECT_EQ(inspect(child.pidfd(), features_).error().code(), Errc::no_such_process);
  EXPECT_EQ(children_of(child.pidfd(), features_).error().code(), Errc::no_such_process);
}

TEST_P(ProcTierTest, FindsChildren) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  const auto self = Pidfd::self();
  ASSERT_TRUE(self);
  const auto children = children_of(*self, features_);
  ASSERT_TRUE(children);
  std::set<pid_t> numbers;
  for (const Pidfd& child : *children) numbers.insert(*child.pid());
  EXPECT_EQ(numbers, (std::set<pid_t>{one.pid(), two.pid()}));
}

// A child that has a child that has one, all asleep once the pipe has three bytes.
LiveChild three_generations(const Pipe& ready) {
  return LiveChild([&ready] {
    for (int depth = 0; depth < 2; ++depth) {
      if (raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0) > 0) break;
    }
    if (!write_all(ready.write_end.get(), "!")) return 1;
    for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  });
}

TEST_P(ProcTierTest, FindsDescendantsParentsFirst) {
  const auto ready = make_pipe();
  ASSERT_TRUE(ready);
  const LiveChild child = three_generations(*ready);
  for (std::size_t got = 0; got < 3;) got += read_some(ready->read_end.get(), 3)->size();
  const auto found = descendants_of(child.pidfd(), features_);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(inspect((*found)[0], features_)->ppid, child.pid());
  EXPECT_EQ(inspect((*found)[1], features_)->ppid, *(*found)[0].pid());
  EXPECT_EQ(*kill_tree(child.pidfd(), features_), 3U);
  test::wait_for_end((*found)[1]);
  test::wait_for_end((*found)[0]);
  test::wait_for_end(child.pidfd());
}

TEST_P(ProcTierTest, KillsATreeThatKeepsForking) {
  // Who gets away from it comes to us.
  LiveChild subreaper([&] {
    const auto self = Pidfd::self();
    const auto ready = make_pipe();
    if (!become_subreaper() || !self || !ready) return 1;
    // The root stays and makes children that stay, without end.
    const LiveChild root([&] {
      for (int made = 0;; ++made) {
        if (raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0) == 0 || made > 400) {
          for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
        }
        if (made == 20 && !write_all(ready->write_end.get(), "!")) return 1;
      }
    });
    if (read_some(ready->read_end.get(), 1)->size() != 1) return 2;
    const auto killed = kill_tree(root.pidfd(), features_);
    if (!killed || *killed < 20) return 3;
    test::wait_for_end(root.pidfd());
    const auto left = children_of(*self, features_);
    if (!left) return 4;
    // A killed one may be on its way, but it is neither asleep nor stopped any more.
    const auto got_away = [](const Pidfd& each) {
      const auto stat = stat_of(each);
      return stat && (stat->state == 'S' || stat->state == 'T');
    };
    const auto survivors = std::ranges::count_if(*left, got_away);
    for (const Pidfd& each : *left) static_cast<void>(each.send_signal(SIGKILL));
    if (survivors > 0) return 5;
    return 0;
  });
  test::wait_for_end(subreaper.pidfd());
  EXPECT_EQ((*subreaper.pidfd().reap())->status, (ExitStatus{ExitStatus::Kind::exited, 0}));
}

TEST_P(ProcTierTest, KillsATreeThatItHasTooFewDescriptorsFor) {
  constexpr std::size_t kBranches = 40;
  const auto ready = make_pipe();
  ASSERT_TRUE(ready);
  // Branches of two, so that there is somebody below whoever is killed.
  const LiveChild root([&] {
    for (std::size_t made = 0; made < kBranches; ++made) {
      if (raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0) != 0) continue;
      raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
      if (!write_all(ready->write_end.get(), "!")) return 1;
      break;
    }
    for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  });
  for (std::size_t got = 0; got < 2 * kBranches;) {
    got += read_some(ready->read_end.get(), 2 * kBranches)->size();
  }
  const auto all = descendants_of(root.pidfd(), features_);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2 * kBranches);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit few = usual;
  few.rlim_cur = static_cast<rlim_t>(root.copy().get()) + 12;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto killed = kill_tree(root.pidfd(), features_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  ASSERT_TRUE(killed) << killed.error().to_string();
  for (const Pidfd& each : *all) test::wait_for_end(each);
  test::wait_for_end(root.pidfd());
}

TEST(Proc, SparesWhatWeLookAfterWhenATreeAboveUsIsKilled) {
  const auto told = make_pipe();
  ASSERT_TRUE(told);
  const LiveChild above([&] {
    const auto self = Pidfd::self();
    const LiveChild us([&] {
      const LiveChild ours = LiveChild::sleeping();
      const KernelFeatures none;
      const auto killed = kill_tree(*self, none);
      const bool spared = killed && *killed == 1 && !*ours.pidfd().has_ended();
      return write_all(told->write_end.get(), spared ? "y" : "n") ? 0 : 1;
    });
    for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
    return 0;
  });
  EXPECT_EQ(*read_some(told->read_end.get(), 1), "y");
  test::wait_for_end(above.pidfd());
}

TEST(Proc, NeverKillsItself) {
  const LiveChild parent([] {
    const auto self = Pidfd::self();
    const LiveChild child = LiveChild::sleeping();
    const KernelFeatures none;
    const auto killed = kill_tree(*self, none);
    return killed && *killed == 1 ? 0 : 1;
  });
  test::wait_for_end(parent.pidfd());
  EXPECT_EQ((*parent.pidfd().reap())->status, (ExitStatus{ExitStatus::Kind::exited, 0}));
}

TEST(Proc, KnowsThisBoot) {
  const auto id = boot_id();
  ASSERT_TRUE(id);
  EXPECT_EQ(id->size(), 36U);
}

}  // namespace
}  // namespace pidward::sys
