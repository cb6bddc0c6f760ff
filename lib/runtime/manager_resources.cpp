// What a unit uses, freezing it, and removing what it left on disk.
#include <algorithm>

#include <fmt/core.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;

struct Cleanable {
  const char* word;
  Directive directive;
  std::string exec::Roots::*root;
};
constexpr Cleanable kCleanable[] = {
    {"runtime", Directive::RuntimeDirectory, &exec::Roots::runtime},
    {"state", Directive::StateDirectory, &exec::Roots::state},
    {"cache", Directive::CacheDirectory, &exec::Roots::cache},
    {"logs", Directive::LogsDirectory, &exec::Roots::logs},
    {"configuration", Directive::ConfigurationDirectory, &exec::Roots::configuration},
};

const std::vector<unit::ExecDirectory>* directories_of(const unit::UnitSpec& spec,
                                                       Directive directive) {
  const unit::Value* value = spec.settings.find(directive);
  return value == nullptr ? nullptr : std::get_if<std::vector<unit::ExecDirectory>>(value);
}

bool is_among(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

ResourceCounters Manager::resources(UnitId unit) const {
  Impl& impl = *impl_;
  ResourceCounters counters;
  if (const auto group = impl.groups.group(unit)) counters = read_counters(*group);
  if (!counters.tasks) counters.tasks = impl.tree.members(unit).size();
  return counters;
}

Status Manager::attach_processes(UnitId unit, const std::string& subgroup,
                                 std::vector<sys::Pidfd> processes) {
  Impl& impl = *impl_;
  const auto spec = impl.engine.spec(unit);
  if (!spec) return Error(Errc::no_such_unit, "There is no such unit");
  if (!delegated_controllers(spec->settings)) {
    return Error(Errc::invalid_argument,
                 fmt::format("{} does not delegate its control group", spec->name.str()))
        .advise("Only a unit with Delegate=yes takes processes of others");
  }
  if (const engine::ActiveState state = impl.engine.status(unit).active;
      state == engine::ActiveState::inactive || state == engine::ActiveState::failed) {
    return Error(Errc::unit_inactive, "Unit is not active, refusing.");
  }
  for (sys::Pidfd& process : processes) {
    PIDWARD_CHECK(impl.preparer->take_in(unit, subgroup, std::move(process)));
  }
  return {};
}

Status Manager::abandon_scope(UnitId unit) {
  return impl_->with_engine([&](engine::Engine& engine, engine::Effects& effects) {
    return engine.abandon(unit, now(), effects);
  });
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> Manager::credentials_of(
    ProcessId process) const {
  const auto handle = impl_->table.find(process);
  if (!handle || handle->has_ended()) return std::nullopt;
  const auto facts = sys::inspect(handle->pidfd(), impl_->features);
  if (!facts) return std::nullopt;
  return std::pair<std::uint32_t, std::uint32_t>(facts->uid, facts->gid);
}

std::string Manager::failed_condition(UnitId unit) const {
  return impl_->preparer->failed_condition(unit);
}

Result<UnitId> Manager::unit_of(const sys::Pidfd& process) const {
  if (const auto unit = impl_->tree.unit_of(process)) return *unit;
  return Error(Errc::no_such_unit, "The process is in no unit");
}

FreezerState Manager::freezer_state(UnitId unit) const {
  return impl_->freezer.state(unit);
}

void Manager::freeze(UnitId unit, bool freeze, Reply<UnitId> reply) {
  Impl& impl = *impl_;
  const engine::ActiveState active = impl.engine.status(unit).active;
  if (active != engine::ActiveState::active) {
    return reply(Error(Errc::unit_inactive, "The unit is not active"));
  }
  if (impl.engine.status(unit).job) {
    return reply(Error(Errc::transaction_conflict, "A job of the unit is under way"));
  }
  const auto done = [unit, reply = std::move(reply)](const Status& status) {
    status ? reply(unit) : reply(status.error());
  };
  if (freeze) {
    impl.freezer.freeze(unit, done);
  } else {
    impl.freezer.thaw(unit, done);
  }
  impl.observers.unit_changed(unit);
  impl.observers.flush();
}

std::vector<std::string> Manager::cleanable(UnitId unit) const {
  std::vector<std::string> words;
  const auto spec = impl_->engine.spec(unit);
  for (const Cleanable& each : kCleanable) {
    if (spec && directories_of(*spec, each.directive) != nullptr) words.emplace_back(each.word);
  }
  return words;
}

void Manager::clean(UnitId unit, const std::vector<std::string>& what, Reply<UnitId> reply) {
  Impl& impl = *impl_;
  const auto spec = impl.engine.spec(unit);
  const engine::UnitStatus status = impl.engine.status(unit);
  if (!spec) return reply(Error(Errc::no_such_unit, "There is no such unit"));
  const bool is_down = status.active == engine::ActiveState::inactive ||
                       status.active == engine::ActiveState::failed;
  if (!is_down || status.job) {
    return reply(Error(Errc::transaction_conflict,
                       fmt::format("{} is not inactive or has a job", spec->name.str()))
                     .advise("Stop it first"));
  }
  std::vector<std::string> paths;
  for (const std::string& word : what) {
    const bool is_known = word == "all" || std::ranges::any_of(kCleanable, [&](const auto& each) {
                            return word == each.word;
                          });
    if (!is_known) {
      return reply(
          Error(Errc::invalid_argument, fmt::format("'{}' is nothing that can be cleaned", word))
              .advise("Expecting configuration, state, cache, logs, runtime or all"));
    }
  }
  for (const Cleanable& each : kCleanable) {
    const auto* directories = directories_of(*spec, each.directive);
    const bool wanted = is_among(what, "all") || is_among(what, each.word) ||
                        (what.empty() && (each.directive == Directive::CacheDirectory ||
                                          each.directive == Directive::RuntimeDirectory));
    if (directories == nullptr || !wanted) continue;
    for (const unit::ExecDirectory& directory : *directories) {
      paths.push_back(impl.roots.*each.root + "/" + directory.path);
    }
  }
  if (paths.empty()) {
    return reply(Error(Errc::not_found,
                       fmt::format("{} has nothing of that kind to clean", spec->name.str())));
  }
  impl.pool.run(
      [paths = std::move(paths)]() -> Status {
        for (const std::string& path : paths) PIDWARD_CHECK(remove_tree(path));
        return {};
      },
      [unit, reply = std::move(reply)](Status removed) {
        removed ? reply(unit) : reply(std::move(removed).error());
      });
}

void Manager::plan_install(const unit::InstallRequest& request, Reply<unit::InstallPlan> reply) {
  impl_->pool.run(
      [context = impl_->source.shared_context(), request] {
        return unit::plan_install(*context, request);
      },
      [reply = std::move(reply)](Result<unit::InstallPlan> plan) { reply(std::move(plan)); });
}

}  // namespace pidward::runtime
