// Every phase meets every event, in random order: nothing breaks, and there is never a second main
// process while one lives. A failure prints its seed.
#include <random>
#include <set>

#include "engine/service/harness.hpp"

namespace pidward::engine::testing {
namespace {

/// A careless world: answers late, twice, in any order, and makes things up.
class Chaos {
 public:
  explicit Chaos(std::uint32_t seed) : random_(seed), service_(static_cast<ServiceType>(pick(8))) {
    for (const Directive list :
         {Directive::ExecCondition, Directive::ExecStartPre, Directive::ExecStart,
          Directive::ExecStartPost, Directive::ExecReload, Directive::ExecStop,
          Directive::ExecStopPost}) {
      service_.commands(list, list == Directive::ExecStart ? 1 : pick(3), pick(4) == 0);
    }
    service_.set(Directive::Restart, static_cast<std::int64_t>(pick(7)));
    service_.set(Directive::RestartMode, static_cast<std::int64_t>(pick(2)));
    service_.set(Directive::KillMode, static_cast<std::int64_t>(pick(4)));
    service_.set(Directive::ExitType, static_cast<std::int64_t>(pick(2)));
    service_.set(Directive::NotifyAccess, static_cast<std::int64_t>(pick(4)));
    service_.set(Directive::TimeoutStopFailureMode, static_cast<std::int64_t>(pick(3)));
    service_.set(Directive::TimeoutStartFailureMode, static_cast<std::int64_t>(pick(3)));
    service_.set(Directive::SendSIGKILL, pick(4) != 0);
    service_.set(Directive::RemainAfterExit, pick(2) == 0);
    service_.context.jobs_are_idle = pick(2) == 0;
    // One life in three hangs on leases, so that the others go as far as they can.
    if (seed % 3 == 0) {
      service_.set(Directive::KillOnLastClose, static_cast<std::int64_t>(1 + seed % 2));
    }
    if (pick(2) == 0) service_.set(Directive::PIDFile, std::string("/run/x.pid"));
    if (pick(2) == 0) service_.set(Directive::WatchdogSec, Duration(seconds(9)));
    if (pick(2) == 0) service_.set(Directive::RuntimeMaxSec, Duration(seconds(90)));
  }

  [[nodiscard]] Phase phase() const { return service_.machine.phase(); }

  void step() {
    service_.context.clear();
    if (++steps_ % 40 == 39) service_.event(HoldersGone{service_.context.id()});
    act();
    for (const Spawn& spawn : service_.context.all<Spawn>()) {
      open_.push_back(spawn);
      if (spawn.role != ProcessRole::main) continue;
      EXPECT_TRUE(mains_.empty()) << "a second main process";
      mains_.insert(spawn.spawn.number());
    }
    const bool down = is_inactive_or_failed(service_.context.state);
    EXPECT_EQ(service_.context.state, service_.machine.active());
    if (!down && service_.state() != ServiceState::auto_restart) return;
    EXPECT_TRUE(open_.empty()) << "down while a spawn is unanswered";
    EXPECT_FALSE(service_.status().main);
    EXPECT_FALSE(service_.status().control);
    mains_.clear();
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }
  ExitStatus some_status() {
    switch (pick(8)) {
      case 0:
        return code(static_cast<int>(pick(256)));
      case 1:
        return killed(static_cast<int>(1 + pick(15)));
      case 2:
        return {};
      default:
        return code(0);
    }
  }

  void act() {
    switch (pick(12)) {
      case 0:
      case 1:
        return request();
      case 2:
      case 3:
      case 4:
        return answer();
      case 5:
      case 6:
        return end();
      case 7:
        return service_.empty();
      case 8:
        return timer();
      case 9:
        return say();
      case 10:
        return find();
      default:
        return service_.event(BusNameChanged{service_.context.id(), pick(2) == 0, {}});
    }
  }

  void request() {
    const ActiveState state = service_.machine.active();
    if (is_inactive_or_failed(state)) {
      service_.start(static_cast<std::uint32_t>(pick(3)));
    } else if (pick(3) == 0 && state == ActiveState::active &&
               service_.state() == ServiceState::running) {
      service_.reload();
    } else if (pick(4) == 0) {
      service_.stop(pick(2) == 0 ? JobType::stop : JobType::restart);
    } else if (state == ActiveState::activating) {
      service_.start();
    }
  }

