// Path units (systemd.path(5)). Looking at the file system is the runtime's: it is asked to watch,
// and says once when a path is as the unit wants it.
#include <array>

#include <fmt/core.h>

#include "engine/record.hpp"
#include "engine/simple_machines.hpp"
#include "engine/trigger_limit.hpp"
#include "engine/unit.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;

enum class PathState : std::uint8_t { dead, setting_up, waiting, running, failed };

class PathMachine final : public Machine {
 public:
  [[nodiscard]] ActiveState active() const override;
  [[nodiscard]] std::string_view sub() const override;
  StartOutcome start(MachineContext& context, std::uint32_t leftovers) override;
  void stop(MachineContext& context) override { end(context, "success"); }
  void handle(MachineContext& context, const Event& event) override;
  void triggered_changed(MachineContext& context, UnitId triggered) override;
  void settings_replaced(MachineContext& context) override {
    if (state_ == PathState::waiting || state_ == PathState::setting_up) watch(context, state_);
  }
  void start_limit_hit(MachineContext& context) override {
    if (state_ == PathState::dead) end(context, "start-limit-hit");
  }
  void preparation_failed(MachineContext& context, const Error&) override {
    end(context, "resources");
  }
  void reset_failed(MachineContext& context) override {
    status_.result = "success";
    if (state_ == PathState::failed) enter(context, PathState::dead);
  }
  void save(Saver& to) const override;
  void load(Loader& from) override;
  void resume(MachineContext& context) override {
    if (state_ == PathState::waiting || state_ == PathState::setting_up) watch(context, state_);
  }
  [[nodiscard]] const PathStatus* path_status() const override { return &status_; }
  [[nodiscard]] std::optional<std::vector<std::string>> trigger_environment() const override {
    if (state_ != PathState::running || triggered_by_.empty()) return std::nullopt;
    return std::vector{"TRIGGER_PATH=" + triggered_by_};
  }

 private:
  void enter(MachineContext& context, PathState to);
  /// Has the paths looked at and watched, and is in `state` meanwhile; with the triggered unit
  /// running there is nothing to wait for.
  void watch(MachineContext& context, PathState state);
  void unwatch(MachineContext& context);
  void end(MachineContext& context, std::string_view result);
  void trigger(MachineContext& context, const std::string& path);
  [[nodiscard]] bool within_limit(MachineContext& context);

  PathState state_ = PathState::dead;
  std::uint64_t generation_ = 0;  ///< of the last WatchPaths; answers to older ones are stale
  bool watching_ = false;
  RateLimit trigger_limit_;
  std::string triggered_by_;  ///< the path; empty when somebody else started the unit
  PathStatus status_;
};

void PathMachine::save(Saver& to) const {
  to.choice("state", state_, PathState::failed);
  to.time("trigger_limit.begin", trigger_limit_.begin);
  to.number("trigger_limit.count", trigger_limit_.count);
  if (state_ == PathState::failed) to.text("result", std::string(status_.result));
}

void PathMachine::load(Loader& from) {
  static constexpr std::array kResults{"resources", "start-limit-hit", "trigger-limit-hit"};
  from.choice("state", state_, PathState::failed);
  from.time("trigger_limit.begin", trigger_limit_.begin);
  from.number("trigger_limit.count", trigger_limit_.count);
  std::string result;
  from.text("result", result);
  for (const char* known : kResults) {
    if (result == known) status_.result = known;
  }
}

ActiveState PathMachine::active() const {
  switch (state_) {
    case PathState::dead:
      return ActiveState::inactive;
    case PathState::setting_up:
      return ActiveState::activating;
    case PathState::waiting:
    case PathState::running:
      return ActiveState::active;
    case PathState::failed:
      return ActiveState::failed;
  }
  return ActiveState::inactive;
}

std::string_view PathMachine::sub() const {
  switch (state_) {
    case PathState::dead:
      return "dead";
    case PathState::setting_up:
    case PathState::waiting:
      return "waiting";
    case PathState::running:
      return "running";
    case PathState::failed:
      return "failed";
  }
  return "dead";
}

void PathMachine::enter(MachineContext& context, PathState to) {
  const ActiveState from = active();
  state_ = to;
  context.changed(from, active());
}

