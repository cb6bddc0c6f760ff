// Units and edges: adding, replacing, removing.
#include <algorithm>

#include <fmt/core.h>

#include "base/contract.hpp"
#include "engine/context.hpp"
#include "engine/core.hpp"

namespace pidward::engine {
namespace {

using unit::Dependency;
using unit::LoadState;
using unit::Origin;

bool is_placeholder(LoadState state) {
  return state == LoadState::stub || state == LoadState::not_found;
}

/// RequiresMountsFor= asks for every mount on the way to a path, whether or not there is one to
/// mount: what is not there is no error, so the engine treats it as wanted.
Dependency effective_kind(const unit::DependencyEdge& edge) {
  const bool softened = edge.kind == Dependency::Requires && edge.origin == Origin::implicit &&
                        !unit::is_managed(edge.other.type());
  return softened ? Dependency::Wants : edge.kind;
}

}  // namespace

Unit* Core::find(UnitId id) {
  const auto at = units_.find(id);
  return at == units_.end() ? nullptr : at->second.get();
}

const Unit* Core::find(UnitId id) const {
  const auto at = units_.find(id);
  return at == units_.end() ? nullptr : at->second.get();
}

Unit* Core::find(std::string_view name) {
  const auto at = names_.find(name);
  return at == names_.end() ? nullptr : find(at->second);
}

std::vector<UnitId> Core::unit_ids() const {
  std::vector<UnitId> ids;
  ids.reserve(units_.size());
  for (const auto& [id, unit] : units_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

void Core::index_names(const Unit& unit) {
  names_.emplace(unit.spec->name.str(), unit.id);
  for (const unit::UnitName& alias : unit.spec->aliases) names_.emplace(alias.str(), unit.id);
}

void Core::forget_names(const Unit& unit) {
  const auto forget = [&](const unit::UnitName& name) {
    const auto at = names_.find(name.str());
    if (at != names_.end() && at->second == unit.id) names_.erase(at);
  };
  forget(unit.spec->name);
  for (const unit::UnitName& alias : unit.spec->aliases) forget(alias);
}

Unit& Core::insert(const unit::UnitSpecPtr& spec) {
  const UnitId id(++last_unit_);
  auto& slot = units_[id];
  slot = std::make_unique<Unit>(id, spec);
  slot->machine = make_machine(*spec);
  index_names(*slot);
  emit(UnitAdded{id});
  return *slot;
}

void Core::replace_stub(Unit& unit, const unit::UnitSpecPtr& spec) {
  forget_names(unit);
  unit.spec = spec;
  unit.gone = false;
  index_names(unit);
  UnitContext context(*this, unit);
  unit.machine->settings_replaced(context);
  emit(UnitChanged{unit.id});
}

void Core::relate(UnitId from, Dependency kind, UnitId to, bool runtime) {
  Unit* const a = find(from);
  Unit* const b = find(to);
  if (a == nullptr || b == nullptr || a == b) return;
  a->add_edge({to, kind, true, runtime});
  b->add_edge({from, unit::reverse(kind), false, runtime});
}

void Core::connect(Unit& unit) {
  const unit::UnitSpecPtr spec = unit.spec;  // insert() may move things about
  for (const unit::DependencyEdge& edge : spec->dependencies) {
    Unit* other = find(edge.other.str());
    if (other == nullptr) {
      auto stub = std::make_shared<unit::UnitSpec>(edge.other);
      stub->load_state = LoadState::not_found;
      other = &insert(stub);
    }
    relate(unit.id, effective_kind(edge), other->id, false);
  }
}

void Core::add(std::span<const unit::UnitSpecPtr> specs) {
  std::vector<UnitId> fresh;
  for (const unit::UnitSpecPtr& spec : specs) {
    Unit* const known = find(spec->name.str());
    if (known == nullptr) {
      fresh.push_back(insert(spec).id);
    } else if (is_placeholder(known->spec->load_state) && !is_placeholder(spec->load_state) &&
               known->spec->name.type() == spec->name.type()) {
      replace_stub(*known, spec);
      fresh.push_back(known->id);
    } else {
      // A later closure may know more names of a unit that is there already.
      for (const unit::UnitName& alias : spec->aliases) {
        Unit* const stub = find(alias.str());
        if (stub == nullptr && known->spec->name == spec->name) {
          auto wider = std::make_shared<unit::UnitSpec>(*known->spec);
          wider->aliases.push_back(alias);
          std::sort(wider->aliases.begin(), wider->aliases.end());
          replace_stub(*known, wider);
        }
      }
    }
  }
  for (const UnitId id : fresh) connect(*find(id));
  for (const UnitId id : fresh) {
    Unit& unit = *find(id);
    UnitContext context(*this, unit);
    unit.machine->added(context);
    queue_recheck(unit);
    unit.edges.shrink_to_fit();
  }
  tell_loaded(specs);
}

void Core::tell_loaded(std::span<const unit::UnitSpecPtr> brought) {
  const auto is_answer = [&](const Unit& unit) {
    return !is_placeholder(unit.spec->load_state) ||
           std::any_of(brought.begin(), brought.end(), [&](const unit::UnitSpecPtr& spec) {
             return spec->name == unit.spec->name;
           });
  };
  for (std::size_t i = 0; i < loading_.size();) {
    Unit* const loaded = find(loading_[i].second.str());
    Unit* const asker = find(loading_[i].first);
    if (asker != nullptr && (loaded == nullptr || !is_answer(*loaded))) {
      ++i;
      continue;
    }
    loading_.erase(loading_.begin() + static_cast<std::ptrdiff_t>(i));
    if (asker == nullptr) continue;
    UnitContext context(*this, *asker);
    asker->machine->unit_loaded(context, loaded->id);
  }
}

std::optional<UnitId> Core::load_for(UnitId asker, const unit::UnitName& name) {
  const Unit* const there = find(name.str());
  if (there != nullptr && there->spec->load_state == LoadState::loaded) return there->id;
  loading_.emplace_back(asker, name);
  emit(LoadUnit{name});
  return std::nullopt;
}

void Core::reload(std::span<const unit::UnitSpecPtr> specs) {
  names_.clear();
  for (auto& [id, unit] : units_) {
    std::erase_if(unit->edges, [](const Edge& edge) { return !edge.runtime; });
    unit->gone = true;
  }
  std::unordered_map<std::string_view, UnitId> old;
  for (const auto& [id, unit] : units_) old.emplace(unit->spec->name.str(), id);
  std::vector<UnitId> listed;
  std::vector<unit::UnitSpecPtr> keep_alive;  // `old` looks into these
  for (const unit::UnitSpecPtr& spec : specs) {
    const auto at = old.find(spec->name.str());
    if (at == old.end()) {
      listed.push_back(insert(spec).id);
      continue;
    }
    Unit& unit = *units_.at(at->second);
    keep_alive.push_back(unit.spec);
    unit.spec = spec;
    unit.gone = false;
    index_names(unit);
    listed.push_back(unit.id);
  }
  for (const UnitId id : unit_ids()) {
    Unit& unit = *find(id);
    if (!unit.gone) continue;
    if (is_inactive_or_failed(unit.active()) && !unit.job && !unit.nop_job && !unit.preparing) {
      remove(unit);
      continue;
    }
    auto lost = std::make_shared<unit::UnitSpec>(unit.spec->name);
    lost->load_state = LoadState::not_found;
    lost->settings = unit.spec->settings;  // a stop still needs its timeouts and signals
    keep_alive.push_back(unit.spec);
    unit.spec = std::move(lost);
    index_names(unit);
  }
  for (const UnitId id : listed) connect(*find(id));
  for (const UnitId id : unit_ids()) {
    Unit& unit = *find(id);
    UnitContext context(*this, unit);
    unit.machine->settings_replaced(context);
    queue_recheck(unit);
    emit(UnitChanged{id});
  }
  tell_loaded(specs);
}

bool Core::replace_settings(const unit::UnitSpecPtr& spec) {
  Unit* const unit = find(spec->name.str());
  if (unit == nullptr) return false;
  const unit::UnitSpecPtr before = unit->spec;
  auto changed = std::make_shared<unit::UnitSpec>(*spec);
  changed->aliases = before->aliases;
  changed->dependencies = before->dependencies;
  replace_stub(*unit, changed);
  queue_recheck(*unit);
  return true;
}

bool Core::must_stay(const Unit& unit) const {
  if (unit.job || unit.nop_job || unit.referenced || unit.preparing || is_perpetual(unit) ||
      unit.prepares_unanswered > 0 || !unit.machine->may_collect()) {
    return true;
  }
  if (unit.active() == ActiveState::inactive) return false;
  const auto mode = unit.spec->settings.choice<unit::CollectMode>(unit::Directive::CollectMode);
  return unit.active() != ActiveState::failed || mode != unit::CollectMode::inactive_or_failed;
}

bool Core::is_needed(const Unit& unit) const {
  std::unordered_set<UnitId> seen{unit.id};
  std::vector<const Unit*> open{&unit};
  while (!open.empty()) {
    const Unit& current = *open.back();
    open.pop_back();
    if (must_stay(current)) return true;
    for (const Edge& edge : current.edges) {
      const Unit& other = *find(edge.other);
      const auto refers = [&current](const Edge& its) {
        return its.own && its.other == current.id;
      };
      if ((!edge.own || std::any_of(other.edges.begin(), other.edges.end(), refers)) &&
          seen.insert(other.id).second) {
        open.push_back(&other);
      }
    }
  }
  return false;
}

void Core::collect_one(UnitId id) {
  Unit* const unit = find(id);
  if (unit != nullptr && !is_needed(*unit)) remove(*unit);
}

void Core::collect() {
  std::unordered_set<UnitId> kept;
  std::vector<UnitId> open;
  const std::vector<UnitId> all = unit_ids();
  for (const UnitId id : all) {
    if (must_stay(*find(id)) && kept.insert(id).second) open.push_back(id);
  }
  while (!open.empty()) {
    const Unit& unit = *find(open.back());
    open.pop_back();
    for (const Edge& edge : unit.edges) {
      if (edge.own && kept.insert(edge.other).second) open.push_back(edge.other);
    }
  }
  for (const UnitId id : all) {
    if (!kept.contains(id)) remove(*find(id));
  }
}

void Core::remove(Unit& unit) {
  {
    UnitContext context(*this, unit);
    unit.machine->removed(context);
  }
  while (!unit.timers.empty()) disarm(unit, unit.timers.back().kind);
  for (const Edge& edge : unit.edges) {
    if (Unit* const other = find(edge.other)) other->remove_edges_to(unit.id);
  }
  if (unit.watches_idle) --idle_watchers_;
  forget_names(unit);
  std::erase_if(spawns_, [&](const auto& entry) { return entry.second == unit.id; });
  const UnitId id = unit.id;
  emit(UnitRemoved{id, unit.spec->name, unit.spec->aliases});
  units_.erase(id);
}

}  // namespace pidward::engine
