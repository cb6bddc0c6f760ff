// Between the core and the machine of one unit. The core owns jobs, dependencies, conditions, start
// limits and timestamps; a machine owns the unit's state and what it takes to change it. Internal
// to lib/engine.
//
// Rules for a machine:
// - It keeps no reference to a context: one is passed with every call and is valid for that call.
// - Every change of state ends in MachineContext::changed(), once for each change of the
//   sub-state, after the machine's own fields say the new state. changed() only notes what follows
//   from it; nothing calls back into the machine before the current call has returned.
// - It does not become inactive or failed while one of its spawns is unanswered, one of its
//   processes is known to live, or one of its timers is armed.
// - It is small when idle: what only a running unit needs lives behind a pointer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/effect.hpp"
#include "engine/engine.hpp"

namespace pidward::engine {

class Machine;
class Saver;
class Loader;

/// What MachineContext::changed() says beside the two states.
struct ChangeFlags {
  bool reload_failed = false;  ///< a reload ended, badly: the reload job fails
  bool will_restart =
      false;  ///< inactive or failed for a moment only: Restart= brings it back (no OnFailure=)
  bool skipped =
      false;  ///< inactive because ExecCondition= said no: the start job is done, not failed
};

/// What a machine may see and do. Bound to one unit and one moment.
class MachineContext {
 public:
  virtual ~MachineContext() = default;

  [[nodiscard]] virtual Now now() const = 0;
  [[nodiscard]] virtual UnitId id() const = 0;
  [[nodiscard]] virtual const unit::UnitSpec& spec() const = 0;
  [[nodiscard]] const unit::Settings& settings() const { return spec().settings; }
  [[nodiscard]] virtual const EngineConfig& config() const = 0;
  /// 64 random bits.
  [[nodiscard]] virtual std::uint64_t random() = 0;
  /// Of the current (or last) activation; the core makes a new one before each PrepareStart.
  [[nodiscard]] virtual InvocationId invocation() const = 0;

  /// Effects are carried out in the order they are emitted.
  virtual void emit(Effect effect) = 0;
  /// `kind` is a string literal naming the kind of message ("service-exited"). The unit's name is
  /// added.
  virtual void log(LogLevel level, std::string_view kind, std::string message,
                   ProcessId process = {}) = 0;

  /// Arms (or re-arms) one of the unit's timers; kInfinity-far times disarm. The core makes
  /// generations and drops stale TimerFired events: what reaches handle() is current, and no longer
  /// armed. `job` and `job_running` are the core's own.
  virtual void arm(TimerKind kind, MonoTime at) = 0;
  /// The same for a moment on the wall clock.
  virtual void arm_wall(TimerKind kind, WallTime at) = 0;
  virtual void disarm(TimerKind kind) = 0;
  /// When the timer will fire, or nothing.
  [[nodiscard]] virtual std::optional<MonoTime> armed(TimerKind kind) const = 0;

  /// A fresh id for a Spawn effect; Spawned, Executed and SpawnFailed for it come to this unit's
  /// machine.
  virtual SpawnId new_spawn() = 0;
  /// In resume(): the answers to a spawn of an earlier process are for this machine.
  virtual void expect_spawn(SpawnId spawn) { static_cast<void>(spawn); }

  /// The state was `from` and is now `to` (equal when only the sub-state changed). The core then
  /// finishes the unit's job, starts and stops dependents, OnFailure=, SuccessAction= and so on,
  /// sets timestamps and emits UnitChanged.
  virtual void changed(ActiveState from, ActiveState to, ChangeFlags flags = {}) = 0;
  /// Something that `status` shows changed, but no state did: emits UnitChanged.
  virtual void touch() = 0;

  /// The job of this unit, if it has one: a machine that stops may ask whether it is a restart, one
  /// that would restart whether a stop is pending. After the stop half of a restart the type is
  /// JobType::start.
  [[nodiscard]] virtual std::optional<JobType> job_type() const = 0;
  [[nodiscard]] virtual std::optional<JobType> job_type(UnitId other) const = 0;
  /// Whether the job of this unit has yet to begin: it asks for what comes next, and is not what
  /// brought the unit to where it is.
  [[nodiscard]] virtual bool job_waits() const = 0;
  /// Asks for a job on any unit, as a person's request would, but without the Refuse…= settings.
  /// The transaction is installed when this returns; its jobs run later. Errors as Engine::request.
  virtual Result<JobId> request(UnitId unit, JobType type, unit::JobMode mode) = 0;
  /// True when no job is waiting or running, except this unit's own (Type=idle). Otherwise
  /// Machine::jobs_idle() is called, once, when that has become so.
  virtual bool jobs_idle_or_watch() = 0;

