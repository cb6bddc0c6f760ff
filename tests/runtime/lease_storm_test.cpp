// Holders that crash: leases are given away, copied, passed on and inherited, and their holders are
// killed at random. Whatever lost its last holder is gone, whole tree included; nothing else is
// touched.
//
// PIDWARD_TEST_LEASES=10000 runs the long version.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <random>
#include <set>

#include <linux/close_range.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hard_tree.hpp"
#include "manager_fixture.hpp"
#include "support/patience.hpp"
#include "support/tiers.hpp"
#include "sys/live_child.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;
using process::LastClose;
using test::LiveChild;

constexpr LastClose kKillTree{LastClose::Action::kill_tree, 0};

int sleep_for_ever() {
  for (;;) ::pause();
}

std::optional<sys::Message> receive(int socket) {
  pollfd waiting{socket, POLLIN, 0};
  while (::poll(&waiting, 1, test::patience_ms()) < 0 && errno == EINTR) {
  }
  auto message = sys::receive_message(socket, 16);
  if (!message || !*message || (*message)->bytes.empty()) return std::nullopt;
  return **std::move(message);
}

// A holder's life: does as it is told, one byte at a time, until it is killed.
//   h: keep the descriptor that came along         d: copy the last one kept
//   p: send the last one kept back, and close it   f: fork, and send the child's pidfd back
int hold(int socket) {
  ::close_range(3, static_cast<unsigned>(socket) - 1, 0);
  ::close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
  std::vector<sys::Fd> kept;
  std::vector<LiveChild> forked;
  for (;;) {
    auto order = receive(socket);
    if (!order) return 1;
    std::vector<int> answer;
    sys::Fd given;
    switch (order->bytes.front()) {
      case 'h':
        kept.push_back(std::move(order->fds.front()));
        break;
      case 'd':
        kept.push_back(*kept.back().duplicate());
        break;
      case 'p':
        given = std::move(kept.back());
        kept.pop_back();
        answer.push_back(given.get());
        break;
      case 'f':
        forked.push_back(LiveChild([] { return sleep_for_ever(); }));
        answer.push_back(forked.back().pidfd().get());
        break;
      default:
        return 2;
    }
    if (!sys::send_message(socket, "k", answer)) return 3;
  }
}

struct Holder {
  sys::Fd socket;  ///< none for one that was forked by another
  sys::Pidfd process;
  std::vector<std::size_t> leases;  ///< what it keeps, in its order; a copy counts once more
  bool alive = true;
};

