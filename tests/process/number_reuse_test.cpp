// What pidfds are for: a number that is given to somebody else. In a pid namespace of our own a
// child can be asked to have a certain number, so reuse needs no luck.
#include <csignal>
#include <optional>
#include <set>
#include <utility>

#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/process_table.hpp"
#include "sys/live_child.hpp"
#include "sys/proc.hpp"

namespace pidward::process {
namespace {

using sys::KernelFeatures;
using Kind = ExitStatus::Kind;

constexpr pid_t kNumber = 100;

int sleep_for_ever(void* /*argument*/) {
  for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  return 0;
}

// A sleeping child whose number is kNumber. Its stack is a copy of ours: the memory is not shared.
std::optional<sys::Pidfd> sleeper_with_the_number() {
  static auto stack = sys::ChildStack::create();
  int pidfd = -1;
  const pid_t number = kNumber;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = static_cast<std::uint64_t>(sys::syscall_argument(&pidfd));
  args.exit_signal = SIGCHLD;
  args.stack = static_cast<std::uint64_t>(sys::syscall_argument(stack->base()));
  args.stack_size = stack->size();
  args.set_tid = static_cast<std::uint64_t>(sys::syscall_argument(&number));
  args.set_tid_size = 1;
  const long pid = sys::kernel().clone_on_stack(args, sizeof(args), sleep_for_ever, nullptr);
  if (pid != kNumber) return std::nullopt;
  return sys::Pidfd(sys::Fd(sys::adopt_fd, pidfd));
}

// Each step that can go wrong is an exit code of the process that plays init.
enum class Step : int {
  all_good = 0,
  no_proc = 20,
  no_number,
  not_adopted,
  not_collected,
  same_identity,
  signal_reached_a_stranger,
  policy_reached_a_stranger,
  status_was_lost,
  not_found_by_pidfd,
};

bool end(const sys::Pidfd& process) {
  if (!process.send_signal(SIGKILL)) return false;
  test::wait_for_end(process);
  return true;
}

Step reuse_once(ProcessTable& table, bool table_knows_of_the_end, std::set<ProcessId>& ids) {
  auto first = sleeper_with_the_number();
  if (!first) return Step::no_number;
  auto adopted = table.adopt_child(*std::move(first), UnitId(1), Role::main);
  if (!adopted) return Step::not_adopted;
  ProcessHandle old = *std::move(adopted);
  old.set_last_close({LastClose::Action::signal, SIGKILL});
  if (!ids.insert(old->id()).second) return Step::same_identity;
  if (!end(old->pidfd())) return Step::not_collected;
  if (table_knows_of_the_end) {
    const auto status = table.collect(old);
    if (!status || !*status) return Step::not_collected;
  } else if (!old->pidfd().reap()) {
    return Step::not_collected;
  }

  auto second = sleeper_with_the_number();
  auto by_number = sys::Pidfd::open(kNumber);
  if (!second || !by_number) return Step::no_number;
  auto opened = table.open(*std::move(by_number));
  if (!opened) return Step::not_adopted;
  const ProcessHandle stranger = *std::move(opened);
  if (stranger == old || !ids.insert(stranger->id()).second) return Step::same_identity;
  const auto found = table.find(*second);
  if (!found || !(*found == stranger)) return Step::not_found_by_pidfd;
  if (old.send_signal(SIGKILL)) return Step::signal_reached_a_stranger;
  if (table_knows_of_the_end && old->exit_status() != ExitStatus{Kind::killed, SIGKILL}) {
    return Step::status_was_lost;
  }
  old.close();
  const auto dead = second->has_ended();
  if (!dead || *dead || stranger->has_ended()) return Step::policy_reached_a_stranger;
  if (table.processes_of(UnitId(1)).size() != 0) return Step::same_identity;
  if (!end(*second) || !second->reap()) return Step::not_collected;
  return Step::all_good;
}

int play_init(const char* disabled) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return static_cast<int>(Step::no_proc);
  }
  const auto features = KernelFeatures::probe(KernelFeatures::split_names(disabled));
  if (!features) return static_cast<int>(Step::no_proc);
  ProcessTable table(*features);
  std::set<ProcessId> ids;
  constexpr int kRounds = 100;
  for (int round = 0; round < kRounds; ++round) {
    const Step step = reuse_once(table, round % 2 == 0, ids);
    if (step != Step::all_good) return static_cast<int>(step);
  }
  return 0;
}

class NumberReuseTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Tiers, NumberReuseTest, testing::Values("", "pidfs", "pidfd-exit-info"));

TEST_P(NumberReuseTest, NeverTakesOneProcessForAnother) {
  sys::CloneRequest request;
  request.extra_flags = CLONE_NEWPID | CLONE_NEWNS;
  if (geteuid() != 0) request.extra_flags |= CLONE_NEWUSER;
  const char* disabled = GetParam();
  const test::LiveChild init([disabled] { return play_init(disabled); }, request);
  test::wait_for_end(init.pidfd());
  const auto ended = init.pidfd().reap();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->status, (ExitStatus{Kind::exited, 0})) << (*ended)->status.to_string();
}

}  // namespace
}  // namespace pidward::process