  /// Edges of one kind, both written here and elsewhere (Dependency::TriggeredBy: the sockets of a
  /// service).
  [[nodiscard]] virtual std::vector<UnitId> related(unit::Dependency kind) const = 0;
  [[nodiscard]] virtual std::optional<UnitId> find(const unit::UnitName& name) const = 0;
  /// nullptr when there is no such unit (any more).
  [[nodiscard]] virtual const unit::UnitSpec* spec_of(UnitId other) const = 0;
  [[nodiscard]] virtual ActiveState active_state(UnitId other) const = 0;
  /// Timestamps and all; a default UnitStatus when there is no such unit.
  [[nodiscard]] virtual UnitStatus status_of(UnitId other) const = 0;
  /// The other unit's machine, for what two types settle between them (a socket hands its service a
  /// connection). Calls into it need other_context(). nullptr when there is none.
  [[nodiscard]] virtual Machine* machine_of(UnitId other) = 0;
  /// A context for another unit, owned by the core and valid as long as this one. Only for an
  /// existing unit.
  [[nodiscard]] virtual MachineContext& other_context(UnitId other) = 0;
  /// Adds an edge (and its reverse) that no file has; it survives a reload and goes with either
  /// unit.
  virtual void relate(UnitId from, unit::Dependency kind, UnitId to) = 0;
  /// Emits LoadUnit; Machine::unit_loaded() of this unit is called when Engine::add() brought it
  /// (in whatever load state). If the unit is there already, nothing is emitted and its id
  /// returned.
  virtual std::optional<UnitId> load(const unit::UnitName& name) = 0;
};

/// What became of a start, when it did not simply begin.
struct StartOutcome {
  enum class Kind : std::uint8_t {
    begun,    ///< the machine left inactive (or is on its way); changed() was or will be called
    later,    ///< not now: the job goes back to waiting (a service in auto-restart)
    refused,  ///< cannot be: the job ends with `result`, `why` is logged
  };
  Kind kind = Kind::begun;
  JobResult result = JobResult::failed;
  std::optional<Error> why;
};

/// One unit's state and how it changes.
class Machine {
 public:
  virtual ~Machine() = default;

  [[nodiscard]] virtual ActiveState active() const = 0;
  /// The sub-state's name; static storage.
  [[nodiscard]] virtual std::string_view sub() const = 0;

  /// Called with the unit inactive, failed or activating. From inactive or failed: conditions held,
  /// the start limit was not hit, the control group is there; `leftovers` processes of an earlier
  /// run were found in it, and what becomes of them is the machine's to say (a service ends them
  /// first). From activating (auto-restart, say) nothing was checked again.
  virtual StartOutcome start(MachineContext& context, std::uint32_t leftovers) = 0;
  /// True in activating when nothing is under way and start() begins from the top
  /// (RestartMode=direct after its delay): limits, conditions and preparation are as for an
  /// inactive unit.
  [[nodiscard]] virtual bool starts_afresh() const { return false; }
  /// Whether an active unit is busy with itself for a moment, so that a reload has to wait for its
  /// next change.
  [[nodiscard]] virtual bool is_settling() const { return false; }
  /// Whether start() from inactive needs PrepareStart (conditions apart): units with a control
  /// group.
  [[nodiscard]] virtual bool needs_preparation() const { return false; }
  /// Called with the unit neither inactive nor failed. Must lead to inactive or failed.
  virtual void stop(MachineContext& context) = 0;
  /// Called only when can_reload() and the unit is active. Ends in changed() from reloading to
  /// active.
  virtual void reload(MachineContext& context) { static_cast<void>(context); }
  /// Whether the unit itself has something to reload; what PropagatesReloadTo= passes on is not
  /// its own.
  [[nodiscard]] virtual bool can_reload(const unit::UnitSpec& spec) const {
    static_cast<void>(spec);
    return false;
  }

  /// An event about this unit. TimerFired is current; events for spawns arrive by spawn id.
  /// StartPrepared, the core's own timers and stale events never arrive. An event that means
  /// nothing in the current state is ignored.
  virtual void handle(MachineContext& context, const Event& event) = 0;