class LeaseStormTest : public ManagerTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { disabled_ = GetParam(); }
  void add_holder() {
    auto pair = sys::make_socketpair(SOCK_SEQPACKET);
    ASSERT_TRUE(pair);
    const int theirs = pair->second.get();
    children_.push_back(LiveChild([theirs] { return hold(theirs); }));
    Holder holder;
    holder.socket = std::move(pair->first);
    holder.process = children_.back().copy();
    make_known(holder.process);
    holders_.push_back(std::move(holder));
  }
  // Holders and victims are our children, and here we are the manager: without groups it takes a
  // child it does not know for an orphan of the unit that just lost a process.
  void make_known(const sys::Pidfd& process) {
    auto handle = manager_->open_process(std::move(*process.duplicate()).release());
    ASSERT_TRUE(handle) << handle.error().to_string();
    known_.push_back(*std::move(handle));
  }
  std::optional<sys::Message> order(Holder& holder, const char* what, std::vector<int> fds = {}) {
    EXPECT_TRUE(sys::send_message(holder.socket.get(), what, fds));
    auto answer = receive(holder.socket.get());
    EXPECT_TRUE(answer) << what;
    return answer;
  }
  void give(Holder& holder, std::size_t lease, const sys::Fd& descriptor) {
    order(holder, "h", {descriptor.get()});
    holder.leases.push_back(lease);
    held_by_[lease].insert(&holder);
  }
  Holder* any(bool with_leases) {
    std::vector<Holder*> fit;
    for (Holder& holder : holders_) {
      if (holder.alive && holder.socket && (!with_leases || !holder.leases.empty())) {
        fit.push_back(&holder);
      }
    }
    return fit.empty() ? nullptr : fit[random_() % fit.size()];
  }
  // One lease goes from one holder to another, by way of us; the first one closes its own.
  void pass_one_on() {
    Holder* from = any(true);
    Holder* to = any(false);
    if (from == nullptr || to == nullptr) return;
    auto answer = order(*from, "p");
    ASSERT_TRUE(answer && answer->fds.size() == 1);
    const std::size_t lease = from->leases.back();
    from->leases.pop_back();
    held_by_[lease].erase(held_by_[lease].find(from));
    give(*to, lease, answer->fds.front());
  }
  void copy_one() {
    Holder* holder = any(true);
    if (holder == nullptr) return;
    order(*holder, "d");
    holder->leases.push_back(holder->leases.back());
    held_by_[holder->leases.back()].insert(holder);
  }
  void fork_one() {
    Holder* parent = any(true);
    if (parent == nullptr) return;
    auto answer = order(*parent, "f");
    ASSERT_TRUE(answer && answer->fds.size() == 1);
    Holder child;
    child.process = sys::Pidfd(std::move(answer->fds.front()));
    make_known(child.process);
    child.leases = parent->leases;
    holders_.push_back(std::move(child));
    for (const std::size_t lease : holders_.back().leases) held_by_[lease].insert(&holders_.back());
  }
  void kill_one() {
    std::vector<Holder*> living;
    for (Holder& holder : holders_) {
      if (holder.alive) living.push_back(&holder);
    }
    Holder& chosen = *living[random_() % living.size()];
    ASSERT_TRUE(chosen.process.send_signal(SIGKILL));
    chosen.alive = false;
    for (const std::size_t lease : chosen.leases) {
      held_by_[lease].erase(held_by_[lease].find(&chosen));
    }
  }
  [[nodiscard]] std::size_t held() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(held_by_, [](const auto& holders) { return !holders.empty(); }));
  }
  // Counting thousands of leases takes time, so not after every event.
  void wait_for_leases() {
    auto last = std::chrono::steady_clock::time_point();
    run_until([&] {
      const auto now = std::chrono::steady_clock::now();
      if (now - last < std::chrono::milliseconds(10)) return false;
      const bool done = manager_->list_leases().size() == held();
      last = std::chrono::steady_clock::now();
      return done;
    });
  }
  [[nodiscard]] bool some_live() const {
    return std::ranges::any_of(holders_, [](const Holder& holder) { return holder.alive; });
  }
  UnitLease lease(const std::string& unit) {
    std::optional<Result<UnitLease>> answer;
    manager_->lease_unit({unit, unit::JobMode::replace, {}},
                         [&](Result<UnitLease> result) { answer = std::move(result); });
    run_until([&] { return answer.has_value(); });
    EXPECT_TRUE(*answer) << answer->error().to_string();
    return **std::move(answer);
  }
  void TearDown() override {
    known_.clear();
    ManagerTest::TearDown();
  }
  static bool ended(const sys::Pidfd& process) {
    const auto answer = process.has_ended();
    return !answer || *answer;
  }

  std::minstd_rand random_{4711};
  std::deque<LiveChild> children_;
  std::deque<Holder> holders_;
  std::vector<process::ProcessHandle> known_;
  /// By lease: who holds how many copies of what was given to him.
  std::vector<std::multiset<const Holder*>> held_by_;
};

INSTANTIATE_TEST_SUITE_P(Tiers, LeaseStormTest, testing::ValuesIn(test::kTiers),
                         [](const auto& tier) { return test::tier_name(tier.param); });

std::size_t leases_wanted() {
  const char* text = std::getenv("PIDWARD_TEST_LEASES");
  return text != nullptr ? static_cast<std::size_t>(std::atoi(text)) : 600;
}

