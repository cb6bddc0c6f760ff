// Number reuse as fast as the machine makes it: in a pid namespace whose numbers end at 301, every
// process gets the number that another one just had. What is done here is done by pidfd, and no
// wrong process may ever be touched; beside it an actor does the same by number, to show that the
// harness would notice.
//
// PIDWARD_TEST_ROUNDS=200000 runs the long version.
#include <csignal>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/process_table.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"
#include "sys/raw_syscall.hpp"

namespace pidward::process {
namespace {

using sys::KernelFeatures;
using Kind = ExitStatus::Kind;

constexpr int kDefaultRounds = 4'000;

/// Counted by the init of the namespace, read by the test.
struct Tally {
  int rounds = 0;
  int reused = 0;  ///< rounds in which the number was given out again
  int wrong_by_pidfd = 0;
  int wrong_by_number = 0;
  int lost_status = 0;
  int failed_at = 0;  ///< line at which the harness itself gave up
};

PIDWARD_CHILD_CODE int sleep_for_ever(void* /*argument*/) {
  for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  return 0;
}

/// A sleeping child that shares our memory, with the number it is told or, for 0, the next one.
/// There is one at a time, so one stack is enough.
class Sleepers {
 public:
  Sleepers() : stack_(*sys::ChildStack::create(4096)) {}
  Result<sys::Child> next(pid_t number = 0) {
    if (number == 0) return sys::spawn_on_stack({}, stack_, sleep_for_ever, nullptr);
    int pidfd = -1;
    clone_args args{};
    args.flags = CLONE_PIDFD | CLONE_VM;
    args.pidfd = static_cast<std::uint64_t>(sys::syscall_argument(&pidfd));
    args.exit_signal = SIGCHLD;
    args.stack = static_cast<std::uint64_t>(sys::syscall_argument(stack_.base()));
    args.stack_size = stack_.size();
    args.set_tid = static_cast<std::uint64_t>(sys::syscall_argument(&number));
    args.set_tid_size = 1;
    const long pid = sys::kernel().clone_on_stack(args, sizeof(args), sleep_for_ever, nullptr);
    if (pid < 0) return Error::from_errno(static_cast<int>(-pid), "clone3");
    return sys::Child{static_cast<pid_t>(pid), sys::Pidfd(sys::Fd(sys::adopt_fd, pidfd))};
  }

 private:
  sys::ChildStack stack_;
};

/// Ends it by pidfd and collects it.
bool end(const sys::Pidfd& process) {
  if (!process.send_signal(SIGKILL)) return false;
  test::wait_for_end(process);
  const auto end = process.reap();
  return end && *end;
}

class Storm {
 public:
  Storm(Tally& tally, const KernelFeatures& features, bool ask_for_numbers)
      : tally_(tally), table_(features), ask_for_numbers_(ask_for_numbers) {}

  /// False when the harness could not do its part.
  bool round(int number) {
    auto old_child = sleepers_.next();
    if (!old_child) return give_up(__LINE__);
    auto adopted = table_.adopt_child(std::move(old_child->pidfd), UnitId(1), Role::main);
    if (!adopted) return give_up(__LINE__);
    ProcessHandle old = *std::move(adopted);
    const pid_t taken = old->pid();
    old.set_last_close({LastClose::Action::signal, SIGKILL});
    if (!old.send_signal(SIGTERM)) return give_up(__LINE__);
    test::wait_for_end(old->pidfd());
    const bool collected_by_table = number % 2 == 0;
    if (collected_by_table) {
      const auto status = table_.collect(old);
      if (!status || !*status) return give_up(__LINE__);
    } else if (!old->pidfd().reap()) {
      return give_up(__LINE__);
    }
    auto stranger = sleepers_.next(ask_for_numbers_ ? taken : 0);
    if (!stranger) return give_up(__LINE__);
    ++tally_.rounds;
    const bool reused = stranger->pid == taken;
    tally_.reused += reused ? 1 : 0;
    act_by_pidfd(std::move(old), stranger->pidfd, collected_by_table);
    match_number(taken, reused, stranger->pidfd);
    if (has_ended(stranger->pidfd)) ++tally_.wrong_by_pidfd;
    // The naive actor remembers the number of the one that ended.
    sys::raw_syscall(SYS_kill, taken, SIGKILL);
    if (reused) {
      test::wait_for_end(stranger->pidfd);
      ++tally_.wrong_by_number;
      return stranger->pidfd.reap().has_value() || give_up(__LINE__);
    }
    return end(stranger->pidfd) || give_up(__LINE__);
  }

 private:
  bool give_up(int line) {
    tally_.failed_at = line;
    return false;
  }
  static bool has_ended(const sys::Pidfd& process) {
    const auto ended = process.has_ended();
    return !ended || *ended;
  }