  /// StartLimitBurst= is used up: become failed with result "start-limit-hit". Called with the unit
  /// inactive, failed or in auto-restart.
  virtual void start_limit_hit(MachineContext& context) { static_cast<void>(context); }
  /// The runtime could not prepare the start (no control group …): become failed with result
  /// "resources".
  virtual void preparation_failed(MachineContext& context, const Error& error) {
    static_cast<void>(context);
    static_cast<void>(error);
  }
  /// failed becomes inactive; counters of the machine's own are forgotten.
  virtual void reset_failed(MachineContext& context) { static_cast<void>(context); }
  /// KillUnit. Errors: the unit has no such process, the type has none at all.
  virtual Status kill(MachineContext& context, KillWhom whom, int signal);
  /// AbandonScope. Errors: it is no scope, it is not running.
  virtual Status abandon(MachineContext& context);
  /// The bus name of whoever looks after the unit. Scopes have that, from before their start.
  virtual void set_controller(MachineContext& context, std::string name) {
    static_cast<void>(context);
    static_cast<void>(name);
  }

  /// The settings were replaced (daemon-reload). State, processes and timers stay; what was derived
  /// is derived again.
  virtual void settings_replaced(MachineContext& context) { static_cast<void>(context); }
  /// A unit that this one triggers changed its state, or its job came or went. Coalesced: once per
  /// turn.
  virtual void triggered_changed(MachineContext& context, UnitId triggered) {
    static_cast<void>(context);
    static_cast<void>(triggered);
  }
  /// Answer to MachineContext::load().
  virtual void unit_loaded(MachineContext& context, UnitId loaded) {
    static_cast<void>(context);
    static_cast<void>(loaded);
  }
  /// The unit has no job any more, however that came to be.
  virtual void job_gone(MachineContext& context) { static_cast<void>(context); }
  /// Answer to MachineContext::jobs_idle_or_watch().
  virtual void jobs_idle(MachineContext& context) { static_cast<void>(context); }
  /// The unit was added: a timer may want its bases, an external unit asks what is true of the
  /// system.
  virtual void added(MachineContext& context) { static_cast<void>(context); }
  /// Called before the unit is collected; emits what must be undone.
  virtual void removed(MachineContext& context) { static_cast<void>(context); }
  /// False keeps an inactive unit from being collected.
  [[nodiscard]] virtual bool may_collect() const { return true; }

  /// What the unit that this one has triggered is told of it in its environment (systemd.exec(5),
  /// TRIGGER_PATH= and the like); nothing while it triggers none.
  [[nodiscard]] virtual std::optional<std::vector<std::string>> trigger_environment() const {
    return std::nullopt;
  }

  /// The machine's part of the unit's record, and back into a machine that is as it was made.
  /// Timers, jobs and the like are the core's part.
  virtual void save(Saver& to) const { static_cast<void>(to); }
  virtual void load(Loader& from) { static_cast<void>(from); }
  /// Called once after load() of all units: asks again for what was asked for and not answered.
  virtual void resume(MachineContext& context) { static_cast<void>(context); }

  [[nodiscard]] virtual const ServiceStatus* service_status() const { return nullptr; }
  [[nodiscard]] virtual const SocketStatus* socket_status() const { return nullptr; }
  [[nodiscard]] virtual const TimerStatus* timer_status() const { return nullptr; }
  [[nodiscard]] virtual const PathStatus* path_status() const { return nullptr; }
  [[nodiscard]] virtual const ScopeStatus* scope_status() const { return nullptr; }
};

[[nodiscard]] constexpr bool is_active_or_reloading(ActiveState state) {
  return state == ActiveState::active || state == ActiveState::reloading;
}
[[nodiscard]] constexpr bool is_active_or_activating(ActiveState state) {
  return is_active_or_reloading(state) || state == ActiveState::activating;
}
[[nodiscard]] constexpr bool is_inactive_or_failed(ActiveState state) {
  return state == ActiveState::inactive || state == ActiveState::failed;
}
[[nodiscard]] constexpr bool is_inactive_or_deactivating(ActiveState state) {
  return is_inactive_or_failed(state) || state == ActiveState::deactivating;
}

/// lib/engine/service and lib/engine/socket.
std::unique_ptr<Machine> make_service_machine(const unit::UnitSpec& spec);
std::unique_ptr<Machine> make_socket_machine(const unit::UnitSpec& spec);

}  // namespace pidward::engine
