// A transaction: the jobs that a request leads to, settled among themselves before any unit or
// installed job is touched (systemctl(1), "--job-mode"). The steps are systemd's: pull in, drop
// what disturbs or is not needed, merge per unit, break ordering cycles, check against what is
// installed, install.
#pragma once

#include <map>

#include "engine/core.hpp"

namespace pidward::engine {

class Transaction {
 public:
  Transaction(Core& core, unit::JobMode mode) : core_(core), mode_(mode) {}

  /// The requested job and all it pulls in. Errors: the anchor or something it cannot do without
  /// cannot have its job.
  Status build(Unit& unit, JobType type);
  /// isolate: stops everything that is not part of the transaction.
  void add_isolation();
  /// triggering: stops the units that trigger the anchor's.
  void add_triggering();
  /// Everything from minimising to the check against installed jobs. Nothing has changed on error.
  Status settle();
  /// Installs. The requested job first.
  RequestOutcome apply();

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  /// One job to be. `links_in` are links from those who pulled it in, `links_out` to those it did.
  struct Item {
    Unit* unit = nullptr;
    JobType type = JobType::start;
    bool alive = true;
    bool ignore_order = false;
    bool matters = false;  ///< the anchor cannot do without it
    bool on_path = false;  ///< while looking for cycles
    bool visited = false;
    Index next = kNone;  ///< another job of the same unit
    std::vector<Index> links_in, links_out;
  };
  struct Link {
    Index from = kNone;  ///< who pulled it in
    Index to = kNone;
    bool matters = false;    ///< `from` cannot do without `to`
    bool conflicts = false;  ///< `to` is a stop because of Conflicts=
    bool alive = true;
  };
  struct Pull {
    Unit* unit;
    JobType type;
    Index by;
    bool matters, conflicts;
  };

  // transaction.cpp
  Status check_load_state(const Unit& unit, JobType type) const;
  Result<Index> add_one(const Pull& pull, bool& is_new);
  Status pull_in(Index root);
  void queue_dependencies(Index index, std::vector<Pull>& open);
  void queue_start_dependencies(Index index, std::vector<Pull>& open) const;
  Status drop_unbuildable(Index index, const Error& error);
  void link(Index from, Index to, bool matters, bool conflicts);
  void unlink(Index link);
  void remove(Index index, bool with_dependents);
  void unchain(Index index);
  [[nodiscard]] Index head(const Unit& unit) const;

  // transaction_settle.cpp
  void find_what_matters();
  void minimise_impact();
  void drop_redundant();
  void collect_garbage();
  Status merge_all();
  Status merge_unit(Index first, bool& dropped);
  [[nodiscard]] Index victim(Index a, Index b) const;
  void fold(Index into, Index other, JobType type);
  Status check_destructive() const;

  // transaction_order.cpp
  Status break_cycles();
  /// One sweep; the jobs of the first cycle found, each waited for by the one after it, or empty.
  std::vector<Index> find_cycle();
  /// The jobs that wait for this one directly, installed ones included.
  std::vector<Index> followers(Index index);
  /// The unit's job in the transaction, or a shadow of its installed one, or kNone.
  Index node_of(const Unit& unit);
  [[nodiscard]] std::string describe_cycle(const std::vector<Index>& cycle) const;

  Core& core_;
  unit::JobMode mode_;
  Index anchor_ = 0;
  std::vector<Item> items_;
  std::vector<Link> links_;
  std::unordered_map<UnitId, Index> heads_;
  std::map<std::pair<UnitId, JobType>, Error> unbuildable_;
  std::unordered_map<UnitId, Index> shadows_;  ///< installed jobs, looked at for cycles; not alive
};

}  // namespace pidward::engine