  void answer() {
    if (open_.empty()) return service_.event(Spawned{SpawnId(1'000'000), ProcessId(5)});
    const std::size_t which = pick(open_.size());
    const Spawn spawn = open_[which];
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
    const bool is_main = spawn.role == ProcessRole::main;
    if (pick(12) == 0) {
      if (is_main) mains_.erase(spawn.spawn.number());
      return service_.event(
          SpawnFailed{spawn.spawn, pick(2) == 0 ? 0 : 203, Error(Errc::failed, "no")});
    }
    const ProcessId process(1000 + spawn.spawn.number());
    if (pick(6) == 0) {  // the exit is told first
      if (is_main) mains_.erase(spawn.spawn.number());
      service_.exit(process, some_status());
    } else {
      alive_.push_back(spawn);
    }
    service_.event(Spawned{spawn.spawn, process});
    if (pick(2) == 0) service_.event(Executed{spawn.spawn});
  }

  void end() {
    const ProcessId announced = service_.status().main;
    if (alive_.empty() || (announced && pick(4) == 0)) {
      if (announced && announced.number() < 1000) service_.exit(announced, some_status());
      return;
    }
    const std::size_t which = pick(alive_.size());
    const Spawn spawn = alive_[which];
    alive_.erase(alive_.begin() + static_cast<std::ptrdiff_t>(which));
    if (spawn.role == ProcessRole::main) mains_.erase(spawn.spawn.number());
    service_.exit(ProcessId(1000 + spawn.spawn.number()), some_status());
  }

  void timer() {
    if (pick(8) == 0) return service_.machine.jobs_idle(service_.context);
    const auto& timers = service_.context.timers;
    if (timers.empty()) return;
    auto chosen = timers.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(pick(timers.size())));
    service_.fire(chosen->first);
  }

  void say() {
    NotifyMessage message;
    message.ready = pick(2) == 0;
    message.reloading = pick(4) == 0;
    message.stopping = pick(8) == 0;
    message.watchdog = pick(4) == 0;
    message.watchdog_trigger = pick(16) == 0;
    message.monotonic = service_.context.now_.mono;
    if (pick(4) == 0) message.extend_timeout = Duration(seconds(pick(100)));
    if (pick(4) == 0) message.watchdog_interval = Duration(seconds(pick(20)));
    // A hand-over names a process that the machine did not spawn; the old one is nobody then.
    if (pick(4) == 0) message.main_process = ProcessId(500 + pick(5));
    const ProcessId before = service_.status().main;
    service_.notify(std::move(message), before ? before : ProcessId(3), ProcessRole::main);
    note_hand_over(before);
  }

  void find() {
    const ProcessId before = service_.status().main;
    if (pick(2) == 0) {
      service_.event(
          MainProcessFound{service_.context.id(), ProcessId(600 + pick(5)), pick(2) == 0});
    } else {
      service_.event(MainProcessMissing{service_.context.id(), Error(Errc::not_found, "none")});
    }
    note_hand_over(before);
  }

  void note_hand_over(ProcessId before) {
    if (before != service_.status().main && service_.status().main.number() < 1000) mains_.clear();
  }

  std::mt19937 random_;
  int steps_ = 0;
  Service service_;
  std::vector<Spawn> open_;   ///< not answered
  std::vector<Spawn> alive_;  ///< not ended
  std::set<std::uint64_t> mains_;
};

TEST(ServiceFuzz, NoOrderOfEventsBreaksItInAnyPhase) {
  std::set<Phase> seen;
  for (std::uint32_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Chaos chaos(seed);
    for (int step = 0; step < 120; ++step) {
      chaos.step();
      seen.insert(chaos.phase());
    }
    if (::testing::Test::HasFailure()) return;
  }
  for (std::size_t i = 0; i < kPhases; ++i) {
    EXPECT_TRUE(seen.contains(static_cast<Phase>(i)))
        << "never tried: " << to_string(static_cast<Phase>(i));
  }
}

TEST(ServiceTable, EveryPhaseHasANameAndAStateOfSystemds) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    names.insert(to_string(phase));
    EXPECT_FALSE(to_string(service_state(phase)).empty());
    if (is_final_stage(phase)) {
      EXPECT_TRUE(is_stage(phase));
    }
  }
  EXPECT_EQ(names.size(), kPhases);
}

TEST(ServiceTable, NothingIsDoneInAPhaseThatCannotHappenThere) {
  for (std::size_t i = 0; i < kHappenings; ++i) {
    const auto happening = static_cast<Happening>(i);
    const Deed when_dead = deed(Phase::dead, happening);
    const bool inert = when_dead == Deed::nothing || when_dead == Deed::impossible;
    EXPECT_EQ(inert, happening != Happening::start) << to_string(happening);
  }
}

}  // namespace
}  // namespace pidward::engine::testing
