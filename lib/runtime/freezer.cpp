#include "runtime/freezer.hpp"

#include <utility>

namespace pidward::runtime {

FreezerState Freezer::state(UnitId unit) {
  look(unit);
  const auto found = units_.find(unit);
  return found == units_.end() ? FreezerState::running : found->second.state;
}

void Freezer::answer(Entry& entry, const Status& status) {
  for (const Done& done : std::exchange(entry.waiting, {})) done(status);
}

void Freezer::ask(UnitId unit, bool freeze, Done done) {
  if (!groups_.has(unit)) {
    return done(Error(Errc::not_supported, "The unit has no control group to freeze"));
  }
  const FreezerState now = state(unit);
  const bool is_there = now == (freeze ? FreezerState::frozen : FreezerState::running);
  if (is_there) return done({});
  groups_.watch_events(unit);
  const auto group = groups_.group(unit);
  const Status asked = !group ? Status(group.error()) : freeze ? group->freeze() : group->thaw();
  if (!asked) return done(asked);
  Entry& entry = units_[unit];
  const FreezerState wanted = freeze ? FreezerState::freezing : FreezerState::thawing;
  if (entry.state != wanted) {
    answer(entry, Error(Errc::failed, freeze ? "The unit is being frozen instead"
                                             : "The unit is being thawed instead"));
  }
  entry.state = wanted;
  entry.waiting.push_back(std::move(done));
  group_changed(unit);
}

bool Freezer::group_changed(UnitId unit) {
  look(unit);
  const auto found = units_.find(unit);
  if (found == units_.end()) return false;
  const auto group = groups_.group(unit);
  const auto frozen = group ? group->frozen() : Result<bool>(false);
  const bool is_frozen = frozen && *frozen;
  Entry& entry = found->second;
  if (entry.state == FreezerState::freezing && is_frozen) {
    entry.state = FreezerState::frozen;
    Entry done = std::exchange(entry, {FreezerState::frozen, {}});
    answer(done, {});
    return true;
  }
  if (entry.state != FreezerState::freezing && !is_frozen) {
    Entry done = std::move(entry);
    units_.erase(found);
    answer(done, {});
    return true;
  }
  return false;
}

void Freezer::look(UnitId unit) {
  if (unseen_.empty() || unseen_.erase(unit) == 0) return;
  const auto group = groups_.group(unit);
  const auto frozen = group ? group->frozen() : Result<bool>(false);
  if (frozen && *frozen) units_[unit].state = FreezerState::frozen;
}

void Freezer::release(UnitId unit) {
  look(unit);
  if (units_.contains(unit)) thaw(unit, [](const Status&) {});
}

void Freezer::forget(UnitId unit) {
  unseen_.erase(unit);
  auto found = units_.extract(unit);
  if (!found.empty()) answer(found.mapped(), Error(Errc::unit_inactive, "The unit has stopped"));
}

}  // namespace pidward::runtime
