#include "sys/cgroup.hpp"

#include <cerrno>
#include <csignal>
#include <set>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"
#include "sys/reaper.hpp"

namespace pidward::sys {
namespace {

using test::LiveChild;

TEST(CgroupMount, IsFoundUnified) {
  const auto mount = parse_cgroup_mount(
      "22 27 0:21 / /proc rw - proc proc rw\n"
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->path, "/sys/fs/cgroup");
  EXPECT_EQ(mount->root, "/");
  EXPECT_TRUE(mount->unified);
}

TEST(CgroupMount, IsFoundBesideVersionOne) {
  const auto mount = parse_cgroup_mount(
      "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "41 31 0:38 /box /sys/fs/cgroup/a\\040b rw - cgroup2 none rw\n");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->path, "/sys/fs/cgroup/a b");
  EXPECT_EQ(mount->root, "/box");
  EXPECT_FALSE(mount->unified);
}

TEST(CgroupMount, IsNothingWhereThereIsNone) {
  EXPECT_FALSE(parse_cgroup_mount(""));
  EXPECT_FALSE(parse_cgroup_mount("22 27 0:21 / /proc rw - proc proc rw\n"));
  EXPECT_FALSE(parse_cgroup_mount("cgroup2\n - \n"));
}

TEST(CgroupPath, IsTheVersionTwoLine) {
  EXPECT_EQ(parse_cgroup_path("9:name=systemd:/x\n0::/a/b\n"), "/a/b");
  EXPECT_EQ(parse_cgroup_path("0::/a/b (deleted)\n"), "/a/b");
  EXPECT_EQ(parse_cgroup_path("0::/"), "/");
  EXPECT_FALSE(parse_cgroup_path("9:name=systemd:/x\n"));
}

TEST(CgroupPath, IsWithinByWholeComponents) {
  EXPECT_TRUE(cgroup_is_within("/a/b", "/a"));
  EXPECT_TRUE(cgroup_is_within("/a", "/a"));
  EXPECT_TRUE(cgroup_is_within("/a", "/"));
  EXPECT_FALSE(cgroup_is_within("/ab", "/a"));
  EXPECT_FALSE(cgroup_is_within("/", "/a"));
}

// A group of our own, gone afterwards; with cgroup.kill and as if it were missing. Where no group
// can be made there is nothing here to try: that mode has its tests in proc_test.cpp.
class CgroupTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    features_ = *KernelFeatures::probe(KernelFeatures::split_names(GetParam()));
    if (!features_.has(Feature::cgroup)) return;
    auto own = CgroupDir::open(**find_cgroup_mount(), *own_cgroup_path());
    ASSERT_TRUE(own);
    auto made = own->create_child("pidward-test-" + std::to_string(getpid()));
    ASSERT_TRUE(made) << made.error().to_string();
    group_ = *std::move(made);
  }
  void TearDown() override {
    if (group_) {
      EXPECT_TRUE(group_.remove());
    }
  }
  [[nodiscard]] bool usable() const { return static_cast<bool>(group_); }
  [[nodiscard]] LiveChild child_inside(const CgroupDir& group) const {
    CloneRequest request;
    request.cgroup = group.get();
    return LiveChild::sleeping(request);
  }

  KernelFeatures features_;
  CgroupDir group_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, CgroupTest, testing::Values("", "cgroup-kill"),
                         [](const auto& tier) { return tier.index == 0 ? "Newest" : "Oldest"; });

TEST_P(CgroupTest, HoldsAChildThatIsBornInIt) {
  if (!usable()) return;
  const LiveChild child = child_inside(group_);
  EXPECT_EQ(*group_.pids(), std::vector<pid_t>{child.pid()});
  EXPECT_TRUE(*group_.populated());
  EXPECT_TRUE(*group_.contains(child.pidfd()));
  EXPECT_EQ(*cgroup_path_of(child.pidfd()), group_.path());
  const auto info = inspect(child.pidfd(), features_);
  ASSERT_TRUE(info);
  if (info->cgroup_id) {
    EXPECT_EQ(*info->cgroup_id, *group_.id());
  }
}

TEST_P(CgroupTest, AGroupBelowIsFoundByItsPathFromHere) {
  if (!usable()) return;
  auto middle = group_.create_child("middle");
  ASSERT_TRUE(middle);
  auto leaf = middle->create_child("leaf");
  ASSERT_TRUE(leaf);
  const auto found = group_.open_below("middle/leaf");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->path(), leaf->path());
  EXPECT_EQ(*found->id(), *leaf->id());
  EXPECT_FALSE(*group_.populated_below("middle/leaf"));
  {
    const LiveChild child = child_inside(*found);
    EXPECT_TRUE(*group_.populated_below("middle/leaf"));
    EXPECT_TRUE(*group_.populated_below("middle"));
  }
  ASSERT_TRUE(leaf->remove());
  EXPECT_FALSE(group_.open_below("middle/leaf"));
  EXPECT_FALSE(group_.populated_below("middle/leaf"));
}

