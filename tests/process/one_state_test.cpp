// Promise P2: however often and by whatever way a process comes to us, it is one entry.
#include <csignal>
#include <optional>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/process_table.hpp"
#include "support/patience.hpp"
#include "sys/cgroup.hpp"
#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"
#include "sys/peer.hpp"

namespace pidward::process {
namespace {

using sys::Feature;
using sys::KernelFeatures;
using test::LiveChild;
using Kind = ExitStatus::Kind;

class OneStateTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!features_.has(Feature::cgroup)) return;
    const auto mount = sys::find_cgroup_mount();
    const auto path = sys::own_cgroup_path();
    ASSERT_TRUE(mount && *mount && path);
    auto own = sys::CgroupDir::open(**mount, *path);
    ASSERT_TRUE(own);
    auto made = own->create_child("pidward-test-one-" + std::to_string(::getpid()));
    ASSERT_TRUE(made) << made.error().to_string();
    group_ = *std::move(made);
  }
  void TearDown() override {
    if (group_) {
      EXPECT_TRUE(group_.remove());
    }
  }
  void expect_same(Result<ProcessHandle> found, const char* way) {
    ASSERT_TRUE(found) << way << ": " << found.error().to_string();
    EXPECT_EQ(*found, handles_.front()) << way;
    EXPECT_EQ((*found)->id(), handles_.front()->id()) << way;
    handles_.push_back(*std::move(found));
    EXPECT_EQ(table_.size(), 1U) << way;
  }

  KernelFeatures features_ = *KernelFeatures::probe(KernelFeatures::split_names(GetParam()));
  ProcessTable table_{features_};
  std::vector<ProcessHandle> handles_;
  sys::CgroupDir group_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, OneStateTest,
                         testing::Values("", "pidfs", "pidfd-info", "pidfd-exit-info",
                                         "pidfs-handles", "pidfs-xattrs", "cgroup-kill", "cgroup",
                                         "pass-pidfd,peer-pidfd", "proc-children"));

// Says a word on the socket it is given, then waits for its end.
LiveChild talker(int socket, const sys::CgroupDir& group) {
  sys::CloneRequest request;
  if (group) request.cgroup = group.get();
  return LiveChild(
      [socket] {
        if (!sys::send_message(socket, "READY=1")) return 1;
        for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
      },
      request);
}

TEST_P(OneStateTest, EveryWayInLeadsToTheSameEntry) {
  auto notify = sys::make_socketpair(SOCK_DGRAM);
  auto bus = sys::make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(notify && bus);
  ASSERT_TRUE(sys::enable_sender_identity(notify->first.get(), features_));
  LiveChild child = talker(notify->second.get(), group_);

  // clone3's own descriptor.
  auto by_clone = table_.adopt_child(child.copy(), UnitId(1), Role::main);
  ASSERT_TRUE(by_clone);
  handles_.push_back(*std::move(by_clone));

  // A descriptor that somebody sends, as D-Bus passes them.
  ASSERT_TRUE(sys::send_message(bus->first.get(), "h", {child.pidfd().get()}));
  auto sent = sys::receive_message(bus->second.get(), 16);
  ASSERT_TRUE(sent && *sent && (*sent)->fds.size() == 1);
  expect_same(table_.open(sys::Pidfd(std::move((*sent)->fds.front()))), "a descriptor");

  // The sender of a notification.
  pollfd waiting{notify->first.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, test::patience_ms()), 1);
  auto said = sys::receive_message(notify->first.get(), 64);
  ASSERT_TRUE(said && *said && (*said)->sender);
  expect_same(table_.open(*std::move((*said)->sender)), "a sender");

  // A number from a file.
  Expectation expected;
  if (group_) {
    expected.cgroup = group_.path();
  } else {
    expected.descendant_of_us = true;
  }
  expect_same(open_pid_verified(table_, child.pid(), expected), "a number");

  if (group_) {
    auto listed = group_.processes();
    ASSERT_TRUE(listed && listed->size() == 1);
    expect_same(table_.open(std::move(listed->front())), "a group's member");
  }
  if (features_.has(Feature::pidfs_handles)) {
    const auto file_handle = child.pidfd().handle();
    ASSERT_TRUE(file_handle);
    const auto written = sys::PidfsHandle::parse(file_handle->to_string());
    ASSERT_TRUE(written);
    auto reopened = sys::Pidfd::from_handle(*written);
    ASSERT_TRUE(reopened) << reopened.error().to_string();
    expect_same(table_.open(*std::move(reopened)), "a file handle");
  }

  // The end, known once, is known through every handle, until the last one closes.
  ASSERT_TRUE(child.pidfd().send_signal(SIGTERM));
  test::wait_for_end(child.pidfd());
  const auto status = table_.collect(handles_.back());
  ASSERT_TRUE(status && *status);
  const ProcessId id = handles_.front()->id();
  while (!handles_.empty()) {
    EXPECT_EQ(handles_.back()->exit_status(), (ExitStatus{Kind::killed, SIGTERM}));
    EXPECT_TRUE(table_.find(id));
    handles_.pop_back();
  }
  EXPECT_FALSE(table_.find(id));
  EXPECT_EQ(table_.size(), 0U);
}

