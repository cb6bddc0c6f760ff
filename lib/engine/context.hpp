// MachineContext over the core: a few pointers, made on the stack for each call into a machine.
#pragma once

#include "engine/core.hpp"

namespace pidward::engine {

class UnitContext final : public MachineContext {
 public:
  UnitContext(Core& core, Unit& unit) : core_(core), unit_(unit) {}

  [[nodiscard]] Now now() const override { return core_.now(); }
  [[nodiscard]] UnitId id() const override { return unit_.id; }
  [[nodiscard]] const unit::UnitSpec& spec() const override { return *unit_.spec; }
  [[nodiscard]] const EngineConfig& config() const override { return core_.config(); }
  [[nodiscard]] std::uint64_t random() override { return core_.random(); }
  [[nodiscard]] InvocationId invocation() const override { return unit_.invocation; }

  void emit(Effect effect) override { core_.emit(std::move(effect)); }
  void log(LogLevel level, std::string_view kind, std::string message, ProcessId process) override;
  void arm(TimerKind kind, MonoTime at) override { core_.arm(unit_, kind, at); }
  void arm_wall(TimerKind kind, WallTime at) override { core_.arm_wall(unit_, kind, at); }
  void disarm(TimerKind kind) override { core_.disarm(unit_, kind); }
  [[nodiscard]] std::optional<MonoTime> armed(TimerKind kind) const override;
  SpawnId new_spawn() override { return core_.new_spawn(unit_.id); }
  void expect_spawn(SpawnId spawn) override { core_.expect_spawn(unit_.id, spawn); }
  void changed(ActiveState from, ActiveState to, ChangeFlags flags) override {
    core_.note_change(unit_.id, from, to, flags);
  }
  void touch() override { core_.emit(UnitChanged{unit_.id}); }

  [[nodiscard]] std::optional<JobType> job_type() const override;
  [[nodiscard]] std::optional<JobType> job_type(UnitId other) const override;
  [[nodiscard]] bool job_waits() const override;
  Result<JobId> request(UnitId unit, JobType type, unit::JobMode mode) override;
  bool jobs_idle_or_watch() override { return core_.jobs_idle_or_watch(unit_); }

  [[nodiscard]] std::vector<UnitId> related(unit::Dependency kind) const override;
  [[nodiscard]] std::optional<UnitId> find(const unit::UnitName& name) const override;
  [[nodiscard]] const unit::UnitSpec* spec_of(UnitId other) const override;
  [[nodiscard]] ActiveState active_state(UnitId other) const override;
  [[nodiscard]] UnitStatus status_of(UnitId other) const override;
  [[nodiscard]] Machine* machine_of(UnitId other) override;
  [[nodiscard]] MachineContext& other_context(UnitId other) override;
  void relate(UnitId from, unit::Dependency kind, UnitId to) override {
    core_.relate(from, kind, to, true);
  }
  std::optional<UnitId> load(const unit::UnitName& name) override {
    return core_.load_for(unit_.id, name);
  }

 private:
  Core& core_;
  Unit& unit_;
  std::vector<std::unique_ptr<UnitContext>> others_;
};

}  // namespace pidward::engine
