// The core: the graph of units, the jobs, and what follows from what. One object; its parts are in
// graph.cpp (adding, reloading, collecting), requests.cpp (what people and machines ask for),
// jobs.cpp (running and finishing), records.cpp (outliving the process), starting.cpp (from a start
// job to the machine), changes.cpp (what a change of state leads to) and events.cpp.
//
// Everything that follows from something is put in a queue and done by drain(), in this order:
// state changes that machines reported, then units whose automatic starts and stops may be due,
// then units that trigger another one, then jobs that may be able to run.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "engine/unit.hpp"

namespace pidward::engine {

class Transaction;

class Core {
 public:
  explicit Core(EngineConfig config) : config_(std::move(config)) {}

  /// For the length of one call from outside: what time it is and where effects go. drain() runs
  /// when it ends.
  class Turn {
   public:
    Turn(Core& core, Now now, Effects& effects);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Core& core_;
  };

  // graph.cpp
  void add(std::span<const unit::UnitSpecPtr> specs);
  void reload(std::span<const unit::UnitSpecPtr> specs);
  bool replace_settings(const unit::UnitSpecPtr& spec);
  void collect();
  void relate(UnitId from, unit::Dependency kind, UnitId to, bool runtime);
  [[nodiscard]] Unit* find(UnitId id);
  [[nodiscard]] const Unit* find(UnitId id) const;
  [[nodiscard]] Unit* find(std::string_view name);
  /// False: collect() would remove it.
  [[nodiscard]] bool is_needed(const Unit& unit) const;
  void collect_one(UnitId id);
  [[nodiscard]] std::vector<UnitId> unit_ids() const;

  // requests.cpp
  Result<RequestOutcome> request(const JobRequest& request);
  /// As systemd's manager_add_job: builds, checks and installs the transaction.
  Result<RequestOutcome> add_job(UnitId unit, JobType type, unit::JobMode mode);
  Status cancel(JobId job);
  void cancel_all();
  Status reset_failed(Unit& unit);
  [[nodiscard]] bool is_applicable(const Unit& unit, JobType type) const;
  [[nodiscard]] bool can_start(const Unit& unit) const;
  [[nodiscard]] bool can_stop(const Unit& unit) const;
  [[nodiscard]] bool can_reload(const Unit& unit) const;
  [[nodiscard]] bool can_isolate(const Unit& unit) const;
  [[nodiscard]] bool is_perpetual(const Unit& unit) const;

  // jobs.cpp
  /// Puts a job in its unit's place: merged into the one there, or instead of it.
  JobId install(const Job& job);
  void finish(JobId job, JobResult result, bool recursive);
  void queue_job(Job& job);
  [[nodiscard]] Job* find_job(JobId id);
  [[nodiscard]] const Job* find_job(JobId id) const;
  [[nodiscard]] std::vector<JobId> job_ids() const;
  [[nodiscard]] std::vector<JobId> waits_for_jobs(const Job& job) const;
  [[nodiscard]] JobCounts job_counts() const { return {last_job_, failed_jobs_}; }
  void continue_counts(JobCounts counts) {
    last_job_ = std::max(last_job_, counts.installed);
    failed_jobs_ += counts.failed;
  }

  // events.cpp
  void handle(const Event& event);

  // changes.cpp
  void note_change(UnitId unit, ActiveState from, ActiveState to, ChangeFlags flags);
  void queue_recheck(Unit& unit);
  void queue_triggering(const Unit& unit);

  // records.cpp
  [[nodiscard]] std::string record(const Unit& unit) const;
  std::vector<unit::UnitName> restore(std::span<const UnitRecord> records,
                                      const ProcessMap& processes);
  bool load_record(const UnitRecord& record, const ProcessMap& processes);
  void expect_spawn(UnitId unit, SpawnId spawn);

  // services for contexts
  void emit(Effect effect) { effects_->push_back(std::move(effect)); }
  void log(LogLevel level, std::string_view kind, std::string_view unit, std::string message,
           JobId job = {}, ProcessId process = {});
  void arm(Unit& unit, TimerKind kind, MonoTime at);
  void arm_wall(Unit& unit, TimerKind kind, WallTime at);
  void disarm(Unit& unit, TimerKind kind);
  SpawnId new_spawn(UnitId unit);
  bool jobs_idle_or_watch(Unit& unit);
  std::optional<UnitId> load_for(UnitId asker, const unit::UnitName& name);
  [[nodiscard]] UnitStatus status(const Unit& unit) const;
  [[nodiscard]] Duration start_limit_interval(const Unit& unit) const;
  [[nodiscard]] std::uint32_t start_limit_burst(const Unit& unit) const;
  [[nodiscard]] Now now() const { return now_; }
  [[nodiscard]] const EngineConfig& config() const { return config_; }
  std::uint64_t random() { return config_.random ? config_.random() : ++random_fallback_; }

  /// Whether the unit has an edge of this kind.
  [[nodiscard]] static bool has_any(const Unit& unit, unit::Dependency kind) {
    const auto at = std::lower_bound(unit.edges.begin(), unit.edges.end(), Edge{UnitId(0), kind});
    return at != unit.edges.end() && at->kind == kind;
  }
  /// Calls `visit(Unit&, const Edge&)` for the other end of every edge of one kind.
  template <typename Visit>
  void each(const Unit& unit, unit::Dependency kind, Visit visit) const {
    auto at = std::lower_bound(unit.edges.begin(), unit.edges.end(), Edge{UnitId(0), kind});
    for (; at != unit.edges.end() && at->kind == kind; ++at) visit(*units_.at(at->other));
  }
  template <typename Visit>
  void each(const Unit& unit, std::span<const unit::Dependency> kinds, Visit visit) const {
    for (const unit::Dependency kind : kinds) each(unit, kind, visit);
  }

