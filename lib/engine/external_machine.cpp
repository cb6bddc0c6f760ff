// Mounts, swaps and devices that pidward does not manage: their state is what is true of the
// system. A mount that is not there cannot be started; a device may still appear, so its start
// waits until its job times out.
#include <fmt/core.h>

#include "engine/simple_machines.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::UnitType;

std::string_view describe(UnitType type) {
  switch (type) {
    case UnitType::mount:
    case UnitType::automount:
      return "is not mounted, and pidward mounts nothing itself";
    case UnitType::swap:
      return "is not in use, and pidward swaps nothing on itself";
    case UnitType::device:
      return "is not there";
    case UnitType::service:
    case UnitType::socket:
    case UnitType::target:
    case UnitType::timer:
    case UnitType::path:
    case UnitType::slice:
    case UnitType::scope:
      break;
  }
  return "is not there";
}

class ExternalMachine final : public Machine {
 public:
  explicit ExternalMachine(UnitType type) : type_(type) {}
  [[nodiscard]] ActiveState active() const override { return state_; }
  [[nodiscard]] std::string_view sub() const override;
  StartOutcome start(MachineContext& context, std::uint32_t leftovers) override;
  void stop(MachineContext&) override {}
  void handle(MachineContext& context, const Event& event) override;
  void added(MachineContext& context) override {
    context.emit(ObserveExternal{context.id(), true});
  }
  void removed(MachineContext& context) override {
    context.emit(ObserveExternal{context.id(), false});
  }

 private:
  void enter(MachineContext& context, ActiveState to) {
    const ActiveState from = std::exchange(state_, to);
    context.changed(from, to);
  }
  UnitType type_;
  ActiveState state_ = ActiveState::inactive;
  bool known_ = false;  ///< the first answer came
};

std::string_view ExternalMachine::sub() const {
  if (state_ != ActiveState::active) return "dead";
  switch (type_) {
    case UnitType::mount:
      return "mounted";
    case UnitType::device:
      return "plugged";
    case UnitType::automount:
      return "waiting";
    case UnitType::swap:
    case UnitType::service:
    case UnitType::socket:
    case UnitType::target:
    case UnitType::timer:
    case UnitType::path:
    case UnitType::slice:
    case UnitType::scope:
      return "active";
  }
  return "active";
}

StartOutcome ExternalMachine::start(MachineContext& context, std::uint32_t) {
  if (!known_ || type_ == UnitType::device) return {};  // an answer, or the device, will come
  const bool needed = !context.related(Dependency::RequiredBy).empty() ||
                      !context.related(Dependency::BoundBy).empty();
  return {
      StartOutcome::Kind::refused, needed ? JobResult::failed : JobResult::skipped,
      Error(Errc::not_supported, fmt::format("{} {}", context.spec().name.str(), describe(type_)))};
}

void ExternalMachine::handle(MachineContext& context, const Event& event) {
  const auto* const told = std::get_if<ExternalState>(&event);
  if (told == nullptr) return;
  const bool was_known = std::exchange(known_, true);
  if (told->present != (state_ == ActiveState::active)) {
    return enter(context, told->present ? ActiveState::active : ActiveState::inactive);
  }
  // The first answer is "no": a start that waited for it is told by a change that changes nothing
  // visible. Devices go on waiting.
  if (was_known || told->present || type_ == UnitType::device) return;
  if (context.job_type() != JobType::start) return;
  context.log(LogLevel::warning, "not-there",
              fmt::format("{} {}", context.spec().name.str(), describe(type_)));
  enter(context, ActiveState::failed);
  enter(context, ActiveState::inactive);
}

}  // namespace

std::unique_ptr<Machine> make_external_machine(UnitType type) {
  return std::make_unique<ExternalMachine>(type);
}

}  // namespace pidward::engine