void PathMachine::unwatch(MachineContext& context) {
  if (std::exchange(watching_, false)) context.emit(UnwatchPaths{context.id()});
}

void PathMachine::watch(MachineContext& context, PathState state) {
  triggered_by_.clear();
  const auto triggered = context.related(Dependency::Triggers);
  if (!triggered.empty() && !is_inactive_or_failed(context.active_state(triggered.front()))) {
    unwatch(context);
    return enter(context, PathState::running);
  }
  watching_ = true;
  context.emit(WatchPaths{context.id(), ++generation_, state == PathState::setting_up});
  enter(context, state);
}

StartOutcome PathMachine::start(MachineContext& context, std::uint32_t) {
  if (state_ == PathState::setting_up) return {};
  if (auto refused = refused_without_triggered(context)) return *std::move(refused);
  status_ = {};
  watch(context, PathState::setting_up);
  return {};
}

void PathMachine::end(MachineContext& context, std::string_view result) {
  unwatch(context);
  if (status_.result == "success") status_.result = result;
  enter(context, status_.result == "success" ? PathState::dead : PathState::failed);
}

bool PathMachine::within_limit(MachineContext& context) {
  const Duration interval = trigger_interval(context.spec());
  const std::uint32_t burst = trigger_burst(context.spec());
  if (interval == Duration::zero() || burst == 0) return true;
  return trigger_limit_.below(context.now().mono, interval, burst);
}

void PathMachine::trigger(MachineContext& context, const std::string& path) {
  if (context.job_type() == JobType::stop) return;
  const auto triggered = context.related(Dependency::Triggers);
  if (triggered.empty()) return end(context, "resources");
  if (!within_limit(context)) {
    context.log(
        LogLevel::error, "path-trigger-limit",
        fmt::format("{} was triggered more often than TriggerLimitBurst= allows; it watches "
                    "no more until it is started again",
                    context.spec().name.str()));
    return end(context, "trigger-limit-hit");
  }
  context.log(LogLevel::debug, "path-triggered",
              fmt::format("{} is triggered by {}", context.spec().name.str(), path));
  unwatch(context);
  triggered_by_ = path;
  const auto job = context.request(triggered.front(), JobType::start, unit::JobMode::replace);
  if (!job) {
    context.log(LogLevel::warning, "path-failed",
                fmt::format("{} was triggered, but its unit cannot be started: {}",
                            context.spec().name.str(), job.error().message()));
    return end(context, "resources");
  }
  enter(context, PathState::running);
}

void PathMachine::handle(MachineContext& context, const Event& event) {
  if (state_ != PathState::setting_up && state_ != PathState::waiting) return;
  if (const auto* const watched = std::get_if<PathsWatched>(&event)) {
    if (watched->generation != generation_) return;
    if (watched->error) {
      context.log(LogLevel::error, "path-failed",
                  fmt::format("{} cannot watch its paths: {}", context.spec().name.str(),
                              watched->error->message()));
      return end(context, "resources");
    }
    if (state_ == PathState::setting_up) enter(context, PathState::waiting);
  } else if (const auto* const hit = std::get_if<PathTriggered>(&event)) {
    if (hit->generation == generation_) trigger(context, hit->path);
  }
}

void PathMachine::triggered_changed(MachineContext& context, UnitId triggered) {
  const ActiveState other = context.active_state(triggered);
  switch (state_) {
    case PathState::waiting:
    case PathState::setting_up:
      // Somebody else started it: as good as triggered.
      if (is_inactive_or_failed(other)) return;
      unwatch(context);
      return enter(context, PathState::running);
    case PathState::running: {
      // A job that still waits means that the unit is yet to run.
      if (!is_inactive_or_failed(other) || context.job_type(triggered)) return;
      const UnitStatus status = context.status_of(triggered);
      const bool too_often = status.service != nullptr && status.service->start_limit_hit;
      if (too_often) return end(context, "unit-start-limit-hit");
      return watch(context, PathState::waiting);
    }
    case PathState::dead:
    case PathState::failed:
      return;
  }
}

}  // namespace

std::unique_ptr<Machine> make_path_machine() {
  return std::make_unique<PathMachine>();
}

}  // namespace pidward::engine
