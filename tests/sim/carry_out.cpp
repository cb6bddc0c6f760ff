// The world's side of every effect.
#include <algorithm>
#include <csignal>

#include <fmt/core.h>

#include "sim/graph.hpp"
#include "sim/world.hpp"

namespace pidward::sim {

using engine::KillWhom;
using engine::ProcessRole;

void World::carry_out(const Effect& effect) {
  std::visit(
      [&]<typename T>(const T& what) {
        if constexpr (requires { what.unit; }) {
          const bool may_be_gone =
              std::is_same_v<T, engine::UnitRemoved> || std::is_same_v<T, engine::WatchClock> ||
              std::is_same_v<T, engine::DisarmTimer> ||
              std::is_same_v<T, engine::ObserveExternal> ||
              std::is_same_v<T, engine::WatchBusName> || std::is_same_v<T, engine::JobRemoved> ||
              std::is_same_v<T, engine::UnitChanged> || std::is_same_v<T, engine::UnitAdded>;
          if (!may_be_gone && engine_->spec(what.unit) == nullptr) {
            fail(fmt::format("effect {} is about a unit that does not exist", effect.index()));
          }
        }
        on(what);
      },
      effect);
}

void World::on(const engine::Log& effect) {
  say(fmt::format("  log {}: {}", effect.record.unit, effect.record.message));
  if (effect.record.message.empty()) fail("an empty log message");
}

void World::on(const engine::PrepareStart& effect) {
  say(fmt::format("  prepare {}", effect.unit.number()));
  engine::StartPrepared answer{effect.unit};
  const std::uint64_t dice = random_.below(100);
  answer.conditions_ok = dice >= 5;
  answer.asserts_ok = dice < 5 || dice >= 8;
  answer.failed_condition = "ConditionPathExists=/x";
  if (dice == 99) answer.error = Error(Errc::failed, "no control group");
  answer.leftovers = static_cast<std::uint32_t>(alive_in(effect.unit).size());
  post(answer);
}

void World::on(const engine::Spawn& effect) {
  say(fmt::format("  spawn {} role {} list {} for {}", effect.spawn.number(),
                  static_cast<int>(effect.role), unit::row(effect.list).name,
                  effect.unit.number()));
  kept_for_start_.erase(effect.unit);
  // Its first process: what a condition keeps from happening is no start.
  const auto invocation = engine_->status(effect.unit).invocation;
  if (invocations_.insert(invocation.to_string()).second) note_start(effect.unit);
  if (answer_again(effect)) return;
  if (!seen_spawns_.insert(effect.spawn).second) fail("a spawn id was used twice");
  const auto spec = engine_->spec(effect.unit);
  if (spec->settings.commands(effect.list).size() <= effect.index) {
    fail("a command is spawned that the unit does not have");
  }
  unanswered_[effect.spawn] = effect.unit;
  if (effect.connection != 0 && connections_.erase(effect.connection) == 0) {
    // A daemon that died may have closed it, and not have told that.
    if (crashes_so_far_ == 0) {
      fail(fmt::format("{} is to get a connection that is not there", spec->name.str()));
    }
    return post(engine::SpawnFailed{effect.spawn, 0, Error(Errc::failed, "it is lost")});
  }
  if (random_.chance(5)) {
    post(engine::SpawnFailed{effect.spawn, 0, Error(Errc::limit_exceeded, "no processes left")});
    return;
  }
  make_process(effect);
  if (mutation_ == Mutation::double_spawn && effect.role == ProcessRole::main && !mutated_) {
    mutated_ = true;
    make_process(effect);
  }
}

void World::make_process(const engine::Spawn& effect) {
  const ProcessId id(++last_process_);
  Process process;
  process.unit = effect.unit;
  process.role = effect.role;
  process.spawn = effect.spawn;
  process.stubborn = !winding_down_ && random_.chance(15);
  processes_[id] = process;
  post(engine::Spawned{effect.spawn, id});
  if (effect.role == ProcessRole::control) {
    // Commands end by themselves, as a rule at once.
    if (winding_down_ || random_.chance(75)) {
      const int code = random_.chance(12) ? 1 : 0;
      if (effect.list == unit::Directive::ExecStart && random_.chance(85)) {
        Process child = process;
        child.role = ProcessRole::other;
        child.spawn = {};
        processes_[ProcessId(++last_process_)] = child;
      }
      end_process(id, {ExitStatus::Kind::exited, code});
    }
  }
}

std::vector<ProcessId> World::alive_in(UnitId unit) const {
  std::vector<ProcessId> found;
  for (const auto& [id, process] : processes_) {
    if (process.unit == unit && process.alive) found.push_back(id);
  }
  return found;
}

std::vector<ProcessId> World::alive() const {
  std::vector<ProcessId> found;
  for (const auto& [id, process] : processes_) {
    if (process.alive) found.push_back(id);
  }
  return found;
}

bool World::may_be_delivered(const Event& event) const {
  // What the runtime keeps in order: the answers to a unit's spawns and the ends of its processes
  // are told before its emptiness.
  const auto* empty = std::get_if<engine::UnitEmpty>(&event);
  if (empty == nullptr) return true;
  const bool spawning = std::any_of(unanswered_.begin(), unanswered_.end(),
                                    [&](const auto& entry) { return entry.second == empty->unit; });
  if (spawning) return false;
  return std::none_of(processes_.begin(), processes_.end(), [&](const auto& entry) {
    const Process& process = entry.second;
    return process.unit == empty->unit && !process.alive && !process.exit_told;
  });
}

void World::end_process(ProcessId id, ExitStatus status) {
  Process& process = processes_.at(id);
  if (!process.alive) return;
  process.alive = false;
  if (mutation_ == Mutation::lose_exit && process.role == ProcessRole::main && !mutated_) {
    mutated_ = true;
    process.exit_told = true;
  } else {
    post(engine::ProcessExited{process.unit, id, status});
  }
  check_empty(process.unit);
}

void World::check_empty(UnitId unit) {
  if (!watched_empty_.contains(unit) || !alive_in(unit).empty()) return;
  watched_empty_.erase(unit);
  post(engine::UnitEmpty{unit});
}

void World::on(const engine::KillProcesses& effect) {
  say(fmt::format("  signal {} whom {} of {}", effect.signal, static_cast<int>(effect.whom),
                  effect.unit.number()));
  watched_empty_.insert(effect.unit);
  const auto meant = [&](const Process& process) {
    switch (effect.whom) {
      case KillWhom::main:
        return process.role == ProcessRole::main;
      case KillWhom::control:
        return process.role == ProcessRole::control;
      case KillWhom::main_and_control:
        return process.role != ProcessRole::other;
      case KillWhom::all_but_main:
        return process.role == ProcessRole::other;
      case KillWhom::all:
        return true;
    }
    return true;
  };
  for (const ProcessId id : alive_in(effect.unit)) {
    const Process& process = processes_.at(id);
    const bool deadly = effect.signal == SIGKILL ? mutation_ != Mutation::deaf_to_kill
                                                 : effect.signal != 0 && !process.stubborn &&
                                                       mutation_ != Mutation::deaf_to_kill;
    const bool is_reload = effect.signal == SIGHUP;
    if (meant(process) && deadly && !is_reload) {
      end_process(id, {ExitStatus::Kind::killed, effect.signal});
    }
  }
  check_empty(effect.unit);
}

void World::on(const engine::WatchEmpty& effect) {
  watched_empty_.insert(effect.unit);
  check_empty(effect.unit);
}

void World::on(const engine::ArmTimer& effect) {
  if (effect.generation <= last_generation_) fail("a timer's generation was used twice");
  last_generation_ = effect.generation;
  say(fmt::format("  arm timer {} of {}, generation {}", static_cast<int>(effect.kind),
                  effect.unit.number(), effect.generation));
  timers_[{effect.unit, effect.kind}] = {effect.at, effect.generation};
}

void World::on(const engine::DisarmTimer& effect) {
  say(fmt::format("  disarm timer {} of {}", static_cast<int>(effect.kind), effect.unit.number()));
  if (mutation_ == Mutation::lose_disarm) return;
  timers_.erase({effect.unit, effect.kind});
}

void World::on(const engine::WatchClock& effect) {
  if (effect.watch) {
    clock_watchers_.insert(effect.unit);
  } else {
    clock_watchers_.erase(effect.unit);
  }
}

void World::on(const engine::WatchPaths& effect) {
  watched_paths_[effect.unit] = effect.generation;
  engine::PathsWatched answer{effect.unit, effect.generation};
  if (random_.chance(4)) answer.error = Error(Errc::limit_exceeded, "no watches are left");
  post(answer);
  if (!answer.error && random_.chance(30)) {
    post(engine::PathTriggered{effect.unit, effect.generation, "/there/already"});
  }
}

void World::on(const engine::CloseConnection& effect) {
  connections_.erase(effect.connection);
}

void World::on(const engine::UnwatchPaths& effect) {
  if (watched_paths_.erase(effect.unit) == 0) fail("paths are let go that nobody watches");
}

void World::on(const engine::ReadTimerStamp& effect) {
  const std::uint64_t dice = random_.below(4);
  const WallTime now = now_.wall;
  const Duration hour = std::chrono::hours(1);
  post(engine::TimerStampRead{effect.unit,
                              dice == 0 ? WallTime{} : now + (static_cast<int>(dice) - 2) * hour});
}

void World::on(const engine::StoreTimerStamp& effect) {
  if (effect.last != now_.wall) fail("a timer's stamp is not of now");
}

void World::on(const engine::FindMainProcess& effect) {
  for (const ProcessId id : alive_in(effect.unit)) {
    Process& process = processes_.at(id);
    if (process.role != ProcessRole::other) continue;
    if (random_.chance(15) && !winding_down_) break;
    process.role = ProcessRole::main;
    return post(engine::MainProcessFound{effect.unit, id, random_.chance(20)});
  }
  if (effect.wait && !random_.chance(50)) return;
  post(engine::MainProcessMissing{effect.unit, Error(Errc::not_found, "no PID file yet")});
}

void World::on(const engine::WatchBusName& effect) {
  if (effect.watch && random_.chance(70)) post(engine::BusNameChanged{effect.unit, true, {}});
}

void World::on(const engine::Listen& effect) {
  if (random_.chance(90)) {
    post(engine::Listening{effect.unit});
  } else {
    post(engine::ListenFailed{effect.unit, Error(Errc::failed, "address in use")});
  }
}

void World::on(const engine::WatchListen& effect) {
  if (effect.watch) {
    listening_.insert(effect.unit);
  } else {
    listening_.erase(effect.unit);
  }
}

void World::on(const engine::CleanUp& effect) {
  say(fmt::format("  clean up {}{}", effect.unit.number(),
                  effect.restarting ? " for a start" : ""));
  if (effect.restarting) {
    kept_for_start_.insert(effect.unit);
  } else {
    kept_for_start_.erase(effect.unit);
  }
}

void World::on(const engine::UnitRemoved& effect) {
  std::erase_if(processes_, [&](const auto& entry) { return entry.second.unit == effect.unit; });
  std::erase_if(pending_, [&](const Event& event) {
    const auto* exited = std::get_if<engine::ProcessExited>(&event);
    return exited != nullptr && exited->unit == effect.unit;
  });
  std::erase_if(timers_, [&](const auto& entry) { return entry.first.first == effect.unit; });
  std::erase_if(unanswered_, [&](const auto& entry) { return entry.second == effect.unit; });
  listening_.erase(effect.unit);
  starts_.erase(effect.unit);
  kept_for_start_.erase(effect.unit);
}

void World::on(const engine::ObserveExternal& effect) {
  if (effect.observe) post(engine::ExternalState{effect.unit, random_.chance(40)});
}

void World::on(const engine::LoadUnit& effect) {
  const unit::UnitSpecPtr spec = instance_of(effect.name);
  loads_.push_back(spec);
}

void World::on(const engine::JobAdded& effect) {
  say(fmt::format("  job {} added for {}", effect.job.number(), effect.unit.number()));
  if (!alive_jobs_.insert(effect.job).second) fail("a job was added twice");
}

void World::on(const engine::JobRemoved& effect) {
  say(fmt::format("  job {} of {} removed: {}", effect.job.number(), effect.unit.number(),
                  to_string(effect.result)));
  if (mutation_ == Mutation::lose_job_removed && !mutated_) {
    mutated_ = true;
    return;
  }
  const auto known = jobs_.find(effect.job);
  if (known != jobs_.end() && known->second.type == engine::JobType::stop &&
      effect.result == engine::JobResult::done) {
    stopped_.insert(effect.unit);
  }
  if (alive_jobs_.erase(effect.job) == 0) fail("a job was removed that was not there");
}

}  // namespace pidward::sim
