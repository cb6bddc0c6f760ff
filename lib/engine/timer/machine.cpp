// Timer units (systemd.timer(5)). What elapses when is in rules.hpp; here is what the unit does
// with it.
#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "engine/record.hpp"
#include "engine/simple_machines.hpp"
#include "engine/timer/rules.hpp"

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
  void stop(MachineContext& context) override { end(context, "success"); }
  void handle(MachineContext& context, const Event& event) override;
  void triggered_changed(MachineContext& context, UnitId triggered) override;
  void settings_replaced(MachineContext& context) override {
    if (state_ == TimerState::waiting || state_ == TimerState::elapsed) wait(context);
  }
  void start_limit_hit(MachineContext& context) override {
    if (state_ == TimerState::dead) end(context, "start-limit-hit");
  }
  void preparation_failed(MachineContext& context, const Error&) override {
    end(context, "resources");
  }
  void reset_failed(MachineContext& context) override {
    status_.result = "success";
    if (state_ == TimerState::failed) enter(context, TimerState::dead);
  }
  void save(Saver& to) const override;
  void load(Loader& from) override;
  /// Waits anew, for what is next now; the clock is not watched yet.
  void resume(MachineContext& context) override {
    if (state_ == TimerState::waiting) wait(context);
  }
  [[nodiscard]] const TimerStatus* timer_status() const override { return &status_; }
  [[nodiscard]] std::optional<std::vector<std::string>> trigger_environment() const override;

 private:
  void enter(MachineContext& context, TimerState to);
  /// Leaves what waiting has armed and asked for.
  void rest(MachineContext& context);
  void end(MachineContext& context, std::string_view result);
  /// Computes when to elapse next, and waits for that.
  void wait(MachineContext& context);
  void arm(MachineContext& context);
  void compute(MachineContext& context);
  void elapse(MachineContext& context);
  void stamp_read(MachineContext& context, WallTime stamp);
  void clock_changed(MachineContext& context);
  [[nodiscard]] TimerPast past() const { return {started_, status_.last_trigger}; }

  TimerState state_ = TimerState::dead;
  bool awaits_stamp_ = false;
  bool watches_clock_ = false;
  Now started_{};
  TimerStatus status_;
};

const std::vector<unit::Trigger>& triggers_of(const MachineContext& context) {
  static const std::vector<unit::Trigger> kNone;
  const auto* const value = context.settings().get(unit::kTimerStore);
  const auto* const list =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::Trigger>>(value);
  return list == nullptr ? kNone : *list;
}

bool has_calendar(const MachineContext& context) {
  const auto& triggers = triggers_of(context);
  return std::any_of(triggers.begin(), triggers.end(),
                     [](const unit::Trigger& each) { return each.calendar != nullptr; });
}

bool is_persistent(const MachineContext& context) {
  return context.settings().boolean(Directive::Persistent) && has_calendar(context);
}

void TimerMachine::save(Saver& to) const {
  to.choice("state", state_, TimerState::failed);
  to.now("started", started_);
  to.now("last_trigger", status_.last_trigger);
  if (state_ == TimerState::failed) to.text("result", std::string(status_.result));
}

void TimerMachine::load(Loader& from) {
  static constexpr std::array kResults{"resources", "start-limit-hit"};
  from.choice("state", state_, TimerState::failed);
  from.now("started", started_);
  from.now("last_trigger", status_.last_trigger);
  std::string result;
  from.text("result", result);
  for (const char* known : kResults) {
    if (result == known) status_.result = known;
  }
}

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

std::optional<std::vector<std::string>> TimerMachine::trigger_environment() const {
  if (state_ != TimerState::running) return std::nullopt;
  const Now at = status_.last_trigger;
  return std::vector{
      fmt::format("TRIGGER_TIMER_REALTIME_USEC={}", at.wall.time_since_epoch().count()),
      fmt::format("TRIGGER_TIMER_MONOTONIC_USEC={}", at.mono.time_since_epoch().count())};
}

void TimerMachine::enter(MachineContext& context, TimerState to) {
  const bool watch =
      to == TimerState::waiting &&
      (has_calendar(context) || context.settings().boolean(Directive::OnClockChange) ||
       context.settings().boolean(Directive::OnTimezoneChange));
  if (watch != watches_clock_) {
    watches_clock_ = watch;
    context.emit(WatchClock{context.id(), watch});
  }
  const ActiveState from = active();
  state_ = to;
  context.changed(from, active());
}

void TimerMachine::rest(MachineContext& context) {
  context.disarm(TimerKind::trigger);
  context.disarm(TimerKind::calendar);
  awaits_stamp_ = false;
  status_.next_monotonic = {};
  status_.next_calendar = {};
  status_.next_of_each.clear();
}

StartOutcome TimerMachine::start(MachineContext& context, std::uint32_t) {
  if (auto refused = refused_without_triggered(context)) return *std::move(refused);
  started_ = context.now();
  status_ = {};
  if (is_persistent(context)) {
    awaits_stamp_ = true;
    context.emit(ReadTimerStamp{context.id()});
    enter(context, TimerState::waiting);
  } else {
    wait(context);
  }
  return {};
}

void TimerMachine::stamp_read(MachineContext& context, WallTime stamp) {
  if (!awaits_stamp_) return;
  awaits_stamp_ = false;
  const WallTime now = context.now().wall;
  if (stamp == WallTime{}) {
    // It never ran: from now on is what it can miss.
    context.emit(StoreTimerStamp{context.id(), now});
  } else if (stamp > now) {
    context.log(LogLevel::warning, "timer-stamp",
                fmt::format("{} is recorded to have elapsed in the future; that is ignored",
                            context.spec().name.str()));
  } else {
    status_.last_trigger.wall = stamp;
  }
  wait(context);
}