TEST_P(OneStateTest, ThePolicyRunsOnceWhicheverHandleGoesLast) {
  for (std::size_t last = 0; last < 4; ++last) {
    const LiveChild child = LiveChild::sleeping();
    int killed = 0;
    table_.set_tree_killer([&](const ProcessState&) { ++killed; });
    std::vector<ProcessHandle> handles;
    for (int i = 0; i < 4; ++i) {
      auto opened = table_.open(child.copy());
      ASSERT_TRUE(opened);
      handles.push_back(*std::move(opened));
    }
    handles[0].set_last_close({LastClose::Action::kill_tree, 0});
    std::swap(handles[last], handles.back());
    ProcessHandle kept = std::move(handles.back());
    handles.clear();
    EXPECT_EQ(killed, 0);
    kept.close();
    kept.close();
    EXPECT_EQ(killed, 1);
  }
}

TEST_P(OneStateTest, APolicyThatWasRunForItsLeasesIsNotRunAgain) {
  const LiveChild child = LiveChild::sleeping();
  int killed = 0;
  table_.set_tree_killer([&](const ProcessState& state) {
    ++killed;
    // Whoever comes back for the entry meanwhile does not set it off again.
    table_.find(state.id()).run_last_close();
  });
  auto handle = table_.open(child.copy());
  ASSERT_TRUE(handle);
  handle->set_last_close({LastClose::Action::kill_tree, 0});
  handle->run_last_close();
  handle->run_last_close();
  handle->close();
  EXPECT_EQ(killed, 1);
}

TEST_P(OneStateTest, ThePolicyRunsWhenTheWayInFails) {
  const LiveChild child = LiveChild::sleeping();
  {
    auto handle = table_.open(child.copy());
    ASSERT_TRUE(handle);
    handle->set_last_close({LastClose::Action::signal, SIGKILL});
    // Another way in fails half-way: the entry is as it was.
    test::FaultyKernel kernel;
    kernel.fail(SYS_openat, EMFILE, 0, -1);
    kernel.fail(SYS_ioctl, ENOTTY, 0, -1);
    EXPECT_FALSE(table_.open(child.copy()));
    EXPECT_EQ(table_.size(), 1U);
    // An early return closes the handle, and that is the last one.
  }
  test::wait_for_end(child.pidfd());
  EXPECT_EQ((*child.pidfd().peek())->status, (ExitStatus{Kind::killed, SIGKILL}));
}

TEST_P(OneStateTest, ShutdownRunsEachPolicyOnceLatestFirst) {
  std::vector<LiveChild> children;
  std::vector<ProcessHandle> handles;
  std::vector<pid_t> expected;
  std::vector<pid_t> killed;
  table_.set_tree_killer([&](const ProcessState& state) { killed.push_back(state.pid()); });
  for (int i = 0; i < 5; ++i) {
    children.push_back(LiveChild::sleeping());
    auto handle = table_.open(children.back().copy());
    ASSERT_TRUE(handle);
    handle->set_last_close({LastClose::Action::kill_tree, 0});
    handles.push_back(*std::move(handle));
    expected.insert(expected.begin(), children.back().pid());
  }
  table_.shutdown(ProcessTable::Leftovers::run_policies);
  table_.shutdown(ProcessTable::Leftovers::run_policies);
  handles.clear();
  EXPECT_EQ(killed, expected);
}

}  // namespace
}  // namespace pidward::process