 private:
  friend class Transaction;
  struct Change {
    UnitId unit;
    ActiveState from, to;
    ChangeFlags flags;
  };
  struct Handlers {
    UnitId unit;
    unit::Dependency kind;  ///< OnFailure or OnSuccess
  };
  struct Finish {
    JobId job;
    JobResult result;
    bool recursive;
  };

  // graph.cpp
  Unit& insert(const unit::UnitSpecPtr& spec);
  void replace_stub(Unit& unit, const unit::UnitSpecPtr& spec);
  void index_names(const Unit& unit);
  void forget_names(const Unit& unit);
  void connect(Unit& unit);
  void remove(Unit& unit);
  [[nodiscard]] bool must_stay(const Unit& unit) const;
  void tell_loaded(std::span<const unit::UnitSpecPtr> brought);

  // starting.cpp
  void run_start(Unit& unit, Job& job);
  void start_within_limit(Unit& unit, std::uint32_t leftovers);
  void begin_start(Unit& unit, std::uint32_t leftovers);
  bool bound_units_active(const Unit& unit) const;
  bool check_start_limit(Unit& unit);
  void prepared(const StartPrepared& answer);

  // jobs.cpp
  void run(Job& job);
  void run_stop(Unit& unit, Job& job);
  void run_reload(Unit& unit, Job& job);
  void run_verify(Unit& unit, Job& job);
  void set_state(Job& job, JobState state);
  void finish_one(const Finish& finish);
  void fail_dependents(const Unit& unit, std::span<const unit::Dependency> kinds);
  void after_job(Unit& unit);
  void arm_job_timer(Unit& unit, const Job& job, bool running);
  void job_timed_out(Unit& unit);
  [[nodiscard]] bool is_runnable(const Job& job) const;
  void merge_into(Job& installed, const Job& job);
  void log_finished(const Unit& unit, const Job& job, JobResult result);

  // records.cpp
  template <typename Archive, typename AUnit>
  static void each_field(Archive& archive, AUnit& unit);
  [[nodiscard]] bool load(Unit& unit, Loader& from);
  void adopt_jobs(Unit& unit);
  void resume(Unit& unit);

  // events.cpp
  void timer_fired(const TimerFired& event);

  // changes.cpp
  void drain();
  void process(const Change& change);
  bool process_job(Unit& unit, Job& job, const Change& change);
  void stamp(Unit& unit, ActiveState from, ActiveState to);
  void start_retroactively(Unit& unit);
  void stop_retroactively(Unit& unit);
  void start_handlers(Unit& unit, unit::Dependency kind);
  void act(const Unit& unit, unit::Directive action, unit::Directive exit_status,
           std::string reason);
  void queue_neighbours(Unit& unit);
  void recheck(Unit& unit);
  bool tell_idle();
  void automatic_job(Unit& unit, JobType type, unit::JobMode mode, std::string_view why);
  [[nodiscard]] const Unit* upholder(const Unit& unit) const;
  [[nodiscard]] const Unit* inactive_binding(const Unit& unit) const;
  [[nodiscard]] bool is_unneeded(const Unit& unit) const;

  EngineConfig config_;
  std::unordered_map<UnitId, std::unique_ptr<Unit>> units_;
  std::unordered_map<std::string_view, UnitId> names_;  ///< views into the specifications
  std::unordered_map<JobId, Job*> jobs_;
  std::unordered_map<SpawnId, UnitId> spawns_;
  std::vector<std::pair<UnitId, unit::UnitName>> loading_;  ///< who waits for which unit

  std::deque<Change> changes_;
  std::deque<Handlers> handlers_;
  std::deque<Finish> finishing_;
  std::deque<UnitId> rechecks_;
  std::deque<std::pair<UnitId, UnitId>> triggering_;  ///< (who triggers, what changed)
  std::deque<JobId> run_queue_;
  bool is_finishing_ = false;
  std::uint32_t idle_watchers_ = 0;

  Now now_{};
  Effects* effects_ = nullptr;
  std::uint32_t last_unit_ = 0;
  std::uint32_t last_job_ = 0;  ///< every job that is installed gets the next number
  std::uint32_t failed_jobs_ = 0;
  std::uint64_t last_spawn_ = 0;
  std::vector<UnitId> restored_;  ///< whose record is loaded and which do not go on yet
  std::unordered_set<UnitId> with_record_;
  std::uint64_t last_generation_ = 0;
  std::uint64_t random_fallback_ = 0;
};

/// The kinds of edges over which something spreads, named as in systemd.unit(5).
inline constexpr std::array kStartFailureSpreads{
    unit::Dependency::RequiredBy, unit::Dependency::RequisiteOf, unit::Dependency::BoundBy};
inline constexpr std::array kStopSpreads{
    unit::Dependency::RequiredBy, unit::Dependency::RequisiteOf, unit::Dependency::BoundBy,
    unit::Dependency::ConsistsOf, unit::Dependency::PropagatesStopTo};
/// PropagatesStopTo= speaks of stops alone.
inline constexpr std::array kRestartSpreads{
    unit::Dependency::RequiredBy, unit::Dependency::RequisiteOf, unit::Dependency::BoundBy,
    unit::Dependency::ConsistsOf};
inline constexpr std::array kPins{unit::Dependency::RequiredBy, unit::Dependency::RequisiteOf,
                                  unit::Dependency::WantedBy, unit::Dependency::BoundBy,
                                  unit::Dependency::UpheldBy};

/// Types known by name only.
[[nodiscard]] inline bool is_external(const Unit& unit) {
  return !unit::is_managed(unit.type());
}
/// The machine for a unit of any type.
std::unique_ptr<Machine> make_machine(const unit::UnitSpec& spec);

}  // namespace pidward::engine
