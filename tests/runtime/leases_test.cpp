// Leases and processes by inode, with a real manager. The programs started here are children of the
// manager's process too, and are collected by it.
#include <algorithm>
#include <csignal>
#include <future>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "manager_fixture.hpp"
#include "support/child.hpp"
#include "support/tiers.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;
using process::LastClose;

constexpr LastClose kKill{LastClose::Action::signal, SIGKILL};

// Every promise holds with identities from the kernel and with none.
class LeasesTest : public ManagerTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    ::setenv("PIDWARD_DISABLE_FEATURES", GetParam(), 1);
    service("s.service", "ExecStart=/bin/sleep 1000\n");
    start_manager();
  }
  Result<UnitLease> lease(const std::string& unit) {
    std::optional<Result<UnitLease>> answer;
    manager_->lease_unit({unit, unit::JobMode::replace, {}},
                         [&](Result<UnitLease> result) { answer = std::move(result); });
    run_until([&] { return answer.has_value(); });
    return *std::move(answer);
  }
  UnitId id(const std::string& unit) { return status(unit).id; }
  test::Program sleeper() {
    auto program = test::Program::start({{"/bin/sleep", "1000"}, {}, {}, {}, {}});
    EXPECT_TRUE(program);
    started_.push_back(*program->pidfd().duplicate());
    return *std::move(program);
  }
  void TearDown() override {
    for (const sys::Pidfd& program : started_) {
      static_cast<void>(program.send_signal(SIGKILL));
      run_until([&] { return !*program.exists(); });
    }
    ManagerTest::TearDown();
    ::unsetenv("PIDWARD_DISABLE_FEATURES");
  }
  process::ProcessHandle open(const test::Program& program) {
    auto copy = program.pidfd().duplicate();
    auto handle = manager_->open_process(std::move(*copy).release());
    EXPECT_TRUE(handle) << handle.error().to_string();
    return handle ? *std::move(handle) : process::ProcessHandle();
  }
  // Kills it and lets the manager collect it.
  void end(const test::Program& program) {
    ASSERT_TRUE(program.signal(SIGKILL));
    run_until([&] { return !*program.pidfd().exists(); });
  }
  bool collected_have_an_identity() { return manager_->features().has(sys::Feature::pidfs); }

  std::vector<sys::Pidfd> started_;
};

INSTANTIATE_TEST_SUITE_P(Tiers, LeasesTest, testing::ValuesIn(test::kTiers),
                         [](const auto& tier) { return test::tier_name(tier.param); });

TEST_P(LeasesTest, AUnitThatALeaseStartedStopsWithIt) {
  auto held = lease("s.service");
  ASSERT_TRUE(held) << held.error().to_string();
  EXPECT_TRUE(held->job);
  wait_for("s.service", ActiveState::active);
  ASSERT_EQ(manager_->list_leases().size(), 1U);
  EXPECT_EQ(manager_->list_leases()[0].id, held->lease);
  EXPECT_EQ(manager_->lease_count(id("s.service")), 1U);
  held->descriptor.reset();
  wait_for("s.service", ActiveState::inactive);
  EXPECT_TRUE(manager_->list_leases().empty());
}

TEST_P(LeasesTest, AUnitThatRanAlreadyOutlivesALease) {
  start("s.service");
  wait_for("s.service", ActiveState::active);
  auto held = lease("s.service");
  ASSERT_TRUE(held);
  held->descriptor.reset();
  run_until([&] { return manager_->list_leases().empty(); });
  wait_for("s.service", ActiveState::active);
}

TEST_P(LeasesTest, EveryCopyOfALeaseHoldsUntilTheLastOneCloses) {
  auto held = lease("s.service");
  ASSERT_TRUE(held);
  wait_for("s.service", ActiveState::active);
  auto copy = held->descriptor.duplicate();
  // One copy travels over a socket and stays in its queue.
  auto pair = sys::make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(copy && pair);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = held->descriptor.get();
  ASSERT_EQ(::sendmsg(pair->first.get(), &message, 0), 1);
  held->descriptor.reset();
  copy->reset();
  for (int i = 0; i < 20; ++i) io_.poll();
  EXPECT_EQ(manager_->lease_count(id("s.service")), 1U);
  pair->first.reset();
  pair->second.reset();
  wait_for("s.service", ActiveState::inactive);
}

TEST_P(LeasesTest, ALeaseOnAUnitThatIsNotThereIsRefusedAndLeavesNothing) {
  const auto held = lease("no-such.service");
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code(), Errc::no_such_unit) << held.error().to_string();
  EXPECT_TRUE(manager_->list_leases().empty());
  EXPECT_FALSE(lease("not a unit name"));
}

