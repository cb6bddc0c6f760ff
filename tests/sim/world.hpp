// The simulated world: carries the engine's effects out the way a kernel, a bus and unreliable
// programs would, late, out of order and with failures, and brings the events back. Time passes
// only when the world says so.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "sim/random.hpp"

namespace pidward::sim {

/// Faults built into the world on purpose, to prove that the invariants notice.
enum class Mutation : std::uint8_t {
  none,
  lose_exit,         ///< a ProcessExited is never delivered
  double_spawn,      ///< a Spawn of a main process is carried out twice
  lose_job_removed,  ///< a JobRemoved effect is not seen
  deaf_to_kill,      ///< SIGKILL does nothing
  lose_disarm,       ///< DisarmTimer does nothing
  forget_order,      ///< the watcher is told of an order that the engine does not know
};

/// A promise that broke; `what` is the sentence to print.
struct Violation {
  std::string what;
};

struct Process {
  UnitId unit;
  engine::ProcessRole role = engine::ProcessRole::other;
  SpawnId spawn;  ///< that it came of
  bool alive = true;
  bool exit_told = false;
  bool stubborn = false;  ///< ignores SIGTERM
  bool said_stopping = false;
};

struct JobSeen {
  UnitId unit;
  engine::JobType type = engine::JobType::nop;
  engine::JobState state = engine::JobState::waiting;
};

engine::EngineConfig config_for(Random& random);

class World {
 public:
  World(std::uint64_t seed, Mutation mutation);

  /// One whole life: a random graph, random happenings, then an orderly end. Returns the first
  /// violation.
  std::optional<Violation> live();
  /// What happened, for a person: one line each. Kept only when `verbose`.
  bool verbose = false;
  /// The daemon dies now and then, and another one takes over.
  bool crashes = false;

 private:
  using Effect = engine::Effect;
  using Event = engine::Event;

  // world.cpp
  void step();
  void wind_down();
  void cut_edges();
  bool let_one_end();
  bool settle(std::size_t budget);
  void knock(UnitId socket);
  void request(UnitId unit, engine::JobType type, unit::JobMode mode, bool manual);
  void random_request();
  void random_upset();
  void deliver(std::size_t index);
  bool advance();
  void tell(const Event& event);
  void post(Event event) { pending_.push_back(std::move(event)); }
  template <typename Call>
  auto call(Call&& what);
  void say(const std::string& line) const;

  // crash.cpp
  void crash();
  bool answer_again(const engine::Spawn& effect);
  void tell_if_lost(UnitId unit, ProcessId process);

  // carry_out.cpp
  void carry_out(const Effect& effect);
  void on(const engine::PrepareStart& effect);
  void on(const engine::Spawn& effect);
  void on(const engine::KillProcesses& effect);
  void on(const engine::WatchEmpty& effect);
  void on(const engine::ArmTimer& effect);
  void on(const engine::DisarmTimer& effect);
  void on(const engine::WatchClock& effect);
  void on(const engine::WatchPaths& effect);
  void on(const engine::UnwatchPaths& effect);
  void on(const engine::ReadTimerStamp& effect);
  void on(const engine::StoreTimerStamp& effect);
  void on(const engine::FindMainProcess& effect);
  void on(const engine::Listen& effect);
  void on(const engine::CleanUp& effect);
  void on(const engine::UnitRemoved& effect);
  void on(const engine::JobAdded& effect);
  void on(const engine::JobRemoved& effect);
  void on(const engine::LoadUnit& effect);
  void on(const engine::ObserveExternal& effect);
  void on(const engine::WatchBusName& effect);
  void on(const engine::WatchListen& effect);
  void on(const engine::CloseConnection& effect);
  void on(const engine::Log& effect);
  template <typename T>
  void on(const T& effect) {
    static_cast<void>(effect);
  }
  void make_process(const engine::Spawn& effect);
  void end_process(ProcessId id, ExitStatus status);
  void check_empty(UnitId unit);
  [[nodiscard]] std::vector<ProcessId> alive_in(UnitId unit) const;
  [[nodiscard]] bool may_be_delivered(const Event& event) const;
  [[nodiscard]] std::vector<ProcessId> alive() const;

  // invariants.cpp
  void fail(std::string what);
  void check_all();
  void check_unit(UnitId unit);
  void check_service(UnitId unit, const engine::UnitStatus& status);
  void check_jobs();
  void check_progress(UnitId unit, const engine::UnitStatus& status);
  void check_stopped();
  void check_order(JobId job, const JobSeen& now, const std::map<JobId, JobSeen>& before);
  void check_end();
  [[nodiscard]] bool leaves_processes(UnitId unit) const;
  void note_start(UnitId unit);

  Random random_;
  Mutation mutation_;
  std::unique_ptr<engine::Engine> engine_;
  Now now_;
  std::vector<unit::UnitSpecPtr> specs_;
  std::deque<Event> pending_;
  std::map<ProcessId, Process> processes_;
  std::vector<unit::UnitSpecPtr> loads_;  ///< asked for by LoadUnit, not added yet
  std::set<UnitId> idle_;                 ///< services that ever had Type=idle
  std::set<UnitId> lenient_;  ///< units that were ever allowed to leave processes behind
  std::map<std::pair<UnitId, engine::TimerKind>, std::pair<MonoTime, std::uint64_t>> timers_;
  std::map<JobId, JobSeen> jobs_;   ///< as after the previous call
  std::set<JobId> alive_jobs_;      ///< added and not removed, by effects alone
  std::set<UnitId> stopped_;        ///< whose stop was reported as done in this call
  std::set<JobId> unordered_jobs_;  ///< asked for with ignore-dependencies
  std::map<UnitId, std::vector<MonoTime>> starts_;
  std::set<std::string> invocations_;     ///< that had a process
  std::map<SpawnId, UnitId> unanswered_;  ///< spawns whose program neither runs nor failed yet
  std::map<UnitId, std::uint64_t> watched_paths_;  ///< and the generation of that
  std::set<UnitId> watched_empty_, listening_, clock_watchers_;
  std::map<std::uint64_t, UnitId> connections_;  ///< that the runtime holds, and their sockets
  std::set<UnitId> kept_for_start_;              ///< cleaned up for a start that is to come
  std::set<SpawnId> seen_spawns_;
  std::uint64_t last_generation_ = 0;
  std::uint64_t last_process_ = 0;
  std::uint64_t last_connection_ = 0;
  std::size_t crashes_so_far_ = 0;
  bool winding_down_ = false;
  bool mutated_ = false;
  std::optional<Violation> violation_;
};

}  // namespace pidward::sim