TEST_P(CgroupTest, AGroupIsMadeBelowOneThatIsThere) {
  if (!usable()) return;
  EXPECT_FALSE(group_.has_below("middle/leaf"));
  EXPECT_EQ(group_.make_below("middle/leaf").error().sys_errno(), ENOENT);
  ASSERT_TRUE(group_.create_child("middle"));
  const auto made = group_.make_below("middle/leaf");
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(*made->id(), *group_.open_below("middle/leaf")->id());
  EXPECT_TRUE(group_.has_below("middle/leaf"));
  // One that is there is somebody's.
  EXPECT_EQ(group_.make_below("middle/leaf").error().sys_errno(), EEXIST);
}

TEST_P(CgroupTest, TakesInAProcessByPidfd) {
  if (!usable()) return;
  LiveChild child = LiveChild::sleeping();
  EXPECT_FALSE(*group_.contains(child.pidfd()));
  ASSERT_TRUE(group_.attach(child.pidfd()));
  EXPECT_TRUE(*group_.contains(child.pidfd()));
  child.end_and_collect();
  EXPECT_EQ(group_.attach(child.pidfd()).error().code(), Errc::no_such_process);
}

TEST_P(CgroupTest, ListsMembersOfSubGroupsAsPidfds) {
  if (!usable()) return;
  auto below = group_.create_child("below");
  ASSERT_TRUE(below);
  const LiveChild upper = child_inside(group_);
  const LiveChild lower = child_inside(*below);
  EXPECT_EQ(group_.processes(false)->size(), 1U);
  const auto all = group_.processes();
  ASSERT_TRUE(all);
  std::set<pid_t> numbers;
  for (const Pidfd& member : *all) numbers.insert(*member.pid());
  EXPECT_EQ(numbers, (std::set<pid_t>{upper.pid(), lower.pid()}));
  EXPECT_EQ(*group_.children(), std::vector<std::string>{"below"});
  // By their paths, where pidfds do not tell the group.
  test::FaultyKernel kernel;
  kernel.fail(SYS_ioctl, ENOTTY, 0, -1);
  EXPECT_EQ(group_.processes(false)->size(), 1U);
  EXPECT_EQ(group_.processes()->size(), 2U);
}

TEST_P(CgroupTest, SignalsEveryMember) {
  if (!usable()) return;
  const LiveChild one = child_inside(group_);
  const LiveChild two = child_inside(group_);
  EXPECT_EQ(*group_.signal_all(SIGTERM), 2U);
  test::wait_for_end(one.pidfd());
  test::wait_for_end(two.pidfd());
  EXPECT_EQ((*one.pidfd().reap())->status, (ExitStatus{ExitStatus::Kind::killed, SIGTERM}));
}

TEST_P(CgroupTest, KillsEverythingInIt) {
  if (!usable()) return;
  auto below = group_.create_child("below");
  ASSERT_TRUE(below);
  std::vector<LiveChild> children;
  for (int i = 0; i < 5; ++i) {
    children.push_back(child_inside(group_));
    children.push_back(child_inside(*below));
  }
  ASSERT_TRUE(group_.kill(features_));
  for (const LiveChild& child : children) {
    test::wait_for_end(child.pidfd());
    EXPECT_EQ((*child.pidfd().reap())->status, (ExitStatus{ExitStatus::Kind::killed, SIGKILL}));
  }
  EXPECT_FALSE(*group_.populated());
}

TEST_P(CgroupTest, KillsATreeThatKeepsForking) {
  if (!usable()) return;
  CloneRequest request;
  request.cgroup = group_.get();
  // Each generation makes the next and ends: there is always one, never for long. The orphans are
  // ours to collect.
  LiveChild subreaper([&] {
    if (!become_subreaper()) return 1;
    const LiveChild runner(
        [] {
          for (;;) {
            if (raw_syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0) > 0) return 0;
          }
        },
        request);
    bool populated = true;
    while (populated) {
      if (!group_.kill(features_)) return 2;
      populated = *group_.populated();
      for (auto ended = next_ended_child(); ended && *ended; ended = next_ended_child()) {
        [[maybe_unused]] const auto end = (*ended)->pidfd.reap();
      }
    }
    return 0;
  });
  test::wait_for_end(subreaper.pidfd());
  EXPECT_EQ((*subreaper.pidfd().reap())->status, (ExitStatus{ExitStatus::Kind::exited, 0}));
}

