// Ordering cycles in a transaction. A cycle is broken by leaving out a job that the request can do
// without, as systemd does; where there is none, the request is refused.
#include <fmt/core.h>

#include "engine/transaction.hpp"

namespace pidward::engine {

using unit::Dependency;

Status Transaction::break_cycles() {
  for (auto cycle = find_cycle(); !cycle.empty(); cycle = find_cycle()) {
    const std::string path = describe_cycle(cycle);
    const auto loser = std::find_if(cycle.rbegin(), cycle.rend(),
                                    [&](Index i) { return items_[i].alive && !items_[i].matters; });
    if (loser == cycle.rend()) {
      core_.log(LogLevel::error, "ordering-cycle", items_[anchor_].unit->name(),
                fmt::format("Ordering cycle that cannot be broken: {}", path));
      return Error(Errc::transaction_cyclic,
                   fmt::format("The order of the request is a cycle: {}", path))
          .advise("Each unit waits for the next one; remove one After= or Before= of them.");
    }
    const Item& item = items_[*loser];
    core_.log(LogLevel::warning, "ordering-cycle", item.unit->name(),
              fmt::format("Ordering cycle: {}. Job {}/{} is left out to break it", path,
                          item.unit->name(), to_string(item.type)));
    remove(*loser, true);
    if (mode_ != unit::JobMode::isolate) collect_garbage();
  }
  return {};
}

std::vector<Transaction::Index> Transaction::followers(Index index) {
  std::vector<Index> found;
  const auto as_job = [&](Index i) {
    Job job;
    job.type = items_[i].type;
    job.ignore_order = items_[i].ignore_order;
    return job;
  };
  const Unit& unit = *items_[index].unit;
  const auto visit = [&](Unit& other, bool other_is_after) {
    const Index there = node_of(other);
    if (there == kNone) return;
    if (waits_for(as_job(there), as_job(index), other_is_after)) found.push_back(there);
  };
  core_.each(unit, Dependency::Before, [&](Unit& other) { visit(other, true); });
  core_.each(unit, Dependency::After, [&](Unit& other) { visit(other, false); });
  return found;
}

Transaction::Index Transaction::node_of(const Unit& unit) {
  if (const Index own = head(unit); own != kNone) return own;
  if (!unit.job) return kNone;
  const auto [at, is_new] = shadows_.try_emplace(unit.id, static_cast<Index>(items_.size()));
  if (is_new) {
    Item& shadow = items_.emplace_back();
    shadow.unit = core_.find(unit.id);
    shadow.type = unit.job->type;
    shadow.ignore_order = unit.job->ignore_order;
    shadow.alive = false;
  }
  return at->second;
}

std::vector<Transaction::Index> Transaction::find_cycle() {
  struct Frame {
    Index index;
    std::vector<Index> followers;
    std::size_t next = 0;
  };
  for (Item& item : items_) item.visited = item.on_path = false;
  const auto roots = static_cast<Index>(items_.size());
  std::vector<Frame> path;
  const auto enter = [&](Index index) {
    std::vector<Index> after = followers(index);  // may add items
    items_[index].visited = items_[index].on_path = true;
    path.push_back({index, std::move(after)});
  };
  for (Index root = 0; root < roots; ++root) {
    if (!items_[root].alive || items_[root].visited) continue;
    enter(root);
    while (!path.empty()) {
      Frame& top = path.back();
      if (top.next == top.followers.size()) {
        items_[top.index].on_path = false;
        path.pop_back();
        continue;
      }
      const Index next = top.followers[top.next++];
      if (items_[next].on_path) {
        std::vector<Index> cycle;
        auto at = std::find_if(path.begin(), path.end(),
                               [&](const Frame& frame) { return frame.index == next; });
        for (; at != path.end(); ++at) cycle.push_back(at->index);
        return cycle;
      }
      if (!items_[next].visited) enter(next);
    }
  }
  return {};
}

std::string Transaction::describe_cycle(const std::vector<Index>& cycle) const {
  // Backwards, so that the arrow reads "waits for".
  std::string text;
  for (auto at = cycle.rbegin(); at != cycle.rend(); ++at) {
    text += fmt::format("{}/{} -> ", items_[*at].unit->name(), to_string(items_[*at].type));
  }
  const Item& first = items_[cycle.back()];
  return text + fmt::format("{}/{}", first.unit->name(), to_string(first.type));
}

}  // namespace pidward::engine
