// Building a transaction: the requested job and everything that dependencies pull in, with a work
// list instead of recursion.
#include "engine/transaction.hpp"

#include <fmt/core.h>

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::JobMode;
using unit::LoadState;

constexpr std::array kStartsNeeded{Dependency::Requires, Dependency::BindsTo};
constexpr std::array kStartsWished{Dependency::Wants, Dependency::Upholds};

}  // namespace

Status Transaction::check_load_state(const Unit& unit, JobType type) const {
  const LoadState state = unit.spec->load_state;
  // What can be stopped was once loaded; external units have no file to load.
  if (type == JobType::stop) return {};
  if (is_external(unit) && state != LoadState::masked) return {};
  if (auto error = unit.spec->load_error()) return *std::move(error);
  if (state == LoadState::loaded) return {};
  return Error(Errc::no_such_unit, fmt::format("Unit {} is not loaded", unit.name()));
}

Transaction::Index Transaction::head(const Unit& unit) const {
  const auto at = heads_.find(unit.id);
  return at == heads_.end() ? kNone : at->second;
}

void Transaction::link(Index from, Index to, bool matters, bool conflicts) {
  const auto index = static_cast<Index>(links_.size());
  links_.push_back({from, to, matters, conflicts, true});
  items_[from].links_out.push_back(index);
  items_[to].links_in.push_back(index);
}

void Transaction::unlink(Index index) {
  Link& dead = links_[index];
  dead.alive = false;
  std::erase(items_[dead.from].links_out, index);
  std::erase(items_[dead.to].links_in, index);
}

Result<Transaction::Index> Transaction::add_one(const Pull& pull, bool& is_new) {
  // What turned out to be impossible stays so: two such units that want each other would be added
  // and dropped for ever.
  if (const auto known = unbuildable_.find({pull.unit->id, pull.type});
      known != unbuildable_.end()) {
    return known->second;
  }
  PIDWARD_CHECK(check_load_state(*pull.unit, pull.type));
  if (!core_.is_applicable(*pull.unit, pull.type)) {
    return Error(Errc::job_type_not_applicable,
                 fmt::format("Job type {} is not applicable for unit {}", to_string(pull.type),
                             pull.unit->name()));
  }
  is_new = false;
  const Index first = head(*pull.unit);
  for (Index i = first; i != kNone; i = items_[i].next) {
    if (items_[i].type == pull.type) return i;
  }
  is_new = true;
  const auto index = static_cast<Index>(items_.size());
  Item& item = items_.emplace_back();
  item.unit = pull.unit;
  item.type = pull.type;
  item.ignore_order = mode_ == JobMode::ignore_dependencies;
  item.next = first;
  heads_[pull.unit->id] = index;
  return index;
}

Status Transaction::build(Unit& unit, JobType type) {
  bool is_new = false;
  const JobType collapsed = collapse(type, unit.active());
  PIDWARD_TRY(anchor_, add_one({&unit, collapsed, kNone, true, false}, is_new));
  return pull_in(anchor_);
}

Status Transaction::pull_in(Index root) {
  if (mode_ == JobMode::ignore_dependencies || mode_ == JobMode::ignore_requirements) return {};
  std::vector<Pull> open;
  queue_dependencies(root, open);
  for (std::size_t next = 0; next < open.size(); ++next) {
    const Pull pull = open[next];
    if (!items_[pull.by].alive) continue;
    bool is_new = false;
    const auto added = add_one(pull, is_new);
    if (!added) {
      // "Not applicable" is never the fault of who pulled it in: a reload of what cannot reload.
      if (added.error().code() == Errc::job_type_not_applicable) continue;
      if (pull.matters) {
        PIDWARD_CHECK(drop_unbuildable(pull.by, added.error()));
      } else {
        core_.log(LogLevel::debug, "dependency-ignored", items_[pull.by].unit->name(),
                  fmt::format("Cannot add a dependency's job for {}, ignoring it: {}",
                              pull.unit->name(), added.error().message()));
      }
      continue;
    }
    link(pull.by, *added, pull.matters, pull.conflicts);
    if (is_new) queue_dependencies(*added, open);
  }
  return {};
}

void Transaction::queue_start_dependencies(Index index, std::vector<Pull>& open) const {
  const Unit& unit = *items_[index].unit;
  const auto pull = [&](JobType type, bool matters, bool conflicts) {
    return [&open, index, type, matters, conflicts](Unit& other) {
      open.push_back({&other, type, index, matters, conflicts});
    };
  };
  core_.each(unit, kStartsNeeded, pull(JobType::start, true, false));
  core_.each(unit, kStartsWished, pull(JobType::start, false, false));
  core_.each(unit, Dependency::Requisite, pull(JobType::verify_active, true, false));
  core_.each(unit, Dependency::Conflicts, pull(JobType::stop, true, true));
  core_.each(unit, Dependency::ConflictedBy, pull(JobType::stop, false, false));
}

