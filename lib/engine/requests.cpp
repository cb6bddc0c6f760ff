// What people and machines ask for.
#include <algorithm>

#include <fmt/core.h>

#include "engine/context.hpp"
#include "engine/core.hpp"
#include "engine/transaction.hpp"

namespace pidward::engine {
namespace {

using unit::Directive;
using unit::JobMode;
using unit::UnitType;

Error no_unit(const unit::UnitName& name) {
  return {Errc::no_such_unit, fmt::format("Unit {} is not loaded", name.str())};
}

}  // namespace

bool Core::is_perpetual(const Unit& unit) const {
  return unit.type() == UnitType::slice && unit.name() == "-.slice";
}

bool Core::can_start(const Unit& unit) const {
  return !is_external(unit) && unit.spec->load_state == unit::LoadState::loaded;
}

bool Core::can_stop(const Unit& unit) const {
  return !is_external(unit) && !is_perpetual(unit);
}

bool Core::can_reload(const Unit& unit) const {
  if (unit.machine->can_reload(*unit.spec)) return true;
  // A service without a way to reload has none; for a target, what it passes on is all of it.
  if (unit.type() == UnitType::service || is_external(unit)) return false;
  return std::ranges::any_of(unit.edges, [](const Edge& edge) {
    return edge.kind == unit::Dependency::PropagatesReloadTo;
  });
}

bool Core::can_isolate(const Unit& unit) const {
  return can_start(unit) && unit.spec->settings.boolean(Directive::AllowIsolate);
}

bool Core::is_applicable(const Unit& unit, JobType type) const {
  switch (type) {
    case JobType::start:
    case JobType::verify_active:
    case JobType::nop:
      return true;
    case JobType::stop:
      return can_stop(unit);
    case JobType::restart:
    case JobType::try_restart:
      return can_stop(unit) && can_start(unit);
    case JobType::reload:
    case JobType::try_reload:
      return can_reload(unit);
    case JobType::reload_or_start:
      return can_reload(unit) && can_start(unit);
  }
  return false;
}

Result<RequestOutcome> Core::request(const JobRequest& request) {
  Unit* const unit = find(request.unit.str());
  if (unit == nullptr) return no_unit(request.unit);
  JobType type = request.type;
  if (request.reload_if_possible && can_reload(*unit)) {
    if (type == JobType::restart) type = JobType::reload_or_start;
    if (type == JobType::try_restart) type = JobType::try_reload;
  }
  const auto& spec = *unit->spec;
  if (type == JobType::stop && is_inactive_or_failed(unit->active()) && !unit->job &&
      spec.load_state != unit::LoadState::masked && !is_external(*unit)) {
    if (auto error = spec.load_error()) return *std::move(error);
  }
  const bool starts =
      type == JobType::start || type == JobType::restart || type == JobType::try_restart ||
      (type == JobType::reload_or_start && collapse(type, unit->active()) == JobType::start);
  const bool stops =
      type == JobType::stop || type == JobType::restart || type == JobType::try_restart;
  if (request.manual && starts && spec.settings.boolean(Directive::RefuseManualStart)) {
    return Error(
        Errc::only_by_dependency,
        fmt::format("{} is started by other units only (RefuseManualStart=yes)", unit->name()));
  }
  if (request.manual && stops && spec.settings.boolean(Directive::RefuseManualStop)) {
    return Error(
        Errc::only_by_dependency,
        fmt::format("{} is stopped by other units only (RefuseManualStop=yes)", unit->name()));
  }
  return add_job(unit->id, type, request.mode);
}

Result<RequestOutcome> Core::add_job(UnitId id, JobType type, JobMode mode) {
  Unit* const unit = find(id);
  if (unit == nullptr) return Error(Errc::no_such_unit, "There is no such unit any more");
  if (mode == JobMode::isolate) {
    if (type != JobType::start) {
      return Error(Errc::invalid_argument, "Mode 'isolate' goes with 'start' only");
    }
    if (!can_isolate(*unit) && unit->spec->load_state == unit::LoadState::loaded) {
      return Error(Errc::no_isolation,
                   fmt::format("{} may not be isolated (AllowIsolate=no)", unit->name()));
    }
  }
  if (mode == JobMode::triggering && type != JobType::stop) {
    return Error(Errc::invalid_argument, "Mode 'triggering' goes with 'stop' only");
  }
  Transaction transaction(*this, mode);
  PIDWARD_CHECK(transaction.build(*unit, type));
  if (mode == JobMode::isolate) transaction.add_isolation();
  if (mode == JobMode::triggering) transaction.add_triggering();
  PIDWARD_CHECK(transaction.settle());
  return transaction.apply();
}

Status Core::cancel(JobId job) {
  if (find_job(job) == nullptr) {
    return Error(Errc::no_such_job, fmt::format("There is no job {}", job.number()));
  }
  finish(job, JobResult::canceled, true);
  return {};
}

void Core::cancel_all() {
  // Not recursive: everything goes anyway, and as canceled rather than as a failed dependency.
  for (const JobId id : job_ids()) finish(id, JobResult::canceled, false);
}

Status Core::reset_failed(Unit& unit) {
  unit.start_limit = {};
  unit.automatic = {};
  UnitContext context(*this, unit);
  unit.machine->reset_failed(context);
  emit(UnitChanged{unit.id});
  return {};
}

}  // namespace pidward::engine
