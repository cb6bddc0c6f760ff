#include "runtime/start_preparer.hpp"

#include <fmt/core.h>

namespace pidward::runtime {

using unit::Directive;

StartPreparer::StartPreparer(Core& core, CgroupTree& groups, ProcessTracker& tracker,
                             UnitTree& tree, Surroundings surroundings)
    : core_(core),
      groups_(groups),
      tracker_(tracker),
      tree_(tree),
      surroundings_(std::move(surroundings)) {}

bool StartPreparer::runs_processes(const unit::UnitSpec& spec) const {
  return spec.name.type() == unit::UnitType::service || spec.name.type() == unit::UnitType::scope;
}

void StartPreparer::prepare(const engine::PrepareStart& effect) {
  if (cleaning_.contains(effect.unit)) {
    waiting_.insert_or_assign(effect.unit, effect);
    return;
  }
  const auto spec = core_.engine.spec(effect.unit);
  if (!spec) return;
  if (spec->settings.conditions().empty()) {
    answer(effect.unit, {});
    return;
  }
  core_.pool.run(
      [spec, context = surroundings_.conditions()] {
        return check_conditions(spec->settings.conditions(), context);
      },
      [this, unit = effect.unit](ConditionOutcome outcome) {
        answer(unit, std::move(outcome));
        core_.events.drain();
      });
}

void StartPreparer::answer(UnitId unit, ConditionOutcome outcome) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  for (std::string& complaint : outcome.complaints) {
    log_about(LogLevel::warning, *spec, "condition-unknown", std::move(complaint));
  }
  engine::StartPrepared event;
  event.unit = unit;
  event.conditions_ok = outcome.conditions_ok;
  event.asserts_ok = outcome.asserts_ok;
  event.failed_condition = std::move(outcome.failed);
  if (event.failed_condition.empty()) {
    failed_.erase(unit);
  } else {
    failed_[unit] = event.failed_condition;
  }
  if (event.conditions_ok && event.asserts_ok && runs_processes(*spec)) {
    const bool is_scope = spec->name.type() == unit::UnitType::scope;
    if (!groups_.is_available()) {
      groups_.deplore(*spec);
    } else if (is_scope || (!groups_.hold(unit) && groups_.is_left(*spec))) {
      // A service's is otherwise made with its first process: nothing can have been left in it.
      if (auto made = groups_.ensure(unit, *spec); !made) event.error = std::move(made).error();
    }
    event.leftovers = static_cast<std::uint32_t>(tree_.members(unit).size());
    if (is_scope && !event.error) {
      if (Status filled = fill_scope(unit); !filled) event.error = std::move(filled).error();
    }
  }
  core_.events.post(std::move(event));
}

std::string StartPreparer::failed_condition(UnitId unit) const {
  const auto found = failed_.find(unit);
  return found == failed_.end() ? std::string() : found->second;
}

Status StartPreparer::take_in(UnitId unit, const std::string& subgroup, sys::Pidfd process) {
  PIDWARD_TRY(const process::ProcessHandle known, core_.table.find(process));
  if (known && known->unit() && known->unit() != unit &&
      (known->role() == process::Role::main || known->role() == process::Role::control)) {
    return Error(
        Errc::invalid_argument,
        fmt::format("Process {} is the main or control process of another unit", known->pid()));
  }
  if (groups_.is_available()) {
    PIDWARD_TRY(sys::CgroupDir group, groups_.group(unit));
    for (std::size_t at = 0; at < subgroup.size();) {
      const std::size_t end = std::min(subgroup.find('/', at), subgroup.size());
      if (end > at) {
        PIDWARD_TRY(group, group.create_child(subgroup.substr(at, end - at)));
      }
      at = end + 1;
    }
    PIDWARD_CHECK(group.attach(process));
    groups_.note_joined(unit);
  } else if (subgroup.find_first_not_of('/') != std::string::npos) {
    return Error(Errc::not_supported, "There are no control groups here, so none below the unit's");
  }
  PIDWARD_TRY(const process::ProcessHandle handle, core_.table.open(std::move(process)));
  if (handle->unit() == unit) return {};
  handle.set_unit(unit);
  return tracker_.add(handle, unit, process::Role::other);
}

Status StartPreparer::fill_scope(UnitId unit) {
  std::size_t count = 0;
  for (sys::Pidfd& process : surroundings_.take_processes(unit)) {
    const Status added = take_in(unit, {}, std::move(process));
    if (added) {
      ++count;
    } else if (added.error().code() != Errc::no_such_process) {
      return added;  // one that ended meanwhile is no reason to refuse the others
    }
  }
  if (count > 0) return {};
  return Error(Errc::no_such_process, "A scope is started with processes, and none is left");
}

void StartPreparer::clean_up(const engine::CleanUp& effect) {
  tracker_.forget(effect.unit);
  tree_.forget(effect.unit);
  // What comes back at once finds its group again, as with systemd.
  if (!effect.restarting) groups_.remove(effect.unit);
  const auto spec = core_.engine.spec(effect.unit);
  if (!spec) return;
  if (!spec->settings.is_set(Directive::RuntimeDirectory) && !exec::has_terminal(*spec)) return;
  cleaning_.insert(effect.unit);
  core_.pool.run(
      [spec, roots = surroundings_.roots, restarting = effect.restarting] {
        exec::remove_runtime_directories(*spec, roots, restarting);
        exec::release_terminal(*spec);
        return 0;
      },
      [this, unit = effect.unit](int) {
        cleaning_.erase(unit);
        const auto next = waiting_.extract(unit);
        if (next.empty()) return;
        prepare(next.mapped());
        core_.events.drain();
      });
}

}  // namespace pidward::runtime
