// What the core keeps of one unit beside its machine.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/job.hpp"
#include "engine/machine.hpp"

namespace pidward::engine {

/// One edge of the graph as this end sees it. Eight bytes: hub units have thousands.
struct Edge {
  UnitId other;
  unit::Dependency kind{};
  bool own = false;      ///< written at this end; the other end then has the reverse, not own
  bool runtime = false;  ///< made by a machine: survives a reload
  friend bool operator<(const Edge& a, const Edge& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.other < b.other;
  }
};

/// Counts events within a window that begins with the first of them (StartLimitIntervalSec=).
struct RateLimit {
  MonoTime begin{};
  std::uint32_t count = 0;

  /// Notes one event; false when it is one too many.
  bool below(MonoTime now, Duration interval, std::uint32_t burst);
  /// How many more events are allowed now.
  [[nodiscard]] std::uint32_t left(MonoTime now, Duration interval, std::uint32_t burst) const;
};

struct ArmedTimer {
  TimerKind kind;
  std::uint64_t generation;
  MonoTime at;
};

struct Unit {
  explicit Unit(UnitId unit_id, unit::UnitSpecPtr unit_spec)
      : id(unit_id), spec(std::move(unit_spec)) {}

  UnitId id;
  unit::UnitSpecPtr spec;
  std::unique_ptr<Machine> machine;
  std::vector<Edge> edges;         ///< sorted by kind, then other
  std::vector<ArmedTimer> timers;  ///< at most one of a kind
  std::unique_ptr<Job> job;
  std::unique_ptr<Job> nop_job;
  InvocationId invocation;
  Now state_changed{}, inactive_exit{}, active_enter{}, active_exit{}, inactive_enter{};
  Now condition_checked{}, assert_checked{};
  RateLimit start_limit;
  RateLimit handlers;   ///< rounds of OnFailure= and OnSuccess=
  RateLimit automatic;  ///< starts for Upholds= and stops for StopWhenUnneeded=
  std::uint16_t prepares_unanswered = 0;
  bool preparing : 1 = false;  ///< a start job waits for the last of those
  bool condition_result : 1 = false;
  bool assert_result : 1 = false;
  bool referenced : 1 = false;
  bool recheck_queued : 1 = false;
  bool triggered_queued : 1 = false;
  bool watches_idle : 1 = false;
  bool gone : 1 = false;  ///< its specification was not there at the last reload

  [[nodiscard]] const std::string& name() const { return spec->name.str(); }
  [[nodiscard]] unit::UnitType type() const { return spec->name.type(); }
  [[nodiscard]] ActiveState active() const { return machine->active(); }
  [[nodiscard]] bool has_edge(unit::Dependency kind, UnitId other) const;
  void add_edge(Edge edge);
  void remove_edges_to(UnitId other);
};

}  // namespace pidward::engine
