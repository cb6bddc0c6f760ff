// Units as text, for going on in another process: what the core itself knows of a unit, and putting
// a graph of units back into the state they were in.
#include <algorithm>
#include <utility>

#include "engine/context.hpp"
#include "engine/core.hpp"
#include "engine/record.hpp"

namespace pidward::engine {
namespace {

template <typename Archive, typename AJob>
void each_job_field(Archive& a, const std::string& key, AJob& job) {
  a.id(key + ".id", job.id);
  a.choice(key + ".type", job.type, JobType::nop);
  a.choice(key + ".state", job.state, JobState::running);
  a.flag(key + ".irreversible", job.irreversible);
  a.flag(key + ".ignore_order", job.ignore_order);
  a.flag(key + ".after_start", job.after_start);
  a.now(key + ".begun", job.begun);
}

template <typename Archive, typename Limit>
void each_limit_field(Archive& a, const std::string& key, Limit& limit) {
  a.time(key + ".begin", limit.begin);
  a.number(key + ".count", limit.count);
}

std::unique_ptr<Job> load_job(Loader& from, const std::string& key, UnitId unit) {
  auto job = std::make_unique<Job>();
  job->unit = unit;
  each_job_field(from, key, *job);
  return job->id ? std::move(job) : nullptr;
}

}  // namespace

template <typename Archive, typename AUnit>
void Core::each_field(Archive& a, AUnit& unit) {
  a.now("state_changed", unit.state_changed);
  a.now("inactive_exit", unit.inactive_exit);
  a.now("active_enter", unit.active_enter);
  a.now("active_exit", unit.active_exit);
  a.now("inactive_enter", unit.inactive_enter);
  a.now("condition_checked", unit.condition_checked);
  a.now("assert_checked", unit.assert_checked);
  each_limit_field(a, "start_limit", unit.start_limit);
  each_limit_field(a, "handlers", unit.handlers);
  each_limit_field(a, "automatic", unit.automatic);
  a.list("timers", unit.timers, [](auto& archive, auto& timer) {
    archive.choice("kind", timer.kind, TimerKind::retry);
    archive.time("at", timer.at);
  });
}

std::string Core::record(const Unit& unit) const {
  Saver to;
  each_field(to, unit);
  if (!unit.invocation.is_null()) to.text("invocation", unit.invocation.to_string());
  to.flag("condition_result", unit.condition_result);
  to.flag("assert_result", unit.assert_result);
  to.flag("preparing", unit.preparing);
  if (unit.job) each_job_field(to, "job", *unit.job);
  if (unit.nop_job) each_job_field(to, "nop_job", *unit.nop_job);
  unit.machine->save(to);
  return to.take();
}

bool Core::load(Unit& unit, Loader& from) {
  each_field(from, unit);
  std::string invocation;
  from.text("invocation", invocation);
  if (!invocation.empty()) {
    auto parsed = InvocationId::parse(invocation);
    if (!parsed) return false;
    unit.invocation = *parsed;
  }
  const auto flag = [&](std::string_view key) {
    bool value = false;
    from.flag(key, value);
    return value;
  };
  unit.condition_result = flag("condition_result");
  unit.assert_result = flag("assert_result");
  unit.preparing = flag("preparing");
  unit.job = load_job(from, "job", unit.id);
  unit.nop_job = load_job(from, "nop_job", unit.id);
  unit.machine->load(from);
  return from.is_good();
}

/// Jobs keep their numbers: somebody may be waiting for one of them.
void Core::adopt_jobs(Unit& unit) {
  for (auto* const place : {&unit.job, &unit.nop_job}) {
    Job* const job = place->get();
    if (job == nullptr) continue;
    if (!jobs_.emplace(job->id, job).second) {
      place->reset();
      continue;
    }
    last_job_ = std::max(last_job_, job->id.number());
    emit(JobAdded{job->id, unit.id});
    queue_job(*job);
  }
}

void Core::expect_spawn(UnitId unit, SpawnId spawn) {
  spawns_.emplace(spawn, unit);
  last_spawn_ = std::max(last_spawn_, spawn.number());
}

void Core::resume(Unit& unit) {
  const std::vector<ArmedTimer> timers = std::exchange(unit.timers, {});
  for (const ArmedTimer& timer : timers) arm(unit, timer.kind, timer.at);
  if (unit.preparing && unit.job && unit.job->state == JobState::running) {
    unit.prepares_unanswered = 1;
    emit(PrepareStart{unit.id, unit.invocation, false});
  } else {
    unit.preparing = false;
  }
  UnitContext context(*this, unit);
  unit.machine->resume(context);
  emit(UnitChanged{unit.id});
  queue_recheck(unit);
}

bool Core::load_record(const UnitRecord& record, const ProcessMap& processes) {
  Unit* const unit = find(record.unit.str());
  if (unit == nullptr || !with_record_.insert(unit->id).second) return false;
  Loader from(record.text, processes);
  const bool good = load(*unit, from);
  last_spawn_ = std::max(last_spawn_, from.last_spawn().number());
  if (good) {
    restored_.push_back(unit->id);
    return true;
  }
  // As if it had never been: half a record is worse than none.
  auto fresh = std::make_unique<Unit>(unit->id, unit->spec);
  fresh->machine = make_machine(*unit->spec);
  fresh->edges = std::move(unit->edges);
  units_.insert_or_assign(fresh->id, std::move(fresh));
  return false;
}

std::vector<unit::UnitName> Core::restore(std::span<const UnitRecord> records,
                                          const ProcessMap& processes) {
  std::vector<unit::UnitName> bad;
  for (const UnitRecord& record : records) {
    if (!load_record(record, processes)) bad.push_back(record.unit);
  }
  with_record_.clear();
  const std::vector<UnitId> restored = std::exchange(restored_, {});
  for (const UnitId id : restored) adopt_jobs(*find(id));
  for (const UnitId id : restored) resume(*find(id));
  return bad;
}

}  // namespace pidward::engine
