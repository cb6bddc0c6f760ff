// Timer units (systemd.timer(5)): monotonic bases.
#include <algorithm>

#include <fmt/core.h>

#include "engine/simple_machines.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::Directive;

enum class TimerState : std::uint8_t { dead, waiting, running, elapsed, failed };

class TimerMachine final : public Machine {
 public:
  [[nodiscard]] ActiveState active() const override;
  [[nodiscard]] std::string_view sub() const override;
  StartOutcome start(MachineContext& context, std::uint32_t leftovers) override;
  void stop(MachineContext& context) override { end(context, true); }
  void handle(MachineContext& context, const Event& event) override;
  void triggered_changed(MachineContext& context, UnitId triggered) override;
  void settings_replaced(MachineContext& context) override {
    if (state_ == TimerState::waiting || state_ == TimerState::elapsed) wait(context, false);
  }
  void start_limit_hit(MachineContext& context) override {
    if (state_ == TimerState::dead) enter(context, TimerState::failed);
  }
  void preparation_failed(MachineContext& context, const Error&) override {
    enter(context, TimerState::failed);
  }
  void reset_failed(MachineContext& context) override {
    if (state_ == TimerState::failed) enter(context, TimerState::dead);
  }

 private:
  void enter(MachineContext& context, TimerState to);
  void end(MachineContext& context, bool well);
  /// Computes when to elapse next. `initial`: the timer was just started, so that moments that are
  /// past already count once.
  void wait(MachineContext& context, bool initial);
  [[nodiscard]] std::optional<MonoTime> next(MachineContext& context, const unit::Trigger& trigger,
                                             bool initial) const;
  void elapse(MachineContext& context);

  TimerState state_ = TimerState::dead;
  MonoTime started_{};
  MonoTime last_trigger_{};
};

ActiveState TimerMachine::active() const {
  switch (state_) {
    case TimerState::dead:
      return ActiveState::inactive;
    case TimerState::waiting:
    case TimerState::running:
    case TimerState::elapsed:
      return ActiveState::active;
    case TimerState::failed:
      return ActiveState::failed;
  }
  return ActiveState::inactive;
}

std::string_view TimerMachine::sub() const {
  switch (state_) {
    case TimerState::dead:
      return "dead";
    case TimerState::waiting:
      return "waiting";
    case TimerState::running:
      return "running";
    case TimerState::elapsed:
      return "elapsed";
    case TimerState::failed:
      return "failed";
  }
  return "dead";
}

void TimerMachine::enter(MachineContext& context, TimerState to) {
  const ActiveState from = active();
  state_ = to;
  context.changed(from, active());
}

StartOutcome TimerMachine::start(MachineContext& context, std::uint32_t) {
  const auto triggered = context.related(Dependency::Triggers);
  const auto* const spec = triggered.empty() ? nullptr : context.spec_of(triggered.front());
  if (spec == nullptr || spec->load_state != unit::LoadState::loaded) {
    return {StartOutcome::Kind::refused, JobResult::failed,
            Error(Errc::no_such_unit,
                  fmt::format("{} cannot be started: {} is not loaded", context.spec().name.str(),
                              spec == nullptr ? "the unit it triggers" : spec->name.str()))};
  }
  started_ = context.now().mono;
  last_trigger_ = {};
  wait(context, true);
  return {};
}

void TimerMachine::end(MachineContext& context, bool well) {
  context.disarm(TimerKind::trigger);
  enter(context, well ? TimerState::dead : TimerState::failed);
}

std::optional<MonoTime> TimerMachine::next(MachineContext& context, const unit::Trigger& trigger,
                                           bool initial) const {
  const auto triggered = context.related(Dependency::Triggers);
  if (triggered.empty()) return std::nullopt;
  const UnitStatus other = context.status_of(triggered.front());
  MonoTime base{};
  bool once = true;
  if (trigger.base == "OnActiveSec") {
    base = started_;
  } else if (trigger.base == "OnStartupSec") {
    base = context.config().startup;
  } else if (trigger.base == "OnUnitActiveSec") {
    once = false;
    base = std::max(other.inactive_exit.mono, last_trigger_);
    if (base == MonoTime{}) return std::nullopt;
  } else if (trigger.base == "OnUnitInactiveSec") {
    once = false;
    base = std::max(other.inactive_enter.mono, last_trigger_);
    if (base == MonoTime{}) return std::nullopt;
  } else if (trigger.base != "OnBootSec") {
    return std::nullopt;
  }
  const MonoTime at = saturating_add(base, trigger.span);
  // These three happen once in the life of the timer.
  if (once && !initial && at <= context.now().mono) return std::nullopt;
  return at;
}

void TimerMachine::wait(MachineContext& context, bool initial) {
  std::optional<MonoTime> earliest;
  const auto* const value = context.settings().get(unit::kTimerStore);
  const auto* const triggers =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::Trigger>>(value);
  if (triggers != nullptr) {
    for (const unit::Trigger& trigger : *triggers) {
      const auto at = next(context, trigger, initial);
      if (at && (!earliest || *at < *earliest)) earliest = at;
    }
  }
  if (!earliest) {
    context.disarm(TimerKind::trigger);
    return enter(context, TimerState::elapsed);
  }
  Duration delay{};
  const Duration spread = context.settings().span(Directive::RandomizedDelaySec);
  if (spread.count() > 0 && spread != kInfinity) {
    delay = Duration(static_cast<std::int64_t>(context.random() >> 1) % spread.count());
  }
  context.arm(TimerKind::trigger, std::max(saturating_add(*earliest, delay), context.now().mono));
  enter(context, TimerState::waiting);
}

void TimerMachine::elapse(MachineContext& context) {
  if (context.job_type() == JobType::stop) return;
  const auto triggered = context.related(Dependency::Triggers);
  if (triggered.empty()) return end(context, false);
  last_trigger_ = context.now().mono;
  const auto job = context.request(triggered.front(), JobType::start, unit::JobMode::replace);
  if (!job) {
    context.log(LogLevel::warning, "timer-failed",
                fmt::format("{} elapsed, but its unit cannot be started: {}",
                            context.spec().name.str(), job.error().message()));
    return end(context, false);
  }
  enter(context, TimerState::running);
}

void TimerMachine::handle(MachineContext& context, const Event& event) {
  if (const auto* const timer = std::get_if<TimerFired>(&event)) {
    if (timer->kind == TimerKind::trigger && state_ == TimerState::waiting) elapse(context);
  }
}

void TimerMachine::triggered_changed(MachineContext& context, UnitId triggered) {
  switch (state_) {
    case TimerState::waiting:
    case TimerState::elapsed:
      return wait(context, false);
    case TimerState::running:
      // A job that still waits means that the unit is yet to run.
      if (is_inactive_or_failed(context.active_state(triggered)) && !context.job_type(triggered)) {
        wait(context, false);
      }
      return;
    case TimerState::dead:
    case TimerState::failed:
      return;
  }
}

}  // namespace

std::unique_ptr<Machine> make_timer_machine() {
  return std::make_unique<TimerMachine>();
}

}  // namespace pidward::engine
