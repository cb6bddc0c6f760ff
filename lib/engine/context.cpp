#include "engine/context.hpp"

#include "base/contract.hpp"

namespace pidward::engine {

void UnitContext::log(LogLevel level, std::string_view kind, std::string message,
                      ProcessId process) {
  core_.log(level, kind, unit_.name(), std::move(message), {}, process);
}

std::optional<MonoTime> UnitContext::armed(TimerKind kind) const {
  for (const ArmedTimer& timer : unit_.timers) {
    if (timer.kind == kind) return timer.at;
  }
  return std::nullopt;
}

std::optional<JobType> UnitContext::job_type() const {
  if (!unit_.job) return std::nullopt;
  return unit_.job->type;
}

std::optional<JobType> UnitContext::job_type(UnitId other) const {
  const Unit* const unit = core_.find(other);
  if (unit == nullptr || !unit->job) return std::nullopt;
  return unit->job->type;
}

bool UnitContext::job_waits() const {
  return unit_.job && unit_.job->state == JobState::waiting;
}

Result<JobId> UnitContext::request(UnitId unit, JobType type, unit::JobMode mode) {
  PIDWARD_TRY(const RequestOutcome outcome, core_.add_job(unit, type, mode));
  return outcome.job;
}

std::vector<UnitId> UnitContext::related(unit::Dependency kind) const {
  std::vector<UnitId> ids;
  core_.each(unit_, kind, [&](const Unit& other) { ids.push_back(other.id); });
  return ids;
}

std::optional<UnitId> UnitContext::find(const unit::UnitName& name) const {
  const Unit* const unit = core_.find(name.str());
  if (unit == nullptr) return std::nullopt;
  return unit->id;
}

const unit::UnitSpec* UnitContext::spec_of(UnitId other) const {
  const Unit* const unit = core_.find(other);
  return unit == nullptr ? nullptr : unit->spec.get();
}

ActiveState UnitContext::active_state(UnitId other) const {
  const Unit* const unit = core_.find(other);
  return unit == nullptr ? ActiveState::inactive : unit->active();
}

UnitStatus UnitContext::status_of(UnitId other) const {
  const Unit* const unit = core_.find(other);
  return unit == nullptr ? UnitStatus{} : core_.status(*unit);
}

Machine* UnitContext::machine_of(UnitId other) {
  Unit* const unit = core_.find(other);
  return unit == nullptr ? nullptr : unit->machine.get();
}

MachineContext& UnitContext::other_context(UnitId other) {
  Unit* const unit = core_.find(other);
  PIDWARD_EXPECT(unit != nullptr);
  for (const auto& known : others_) {
    if (known->id() == other) return *known;
  }
  return *others_.emplace_back(std::make_unique<UnitContext>(core_, *unit));
}

}  // namespace pidward::engine
