// The whole engine between two hands, with an obedient world: preparations succeed, programs start
// at once, processes run until they are signalled or the test ends them.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine.hpp"
#include "unit/enums.hpp"

namespace pidward::engine::testing {

using unit::Dependency;
using unit::Directive;
using unit::JobMode;
using unit::LoadState;
using unit::ServiceType;

inline unit::UnitName named(std::string_view text) {
  return *unit::UnitName::parse(text);
}

/// Builds a UnitSpec as the loader would.
class SpecBuilder {
 public:
  explicit SpecBuilder(std::string_view name)
      : spec_(std::make_shared<unit::UnitSpec>(named(name))) {
    spec_->load_state = LoadState::loaded;
    if (spec_->name.type() == unit::UnitType::service) {
      unit::ExecCommand command;
      command.path = "/bin/thing";
      command.argv = {command.path};
      spec_->settings.set(Directive::ExecStart, unit::ExecList{command});
      spec_->settings.set(Directive::Type, static_cast<std::int64_t>(ServiceType::simple));
    }
  }
  SpecBuilder& with(Dependency kind, std::string_view other,
                    unit::Origin origin = unit::Origin::file) {
    spec_->dependencies.push_back({kind, origin, named(other)});
    return *this;
  }
  SpecBuilder& set(Directive directive, unit::Value value) {
    spec_->settings.set(directive, std::move(value));
    return *this;
  }
  SpecBuilder& type(ServiceType type) {
    return set(Directive::Type, static_cast<std::int64_t>(type));
  }
  SpecBuilder& alias(std::string_view name) {
    spec_->aliases.push_back(named(name));
    return *this;
  }
  SpecBuilder& state(LoadState state) {
    spec_->load_state = state;
    return *this;
  }
  SpecBuilder& reloadable() {
    unit::ExecCommand command;
    command.path = "/bin/reload";
    command.argv = {command.path};
    return set(Directive::ExecReload, unit::ExecList{command});
  }
  operator unit::UnitSpecPtr() const {  // NOLINT(google-explicit-constructor): reads as a spec
    return spec_;
  }

 private:
  std::shared_ptr<unit::UnitSpec> spec_;
};

class EngineTest : public ::testing::Test {
 protected:
  explicit EngineTest(EngineConfig config = {}) : engine_(std::move(config)) {
    now_.mono = MonoTime(std::chrono::seconds(1000));
  }

  void add(const std::vector<unit::UnitSpecPtr>& specs) {
    Effects effects;
    engine_.add(specs, now_, effects);
    carry_out(effects);
  }
  void reload(const std::vector<unit::UnitSpecPtr>& specs) {
    Effects effects;
    engine_.reload(specs, now_, effects);
    carry_out(effects);
  }
  void collect() {
    Effects effects;
    engine_.collect(now_, effects);
    carry_out(effects);
  }
  Result<RequestOutcome> request(std::string_view name, JobType type,
                                 JobMode mode = JobMode::replace) {
    Effects effects;
    auto outcome = engine_.request({named(name), type, mode}, now_, effects);
    carry_out(effects);
    return outcome;
  }
  JobId ask(std::string_view name, JobType type, JobMode mode = JobMode::replace) {
    auto outcome = request(name, type, mode);
    EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().to_string());
    return outcome ? outcome->job : JobId();
  }
  JobId start(std::string_view name) { return ask(name, JobType::start); }
  JobId stop(std::string_view name) { return ask(name, JobType::stop); }
  Errc refusal(std::string_view name, JobType type, JobMode mode = JobMode::replace) {
    const auto outcome = request(name, type, mode);
    EXPECT_FALSE(outcome);
    if (!outcome) {
      EXPECT_FALSE(outcome.error().message().empty());
    }
    return outcome ? Errc::failed : outcome.error().code();
  }
  void handle(const Event& event) {
    Effects effects;
    engine_.handle(event, now_, effects);
    carry_out(effects);
  }

  UnitId id(std::string_view name) { return engine_.find(named(name)).value_or(UnitId()); }
  ActiveState state(std::string_view name) { return engine_.status(id(name)).active; }
  bool is_active(std::string_view name) { return state(name) == ActiveState::active; }
  JobId job_of(std::string_view name) { return engine_.status(id(name)).job; }
  JobType job_type(std::string_view name) { return engine_.job(job_of(name))->type; }
  JobState job_state(std::string_view name) { return engine_.job(job_of(name))->state; }
  /// How a job ended; fails the test when it did not.
  JobResult result(JobId job) {
    const auto at = results_.find(job);
    EXPECT_NE(at, results_.end()) << "job " << job.number() << " has not ended";
    return at == results_.end() ? JobResult::invalid : at->second;
  }

  /// READY=1 from the main process of a Type=notify service.
  void ready(std::string_view name) {
    Notified event;
    event.unit = id(name);
    event.sender = engine_.status(event.unit).service->main;
    event.sender_role = ProcessRole::main;
    event.message.ready = true;
    handle(event);
  }
  /// The main process ends by itself.
  void exit_main(std::string_view name, int code) {
    end(engine_.status(id(name)).service->main, {ExitStatus::Kind::exited, code});
  }
  void exit_control(std::string_view name, int code) {
    end(engine_.status(id(name)).service->control, {ExitStatus::Kind::exited, code});
  }
  /// Lets the unit's timer of a kind elapse.
  void elapse(std::string_view name, TimerKind kind) {
    const auto at = timers_.find({id(name), kind});
    ASSERT_NE(at, timers_.end()) << "no such timer is armed";
    const ArmTimer timer = at->second;
    timers_.erase(at);
    const Duration passed = std::max(timer.at - now_.mono, Duration::zero());
    now_.mono += passed;
    now_.wall = timer.wall ? std::max(now_.wall, *timer.wall) : now_.wall + passed;
    handle(TimerFired{timer.unit, timer.kind, timer.generation});
  }
  bool is_armed(std::string_view name, TimerKind kind) {
    return timers_.contains({id(name), kind});
  }
  std::optional<ArmTimer> armed(std::string_view name, TimerKind kind) {
    const auto at = timers_.find({id(name), kind});
    return at == timers_.end() ? std::nullopt : std::optional(at->second);
  }
  std::string logs() const {
    std::string text;
    for (const std::string& line : logs_) text += line + "\n";
    return text;
  }

