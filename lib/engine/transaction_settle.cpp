// Settling a transaction among itself and with what is installed.
#include <fmt/core.h>

#include "engine/transaction.hpp"

namespace pidward::engine {
namespace {

using unit::JobMode;

}  // namespace

Status Transaction::settle() {
  find_what_matters();
  if (mode_ == JobMode::fail) minimise_impact();
  drop_redundant();
  if (mode_ != JobMode::isolate) collect_garbage();
  PIDWARD_CHECK(merge_all());
  // What was merged into a job that is only wished for may not be done without.
  find_what_matters();
  drop_redundant();
  if (mode_ != JobMode::isolate) collect_garbage();
  PIDWARD_CHECK(break_cycles());
  return check_destructive();
}

void Transaction::find_what_matters() {
  items_[anchor_].matters = true;
  std::vector<Index> open;
  for (Index i = 0; i < items_.size(); ++i) {
    if (items_[i].alive && items_[i].matters) open.push_back(i);
  }
  while (!open.empty()) {
    const Index current = open.back();
    open.pop_back();
    for (const Index out : items_[current].links_out) {
      Item& other = items_[links_[out].to];
      if (!links_[out].matters || other.matters) continue;
      other.matters = true;
      open.push_back(links_[out].to);
    }
  }
}

void Transaction::minimise_impact() {
  for (Index i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    if (!item.alive || item.matters) continue;
    const bool stops_running =
        item.type == JobType::stop && is_active_or_activating(item.unit->active());
    const bool changes_job =
        item.unit->job != nullptr && !is_mergeable(item.type, item.unit->job->type);
    if (stops_running || changes_job) remove(i, true);
  }
}

void Transaction::drop_redundant() {
  for (Index first = 0; first < items_.size(); ++first) {
    if (!items_[first].alive || head(*items_[first].unit) != first) continue;
    const Unit& unit = *items_[first].unit;
    bool keep = false;
    for (Index i = first; i != kNone; i = items_[i].next) {
      const bool changes_job = unit.job != nullptr && !is_mergeable(items_[i].type, unit.job->type);
      keep |= i == anchor_ || !is_redundant(items_[i].type, unit.active()) || changes_job;
    }
    if (keep) continue;
    for (Index i = first; i != kNone;) {
      const Index next = items_[i].next;
      remove(i, false);
      i = next;
    }
  }
}

void Transaction::collect_garbage() {
  std::vector<Index> open;
  const auto is_garbage = [&](Index i) {
    return items_[i].alive && i != anchor_ && items_[i].links_in.empty();
  };
  for (Index i = 0; i < items_.size(); ++i) {
    if (is_garbage(i)) open.push_back(i);
  }
  while (!open.empty()) {
    const Index current = open.back();
    open.pop_back();
    if (!is_garbage(current)) continue;
    std::vector<Index> pulled;
    for (const Index out : items_[current].links_out) pulled.push_back(links_[out].to);
    remove(current, true);
    for (const Index each : pulled) {
      if (is_garbage(each)) open.push_back(each);
    }
  }
}

Transaction::Index Transaction::victim(Index a, Index b) const {
  const auto is_conflict = [&](Index i) {
    const auto& in = items_[i].links_in;
    return std::any_of(in.begin(), in.end(), [&](Index each) { return links_[each].conflicts; });
  };
  if (items_[a].matters && items_[b].matters) return kNone;
  if (items_[a].matters) return b;
  if (items_[b].matters) return a;
  // Neither is essential: rather no stop than no start, except where the stop is another unit's
  // Conflicts=.
  if (items_[a].type == JobType::stop) return is_conflict(a) ? b : a;
  if (items_[b].type == JobType::stop) return is_conflict(b) ? a : b;
  return a;
}

Status Transaction::merge_all() {
  for (bool again = true; again;) {
    again = false;
    for (Index i = 0; i < items_.size(); ++i) {
      if (!items_[i].alive || head(*items_[i].unit) != i || items_[i].next == kNone) continue;
      bool dropped = false;
      PIDWARD_CHECK(merge_unit(i, dropped));
      again |= dropped;
    }
    if (again && mode_ != JobMode::isolate) collect_garbage();
  }
  for (Index i = 0; i < items_.size(); ++i) {
    if (!items_[i].alive || head(*items_[i].unit) != i) continue;
    Index kept = i;
    JobType type = items_[i].type;
    while (items_[kept].next != kNone || head(*items_[kept].unit) != kept) {
      const Index other =
          head(*items_[kept].unit) != kept ? head(*items_[kept].unit) : items_[kept].next;
      // merge_unit() left nothing that cannot be merged.
      type = collapse(*merge(type, items_[other].type), items_[i].unit->active());
      if (other == anchor_) {
        fold(other, kept, type);
        kept = other;
      } else {
        fold(kept, other, type);
      }
    }
  }
  return {};
}

Status Transaction::merge_unit(Index first, bool& dropped) {
  for (Index a = first; a != kNone; a = items_[a].next) {
    for (Index b = items_[a].next; b != kNone; b = items_[b].next) {
      if (is_mergeable(items_[a].type, items_[b].type)) continue;
      const Index loser = victim(a, b);
      if (loser == kNone) {
        return Error(Errc::transaction_conflict,
                     fmt::format("The request needs both '{}' and '{}' for {}",
                                 to_string(items_[a].type), to_string(items_[b].type),
                                 items_[a].unit->name()))
            .advise("Probably its dependencies contradict each other.");
      }
      core_.log(LogLevel::debug, "job-dropped", items_[loser].unit->name(),
                fmt::format("Dropping job {}/{}, which conflicts with a more important one",
                            items_[loser].unit->name(), to_string(items_[loser].type)));
      remove(loser, true);
      dropped = true;
      return {};
    }
  }
  return {};
}

void Transaction::fold(Index into, Index other, JobType type) {
  Item& kept = items_[into];
  Item& gone = items_[other];
  kept.type = type;
  kept.ignore_order |= gone.ignore_order;
  kept.matters |= gone.matters;
  for (const Index out : gone.links_out) {
    links_[out].from = into;
    kept.links_out.push_back(out);
  }
  for (const Index in : gone.links_in) {
    links_[in].to = into;
    kept.links_in.push_back(in);
  }
  gone.links_in.clear();
  gone.links_out.clear();
  unchain(other);
  gone.alive = false;
}

Status Transaction::check_destructive() const {
  for (const Item& item : items_) {
    if (!item.alive || !item.unit->job) continue;
    const Job& installed = *item.unit->job;
    if (mode_ != JobMode::fail && !installed.irreversible) continue;
    if (is_mergeable(installed.type, item.type)) continue;
    const Item& anchor = items_[anchor_];
    return Error(
        Errc::transaction_destructive,
        fmt::format("The request to {} {} is destructive: {} has a '{}' job queued, but it "
                    "would need '{}'",
                    to_string(anchor.type), anchor.unit->name(), item.unit->name(),
                    to_string(installed.type), to_string(item.type)));
  }
  return {};
}

}  // namespace pidward::engine