void Transaction::queue_dependencies(Index index, std::vector<Pull>& open) {
  const JobType type = items_[index].type;
  const Unit& unit = *items_[index].unit;
  if (type == JobType::start || type == JobType::restart) queue_start_dependencies(index, open);
  if (type == JobType::stop || type == JobType::restart) {
    // A restart only restarts what runs: it must not start anything new.
    const bool restarts = type == JobType::restart;
    const JobType spread = restarts ? JobType::try_restart : JobType::stop;
    const auto pull = [&](Unit& other) {
      const JobType concrete = collapse(spread, other.active());
      if (concrete != JobType::nop) open.push_back({&other, concrete, index, true, false});
    };
    if (restarts) {
      core_.each(unit, kRestartSpreads, pull);
    } else {
      core_.each(unit, kStopSpreads, pull);
    }
  }
  if (type == JobType::reload) {
    core_.each(unit, Dependency::PropagatesReloadTo, [&](Unit& other) {
      const JobType concrete = collapse(JobType::try_reload, other.active());
      if (concrete != JobType::nop) open.push_back({&other, concrete, index, false, false});
    });
  }
}

Status Transaction::drop_unbuildable(Index index, const Error& error) {
  // Whoever cannot do without the dropped job goes as well; the anchor must stay.
  std::vector<Index> open{index};
  std::unordered_set<Index> doomed{index};
  while (!open.empty()) {
    const Index current = open.back();
    open.pop_back();
    if (current == anchor_) return error;
    for (const Index in : items_[current].links_in) {
      const Link& each = links_[in];
      if (each.matters && doomed.insert(each.from).second) open.push_back(each.from);
    }
  }
  for (const Index each : doomed) {
    unbuildable_.emplace(std::pair(items_[each].unit->id, items_[each].type), error);
  }
  core_.log(
      LogLevel::warning, "dependency-dropped", items_[index].unit->name(),
      fmt::format("Cannot {} {}, which is only wanted, leaving it out: {}",
                  to_string(items_[index].type), items_[index].unit->name(), error.message()));
  remove(index, true);
  return {};
}

void Transaction::unchain(Index index) {
  Item& item = items_[index];
  const auto at = heads_.find(item.unit->id);
  if (at->second == index) {
    if (item.next == kNone) {
      heads_.erase(at);
    } else {
      at->second = item.next;
    }
    return;
  }
  Index before = at->second;
  while (items_[before].next != index) before = items_[before].next;
  items_[before].next = item.next;
}

void Transaction::remove(Index index, bool with_dependents) {
  std::vector<Index> open{index};
  while (!open.empty()) {
    const Index current = open.back();
    open.pop_back();
    Item& item = items_[current];
    if (!item.alive) continue;
    item.alive = false;
    unchain(current);
    while (!item.links_out.empty()) unlink(item.links_out.back());
    while (!item.links_in.empty()) {
      const Link dead = links_[item.links_in.back()];
      unlink(item.links_in.back());
      if (dead.matters && with_dependents) open.push_back(dead.from);
    }
  }
}

void Transaction::add_isolation() {
  for (const UnitId id : core_.unit_ids()) {
    Unit& unit = *core_.find(id);
    if (unit.spec->ignores_isolate() || head(unit) != kNone || is_external(unit)) continue;
    if (is_inactive_or_failed(unit.active()) && !unit.job) continue;
    bool kept = false;
    core_.each(unit, Dependency::TriggeredBy, [&](Unit& trigger) {
      const Index job = head(trigger);
      kept |= job != kNone && items_[job].type == JobType::start;
      kept |= trigger.spec->ignores_isolate() && is_active_or_activating(trigger.active());
    });
    if (kept) continue;
    bool is_new = false;
    const auto added = add_one({&unit, JobType::stop, anchor_, true, false}, is_new);
    if (!added) continue;
    link(anchor_, *added, true, false);
    // Only stops follow from a stop: nothing of it can fail the request.
    if (is_new) static_cast<void>(pull_in(*added));
  }
}

void Transaction::add_triggering() {
  core_.each(*items_[anchor_].unit, Dependency::TriggeredBy, [&](Unit& trigger) {
    if (is_inactive_or_failed(trigger.active()) && !trigger.job) return;
    bool is_new = false;
    const auto added = add_one({&trigger, JobType::stop, anchor_, true, false}, is_new);
    if (!added) return;
    link(anchor_, *added, true, false);
    if (is_new) static_cast<void>(pull_in(*added));
  });
}

RequestOutcome Transaction::apply() {
  if (mode_ == JobMode::isolate || mode_ == JobMode::flush) {
    for (const JobId id : core_.job_ids()) {
      const Job* const job = core_.find_job(id);
      if (job == nullptr) continue;
      const Unit& unit = *core_.find(job->unit);
      if (mode_ == JobMode::isolate && unit.spec->ignores_isolate()) continue;
      if (head(unit) == kNone) core_.finish(id, JobResult::canceled, false);
    }
  }
  RequestOutcome outcome;
  const auto install = [&](const Item& item) {
    Job job;
    job.unit = item.unit->id;
    job.type = item.type;
    job.irreversible = mode_ == JobMode::replace_irreversibly;
    job.ignore_order = item.ignore_order;
    const JobId id = core_.install(job);
    outcome.affected.push_back(id);
    return id;
  };
  outcome.job = install(items_[anchor_]);
  for (Index i = 0; i < items_.size(); ++i) {
    if (i != anchor_ && items_[i].alive) install(items_[i]);
  }
  return outcome;
}

}  // namespace pidward::engine
