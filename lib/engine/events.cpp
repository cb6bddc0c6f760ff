// Events on their way to the unit they are about; timers and what else the core lends to machines.
#include <fmt/core.h>

#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

template <typename T>
constexpr bool kIsAboutSpawn =
    std::is_same_v<T, Spawned> || std::is_same_v<T, Executed> || std::is_same_v<T, SpawnFailed>;

}  // namespace

Core::Turn::Turn(Core& core, Now now, Effects& effects) : core_(core) {
  core_.now_ = now;
  core_.effects_ = &effects;
}

Core::Turn::~Turn() {
  core_.drain();
  core_.effects_ = nullptr;
}

void Core::log(LogLevel level, std::string_view kind, std::string_view unit, std::string message,
               JobId job, ProcessId process) {
  emit(Log{LogRecord{level, std::move(message), std::string(unit), process, job, kind}});
}

void Core::arm(Unit& unit, TimerKind kind, MonoTime at) {
  if (at == MonoTime(kInfinity)) return disarm(unit, kind);
  std::erase_if(unit.timers, [&](const ArmedTimer& timer) { return timer.kind == kind; });
  unit.timers.push_back({kind, ++last_generation_, at});
  emit(ArmTimer{unit.id, kind, at, last_generation_});
}

void Core::arm_wall(Unit& unit, TimerKind kind, WallTime at) {
  const MonoTime mono = saturating_add(now_.mono, std::max(at - now_.wall, Duration::zero()));
  arm(unit, kind, mono);
  if (mono != MonoTime(kInfinity)) std::get<ArmTimer>(effects_->back()).wall = at;
}

void Core::disarm(Unit& unit, TimerKind kind) {
  const auto removed =
      std::erase_if(unit.timers, [&](const ArmedTimer& timer) { return timer.kind == kind; });
  if (unit.timers.empty())
    unit.timers.shrink_to_fit();  // most units wait for nothing most of the time
  if (removed > 0) emit(DisarmTimer{unit.id, kind});
}

SpawnId Core::new_spawn(UnitId unit) {
  const SpawnId id(++last_spawn_);
  spawns_.emplace(id, unit);
  return id;
}

void Core::timer_fired(const TimerFired& event) {
  Unit* const unit = find(event.unit);
  if (unit == nullptr) return;
  const auto armed = std::erase_if(unit->timers, [&](const ArmedTimer& timer) {
    return timer.kind == event.kind && timer.generation == event.generation;
  });
  if (armed == 0) return;
  switch (event.kind) {
    case TimerKind::job:
    case TimerKind::job_running:
      return job_timed_out(*unit);
    case TimerKind::retry:
      return queue_recheck(*unit);
    case TimerKind::operation:
    case TimerKind::restart:
    case TimerKind::watchdog:
    case TimerKind::runtime_max:
    case TimerKind::trigger:
    case TimerKind::calendar:
    case TimerKind::idle: {
      UnitContext context(*this, *unit);
      return unit->machine->handle(context, event);
    }
  }
}

void Core::handle(const Event& event) {
  const auto deliver = [&](UnitId id) {
    Unit* const unit = find(id);
    if (unit == nullptr) return;
    UnitContext context(*this, *unit);
    unit->machine->handle(context, event);
  };
  std::visit(
      [&]<typename T>(const T& about) {
        if constexpr (std::is_same_v<T, StartPrepared>) {
          prepared(about);
        } else if constexpr (std::is_same_v<T, TimerFired>) {
          timer_fired(about);
        } else if constexpr (std::is_same_v<T, WallClockChanged> ||
                             std::is_same_v<T, TimeZoneChanged>) {
          if constexpr (std::is_same_v<T, TimeZoneChanged>) config_.local_zone = about.zone;
          for (const UnitId id : unit_ids()) {
            if (find(id)->type() == unit::UnitType::timer) deliver(id);
          }
        } else if constexpr (kIsAboutSpawn<T>) {
          const auto at = spawns_.find(about.spawn);
          if (at == spawns_.end()) return;
          const UnitId id = at->second;
          if constexpr (!std::is_same_v<T, Spawned>) spawns_.erase(at);
          deliver(id);
        } else {
          if constexpr (std::is_same_v<T, Incoming>) {
            // Whom it came for is gone, and nobody else closes it.
            const bool is_open = about.connection != 0;
            if (is_open && find(about.unit) == nullptr) emit(CloseConnection{about.connection});
          }
          deliver(about.unit);
        }
      },
      event);
}

UnitStatus Core::status(const Unit& unit) const {
  UnitStatus status;
  status.id = unit.id;
  status.spec = unit.spec.get();
  status.active = unit.active();
  status.sub = unit.machine->sub();
  if (unit.job) status.job = unit.job->id;
  status.invocation = unit.invocation;
  status.state_changed = unit.state_changed;
  status.inactive_exit = unit.inactive_exit;
  status.active_enter = unit.active_enter;
  status.active_exit = unit.active_exit;
  status.inactive_enter = unit.inactive_enter;
  status.condition_result = unit.condition_result;
  status.assert_result = unit.assert_result;
  status.condition_checked = unit.condition_checked;
  status.assert_checked = unit.assert_checked;
  status.start_tries_left =
      unit.start_limit.left(now_.mono, start_limit_interval(unit), start_limit_burst(unit));
  status.service = unit.machine->service_status();
  status.socket = unit.machine->socket_status();
  status.timer = unit.machine->timer_status();
  status.path = unit.machine->path_status();
  status.scope = unit.machine->scope_status();
  return status;
}

}  // namespace pidward::engine
