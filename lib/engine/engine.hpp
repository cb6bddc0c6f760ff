// The engine: all units, all jobs, all decisions. Pure and single threaded: the same calls with the
// same arguments give the same effects, whatever the world does. Time and randomness are arguments.
//
// Two phases, as everywhere in this field: a request first settles what is wished (a transaction of
// jobs, checked as a whole before anything changes), then jobs whose order allows it are run; each
// unit's machine turns events into a new state and effects. Queues drain until nothing is left to
// do; nothing recurses through the graph of units.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/effect.hpp"
#include "unit/spec.hpp"

namespace pidward::engine {

struct EngineConfig {
  std::function<std::uint64_t()> random;  ///< for invocation IDs and jitter
  Duration default_timeout_start = std::chrono::seconds(90);
  Duration default_timeout_stop = std::chrono::seconds(90);
  std::optional<Duration> default_timeout_abort;  ///< unset: as the unit's stop timeout
  Duration default_restart = std::chrono::milliseconds(100);
  Duration default_start_limit_interval = std::chrono::seconds(10);
  std::uint32_t default_start_limit_burst = 5;
  bool is_user_manager = false;
  MonoTime startup{};  ///< when the daemon started, for OnStartupSec=
  MonoTime boot{};     ///< for OnBootSec=: zero, and in a container when the daemon started
  unit::TimeZonePtr local_zone{};  ///< for OnCalendar=; nullptr: UTC
  std::uint64_t machine_seed = 0;  ///< another one on every machine, the same at every start
};

/// A unit name as a caller gave it, and what is wanted of it.
struct JobRequest {
  unit::UnitName unit;
  JobType type = JobType::start;
  unit::JobMode mode = unit::JobMode::replace;
  bool manual = true;               ///< asked for by a person: RefuseManualStart= counts
  bool reload_if_possible = false;  ///< restart and try_restart: reload instead where the unit can
};

/// Every job a request led to, the requested one first.
struct RequestOutcome {
  JobId job;
  std::vector<JobId> affected;
};

/// Everything the engine cannot find out again about one unit, as text (engine/record.hpp).
struct UnitRecord {
  unit::UnitName unit;
  std::string text;
};
/// What a process of a record is called now: the same id, or another one where ids are not the
/// kernel's.
using ProcessMap = std::function<ProcessId(ProcessId)>;

class Engine {
 public:
  explicit Engine(EngineConfig config);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Adds units (a closure from the loader); those already there by any name are left as they are.
  void add(std::span<const unit::UnitSpecPtr> specs, Now now, Effects& effects);
  /// daemon-reload: replaces the settings and dependencies of every unit by those of `specs`. Units
  /// that are not in `specs` stay as not-found while they are active or have a job, and go
  /// otherwise. Running processes, jobs and states are not touched.
  void reload(std::span<const unit::UnitSpecPtr> specs, Now now, Effects& effects);
  /// Replaces the settings of one unit, its dependencies left as they are (set-property). False:
  /// there is no unit of that name.
  bool replace_settings(const unit::UnitSpecPtr& spec, Now now, Effects& effects);
  /// Removes units that are inactive, without job, and referenced by nobody (CollectMode=), and
  /// emits UnitRemoved.
  void collect(Now now, Effects& effects);

  /// Removes this unit where collect() would: nobody needs it as it is.
  void collect_one(UnitId unit, Now now, Effects& effects);

  /// Builds the transaction for a request, checks it and installs it. Errors (nothing has changed
  /// then): no such unit, masked, not loaded, cannot be isolated, destructive, conflicting, an
  /// order cycle that cannot be broken, job type not applicable.
  Result<RequestOutcome> request(const JobRequest& request, Now now, Effects& effects);
  Status cancel(JobId job, Now now, Effects& effects);
  void cancel_all(Now now, Effects& effects);
  Status reset_failed(UnitId unit, Now now, Effects& effects);
  /// KillUnit: signals processes of a unit on a person's behalf; `whom` as on the bus. Errors:
  /// nothing to kill.
  Status kill(UnitId unit, KillWhom whom, int signal, Now now, Effects& effects);
  /// AbandonScope: whoever looked after the scope is gone. Errors: it is not running
  /// (unit_inactive), it is no scope.
  Status abandon(UnitId unit, Now now, Effects& effects);
  /// A scope that is not started yet: its end is to be asked for, by RequestStop, of this bus name.
  void set_controller(UnitId unit, std::string name, Now now, Effects& effects);
  /// Names somebody on the bus holds a reference to are not collected.
  void set_referenced(UnitId unit, bool referenced);

  void handle(const Event& event, Now now, Effects& effects);

  /// What must be known of a unit to go on with it in another process; empty for one that is as it
  /// was when it was added. Changes of it go with an effect about the unit, or with an event about
  /// it.
  [[nodiscard]] std::string record(UnitId unit) const;
  /// Goes on where another engine was when these records were made. Call it once, after add() of
  /// all those units and before anything else. Effects: timers are armed again, and whatever was
  /// asked for and not answered is asked for again, with its ids of then (Spawn, PrepareStart,
  /// FindMainProcess, signals …); the runtime answers for what exists already, and then tells of
  /// processes that ended meanwhile. Records that make no sense are left out and returned.
  std::vector<unit::UnitName> restore(std::span<const UnitRecord> records,
                                      const ProcessMap& processes, Now now, Effects& effects);
  /// The first half of restore(), for a record whose unit and whose processes are known before
  /// others are: nothing follows from it until restore() is called with what is left. False: it
  /// makes no sense, and is left out.
  bool load_record(const UnitRecord& record, const ProcessMap& processes);
  /// Goes on counting where another engine was.
  void continue_counts(JobCounts counts);

  [[nodiscard]] const EngineConfig& config() const;
  [[nodiscard]] std::optional<UnitId> find(const unit::UnitName& name) const;
  [[nodiscard]] std::vector<UnitId> units() const;
  [[nodiscard]] UnitStatus status(UnitId unit) const;
  [[nodiscard]] std::shared_ptr<const unit::UnitSpec> spec(UnitId unit) const;
  /// All edges of one kind, both written here and elsewhere.
  [[nodiscard]] std::vector<UnitId> related(UnitId unit, unit::Dependency kind) const;
  [[nodiscard]] std::vector<JobId> jobs() const;
  [[nodiscard]] std::optional<JobStatus> job(JobId job) const;
  [[nodiscard]] JobCounts job_counts() const;
  /// False: collect() is to remove it. Its state does not count, nor its counters.
  [[nodiscard]] bool is_needed(UnitId unit) const;
  [[nodiscard]] bool can_start(UnitId unit) const;
  [[nodiscard]] bool can_stop(UnitId unit) const;
  [[nodiscard]] bool can_reload(UnitId unit) const;
  [[nodiscard]] bool can_isolate(UnitId unit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pidward::engine
