#include "stress/churn.hpp"

#include <deque>

#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>

#include "sys/clone.hpp"
#include "sys/kernel.hpp"
#include "sys/raw_syscall.hpp"

namespace pidward::test {
namespace {

constexpr std::size_t kBystanders = 6;
// Between two bursts the others have the processor: some two thousand bystanders a second, on any
// machine that is not busy with other things, are a round through all numbers every few
// milliseconds.
constexpr std::uint64_t kBurst = 8;
constexpr timespec kRest{.tv_sec = 0, .tv_nsec = 3'000'000};
constexpr int kRetire = SIGVTALRM;

struct Bystander {
  pid_t number = 0;
  std::uint64_t inode = 0;
  sys::Pidfd process;
  sys::ChildStack stack;
};

PIDWARD_CHILD_CODE int stand_by(void* /*argument*/) {
  for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  return 0;
}

void futex_wake(std::atomic<std::uint32_t>& word) {
  sys::raw_syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, 1, nullptr,
                   nullptr, 0);
}

class Churn {
 public:
  explicit Churn(Board& board) : board_(board) {}

  int run() {
    while (!board_.over) {
      if (!heed_wish() && board_.made % kBurst == 0) {
        // Until somebody waits for a number, but not for long.
        sys::raw_syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&board_.ticket), FUTEX_WAIT,
                         heeded_, &kRest, nullptr, 0);
      }
      if (living_.size() >= kBystanders && !retire_one()) return __LINE__;
      if (!make_one()) return __LINE__;
    }
    kept_ = 0;
    while (!living_.empty()) {
      if (!retire_one()) return __LINE__;
    }
    return 0;
  }

 private:
  /// False when no wish is open.
  bool heed_wish() {
    const std::uint32_t ticket = board_.ticket;
    heeded_ = ticket;
    const pid_t wanted = board_.wanted;
    if (kept_ != wanted) kept_ = 0;
    if (wanted == 0 || board_.kept == ticket) return false;
    for (const Bystander& each : living_) {
      if (each.number != wanted) continue;
      kept_ = wanted;
      board_.kept = ticket;
      futex_wake(board_.kept);
      return false;
    }
    return true;
  }

  bool make_one() {
    Bystander made;
    if (spare_.empty()) {
      auto stack = sys::ChildStack::create(4096);
      if (!stack) return false;
      made.stack = *std::move(stack);
    } else {
      made.stack = std::move(spare_.back());
      spare_.pop_back();
    }
    int pidfd = -1;
    const pid_t wanted = board_.wanted;
    const bool by_name = wanted != 0 && board_.kept != board_.ticket;
    clone_args args{};
    args.flags = CLONE_PIDFD | CLONE_VM | CLONE_FILES | CLONE_FS;  // as cheap as a process can be
    args.pidfd = static_cast<std::uint64_t>(sys::syscall_argument(&pidfd));
    args.exit_signal = SIGCHLD;
    args.stack = static_cast<std::uint64_t>(sys::syscall_argument(made.stack.base()));
    args.stack_size = made.stack.size();
    args.set_tid = by_name ? static_cast<std::uint64_t>(sys::syscall_argument(&wanted)) : 0;
    args.set_tid_size = by_name ? 1 : 0;
    const long number = sys::kernel().clone_on_stack(args, sizeof args, stand_by, nullptr);
    if (number < 0) {
      spare_.push_back(std::move(made.stack));
      // No number is free, or the one asked for is not.
      ::sched_yield();
      return number == -EAGAIN || number == -EEXIST;
    }
    made.number = static_cast<pid_t>(number);
    made.process = sys::Pidfd(sys::Fd(sys::adopt_fd, pidfd));
    made.inode = made.process.inode().value_or(0);
    Board::Birth& birth = board_.births[board_.made % Board::kBirths];
    birth.number = made.number;
    birth.inode = made.inode;
    if (made.number < latest_) ++board_.wraps;
    latest_ = made.number;
    ++board_.made;
    living_.push_back(std::move(made));
    return true;
  }

  bool retire_one() {
    auto chosen = living_.begin();
    if (chosen->number == kept_) ++chosen;
    if (chosen == living_.end()) return true;
    static_cast<void>(chosen->process.send_signal(kRetire));
    pollfd watched{chosen->process.get(), POLLIN, 0};
    sys::raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
    const auto end = chosen->process.reap();
    if (!end || !*end) return false;
    const ExitStatus status = (*end)->status;
    if (status == ExitStatus{ExitStatus::Kind::killed, kNaiveSignal}) {
      ++board_.naive;
    } else if (status != ExitStatus{ExitStatus::Kind::killed, kRetire}) {
      board_.wrong_signal = status.code;
      ++board_.wrong;
    }
    spare_.push_back(std::move(chosen->stack));
    living_.erase(chosen);
    return true;
  }

  Board& board_;
  std::uint32_t heeded_ = 0;  ///< the latest ticket that was looked at
  pid_t kept_ = 0;
  pid_t latest_ = 0;
  std::deque<Bystander> living_;
  std::vector<sys::ChildStack> spare_;
};

}  // namespace

std::optional<pid_t> Board::number_of(std::uint64_t inode) const {
  const std::uint64_t last = made;
  for (std::uint64_t back = 1; back <= last && back <= kBirths; ++back) {
    const Birth& birth = births[(last - back) % kBirths];
    if (birth.inode == inode) return birth.number;
  }
  return std::nullopt;
}

bool Board::keep(pid_t number) {
  wanted = number;
  const std::uint32_t mine = ++ticket;
  futex_wake(ticket);
  constexpr timespec kLongest{.tv_sec = 20, .tv_nsec = 0};
  for (;;) {
    const std::uint32_t seen = kept;
    if (seen == mine) return true;
    const long waited = sys::raw_syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&kept),
                                         FUTEX_WAIT, seen, &kLongest, nullptr, 0);
    if (waited == -ETIMEDOUT) return kept == mine;
  }
}

void Board::let_go() {
  wanted = 0;
}

int churn(Board& board) {
  return Churn(board).run();
}

}  // namespace pidward::test
