#include "engine/simple_machines.hpp"

#include <fmt/core.h>

#include "engine/core.hpp"
#include "engine/record.hpp"

namespace pidward::engine {
namespace {

/// Inactive or active, at once.
class TargetMachine final : public Machine {
 public:
  [[nodiscard]] ActiveState active() const override { return state_; }
  [[nodiscard]] std::string_view sub() const override {
    return state_ == ActiveState::active ? "active" : "dead";
  }
  StartOutcome start(MachineContext& context, std::uint32_t) override {
    enter(context, ActiveState::active);
    return {};
  }
  void stop(MachineContext& context) override { enter(context, ActiveState::inactive); }
  void handle(MachineContext&, const Event&) override {}
  void save(Saver& to) const override { to.flag("active", state_ == ActiveState::active); }
  void load(Loader& from) override {
    bool active = false;
    from.flag("active", active);
    state_ = active ? ActiveState::active : ActiveState::inactive;
  }

 private:
  void enter(MachineContext& context, ActiveState to) {
    const ActiveState from = std::exchange(state_, to);
    context.changed(from, to);
  }
  ActiveState state_ = ActiveState::inactive;
};

class SliceMachine final : public Machine {
 public:
  explicit SliceMachine(bool perpetual)
      : state_(perpetual ? ActiveState::active : ActiveState::inactive) {}
  [[nodiscard]] ActiveState active() const override { return state_; }
  [[nodiscard]] std::string_view sub() const override {
    return state_ == ActiveState::active ? "active" : "dead";
  }
  [[nodiscard]] bool needs_preparation() const override { return true; }
  StartOutcome start(MachineContext& context, std::uint32_t) override {
    state_ = ActiveState::active;
    context.changed(ActiveState::inactive, ActiveState::active);
    return {};
  }
  void stop(MachineContext& context) override {
    context.emit(CleanUp{context.id(), false});
    state_ = ActiveState::inactive;
    context.changed(ActiveState::active, ActiveState::inactive);
  }
  void preparation_failed(MachineContext& context, const Error&) override {
    // A slice has no failed state of its own to stay in; its job says what happened.
    context.touch();
  }
  void handle(MachineContext&, const Event&) override {}
  void save(Saver& to) const override { to.flag("active", state_ == ActiveState::active); }
  void load(Loader& from) override {
    bool active = state_ == ActiveState::active;
    from.flag("active", active);
    state_ = active ? ActiveState::active : ActiveState::inactive;
  }

 private:
  ActiveState state_;
};

}  // namespace

std::unique_ptr<Machine> make_target_machine() {
  return std::make_unique<TargetMachine>();
}
std::unique_ptr<Machine> make_slice_machine(const unit::UnitSpec& spec) {
  return std::make_unique<SliceMachine>(spec.name.str() == "-.slice");
}

std::optional<StartOutcome> refused_without_triggered(const MachineContext& context) {
  const auto triggered = context.related(unit::Dependency::Triggers);
  const auto* const spec = triggered.empty() ? nullptr : context.spec_of(triggered.front());
  if (spec != nullptr && spec->load_state == unit::LoadState::loaded) return std::nullopt;
  return StartOutcome{
      StartOutcome::Kind::refused, JobResult::failed,
      Error(Errc::no_such_unit,
            fmt::format("{} cannot be started: {} is not loaded", context.spec().name.str(),
                        spec == nullptr ? "the unit it triggers" : spec->name.str()))};
}

std::unique_ptr<Machine> make_machine(const unit::UnitSpec& spec) {
  using unit::UnitType;
  const UnitType type = spec.name.type();
  switch (type) {
    case UnitType::service:
      return make_service_machine(spec);
    case UnitType::socket:
      return make_socket_machine(spec);
    case UnitType::target:
      return make_target_machine();
    case UnitType::timer:
      return make_timer_machine();
    case UnitType::path:
      return make_path_machine();
    case UnitType::slice:
      return make_slice_machine(spec);
    case UnitType::scope:
      return make_scope_machine();
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::device:
      break;
  }
  return make_external_machine(type);
}

}  // namespace pidward::engine