TEST_P(LeasesTest, AProcessDiesWithItsLastLease) {
  test::Program program = sleeper();
  auto first = manager_->lease_process(open(program), {}, {});
  auto second = manager_->lease_process(open(program), kKill, {});
  auto third = manager_->lease_process(open(program), {}, {});
  ASSERT_TRUE(first && second && third);
  EXPECT_EQ(manager_->details(open(program)).leases, 3U);
  second->descriptor.reset();
  first->descriptor.reset();
  run_until([&] { return manager_->list_leases().size() == 1; });
  EXPECT_FALSE(*program.pidfd().has_ended());
  third->descriptor.reset();
  run_until([&] { return *program.pidfd().has_ended(); });
  EXPECT_EQ(manager_->processes().size(), 0U);
}

TEST_P(LeasesTest, ALeaseThatAsksForNothingLeavesTheProcessAlone) {
  test::Program program = sleeper();
  auto held = manager_->lease_process(open(program), {}, {});
  ASSERT_TRUE(held);
  held->descriptor.reset();
  run_until([&] { return manager_->list_leases().empty(); });
  EXPECT_FALSE(*program.pidfd().has_ended());
  ASSERT_TRUE(program.signal(SIGKILL));
}

TEST_P(LeasesTest, WhatMayNotBeLeasedIsRefusedWithAReason) {
  const auto refused = [&](std::uint32_t pid) {
    auto handle = manager_->open_process_by_pid(pid);
    if (!handle) return handle.error();
    auto held = manager_->lease_process(*handle, kKill, {});
    EXPECT_FALSE(held);
    return held ? Error(Errc::failed, "leased") : held.error();
  };
  EXPECT_EQ(refused(static_cast<std::uint32_t>(::getpid())).code(), Errc::process_mismatch);
  EXPECT_EQ(refused(1).code(), Errc::process_mismatch);
  EXPECT_EQ(refused(0).code(), Errc::invalid_argument);
  EXPECT_EQ(refused(4'000'000'000U).code(), Errc::invalid_argument);
  test::Program program = sleeper();
  const LastClose nonsense{LastClose::Action::signal, 4711};
  EXPECT_EQ(manager_->lease_process(open(program), nonsense, {}).error().code(),
            Errc::invalid_argument);
  const process::ProcessHandle known = open(program);
  end(program);
  EXPECT_EQ(manager_->lease_process(known, kKill, {}).error().code(), Errc::no_such_process);
  // Nobody can tell any more whose pidfd this was, so it is not even opened.
  auto again = manager_->open_process(std::move(*program.pidfd().duplicate()).release());
  ASSERT_EQ(static_cast<bool>(again), collected_have_an_identity());
  if (!again) {
    EXPECT_EQ(again.error().code(), Errc::no_such_process) << again.error().to_string();
  }
  EXPECT_TRUE(manager_->list_leases().empty());
  auto file = sys::make_memfd("no pidfd");
  EXPECT_EQ(manager_->open_process(*std::move(file)).error().code(), Errc::invalid_argument);
}

TEST_P(LeasesTest, ThreadsAndKernelThreadsAreRefused) {
  // PIDFD_THREAD, which kernels before 6.9 refuse.
  std::promise<void> over;
  std::promise<pid_t> told;
  std::thread lives([&] {
    told.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
    over.get_future().wait();
  });
  const long pidfd = ::syscall(SYS_pidfd_open, told.get_future().get(), sys::uapi::kPidfdThread);
  if (pidfd >= 0) {
    const auto refused = manager_->open_process(sys::Fd(sys::adopt_fd, static_cast<int>(pidfd)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
    EXPECT_NE(refused.error().message().find("thread"), std::string::npos);
  }
  over.set_value();
  lives.join();
  // The parent of all kernel threads, where we see it.
  const auto kernel = manager_->open_process_by_pid(2);
  if (kernel && manager_->details(*kernel).arguments.empty()) {
    EXPECT_EQ(manager_->lease_process(*kernel, kKill, {}).error().code(), Errc::not_supported);
    EXPECT_EQ(manager_->signal_process(*kernel, SIGKILL).error().code(), Errc::not_supported);
  }
}

TEST_P(LeasesTest, WithoutDescriptorsNothingIsLeasedAndNothingHappens) {
  test::Program program = sleeper();
  const process::ProcessHandle process = open(program);
  start("s.service");
  wait_for("s.service", ActiveState::active);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // No number above those in use can be given out; those below are taken.
  std::vector<sys::Fd> fill;
  for (;;) {
    auto copy = process->pidfd().duplicate();
    if (!copy) break;
    if (fill.empty()) {
      rlimit low = before;
      low.rlim_cur = static_cast<rlim_t>(copy->get()) + 64;
      ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    }
    fill.push_back(std::move(*copy).release());
  }
  for (int i = 0; i < 3; ++i) {
    const auto refused = manager_->lease_process(process, kKill, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sys_errno(), EMFILE) << refused.error().to_string();
  }
  EXPECT_TRUE(manager_->list_leases().empty());
  fill.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(*program.pidfd().has_ended());
  EXPECT_EQ(manager_->details(process).last_close.action, LastClose::Action::none);
  EXPECT_EQ(status("s.service").active, ActiveState::active);
  EXPECT_TRUE(manager_->lease_process(process, {}, {}));
}

TEST_P(LeasesTest, AUnitStopsWhenTheProcessItIsBoundToEnds) {
  start("s.service");
  wait_for("s.service", ActiveState::active);
  test::Program program = sleeper();
  const auto bind = [&] {
    return manager_->bind_to_process(id("s.service"),
                                     std::move(*program.pidfd().duplicate()).release());
  };
  ASSERT_TRUE(bind());
  ASSERT_TRUE(bind()) << "once more is no error";
  EXPECT_EQ(manager_->bound_to(id("s.service")).size(), 1U);
  ASSERT_TRUE(program.signal(SIGKILL));
  wait_for("s.service", ActiveState::inactive);
  EXPECT_EQ(bind().error().code(), Errc::unit_inactive);
  EXPECT_TRUE(manager_->bound_to(id("s.service")).empty());
}

TEST_P(LeasesTest, AUnitCannotBeBoundToItsOwnProcess) {
  start("s.service");
  wait_for("s.service", ActiveState::active);
  const auto main = manager_->find_process(status("s.service").service->main);
  ASSERT_TRUE(main);
  const Status bound = manager_->bind_to_process(
      id("s.service"), std::move(*(*main)->pidfd().duplicate()).release());
  EXPECT_EQ(bound.error().code(), Errc::invalid_argument);
}

TEST_P(LeasesTest, ProcessesAreDescribedByInode) {
  service("t.service", "ExecStart=/bin/sh -c 'sleep 1000; sleep 1001'\n");
  start("t.service");
  wait_for("t.service", ActiveState::active);
  const auto described = [&](const std::string& command) -> std::optional<ProcessDetails> {
    for (const ProcessDetails& each : manager_->list_process_details(id("t.service"))) {
      if (each.command == command) return each;
    }
    return std::nullopt;
  };
  const std::string shell = "/bin/sh -c sleep 1000; sleep 1001";
  run_until([&] { return described("sleep 1000") && described(shell); });
  const ProcessDetails main = *described(shell);
  const ProcessDetails other = *described("sleep 1000");
  EXPECT_EQ(main.role, process::Role::main);
  EXPECT_EQ(other.role, process::Role::other);
  EXPECT_EQ(other.parent_pid, main.pid);
  EXPECT_EQ(other.unit, id("t.service"));
  ASSERT_TRUE(main.started);
  EXPECT_LE(*main.started, WallTime(std::chrono::duration_cast<Duration>(
                               std::chrono::system_clock::now().time_since_epoch())));
  if (!manager_->features().has(sys::Feature::pidfs)) return;
  EXPECT_EQ(other.parent, main.id);
  const auto handle = manager_->find_process(other.id);
  ASSERT_TRUE(handle) << handle.error().to_string();
  ASSERT_TRUE(manager_->signal_process(*handle, SIGTERM));
  std::optional<ExitStatus> told;
  const WaitTicket wait =
      manager_->wait_for_end(*handle, [&](ExitStatus status) { told = status; });
  run_until([&] { return told.has_value(); });
  if (manager_->features().has(sys::Feature::pidfd_exit_info)) {
    EXPECT_EQ(told, (ExitStatus{ExitStatus::Kind::killed, SIGTERM}));
  }
  EXPECT_EQ(manager_->details(*handle).exit_status, told);
  EXPECT_EQ(manager_->find_process(ProcessId(1)).error().code(), Errc::no_such_process);
}

TEST_P(LeasesTest, AWaitIsAnsweredOnceAndOnlyWhileSomebodyWaits) {
  test::Program program = sleeper();
  int answered = 0;
  int cancelled = 0;
  const WaitTicket ticket = manager_->wait_for_end(open(program), [&](ExitStatus) { ++answered; });
  WaitTicket dropped = manager_->wait_for_end(open(program), [&](ExitStatus) { ++cancelled; });
  dropped.reset();
  process::ProcessHandle known = open(program);
  end(program);
  run_until([&] { return answered > 0; });
  if (collected_have_an_identity()) {
    known.close();
    known = open(program);
  }
  const WaitTicket late = manager_->wait_for_end(known, [&](ExitStatus) { ++answered; });
  run_until([&] { return answered > 1; });
  EXPECT_EQ(answered, 2);
  EXPECT_EQ(cancelled, 0);
}

TEST_P(LeasesTest, NewAndEndedProcessesAreTold) {
  struct Listener final : ManagerObserver {
    void process_added(ProcessId process) override { added.push_back(process); }
    void process_exited(ProcessId process) override { ended.push_back(process); }
    std::vector<ProcessId> added, ended;
  } listener;
  manager_->add_observer(&listener);
  start("s.service");
  wait_for("s.service", ActiveState::active);
  const ProcessId main = status("s.service").service->main;
  stop("s.service");
  wait_for("s.service", ActiveState::inactive);
  EXPECT_EQ(std::ranges::count(listener.added, main), 1);
  EXPECT_EQ(std::ranges::count(listener.ended, main), 1);
  manager_->remove_observer(&listener);
}

}  // namespace
}  // namespace pidward::runtime
