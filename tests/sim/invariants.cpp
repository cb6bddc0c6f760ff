// What must hold after every call into the engine, whatever happened.
#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "sim/world.hpp"

namespace pidward::sim {
namespace {

using engine::ActiveState;
using engine::JobState;
using engine::JobType;
using engine::ProcessRole;
using unit::Dependency;

bool is_down(ActiveState state) {
  return state == ActiveState::inactive || state == ActiveState::failed;
}

bool is_stop(JobType type) {
  return type == JobType::stop || type == JobType::restart;
}

bool outlives_units(engine::TimerKind kind) {
  return kind == engine::TimerKind::job || kind == engine::TimerKind::job_running ||
         kind == engine::TimerKind::retry;
}

}  // namespace

void World::fail(std::string what) {
  if (!violation_) violation_ = Violation{std::move(what)};
}

bool World::leaves_processes(UnitId unit) const {
  return lenient_.contains(unit);
}

void World::note_start(UnitId unit) {
  const auto spec = engine_->spec(unit);
  const auto type = spec->name.type();
  if (type != unit::UnitType::service && type != unit::UnitType::socket) return;
  auto& starts = starts_[unit];
  starts.push_back(now_.mono);
  const auto* const burst = spec->settings.find(unit::Directive::StartLimitBurst);
  const std::uint64_t limit = burst == nullptr ? 5 : std::get<std::uint64_t>(*burst);
  // The window begins with its first start: two bursts may meet, never three.
  const auto recent = std::count_if(starts.begin(), starts.end(), [&](MonoTime at) {
    return at + std::chrono::seconds(10) >= now_.mono;
  });
  if (static_cast<std::uint64_t>(recent) > 2 * limit) {
    fail(fmt::format("{} was started {} times within ten seconds, its limit being {}",
                     spec->name.str(), recent, limit));
  }
}

void World::check_all() {
  for (const UnitId unit : engine_->units()) check_unit(unit);
  check_jobs();
  check_stopped();
}

// Who is told that a service has stopped finds it down, and not about to come back by itself.
void World::check_stopped() {
  for (const UnitId unit : std::exchange(stopped_, {})) {
    const auto status = engine_->status(unit);
    if (status.service == nullptr || is_down(status.active) || status.job) continue;
    fail(fmt::format("{} was stopped, and is {}", status.spec->name.str(), status.sub));
  }
}

// A job that runs has something under way that ends it.
void World::check_progress(UnitId unit, const engine::UnitStatus& status) {
  const auto job = status.job ? engine_->job(status.job) : std::nullopt;
  const bool runs = job && job->state == JobState::running;
  const auto& name = status.spec->name.str();
  if (runs && job->type == JobType::reload && status.active == ActiveState::active) {
    fail(fmt::format("{} is {} and does not reload, though its job says so", name, status.sub));
  }
  if (status.service->state != engine::ServiceState::auto_restart || !runs) return;
  const bool is_coming = std::any_of(pending_.begin(), pending_.end(), [&](const Event& event) {
    const auto* const prepared = std::get_if<engine::StartPrepared>(&event);
    const auto* const fired = std::get_if<engine::TimerFired>(&event);
    return (prepared != nullptr && prepared->unit == unit) ||
           (fired != nullptr && fired->unit == unit && fired->kind == engine::TimerKind::restart);
  });
  const bool waits_for_ever = status.service->restart_at == MonoTime::max();
  if (!is_coming && !waits_for_ever && !timers_.contains({unit, engine::TimerKind::restart})) {
    fail(fmt::format("{} waits for a restart that is not coming", name));
  }
}

void World::check_unit(UnitId unit) {
  const auto status = engine_->status(unit);
  const auto& name = status.spec->name;
  if (status.sub.empty()) fail(fmt::format("{} has no sub-state", name.str()));
  const auto& settings = status.spec->settings;
  const auto mode = settings.choice<unit::KillMode>(unit::Directive::KillMode);
  if (mode == unit::KillMode::none || mode == unit::KillMode::process ||
      !settings.boolean(unit::Directive::SendSIGKILL)) {
    lenient_.insert(unit);
  }
  if (status.timer != nullptr && status.sub != "waiting" && clock_watchers_.contains(unit)) {
    fail(fmt::format("{} is {} and watches the clock", name.str(), status.sub));
  }
  const bool waits = status.path != nullptr && status.sub == "waiting";
  if (waits != watched_paths_.contains(unit)) {
    fail(fmt::format("{} is {} and its paths are{} watched", name.str(), status.sub,
                     waits ? " not" : ""));
  }
  if (is_down(status.active)) {
    for (const auto& [key, timer] : timers_) {
      if (key.first == unit && !outlives_units(key.second)) {
        fail(fmt::format("{} is {} and has timer {} armed", name.str(), to_string(status.active),
                         static_cast<int>(key.second)));
      }
    }
  }
  // What was prepared for a start that is not wanted any more goes when it is.
  const bool is_prepared = std::any_of(pending_.begin(), pending_.end(), [&](const Event& event) {
    const auto* const answer = std::get_if<engine::StartPrepared>(&event);
    return answer != nullptr && answer->unit == unit;
  });
  if (is_down(status.active) && !status.job && !is_prepared && kept_for_start_.contains(unit)) {
    fail(fmt::format("{} is {}, and what it had was kept for a start that does not come",
                     name.str(), status.sub));
  }
  if (status.service != nullptr) check_service(unit, status);
}

void World::check_service(UnitId unit, const engine::UnitStatus& status) {
  const auto& name = status.spec->name.str();
  const auto& service = *status.service;
  const auto type = status.spec->settings.choice<unit::ServiceType>(unit::Directive::Type);
  if (type == unit::ServiceType::idle) idle_.insert(unit);
  // An idle service counts as active from the first step of its start.
  const bool idle = idle_.contains(unit) && status.active == ActiveState::active &&
                    active_state(service.state) == ActiveState::activating;
  if ((active_state(service.state) != status.active && !idle) ||
      to_string(service.state) != status.sub) {
    fail(fmt::format("{} is {} and {} at once", name, to_string(status.active),
                     to_string(service.state)));
  }
  check_progress(unit, status);
  std::size_t mains = 0;
  for (const auto& [id, process] : processes_) {
    if (process.unit == unit && process.alive && process.role == ProcessRole::main) ++mains;
  }
  if (mains > 1 && !leaves_processes(unit))
    fail(fmt::format("{} has {} main processes", name, mains));
  if (!is_down(status.active)) return;
  if (service.main || service.control) {
    fail(fmt::format("{} is {} and claims to have a process", name, to_string(status.active)));
  }
  if (!leaves_processes(unit) && !alive_in(unit).empty() && !status.job) {
    fail(fmt::format("{} is {} and has {} processes left", name, to_string(status.active),
                     alive_in(unit).size()));
  }
}

void World::check_jobs() {
  std::map<JobId, JobSeen> seen;
  std::map<std::pair<UnitId, bool>, JobId> by_unit;
  for (const JobId id : engine_->jobs()) {
    const auto job = engine_->job(id);
    seen[id] = {job->unit, job->type, job->state};
    if (!by_unit.emplace(std::pair(job->unit, job->type == JobType::nop), id).second) {
      fail(fmt::format("unit {} has two jobs", job->unit.number()));
    }
    if (!alive_jobs_.contains(id)) fail("a job exists that was never announced");
  }
  if (seen.size() != alive_jobs_.size()) fail("a job vanished without JobRemoved");
  std::swap(seen, jobs_);
  for (const auto& [id, now] : jobs_) {
    const auto before = seen.find(id);
    const bool begins = now.state == JobState::running && before != seen.end() &&
                        before->second.state == JobState::waiting &&
                        before->second.type == now.type;
    if (begins && !unordered_jobs_.contains(id)) check_order(id, now, seen);
  }
}

void World::check_order(JobId job, const JobSeen& now, const std::map<JobId, JobSeen>& before) {
  const auto lived_through = [&](JobId other, const JobSeen& seen) {
    const auto at = before.find(other);
    return at != before.end() && at->second.type == seen.type && !unordered_jobs_.contains(other) &&
           seen.type != JobType::nop;
  };
  const auto after = engine_->related(now.unit, Dependency::After);
  const auto earlier = engine_->related(now.unit, Dependency::Before);
  const auto contains = [](const std::vector<UnitId>& units, UnitId unit) {
    return std::find(units.begin(), units.end(), unit) != units.end();
  };
  for (const auto& [id, other] : jobs_) {
    if (id == job || !lived_through(id, other)) continue;
    const bool invented = mutation_ == Mutation::forget_order && now.unit > other.unit;
    const bool we_follow = contains(after, other.unit) || invented;
    const bool we_lead = contains(earlier, other.unit);
    const bool must_wait = (we_follow && !is_stop(now.type)) || (we_lead && is_stop(other.type));
    if (must_wait) {
      fail(fmt::format("job {} ({}) of unit {} runs although it is ordered behind job {} ({})",
                       job.number(), to_string(now.type), now.unit.number(), id.number(),
                       to_string(other.type)));
    }
  }
}

void World::check_end() {
  if (!alive_jobs_.empty()) fail("a job was never removed");
  for (const auto& [number, socket] : connections_) {
    fail(fmt::format("connection {} of unit {} is neither served nor closed", number,
                     socket.number()));
  }
  for (const auto& [id, process] : processes_) {
    if (process.alive && !leaves_processes(process.unit)) {
      fail(fmt::format("process {} of unit {} is left over", id.number(), process.unit.number()));
    }
  }
}

}  // namespace pidward::sim