  Engine engine_;
  Now now_;
  std::map<JobId, JobResult> results_;
  std::vector<std::string> started_;      ///< names, in the order their programs were started
  std::vector<std::string> environment_;  ///< what the last of them was given by the engine
  std::vector<std::string> signalled_;
  std::vector<std::string> logs_;
  std::vector<SystemAction> actions_;
  std::vector<unit::UnitName> removed_;
  std::set<UnitId> clock_watchers_;
  std::map<UnitId, WatchPaths> watched_;  ///< path units whose paths are watched
  std::optional<Error> path_error_;       ///< why they cannot be
  bool answers_paths_ = true;
  WallTime stamp_{};      ///< what is recorded of any Persistent=yes timer
  bool obedient_ = true;  ///< processes end when signalled
  bool conditions_hold_ = true;
  bool asserts_hold_ = true;
  bool answers_prepare_ = true;
  std::uint32_t leftovers_ = 0;            ///< what preparing a start finds
  std::map<UnitId, bool> kept_for_start_;  ///< what the last clean-up of a unit was for

 private:
  void end(ProcessId process, ExitStatus status) {
    const auto at = processes_.find(process);
    ASSERT_NE(at, processes_.end());
    const UnitId unit = at->second;
    processes_.erase(at);
    handle(ProcessExited{unit, process, status});
    tell_if_empty(unit);
  }
  void tell_if_empty(UnitId unit) {
    const bool empty = std::none_of(processes_.begin(), processes_.end(),
                                    [&](const auto& entry) { return entry.second == unit; });
    if (empty) handle(UnitEmpty{unit});
  }
  std::string name_of(UnitId unit) { return engine_.spec(unit)->name.str(); }
  void carry_out(const Effects& effects) {
    for (const Effect& effect : effects) {
      std::visit([&](const auto& what) { on(what); }, effect);
    }
  }
  void on(const PrepareStart& effect) {
    if (!answers_prepare_) return;
    StartPrepared answer{effect.unit, conditions_hold_, asserts_hold_};
    answer.failed_condition = "ConditionPathExists=/x";
    answer.leftovers = leftovers_;
    handle(answer);
  }
  void on(const Spawn& effect) {
    const ProcessId process(++last_process_);
    processes_[process] = effect.unit;
    started_.push_back(name_of(effect.unit));
    environment_ = effect.environment;
    handle(Spawned{effect.spawn, process});
    handle(Executed{effect.spawn});
  }
  void on(const KillProcesses& effect) {
    signalled_.push_back(name_of(effect.unit));
    if (!obedient_ && effect.signal != 9) return;
    std::vector<ProcessId> dying;
    for (const auto& [process, unit] : processes_) {
      if (unit == effect.unit) dying.push_back(process);
    }
    for (const ProcessId process : dying) {
      processes_.erase(process);
      handle(ProcessExited{effect.unit, process, {ExitStatus::Kind::killed, effect.signal}});
    }
    tell_if_empty(effect.unit);
  }
  void on(const WatchEmpty& effect) { tell_if_empty(effect.unit); }
  void on(const ArmTimer& effect) { timers_[{effect.unit, effect.kind}] = effect; }
  void on(const DisarmTimer& effect) { timers_.erase({effect.unit, effect.kind}); }
  void on(const WatchClock& effect) {
    if (effect.watch) {
      clock_watchers_.insert(effect.unit);
    } else {
      clock_watchers_.erase(effect.unit);
    }
  }
  void on(const WatchPaths& effect) {
    watched_[effect.unit] = effect;
    if (answers_paths_) handle(PathsWatched{effect.unit, effect.generation, path_error_});
  }
  void on(const UnwatchPaths& effect) { EXPECT_EQ(watched_.erase(effect.unit), 1U); }
  void on(const ReadTimerStamp& effect) { handle(TimerStampRead{effect.unit, stamp_}); }
  void on(const StoreTimerStamp& effect) { stamp_ = effect.last; }
  void on(const JobRemoved& effect) {
    EXPECT_FALSE(results_.contains(effect.job)) << "a job ended twice";
    results_[effect.job] = effect.result;
  }
  void on(const Log& effect) { logs_.push_back(effect.record.message); }
  void on(const SystemAction& effect) { actions_.push_back(effect); }
  void on(const UnitRemoved& effect) {
    removed_.push_back(effect.name);
    for (const unit::UnitName& alias : effect.aliases) removed_.push_back(alias);
  }
  void on(const CleanUp& effect) { kept_for_start_[effect.unit] = effect.restarting; }
  template <typename T>
  void on(const T& effect) {
    static_cast<void>(effect);
  }

  std::map<ProcessId, UnitId> processes_;
  std::map<std::pair<UnitId, TimerKind>, ArmTimer> timers_;
  std::uint64_t last_process_ = 0;
};

}  // namespace pidward::engine::testing