  // Signals, a stop, and the end of the last holder, all meant for one that is gone.
  void act_by_pidfd(ProcessHandle old, const sys::Pidfd& stranger, bool status_is_known) {
    if (old.send_signal(SIGKILL)) ++tally_.wrong_by_pidfd;
    if (const auto killed = sys::kill_tree(old->pidfd(), table_.features());
        killed && *killed > 0) {
      ++tally_.wrong_by_pidfd;
    }
    const auto found = table_.find(stranger);
    if (!found || (*found && *found == old)) ++tally_.wrong_by_pidfd;
    if (status_is_known && old->exit_status() != ExitStatus{Kind::killed, SIGTERM}) {
      ++tally_.lost_status;
    }
    old.close();
  }

  // A PIDFile with the number in it, or a client that asks for it: it may only lead to whoever has
  // the number now.
  void match_number(pid_t number, bool reused, const sys::Pidfd& stranger) {
    Expectation ours;
    ours.descendant_of_us = true;
    const auto matched = open_pid_verified(table_, number, ours);
    if (!reused) {
      if (matched) ++tally_.wrong_by_pidfd;
      return;
    }
    const auto expected = table_.find(stranger);
    if (!matched || !expected || !(*expected == *matched) || (*matched)->has_ended()) {
      ++tally_.wrong_by_pidfd;
    }
  }

  Tally& tally_;
  ProcessTable table_;
  Sleepers sleepers_;
  bool ask_for_numbers_;
};

int rounds_wanted() {
  const char* text = std::getenv("PIDWARD_TEST_ROUNDS");
  return text != nullptr ? std::atoi(text) : kDefaultRounds;
}

int play_init(Tally* tally, const char* disabled, bool scarce) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return 20;
  }
  const auto features = KernelFeatures::probe(KernelFeatures::split_names(disabled));
  if (!features) return 21;
  // Right after the numbers that the kernel keeps back: one is left.
  if (scarce && !sys::write_control_file_at(AT_FDCWD, "/proc/sys/kernel/pid_max", "301")) return 22;
  Storm storm(*tally, *features, !scarce);
  const int rounds = rounds_wanted();
  for (int i = 0; i < rounds; ++i) {
    if (!storm.round(i)) return 23;
  }
  return 0;
}

// Since Linux 6.14 each pid namespace has a limit of its own, which begins at the highest there is.
// Before that it is the whole system's, and must not be touched.
bool limit_is_our_own() {
  const auto ours = sys::read_file("/proc/sys/kernel/pid_max");
  sys::CloneRequest request;
  request.extra_flags = CLONE_NEWPID | CLONE_NEWNS;
  const std::string known = ours ? *ours : std::string();
  const test::LiveChild child(
      [known] {
        if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
          return 2;
        }
        const auto inside = sys::read_file("/proc/sys/kernel/pid_max");
        return inside && *inside != known ? 0 : 1;
      },
      request);
  test::wait_for_end(child.pidfd());
  const auto end = child.pidfd().reap();
  return end && *end && (*end)->status.is_success();
}

class NumberStormTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Tiers, NumberStormTest,
                         testing::Values("", "pidfs", "pidfd-info", "proc-children"));

TEST_P(NumberStormTest, NeverTouchesWhoeverHasTheNumberNow) {
  void* const shared =
      ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* const tally = new (shared) Tally();
  sys::CloneRequest request;
  request.extra_flags = CLONE_NEWPID | CLONE_NEWNS;
  const bool is_root = ::geteuid() == 0;
  if (!is_root) request.extra_flags |= CLONE_NEWUSER;
  const bool scarce = is_root && limit_is_our_own();
  const char* disabled = GetParam();
  const test::LiveChild init([=] { return play_init(tally, disabled, scarce); }, request);
  test::wait_for_end(init.pidfd());
  const auto ended = init.pidfd().reap();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->status, (ExitStatus{Kind::exited, 0}))
      << (*ended)->status.to_string() << ", line " << tally->failed_at;
  EXPECT_EQ(tally->rounds, rounds_wanted());
  EXPECT_EQ(tally->wrong_by_pidfd, 0);
  EXPECT_EQ(tally->lost_status, 0);
  // The harness can tell: by number nearly every round goes wrong.
  EXPECT_GT(tally->reused, tally->rounds / 2);
  EXPECT_EQ(tally->wrong_by_number, tally->reused);
  RecordProperty("rounds", tally->rounds);
  RecordProperty("wrong_by_number", tally->wrong_by_number);
  ::munmap(shared, sizeof(Tally));
}

}  // namespace
}  // namespace pidward::process
