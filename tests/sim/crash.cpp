// The daemon dies, at any moment and in the middle of carrying effects out, and the next one goes
// on from what was written down: the records of the last call, and the processes that are there.
#include <fmt/core.h>

#include "sim/world.hpp"

namespace pidward::sim {
namespace {

template <typename Value>
std::map<UnitId, Value> renamed(const std::map<UnitId, Value>& before,
                                const std::map<UnitId, UnitId>& names) {
  std::map<UnitId, Value> after;
  for (const auto& [unit, value] : before) {
    if (const auto found = names.find(unit); found != names.end()) after[found->second] = value;
  }
  return after;
}

std::set<UnitId> renamed(const std::set<UnitId>& before, const std::map<UnitId, UnitId>& names) {
  std::set<UnitId> after;
  for (const UnitId unit : before) {
    if (const auto found = names.find(unit); found != names.end()) after.insert(found->second);
  }
  return after;
}

}  // namespace

void World::crash() {
  say("crash");
  ++crashes_so_far_;
  std::vector<engine::UnitRecord> records;
  std::vector<unit::UnitSpecPtr> specs;
  std::map<UnitId, unit::UnitName> names;
  for (const UnitId unit : engine_->units()) {
    const auto spec = engine_->spec(unit);
    specs.push_back(spec);
    names.emplace(unit, spec->name);
    std::string text = engine_->record(unit);
    if (!text.empty()) records.push_back({spec->name, std::move(text)});
  }
  engine_ = std::make_unique<engine::Engine>(config_for(random_));
  pending_.clear();
  timers_.clear();
  unanswered_.clear();
  watched_empty_.clear();
  listening_.clear();
  clock_watchers_.clear();
  watched_paths_.clear();
  loads_.clear();
  alive_jobs_.clear();
  stopped_.clear();
  kept_for_start_.clear();  // a clean-up may have been lost on its way
  seen_spawns_.clear();
  last_generation_ = 0;
  engine::Effects effects;
  engine_->add(specs, now_, effects);
  std::map<UnitId, UnitId> now_called;
  for (const auto& [unit, name] : names) now_called.emplace(unit, *engine_->find(name));
  std::erase_if(processes_,
                [&](const auto& entry) { return !now_called.contains(entry.second.unit); });
  for (auto& [id, process] : processes_) process.unit = now_called.at(process.unit);
  idle_ = renamed(idle_, now_called);
  lenient_ = renamed(lenient_, now_called);
  starts_ = renamed(starts_, now_called);
  std::erase_if(jobs_, [&](const auto& entry) { return !now_called.contains(entry.second.unit); });
  for (auto& [id, job] : jobs_) job.unit = now_called.at(job.unit);
  for (const unit::UnitName& bad : engine_->restore(records, {}, now_, effects)) {
    fail(fmt::format("the record of {} cannot be read again", bad.str()));
  }
  for (const engine::UnitRecord& record : records) {
    const std::string again = engine_->record(*engine_->find(record.unit));
    say(fmt::format("  restored {}, {} and {} bytes", record.unit.str(), record.text.size(),
                    again.size()));
  }
  // A number that nobody waits for any more is free for the next engine to give out.
  std::set<SpawnId> awaited;
  for (const Effect& effect : effects) {
    if (const auto* spawn = std::get_if<engine::Spawn>(&effect)) awaited.insert(spawn->spawn);
  }
  for (auto& [id, process] : processes_) {
    if (!awaited.contains(process.spawn)) process.spawn = {};
  }
  for (const Effect& effect : effects) {
    if (!violation_) carry_out(effect);
  }
  for (auto& [number, unit] : std::exchange(connections_, {})) {
    const auto socket = now_called.find(unit);
    if (socket == now_called.end()) continue;
    connections_.emplace(number, socket->second);
    post(engine::Incoming{socket->second, number, "peer"});
  }
  // Who is believed to live and does not: nobody can say how it ended.
  for (const UnitId unit : engine_->units()) {
    const auto status = engine_->status(unit);
    if (status.service != nullptr) tell_if_lost(unit, status.service->main);
    if (status.service != nullptr) tell_if_lost(unit, status.service->control);
    if (status.socket != nullptr) tell_if_lost(unit, status.socket->control);
  }
  for (auto& [id, process] : processes_) {
    if (!process.alive && !awaited.contains(process.spawn)) process.exit_told = true;
  }
}

void World::tell_if_lost(UnitId unit, ProcessId process) {
  const auto found = processes_.find(process);
  if (!process || (found != processes_.end() && found->second.alive)) return;
  post(engine::ProcessExited{unit, process, {}});
}

/// A spawn that is asked for once more: its process may have come to be. False if it did not.
bool World::answer_again(const engine::Spawn& effect) {
  for (const auto& [id, process] : processes_) {
    if (process.spawn != effect.spawn) continue;
    unanswered_[effect.spawn] = effect.unit;
    post(engine::Spawned{effect.spawn, id});
    if (!process.alive) post(engine::ProcessExited{effect.unit, id, {}});
    return true;
  }
  return false;
}

}  // namespace pidward::sim
