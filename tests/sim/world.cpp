#include "sim/world.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/core.h>

#include "sim/graph.hpp"

namespace pidward::sim {
namespace {

using engine::ActiveState;
using engine::JobType;

constexpr std::size_t kSteps = 70;
constexpr std::size_t kRounds = 24;
constexpr std::size_t kBudget = 600;
constexpr std::size_t kCallsPerCrash = 30;

bool is_down(ActiveState state) {
  return state == ActiveState::inactive || state == ActiveState::failed;
}

}  // namespace

engine::EngineConfig config_for(Random& random) {
  engine::EngineConfig config;
  config.random = [&random] { return random.next(); };
  return config;
}

World::World(std::uint64_t seed, Mutation mutation)
    : random_(seed),
      mutation_(mutation),
      engine_(std::make_unique<engine::Engine>(config_for(random_))) {
  now_.mono = MonoTime(std::chrono::seconds(1000));
  now_.wall = WallTime(std::chrono::seconds(1'700'000'000));
}

void World::say(const std::string& line) const {
  if (verbose) fmt::print("{:>12} {}\n", now_.mono.time_since_epoch().count(), line);
}

template <typename Call>
auto World::call(Call&& what) {
  engine::Effects effects;
  auto result = what(effects);
  const bool crashing = crashes && random_.below(kCallsPerCrash) == 0;
  // Then some of what follows is done, and the rest only if the next daemon thinks of it.
  std::size_t done = crashing ? random_.below(effects.size() + 1) : effects.size();
  for (const Effect& effect : effects) {
    if (done-- == 0) break;
    if (!violation_) carry_out(effect);
  }
  if (crashing && !violation_) crash();
  if (!violation_) check_all();
  while (!loads_.empty() && !violation_) {
    const std::vector<unit::UnitSpecPtr> loaded = std::exchange(loads_, {});
    engine::Effects more;
    engine_->add(loaded, now_, more);
    for (const Effect& effect : more) carry_out(effect);
    if (!violation_) check_all();
  }
  return result;
}

void World::tell(const Event& event) {
  call([&](engine::Effects& effects) {
    engine_->handle(event, now_, effects);
    return true;
  });
}

std::optional<Violation> World::live() {
  specs_ = random_graph(random_);
  call([&](engine::Effects& effects) {
    engine_->add(specs_, now_, effects);
    return true;
  });
  for (std::size_t i = 0; i < kSteps && !violation_; ++i) step();
  if (!violation_) wind_down();
  if (!violation_) check_end();
  return violation_;
}

void World::step() {
  now_.mono += Duration(static_cast<std::int64_t>(random_.below(2000)));
  const std::uint64_t dice = random_.below(100);
  if (dice < 50 && !pending_.empty()) return deliver(random_.below(pending_.size()));
  if (dice < 62) {
    advance();
  } else if (dice < 82) {
    random_request();
  } else {
    random_upset();
  }
}

void World::deliver(std::size_t index) {
  Event event = pending_[index];
  if (!may_be_delivered(event)) return;
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(index));
  if (const auto* empty = std::get_if<engine::UnitEmpty>(&event)) {
    // The runtime looks before it speaks: somebody may have come in the meantime.
    if (!alive_in(empty->unit).empty()) return;
    watched_empty_.erase(empty->unit);
  }
  if (const auto* found = std::get_if<engine::MainProcessFound>(&event)) {
    // What is found is alive, or its end is still to be told.
    const auto at = processes_.find(found->process);
    if (at == processes_.end() || at->second.exit_told) {
      event = engine::MainProcessMissing{found->unit, Error(Errc::no_such_process, "it is dead")};
    }
  }
  if (const auto* exited = std::get_if<engine::ProcessExited>(&event)) {
    const auto at = processes_.find(exited->process);
    if (at != processes_.end()) at->second.exit_told = true;
    say(fmt::format("exit of {} in {}: {}", exited->process.number(), exited->unit.number(),
                    exited->status.to_string()));
  } else {
    say(fmt::format("event {}", event.index()));
  }
  if (const auto* ran = std::get_if<engine::Executed>(&event)) unanswered_.erase(ran->spawn);
  if (const auto* never = std::get_if<engine::SpawnFailed>(&event)) {
    unanswered_.erase(never->spawn);
  }
  const std::size_t crashes_before = crashes_so_far_;
  tell(event);
  // Another daemon has asked for what it wants to know.
  if (crashes_so_far_ != crashes_before) return;
  if (const auto* spawned = std::get_if<engine::Spawned>(&event)) {
    const auto at = processes_.find(spawned->process);
    if (at == processes_.end()) return;
    Process& process = at->second;
    if (process.alive && random_.chance(6)) {
      process.alive = false;
      process.exit_told = true;
      post(engine::SpawnFailed{spawned->spawn, 203, Error(Errc::not_found, "no such program")});
      check_empty(process.unit);
    } else {
      post(engine::Executed{spawned->spawn});
    }
  }
}

bool World::advance() {
  auto next = std::min_element(timers_.begin(), timers_.end(), [](const auto& a, const auto& b) {
    return a.second.first < b.second.first;
  });
  if (next == timers_.end()) return false;
  const Duration passed = std::max(next->second.first - now_.mono, Duration::zero());
  now_.mono += passed;
  now_.wall += passed;
  say(fmt::format("timer {} of {}", static_cast<int>(next->first.second),
                  next->first.first.number()));
  post(engine::TimerFired{next->first.first, next->first.second, next->second.second});
  timers_.erase(next);
  return true;
}

void World::request(UnitId unit, JobType type, unit::JobMode mode, bool manual) {
  const auto spec = engine_->spec(unit);
  if (spec == nullptr) return;
  say(fmt::format("request {} {} mode {}", to_string(type), spec->name.str(),
                  static_cast<int>(mode)));
  const auto outcome = call([&](engine::Effects& effects) {
    engine::JobRequest wish{spec->name, type, mode, manual};
    wish.reload_if_possible = random_.chance(10);
    auto result = engine_->request(wish, now_, effects);
    if (result && mode == unit::JobMode::ignore_dependencies) {
      unordered_jobs_.insert(result->affected.begin(), result->affected.end());
    }
    return result;
  });
  if (!outcome) {
    say("  refused: " + outcome.error().message());
    if (outcome.error().message().empty()) fail("an error without a sentence");
  }
}

void World::random_request() {
  const auto units = engine_->units();
  static const std::vector<JobType> kTypes{
      JobType::start,           JobType::start,      JobType::start,
      JobType::start,           JobType::stop,       JobType::stop,
      JobType::restart,         JobType::reload,     JobType::try_restart,
      JobType::reload_or_start, JobType::try_reload, JobType::verify_active};
  const JobType type = random_.pick(kTypes);
  auto mode = unit::JobMode::replace;
  if (random_.chance(25)) mode = static_cast<unit::JobMode>(random_.below(8));
  request(random_.pick(units), type, mode, random_.chance(80));
}

void World::random_upset() {
  // Few graphs have a socket, and fewer one that listens just now.
  if (!listening_.empty() && random_.chance(40)) {
    return knock(random_.pick(std::vector(listening_.begin(), listening_.end())));
  }
  const std::uint64_t dice = random_.below(100);
  const auto units = engine_->units();
  const UnitId unit = random_.pick(units);
  if (dice < 35) {
    const auto living = alive();
    if (living.empty()) return;
    static const std::vector<ExitStatus> kEnds{
        {ExitStatus::Kind::exited, 0},       {ExitStatus::Kind::exited, 0},
        {ExitStatus::Kind::exited, 1},       {ExitStatus::Kind::killed, SIGKILL},
        {ExitStatus::Kind::killed, SIGTERM}, {ExitStatus::Kind::dumped, SIGSEGV},
        {ExitStatus::Kind::unknown, 0}};
    const ProcessId victim = random_.pick(living);
    if (random_.chance(5)) {
      tell(engine::OutOfMemory{processes_.at(victim).unit});
      end_process(victim, {ExitStatus::Kind::killed, SIGKILL});
    } else {
      end_process(victim, random_.pick(kEnds));
    }
  } else if (dice < 60) {
    const auto living = alive();
    if (living.empty()) return;
    const ProcessId sender = random_.pick(living);
    engine::Notified event;
    event.unit = processes_.at(sender).unit;
    event.sender = sender;
    event.sender_role = processes_.at(sender).role;
    event.message.ready = random_.chance(60);
    event.message.reloading = random_.chance(8);
    event.message.stopping = random_.chance(5);
    event.message.watchdog = random_.chance(20);
    event.message.watchdog_trigger = random_.chance(2);
    if (event.message.stopping) processes_.at(sender).said_stopping = true;
    if (event.message.reloading) event.message.monotonic = now_.mono;
    if (random_.chance(5)) event.message.extend_timeout = std::chrono::seconds(5);
    if (random_.chance(10)) event.message.status = "busy";
    tell(event);
  } else if (dice < 66) {
    const auto jobs = engine_->jobs();
    if (jobs.empty()) return;
    call([&](engine::Effects& effects) {
      return engine_->cancel(random_.pick(jobs), now_, effects).has_value();
    });
  } else if (dice < 72) {
    starts_.erase(unit);
    call([&](engine::Effects& effects) {
      return engine_->reset_failed(unit, now_, effects).has_value();
    });
  } else if (dice < 76) {
    call([&](engine::Effects& effects) {
      return engine_
          ->kill(unit, engine::KillWhom::all, random_.chance(50) ? SIGKILL : SIGTERM, now_, effects)
          .has_value();
    });
  } else if (dice < 80) {
    for (auto& spec : specs_) {
      if (random_.chance(30)) spec = edited(*spec, random_);
    }
    if (random_.chance(30) && specs_.size() > 1) specs_.pop_back();
    say("reload");
    call([&](engine::Effects& effects) {
      engine_->reload(specs_, now_, effects);
      return true;
    });
  } else if (dice < 83) {
    say("collect");
    call([&](engine::Effects& effects) {
      engine_->set_referenced(unit, random_.chance(70));
      engine_->collect(now_, effects);
      engine_->add(specs_, now_, effects);
      return true;
    });
  } else if (dice < 86) {
    const auto watched = watched_paths_.find(unit);
    const std::uint64_t generation =
        watched == watched_paths_.end() ? random_.below(3) : watched->second;
    post(engine::PathTriggered{unit, generation, "/watched"});
  } else if (dice < 90) {
    post(engine::ExternalState{unit, random_.chance(60)});
  } else if (dice < 95) {
    // Days forward or back, or another zone; told only to who watches.
    const auto days = static_cast<std::int64_t>(random_.below(9)) - 4;
    if (days != 0) now_.wall += std::chrono::hours(24 * days);
    if (clock_watchers_.empty()) return;
    if (days != 0) {
      post(engine::WallClockChanged{});
    } else {
      post(engine::TimeZoneChanged{std::make_shared<const unit::TimeZone>()});
    }
  } else {
    // Nonsense: answers nobody asked for, about whatever unit.
    post(engine::StartPrepared{unit});
    post(engine::Listening{unit});
    post(engine::MainProcessMissing{unit, Error(Errc::not_found, "no PID file")});
    post(engine::BusNameChanged{unit, random_.chance(50), {}});
    post(engine::TimerFired{unit, engine::TimerKind::operation, UINT64_MAX - random_.below(20)});
    post(engine::UnitEmpty{unit});
  }
}

/// Traffic on a socket that is watched.
void World::knock(UnitId socket) {
  if (!engine_->spec(socket)->settings.boolean(unit::Directive::Accept)) {
    return post(engine::Incoming{socket, 0, {}});
  }
  connections_.emplace(++last_connection_, socket);
  say(fmt::format("connection {} to {}", last_connection_, socket.number()));
  post(engine::Incoming{socket, last_connection_, "peer"});
}

bool World::settle(std::size_t budget) {
  for (std::size_t i = 0; i < budget; ++i) {
    if (violation_) return false;
    bool delivered = false;
    for (std::size_t at = 0; at < pending_.size() && !delivered; ++at) {
      if (!may_be_delivered(pending_[at])) continue;
      deliver(at);
      delivered = true;
    }
    if (delivered) continue;
    const auto units = engine_->units();
    const bool down = std::all_of(units.begin(), units.end(), [&](UnitId unit) {
      const auto status = engine_->status(unit);
      return is_down(status.active) || !unit::is_managed(status.spec->name.type());
    });
    if (down && engine_->jobs().empty()) return true;
    if (!advance() && !let_one_end()) return false;
  }
  return false;
}

bool World::let_one_end() {
  for (const ProcessId id : alive()) {
    const UnitId unit = processes_.at(id).unit;
    const auto& settings = engine_->spec(unit)->settings;
    // Who is given all the time in the world takes it, but not more.
    const Duration limit = settings.span(unit::Directive::TimeoutStopSec);
    const bool patient = limit == kInfinity || limit.count() == 0;
    if (!patient && !leaves_processes(unit)) continue;
    end_process(id, {ExitStatus::Kind::exited, 0});
    return true;
  }
  return false;
}

void World::cut_edges() {
  std::vector<unit::UnitSpecPtr> plain;
  for (const UnitId unit : engine_->units()) {
    auto spec = std::make_shared<unit::UnitSpec>(*engine_->spec(unit));
    spec->dependencies.clear();
    plain.push_back(std::move(spec));
  }
  call([&](engine::Effects& effects) {
    engine_->reload(plain, now_, effects);
    return true;
  });
}

void World::wind_down() {
  say("winding down");
  winding_down_ = true;
  for (const ProcessId id : alive()) {
    Process& process = processes_.at(id);
    // Who said that it ends gets no signal any more, and without a time limit is waited for.
    if (process.stubborn || process.said_stopping || process.role == engine::ProcessRole::control) {
      end_process(id, {ExitStatus::Kind::exited, 0});
    }
    process.stubborn = false;
  }
  for (std::size_t round = 0; round < kRounds && !violation_; ++round) {
    if (round > 0 && round % 4 == 0) {
      call([&](engine::Effects& effects) {
        engine_->cancel_all(now_, effects);
        return true;
      });
    }
    // Units may keep each other up for ever, as their files say; without edges they cannot.
    if (round == kRounds / 2) cut_edges();
    for (const UnitId unit : engine_->units()) {
      const auto status = engine_->status(unit);
      if (violation_ || is_down(status.active)) continue;
      request(unit, JobType::stop, unit::JobMode::replace, false);
    }
    if (settle(kBudget)) return;
  }
  std::string who;
  for (const UnitId unit : engine_->units()) {
    const auto status = engine_->status(unit);
    if (is_down(status.active) && !status.job) continue;
    who +=
        fmt::format(" {}({}, {})", status.spec->name.str(), to_string(status.active), status.sub);
  }
  if (!violation_) fail("not everything stops:" + who);
}

}  // namespace pidward::sim
