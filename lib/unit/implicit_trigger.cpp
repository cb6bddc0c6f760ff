// What timers and paths imply: systemd.timer(5), systemd.path(5).
#include <algorithm>

#include "unit/dependency.hpp"
#include "unit/implicit.hpp"

namespace pidward::unit::detail {
namespace {

const std::vector<Trigger>& triggers_of(const Settings& settings, Directive id) {
  static const std::vector<Trigger> kNone;
  const Value* value = settings.get(id);
  const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<Trigger>>(value);
  return list == nullptr ? kNone : *list;
}

/// Unit=, or the service of the same name.
void add_triggered_unit(UnitSpec& spec) {
  UnitName triggered = spec.name.with_type(UnitType::service);
  Origin origin = Origin::implicit;
  if (const std::string& text = spec.settings.string(Directive::Unit); !text.empty()) {
    const auto named = UnitName::parse(text);
    if (!named) return;
    triggered = *named;
    origin = Origin::file;
  }
  add_edge(spec, Dependency::Triggers, origin, triggered);
  add_edge(spec, Dependency::Before, origin, triggered);
}

}  // namespace

void complete_timer(UnitSpec& spec, const ImplicitContext& context) {
  add_triggered_unit(spec);
  if (spec.settings.boolean(Directive::Persistent) && context.specifiers != nullptr) {
    add_mounts_for(spec, context, context.specifiers->state_root, Origin::implicit, true);
  }
  if (!spec.settings.boolean(Directive::DefaultDependencies)) return;
  add_edge(spec, Dependency::Before, Origin::defaulted, "timers.target");
  add_sysinit(spec, context);
  const auto& triggers = triggers_of(spec.settings, kTimerStore);
  const bool calendar = std::any_of(triggers.begin(), triggers.end(), [](const Trigger& trigger) {
    return trigger.base == "OnCalendar";
  });
  if (calendar && context.scope == Scope::system) {
    add_edge(spec, Dependency::After, Origin::defaulted, "time-set.target");
    add_edge(spec, Dependency::After, Origin::defaulted, "time-sync.target");
  }
  add_shutdown(spec);
}

void complete_path(UnitSpec& spec, const ImplicitContext& context) {
  add_triggered_unit(spec);
  for (const Trigger& trigger : triggers_of(spec.settings, kPathStore)) {
    add_mounts_for(spec, context, trigger.expression, Origin::implicit, true);
  }
  if (!spec.settings.boolean(Directive::DefaultDependencies)) return;
  add_edge(spec, Dependency::Before, Origin::defaulted, "paths.target");
  add_sysinit(spec, context);
  add_shutdown(spec);
}

}  // namespace pidward::unit::detail
