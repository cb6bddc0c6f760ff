#include "engine/engine.hpp"

#include <fmt/core.h>

#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

Error no_such_unit(UnitId unit) {
  return {Errc::no_such_unit, fmt::format("There is no unit with id {}", unit.number())};
}

}  // namespace

struct Engine::Impl {
  explicit Impl(EngineConfig config) : core(std::move(config)) {}
  Core core;
};

Engine::Engine(EngineConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Engine::~Engine() = default;

void Engine::add(std::span<const unit::UnitSpecPtr> specs, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.add(specs);
}

void Engine::reload(std::span<const unit::UnitSpecPtr> specs, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.reload(specs);
}

bool Engine::replace_settings(const unit::UnitSpecPtr& spec, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  return impl_->core.replace_settings(spec);
}

void Engine::collect(Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.collect();
}

void Engine::collect_one(UnitId unit, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.collect_one(unit);
}

Result<RequestOutcome> Engine::request(const JobRequest& request, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  return impl_->core.request(request);
}

Status Engine::cancel(JobId job, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  return impl_->core.cancel(job);
}

void Engine::cancel_all(Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.cancel_all();
}

Status Engine::reset_failed(UnitId unit, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  Unit* const found = impl_->core.find(unit);
  if (found == nullptr) return no_such_unit(unit);
  return impl_->core.reset_failed(*found);
}

Status Engine::kill(UnitId unit, KillWhom whom, int signal, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  Unit* const found = impl_->core.find(unit);
  if (found == nullptr) return no_such_unit(unit);
  UnitContext context(impl_->core, *found);
  return found->machine->kill(context, whom, signal);
}

Status Engine::abandon(UnitId unit, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  Unit* const found = impl_->core.find(unit);
  if (found == nullptr) return no_such_unit(unit);
  UnitContext context(impl_->core, *found);
  return found->machine->abandon(context);
}

void Engine::set_controller(UnitId unit, std::string name, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  Unit* const found = impl_->core.find(unit);
  if (found == nullptr) return;
  UnitContext context(impl_->core, *found);
  found->machine->set_controller(context, std::move(name));
}

void Engine::set_referenced(UnitId unit, bool referenced) {
  if (Unit* const found = impl_->core.find(unit)) found->referenced = referenced;
}

void Engine::handle(const Event& event, Now now, Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  impl_->core.handle(event);
}

std::string Engine::record(UnitId unit) const {
  const Unit* const found = std::as_const(impl_->core).find(unit);
  return found == nullptr ? std::string() : impl_->core.record(*found);
}

std::vector<unit::UnitName> Engine::restore(std::span<const UnitRecord> records,
                                            const ProcessMap& processes, Now now,
                                            Effects& effects) {
  const Core::Turn turn(impl_->core, now, effects);
  return impl_->core.restore(records, processes);
}

bool Engine::load_record(const UnitRecord& record, const ProcessMap& processes) {
  return impl_->core.load_record(record, processes);
}

std::optional<UnitId> Engine::find(const unit::UnitName& name) const {
  const Unit* const unit = impl_->core.find(name.str());
  if (unit == nullptr) return std::nullopt;
  return unit->id;
}

std::vector<UnitId> Engine::units() const {
  return impl_->core.unit_ids();
}

UnitStatus Engine::status(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found == nullptr ? UnitStatus{} : impl_->core.status(*found);
}

std::shared_ptr<const unit::UnitSpec> Engine::spec(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found == nullptr ? nullptr : found->spec;
}

std::vector<UnitId> Engine::related(UnitId unit, unit::Dependency kind) const {
  std::vector<UnitId> ids;
  if (const Unit* const found = impl_->core.find(unit)) {
    impl_->core.each(*found, kind, [&](const Unit& other) { ids.push_back(other.id); });
  }
  return ids;
}

std::vector<JobId> Engine::jobs() const {
  return impl_->core.job_ids();
}

std::optional<JobStatus> Engine::job(JobId job) const {
  const Job* const found = std::as_const(impl_->core).find_job(job);
  if (found == nullptr) return std::nullopt;
  return JobStatus{
      found->id,   found->unit, found->type, found->state, impl_->core.waits_for_jobs(*found),
      found->begun};
}

JobCounts Engine::job_counts() const {
  return impl_->core.job_counts();
}

void Engine::continue_counts(JobCounts counts) {
  impl_->core.continue_counts(counts);
}

bool Engine::is_needed(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found != nullptr && impl_->core.is_needed(*found);
}

const EngineConfig& Engine::config() const {
  return impl_->core.config();
}

bool Engine::can_start(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found != nullptr && impl_->core.can_start(*found) &&
         !found->spec->settings.boolean(unit::Directive::RefuseManualStart);
}

bool Engine::can_stop(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found != nullptr && impl_->core.can_stop(*found) &&
         !found->spec->settings.boolean(unit::Directive::RefuseManualStop);
}

bool Engine::can_reload(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found != nullptr && impl_->core.can_reload(*found);
}

bool Engine::can_isolate(UnitId unit) const {
  const Unit* const found = impl_->core.find(unit);
  return found != nullptr && impl_->core.can_isolate(*found) &&
         !found->spec->settings.boolean(unit::Directive::RefuseManualStart);
}

}  // namespace pidward::engine
