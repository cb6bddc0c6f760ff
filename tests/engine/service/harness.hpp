// One machine between two hands: events go in as a script, effects and states come out. The context
// is a small book-keeper that also checks the rules every machine must keep (machine.hpp).
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "engine/machine.hpp"
#include "engine/service/machine.hpp"

namespace pidward::engine::testing {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using unit::Directive;
using unit::ServiceType;

inline ExitStatus code(int number) {
  return {ExitStatus::Kind::exited, number};
}
inline ExitStatus killed(int signal) {
  return {ExitStatus::Kind::killed, signal};
}
inline ExitStatus dumped(int signal) {
  return {ExitStatus::Kind::dumped, signal};
}

/// A context for one unit whose neighbours are what the test says.
class FakeContext : public MachineContext {
 public:
  explicit FakeContext(std::string_view name) : spec_(*unit::UnitName::parse(name)) {
    spec_.load_state = unit::LoadState::loaded;
    now_.mono = MonoTime(seconds(1000));
    now_.wall = WallTime(seconds(1'700'000'000));
  }

  Now now() const override { return now_; }
  UnitId id() const override { return UnitId(1); }
  const unit::UnitSpec& spec() const override { return spec_; }
  const EngineConfig& config() const override { return config_; }
  std::uint64_t random() override { return random_value; }
  InvocationId invocation() const override { return {}; }
  void emit(Effect effect) override { effects.push_back(std::move(effect)); }
  void log(LogLevel level, std::string_view kind, std::string message, ProcessId process) override {
    logs.push_back({.level = level, .message = std::move(message), .process = process, .id = kind});
  }
  void arm(TimerKind kind, MonoTime at) override { timers[kind] = at; }
  void arm_wall(TimerKind kind, WallTime at) override { arm(kind, now_.mono + (at - now_.wall)); }
  void disarm(TimerKind kind) override { timers.erase(kind); }
  std::optional<MonoTime> armed(TimerKind kind) const override {
    const auto found = timers.find(kind);
    if (found == timers.end()) return std::nullopt;
    return found->second;
  }
  SpawnId new_spawn() override { return SpawnId(++last_spawn); }
  void changed(ActiveState from, ActiveState to, ChangeFlags flags) override {
    EXPECT_EQ(from, state) << "a change begins where the last one ended";
    state = to;
    changes.push_back({to, flags});
    if (is_inactive_or_failed(to)) {
      EXPECT_TRUE(timers.empty()) << "a timer is armed in a unit that is down";
    }
  }
  void touch() override {}
  std::optional<JobType> job_type() const override { return job; }
  bool job_waits() const override { return waits; }
  std::optional<JobType> job_type(UnitId other) const override {
    const auto found = neighbours.find(other);
    return found == neighbours.end() ? std::nullopt : found->second.job;
  }
  Result<JobId> request(UnitId unit, JobType type, unit::JobMode /*mode*/) override {
    requests.emplace_back(unit, type);
    if (refuse_requests) return Error(Errc::transaction_destructive, "no");
    return JobId(7);
  }
  bool jobs_idle_or_watch() override { return jobs_are_idle; }
  std::vector<UnitId> related(unit::Dependency kind) const override {
    const auto found = edges.find(kind);
    return found == edges.end() ? std::vector<UnitId>{} : found->second;
  }
  std::optional<UnitId> find(const unit::UnitName& name) const override {
    for (const auto& [id, neighbour] : neighbours) {
      if (neighbour.spec->name == name) return id;
    }
    return std::nullopt;
  }
  const unit::UnitSpec* spec_of(UnitId other) const override {
    const auto found = neighbours.find(other);
    return found == neighbours.end() ? nullptr : found->second.spec.get();
  }
  ActiveState active_state(UnitId other) const override {
    const auto found = neighbours.find(other);
    return found == neighbours.end() ? ActiveState::inactive : found->second.active;
  }
  UnitStatus status_of(UnitId other) const override {
    UnitStatus status;
    status.id = other;
    status.start_tries_left = tries_left;
    status.active = active_state(other);
    const auto found = neighbours.find(other);
    if (found == neighbours.end()) return status;
    status.spec = found->second.spec.get();
    if (found->second.machine) {
      status.service = found->second.machine->service_status();
      status.active = found->second.machine->active();
    }
    return status;
  }
  Machine* machine_of(UnitId other) override {
    const auto found = neighbours.find(other);
    return found == neighbours.end() ? nullptr : found->second.machine.get();
  }
  MachineContext& other_context(UnitId /*other*/) override { return *this; }
  void relate(UnitId /*from*/, unit::Dependency kind, UnitId to) override {
    edges[kind].push_back(to);
  }
  std::optional<UnitId> load(const unit::UnitName& name) override {
    if (const auto known = find(name)) return known;
    emit(LoadUnit{name});
    return std::nullopt;
  }

  struct Neighbour {
    std::shared_ptr<unit::UnitSpec> spec;
    ActiveState active = ActiveState::inactive;
    std::optional<JobType> job;
    std::unique_ptr<Machine> machine;
  };
  Neighbour& add_neighbour(UnitId id, std::string_view name) {
    Neighbour& neighbour = neighbours[id];
    neighbour.spec = std::make_shared<unit::UnitSpec>(*unit::UnitName::parse(name));
    neighbour.spec->load_state = unit::LoadState::loaded;
    return neighbour;
  }

  /// The effects of one kind since the last clear().
  template <typename Kind>
  [[nodiscard]] std::vector<Kind> all() const {
    std::vector<Kind> found;
    for (const Effect& effect : effects) {
      if (const auto* one = std::get_if<Kind>(&effect)) found.push_back(*one);
    }
    return found;
  }
  [[nodiscard]] bool logged(std::string_view kind) const {
    return std::any_of(logs.begin(), logs.end(),
                       [&](const LogRecord& record) { return record.id == kind; });
  }
  void clear() {
    effects.clear();
    logs.clear();
    changes.clear();
    requests.clear();
  }
  void pass(Duration span) { now_.mono = saturating_add(now_.mono, span); }

  unit::UnitSpec spec_;
  EngineConfig config_;
  Now now_;
  Effects effects;
  std::vector<LogRecord> logs;
  std::map<TimerKind, MonoTime> timers;
  std::vector<std::pair<ActiveState, ChangeFlags>> changes;
  std::vector<std::pair<UnitId, JobType>> requests;
  std::map<unit::Dependency, std::vector<UnitId>> edges;
  std::map<UnitId, Neighbour> neighbours;
  std::optional<JobType> job;
  bool waits = false;  ///< the job
  std::uint32_t tries_left = UINT32_MAX;
  std::uint64_t random_value = 0;
  std::uint64_t last_spawn = 0;
  ActiveState state = ActiveState::inactive;
  bool refuse_requests = false;
  bool jobs_are_idle = true;
};

/// A service unit and its machine.
class Service {
 public:
  explicit Service(ServiceType type = ServiceType::simple) {
    set(Directive::Type, static_cast<std::int64_t>(type));
    commands(Directive::ExecStart, 1);
  }

  /// Settings, before start().
  Service& set(Directive id, unit::Value value) {
    context.spec_.settings.set(id, std::move(value));
    return *this;
  }
  template <typename Enum>
  requires std::is_enum_v<Enum> Service& choose(Directive id, Enum value) {
    return set(id, static_cast<std::int64_t>(value));
  }
  Service& commands(Directive id, std::size_t count, bool ignore_failure = false) {
    unit::ExecList list(count);
    for (auto& command : list) {
      command.path = "/bin/program";
      command.argv = {"/bin/program"};
      command.ignore_failure = ignore_failure;
    }
    return set(id, std::move(list));
  }

  // What the core does.
  StartOutcome start(std::uint32_t leftovers = 0) { return machine.start(context, leftovers); }
  void stop(JobType job = JobType::stop) {
    context.job = job;
    machine.stop(context);
    context.job.reset();
  }
  void reload() { machine.reload(context); }

  // What the world does.
  void event(const Event& happened) { machine.handle(context, happened); }
  /// The latest Spawn effect.
  [[nodiscard]] Spawn last_spawn() const {
    const auto spawns = context.all<Spawn>();
    EXPECT_FALSE(spawns.empty()) << "nothing was spawned";
    return spawns.empty() ? Spawn{} : spawns.back();
  }
  [[nodiscard]] std::size_t spawns(Directive list) const {
    const auto all = context.all<Spawn>();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Spawn& s) { return s.list == list; }));
  }
  /// Answers the latest Spawn; the new process.
  ProcessId spawned() {
    const ProcessId process(++last_process_);
    event(Spawned{last_spawn().spawn, process});
    return process;
  }
  void executed() { event(Executed{last_spawn().spawn}); }
  void spawn_failed(int exit_code) {
    event(SpawnFailed{last_spawn().spawn, exit_code, Error(Errc::failed, "no")});
  }
  void exit(ProcessId process, ExitStatus status) {
    event(ProcessExited{context.id(), process, status});
  }
  void empty() { event(UnitEmpty{context.id()}); }
  /// Lets an armed timer fire, at its time.
  void fire(TimerKind kind) {
    const auto at = context.armed(kind);
    ASSERT_TRUE(at.has_value()) << "timer is not armed";
    context.now_.mono = std::max(context.now_.mono, *at);
    context.timers.erase(kind);
    event(TimerFired{context.id(), kind, 0});
  }
  void notify(NotifyMessage message) {
    notify(std::move(message), status().main, ProcessRole::main);
  }
  void notify(NotifyMessage message, ProcessId sender, ProcessRole role) {
    event(Notified{context.id(), sender, role, std::move(message)});
  }
  /// Runs one command that ends well (or as said).
  void run_command(ExitStatus status = code(0)) {
    const ProcessId process = spawned();
    executed();
    exit(process, status);
  }
  /// Simple services: start, and there is a main process.
  ProcessId bring_up() {
    start();
    const ProcessId main = spawned();
    executed();
    EXPECT_EQ(state(), ServiceState::running);
    context.clear();
    return main;
  }

  [[nodiscard]] const ServiceStatus& status() const { return *machine.service_status(); }
  [[nodiscard]] ServiceState state() const { return status().state; }
  [[nodiscard]] ServiceResult result() const { return status().result; }
  /// The latest KillProcesses, or one with signal 0.
  [[nodiscard]] KillProcesses last_kill() const {
    const auto kills = context.all<KillProcesses>();
    return kills.empty() ? KillProcesses{} : kills.back();
  }

  FakeContext context{"test.service"};
  ServiceMachine machine;

 private:
  std::uint64_t last_process_ = 100;
};

inline NotifyMessage ready() {
  NotifyMessage message;
  message.ready = true;
  return message;
}

}  // namespace pidward::engine::testing