void TimerMachine::end(MachineContext& context, std::string_view result) {
  rest(context);
  if (status_.result == "success") status_.result = result;
  enter(context, status_.result == "success" ? TimerState::dead : TimerState::failed);
}

void TimerMachine::compute(MachineContext& context) {
  status_.next_monotonic = {};
  status_.next_calendar = {};
  status_.next_of_each.clear();
  const auto triggered = context.related(Dependency::Triggers);
  if (triggered.empty()) return;
  const UnitStatus other = context.status_of(triggered.front());
  const auto earlier = [](auto& earliest, auto at) {
    if (earliest == decltype(at){} || at < earliest) earliest = at;
  };
  for (const unit::Trigger& trigger : triggers_of(context)) {
    Duration next{};
    if (trigger.calendar) {
      if (const auto at = next_calendar(trigger, past(), context.now(), context.config())) {
        next = at->time_since_epoch();
        earlier(status_.next_calendar, *at);
      }
    } else if (const auto at =
                   next_monotonic(trigger, past(), other, context.now(), context.config())) {
      next = at->time_since_epoch();
      // Zero means "none"; what is due since ever is due now.
      earlier(status_.next_monotonic, std::max(*at, MonoTime(Duration(1))));
    }
    status_.next_of_each.push_back(next);
  }
}

void TimerMachine::arm(MachineContext& context) {
  const auto placed = [&](Duration at, Duration now) {
    const Duration due = std::max(at, now);
    return at <= now ? due
                     : place_in_window(due, context.settings().span(Directive::AccuracySec),
                                       context.config().machine_seed);
  };
  const Now now = context.now();
  if (status_.next_monotonic != MonoTime{}) {
    status_.next_monotonic = saturating_add(status_.next_monotonic, random_delay(context));
    context.arm(TimerKind::trigger, MonoTime(placed(status_.next_monotonic.time_since_epoch(),
                                                    now.mono.time_since_epoch())));
  } else {
    context.disarm(TimerKind::trigger);
  }
  if (status_.next_calendar != WallTime{}) {
    status_.next_calendar += random_delay(context);
    context.arm_wall(TimerKind::calendar, WallTime(placed(status_.next_calendar.time_since_epoch(),
                                                          now.wall.time_since_epoch())));
  } else {
    context.disarm(TimerKind::calendar);
  }
}

void TimerMachine::wait(MachineContext& context) {
  if (awaits_stamp_) return;
  compute(context);
  const auto& settings = context.settings();
  const bool waits = status_.next_monotonic != MonoTime{} || status_.next_calendar != WallTime{} ||
                     settings.boolean(Directive::OnClockChange) ||
                     settings.boolean(Directive::OnTimezoneChange);
  if (waits) {
    arm(context);
    return enter(context, TimerState::waiting);
  }
  // One that follows its unit elapses again when that is started by somebody else.
  const auto& triggers = triggers_of(context);
  const bool follows = std::any_of(triggers.begin(), triggers.end(), [](const auto& each) {
    return each.base == "OnUnitActiveSec" || each.base == "OnUnitInactiveSec";
  });
  if (!follows && !settings.boolean(Directive::RemainAfterElapse)) {
    // One that has nothing to wait for from the start was started all the same.
    if (state_ == TimerState::dead) enter(context, TimerState::elapsed);
    return end(context, "success");
  }
  rest(context);
  enter(context, TimerState::elapsed);
}

void TimerMachine::elapse(MachineContext& context) {
  if (context.job_type() == JobType::stop) return;
  const auto triggered = context.related(Dependency::Triggers);
  if (triggered.empty()) return end(context, "resources");
  rest(context);
  status_.last_trigger = context.now();
  if (is_persistent(context)) context.emit(StoreTimerStamp{context.id(), context.now().wall});
  const auto job = context.request(triggered.front(), JobType::start, unit::JobMode::replace);
  if (!job) {
    context.log(LogLevel::warning, "timer-failed",
                fmt::format("{} elapsed, but its unit cannot be started: {}",
                            context.spec().name.str(), job.error().message()));
    return end(context, "resources");
  }
  enter(context, TimerState::running);
}

void TimerMachine::clock_changed(MachineContext& context) {
  // A clock that was put back must not keep the timer silent until it is where it was.
  const WallTime now = context.now().wall;
  status_.last_trigger.wall = std::min(status_.last_trigger.wall, now);
  started_.wall = std::min(started_.wall, now);
  if (context.settings().boolean(Directive::OnClockChange)) return elapse(context);
  wait(context);
}

void TimerMachine::handle(MachineContext& context, const Event& event) {
  if (state_ != TimerState::waiting) return;
  if (const auto* const timer = std::get_if<TimerFired>(&event)) {
    if (timer->kind == TimerKind::trigger || timer->kind == TimerKind::calendar) elapse(context);
  } else if (const auto* const stamp = std::get_if<TimerStampRead>(&event)) {
    stamp_read(context, stamp->last);
  } else if (std::holds_alternative<WallClockChanged>(event)) {
    clock_changed(context);
  } else if (std::holds_alternative<TimeZoneChanged>(event)) {
    if (context.settings().boolean(Directive::OnTimezoneChange)) return elapse(context);
    wait(context);
  }
}

void TimerMachine::triggered_changed(MachineContext& context, UnitId triggered) {
  switch (state_) {
    case TimerState::waiting:
    case TimerState::elapsed:
      return wait(context);
    case TimerState::running:
      // A job that still waits means that the unit is yet to run.
      if (is_inactive_or_failed(context.active_state(triggered)) && !context.job_type(triggered)) {
        wait(context);
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