TEST_P(CgroupTest, KillsNobodyInAnEmptyOrRemovedGroup) {
  if (!usable()) return;
  auto below = group_.create_child("below");
  auto same = group_.open_child("below");
  ASSERT_TRUE(below && same);
  EXPECT_TRUE(below->kill(features_));
  ASSERT_TRUE(below->remove());
  EXPECT_TRUE(same->kill(features_));
  EXPECT_FALSE(*same->populated());
  EXPECT_TRUE(same->pids()->empty());
  EXPECT_TRUE(same->remove());
}

TEST_P(CgroupTest, RemovesOnlyTheGroupItWasOpenedFor) {
  if (!usable()) return;
  auto first = group_.create_child("name");
  auto alias = group_.open_child("name");
  ASSERT_TRUE(first && alias);
  ASSERT_TRUE(first->remove());
  auto second = group_.create_child("name");
  ASSERT_TRUE(second);
  EXPECT_TRUE(alias->remove());
  EXPECT_TRUE(group_.open_child("name"));
}

TEST_P(CgroupTest, IsNotRemovedWhileSomebodyLivesInIt) {
  if (!usable()) return;
  auto below = group_.create_child("below");
  ASSERT_TRUE(below);
  const LiveChild child = child_inside(*below);
  const auto refused = group_.remove();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno(), EBUSY);
}

TEST_P(CgroupTest, StopsAndGoesOn) {
  if (!usable()) return;
  const LiveChild child = child_inside(group_);
  const auto events = group_.open_events();
  ASSERT_TRUE(events);
  ASSERT_TRUE(group_.freeze());
  pollfd watched{events->get(), POLLPRI, 0};
  while (!*group_.frozen()) raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
  ASSERT_TRUE(group_.thaw());
  while (*group_.frozen()) raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
  EXPECT_FALSE(*child.pidfd().has_ended());
}

TEST_P(CgroupTest, RefusesNamesThatAreNoComponent) {
  if (!usable()) return;
  for (const char* name : {"", ".", "..", "a/b", "/"}) {
    EXPECT_EQ(group_.create_child(name).error().code(), Errc::invalid_argument) << name;
  }
}

TEST_P(CgroupTest, MakesMissingParents) {
  if (!usable()) return;
  const CgroupMount mount = **find_cgroup_mount();
  const auto deep = CgroupDir::create(mount, group_.path() + "/a/b/c");
  ASSERT_TRUE(deep) << deep.error().to_string();
  EXPECT_EQ(deep->path(), group_.path() + "/a/b/c");
  EXPECT_TRUE(CgroupDir::open(mount, group_.path() + "/a/b/c"));
  EXPECT_TRUE(deep->is_writable());
}

TEST_P(CgroupTest, ReportsFailuresAndLeavesNothingOpen) {
  if (!usable()) return;
  const LiveChild child = child_inside(group_);
  const std::size_t before = test::open_descriptors();
  {
    test::FaultyKernel kernel;
    kernel.fail(SYS_mkdirat, EROFS);
    EXPECT_EQ(group_.create_child("x").error().sys_errno(), EROFS);
    kernel.fail(SYS_openat, EMFILE);
    EXPECT_EQ(group_.pids().error().code(), Errc::limit_exceeded);
    kernel.fail(SYS_pidfd_open, EMFILE);
    EXPECT_EQ(group_.processes().error().code(), Errc::limit_exceeded);
    kernel.fail(SYS_write, EACCES, 0, -1);
    EXPECT_FALSE(group_.freeze());
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Cgroup, RefusesPlacesThatAreNotOfTheHierarchy) {
  EXPECT_FALSE(CgroupDir::open({"/proc", "/", true}, "/"));
  EXPECT_FALSE(CgroupDir::open({"/proc", "/", true}, "relative"));
  EXPECT_EQ(CgroupDir::open({"/proc", "/box", true}, "/other").error().code(), Errc::not_found);
}

}  // namespace
}  // namespace pidward::sys