TEST_P(LeaseStormTest, WhateverLostItsLastHolderIsGoneAndNothingElseIs) {
  const std::size_t count = leases_wanted();
  const std::size_t units = std::min<std::size_t>(8, count / 20 + 1);
  for (std::size_t i = 0; i <= units; ++i) {
    service(fmt::format("u{}.service", i),
            std::string(
                "KillOnLastClose=control-group\nLastCloseSignal=SIGKILL\nTimeoutStopSec=300ms\n") +
                hard_tree(directory_, disabled_ != "cgroup"));
  }
  start_manager();
  start(fmt::format("u{}.service", units));  // held by nobody, so nobody's to kill
  wait_for(fmt::format("u{}.service", units), ActiveState::active);
  // The log has taken its copy of the pipe by then.
  const std::string its_log = fmt::format("log/u{}.service.log", units);
  run_until([&] { return directory_.read(its_log).find("here") != std::string::npos; });
  // And its orphan is known, which without groups has come to us.
  run_until([&] {
    const auto unheld = status(fmt::format("u{}.service", units)).id;
    return manager_->list_processes(unheld).size() >= hard_tree_size(disabled_ != "cgroup");
  });
  const std::size_t descriptors = test::open_descriptors();
  for (int i = 0; i < 24; ++i) add_holder();

  // What is leased: units, and processes of which the first two of ten have leases that mean
  // nothing.
  const std::size_t victims = std::max<std::size_t>(count / 10, 20);
  std::deque<LiveChild> processes;
  const std::size_t first_victim = known_.size();
  for (std::size_t i = 0; i < victims; ++i) {
    processes.push_back(LiveChild::sleeping());
    make_known(processes.back().pidfd());
  }
  std::vector<std::size_t> leased(count);  ///< a victim, or victims + a unit
  held_by_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    sys::Fd descriptor;
    if (i % 20 == 0) {
      leased[i] = victims + i / 20 % units;
      descriptor = lease(fmt::format("u{}.service", leased[i] - victims)).descriptor;
    } else {
      leased[i] = random_() % victims;
      const LastClose policy = leased[i] % 10 < 2 ? LastClose{} : kKillTree;
      auto held = manager_->lease_process(known_[first_victim + leased[i]], policy, {});
      ASSERT_TRUE(held) << held.error().to_string();
      descriptor = std::move(held->descriptor);
    }
    const std::size_t copies = 1 + random_() % 2;
    for (std::size_t copy = 0; copy < copies; ++copy) give(*any(false), i, descriptor);
  }

  const auto must_be_gone = [&](std::size_t target) {
    bool was_leased = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (leased[i] != target) continue;
      was_leased = true;
      if (!held_by_[i].empty()) return false;
    }
    return was_leased && (target >= victims || target % 10 >= 2);
  };
  while (some_live()) {
    for (int i = 0; i < 6; ++i) pass_one_on();
    copy_one();
    if (random_() % 4 == 0) fork_one();
    kill_one();
    wait_for_leases();
    for (std::size_t target = 0; target < victims; ++target) {
      if (must_be_gone(target)) {
        run_until([&] { return ended(processes[target].pidfd()); });
      } else {
        EXPECT_FALSE(ended(processes[target].pidfd())) << "victim " << target;
      }
    }
    for (std::size_t unit = 0; unit < units; ++unit) {
      const std::string name = fmt::format("u{}.service", unit);
      if (must_be_gone(victims + unit)) {
        // Without groups a stop among a thousand children may well outlast its 300 ms: then it
        // failed, and everything is gone all the same.
        run_until([&] {
          const ActiveState now = status(name).active;
          return now == ActiveState::inactive || now == ActiveState::failed;
        });
        EXPECT_TRUE(manager_->list_processes(status(name).id).empty()) << name;
      } else {
        EXPECT_NE(status(name).active, ActiveState::deactivating) << name;
        EXPECT_NE(status(name).active, ActiveState::inactive) << name;
        EXPECT_NE(status(name).active, ActiveState::failed) << name;
      }
    }
    if (HasFailure()) break;
  }
  EXPECT_EQ(status(fmt::format("u{}.service", units)).active, ActiveState::active);
  EXPECT_TRUE(manager_->list_leases().empty());
  known_.clear();
  processes.clear();
  holders_.clear();
  children_.clear();
  run_until([&] { return test::open_descriptors() <= descriptors; });
}

TEST_P(LeaseStormTest, ATracedProcessDiesWithItsLease) {
  start_manager();
  LiveChild victim = LiveChild::sleeping();
  auto ready = sys::make_pipe();
  ASSERT_TRUE(ready);
  const pid_t number = victim.pid();
  const int write_end = ready->write_end.get();
  // A tracer that attaches and then never looks again.
  const LiveChild tracer([number, write_end] {
    if (::ptrace(PTRACE_SEIZE, number, nullptr, nullptr) != 0) return 1;
    if (::write(write_end, "x", 1) != 1) return 2;
    return sleep_for_ever();
  });
  ASSERT_EQ(sys::read_some(ready->read_end.get(), 1).value_or(""), "x");
  auto handle = manager_->open_process(std::move(victim.copy()).release());
  ASSERT_TRUE(handle);
  auto held = manager_->lease_process(*handle, kKillTree, {});
  ASSERT_TRUE(held);
  std::optional<ExitStatus> told;
  const WaitTicket wait = manager_->wait_for_end(*handle, [&](ExitStatus end) { told = end; });
  held->descriptor.reset();
  run_until([&] { return told.has_value(); });
  EXPECT_TRUE(ended(victim.pidfd()));
  EXPECT_FALSE(ended(tracer.pidfd()));
}

}  // namespace
}  // namespace pidward::runtime
