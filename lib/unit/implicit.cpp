#include "unit/implicit.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/dependency.hpp"

namespace pidward::unit {
namespace {

constexpr std::string_view kRootSlice = "-.slice";

/// The parent of a slice by its name: a of a-b, "-.slice" of a.
std::string parent_slice(const UnitName& slice) {
  const std::string_view stem = slice.stem();
  const std::size_t dash = stem.rfind('-');
  return dash == std::string_view::npos ? std::string(kRootSlice)
                                        : fmt::format("{}.slice", stem.substr(0, dash));
}

std::string default_slice(const UnitSpec& spec, Scope scope) {
  if (spec.name.str() == "init.scope") return std::string(kRootSlice);
  const std::string_view base = scope == Scope::system ? "system" : "app";
  if (!spec.name.is_instance()) return fmt::format("{}.slice", base);
  // foo-bar@x.service is in system-foo\x2dbar.slice: the dash would otherwise mean another level.
  return fmt::format("{}-{}.slice", base, escape(spec.name.prefix()));
}

void apply_defaults(UnitSpec& spec, const Settings& defaults) {
  unsigned sections = section_bit(Section::Unit);
  if (const auto own = own_section(spec.name.type())) sections |= section_bit(*own);
  for (const auto& [id, value] : defaults.entries()) {
    if ((row(id).sections & sections) != 0 && !spec.settings.is_set(id))
      spec.settings.set(id, value);
  }
}

void add_scope_or_target(UnitSpec& spec) {
  if (spec.settings.boolean(Directive::DefaultDependencies) &&
      spec.name.str() != "shutdown.target") {
    detail::add_shutdown(spec);
  }
}

}  // namespace

namespace detail {

void add_shutdown(UnitSpec& spec) {
  add_edge(spec, Dependency::Before, Origin::defaulted, "shutdown.target");
  add_edge(spec, Dependency::Conflicts, Origin::defaulted, "shutdown.target");
}

void add_sysinit(UnitSpec& spec, const ImplicitContext& context) {
  if (context.scope == Scope::user) return;
  add_edge(spec, Dependency::Requires, Origin::defaulted, "sysinit.target");
  add_edge(spec, Dependency::After, Origin::defaulted, "sysinit.target");
}

void add_slice(UnitSpec& spec, const ImplicitContext& context) {
  if (!spec.settings.is_set(Directive::Slice)) {
    spec.settings.set(Directive::Slice, default_slice(spec, context.scope));
  }
  auto slice = UnitName::parse(spec.settings.string(Directive::Slice));
  if (!slice || slice->type() != UnitType::slice) {
    spec.diagnostics.push_back({Diagnostic::Severity::error,
                                Location{spec.fragment ? spec.fragment->path : std::string()},
                                fmt::format("Slice={} is not the name of a slice unit",
                                            spec.settings.string(Directive::Slice)),
                                {}});
    return;
  }
  add_edge(spec, Dependency::InSlice, Origin::implicit, *slice);
  add_edge(spec, Dependency::Requires, Origin::implicit, *slice);
  add_edge(spec, Dependency::After, Origin::implicit, *slice);
}

void add_mounts_for(UnitSpec& spec, const ImplicitContext& context, std::string_view path,
                    Origin origin, bool only_with_file) {
  if (path.empty() || path.front() != '/') return;
  for (std::size_t end = 0;; end = path.find('/', end + 1)) {
    const std::string_view prefix = end == 0 ? std::string_view("/") : path.substr(0, end);
    const auto mount = UnitName::parse(escape_path(prefix) + ".mount");
    if (mount) {
      const bool has_file = context.mount_file_exists && context.mount_file_exists(*mount);
      if (has_file || (!only_with_file && prefix != "/"))
        add_edge(spec, Dependency::After, origin, *mount);
      if (has_file && !only_with_file) add_edge(spec, Dependency::Requires, origin, *mount);
    }
    if (end == std::string_view::npos) return;
  }
}

void infer_oom_policy(Settings& settings) {
  if (settings.is_set(Directive::OOMPolicy) || !settings.delegates()) return;
  settings.set(Directive::OOMPolicy, static_cast<std::int64_t>(OomPolicy::go_on));
}

void complete_slice(UnitSpec& spec, const ImplicitContext&) {
  if (spec.name.str() == kRootSlice) {
    // The root of the tree is always there and has no end of its own.
    spec.settings.set(Directive::DefaultDependencies, false);
    return;
  }
  const auto parent = UnitName::parse(parent_slice(spec.name));
  if (parent) {
    if (const std::string& asked = spec.settings.string(Directive::Slice);
        !asked.empty() && asked != parent->str()) {
      spec.diagnostics.push_back(
          {Diagnostic::Severity::error,
           Location{spec.fragment ? spec.fragment->path : std::string()},
           fmt::format("Slice={} puts the slice elsewhere than its name does: {} belongs to {}",
                       asked, spec.name.str(), parent->str()),
           {}});
    }
    spec.settings.set(Directive::Slice, parent->str());
    add_edge(spec, Dependency::InSlice, Origin::implicit, *parent);
    add_edge(spec, Dependency::Requires, Origin::implicit, *parent);
    add_edge(spec, Dependency::After, Origin::implicit, *parent);
  }
  if (spec.name.str() == "system.slice") spec.settings.set(Directive::DefaultDependencies, false);
  if (spec.settings.boolean(Directive::DefaultDependencies)) add_shutdown(spec);
}

}  // namespace detail

void complete_unit(UnitSpec& spec, const ImplicitContext& context) {
  for (const std::string& path : spec.settings.words(Directive::RequiresMountsFor)) {
    detail::add_mounts_for(spec, context, path, Origin::file, false);
  }
  for (const std::string& path : spec.settings.words(Directive::WantsMountsFor)) {
    detail::add_mounts_for(spec, context, path, Origin::file, true);
  }
  switch (spec.name.type()) {
    case UnitType::service:
      detail::complete_service(spec, context);
      break;
    case UnitType::socket:
      detail::complete_socket(spec, context);
      break;
    case UnitType::timer:
      detail::complete_timer(spec, context);
      break;
    case UnitType::path:
      detail::complete_path(spec, context);
      break;
    case UnitType::slice:
      detail::complete_slice(spec, context);
      break;
    case UnitType::scope:
      detail::infer_oom_policy(spec.settings);
      detail::add_slice(spec, context);
      if (spec.name.str() == "init.scope") spec.settings.set(Directive::DefaultDependencies, false);
      add_scope_or_target(spec);
      break;
    case UnitType::target:
      add_scope_or_target(spec);
      break;
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::device:
      return;
  }
  if (context.defaults != nullptr) apply_defaults(spec, *context.defaults);
  normalise_edges(spec);
}

void complete_target(UnitSpec& spec, const std::function<UnitSpecPtr(const UnitName&)>& load) {
  constexpr std::array kMembership{Dependency::Requires, Dependency::Requisite, Dependency::Wants,
                                   Dependency::BindsTo, Dependency::PartOf};
  if (spec.load_state != LoadState::loaded ||
      !spec.settings.boolean(Directive::DefaultDependencies))
    return;
  std::vector<UnitName> members;
  for (const DependencyEdge& edge : spec.dependencies) {
    if (std::find(kMembership.begin(), kMembership.end(), edge.kind) != kMembership.end()) {
      members.push_back(edge.other);
    }
  }
  const auto is_target = [&](const UnitName& name) {
    return name == spec.name ||
           std::find(spec.aliases.begin(), spec.aliases.end(), name) != spec.aliases.end();
  };
  for (const UnitName& member : members) {
    if (has_edge(spec, Dependency::Before, member)) continue;
    const UnitSpecPtr other = load(member);
    if (!other || other->load_state != LoadState::loaded || other->name == spec.name ||
        !other->settings.boolean(Directive::DefaultDependencies)) {
      continue;
    }
    const bool contradicts =
        has_edge(spec, Dependency::Before, other->name) ||
        std::any_of(other->dependencies.begin(), other->dependencies.end(),
                    [&](const DependencyEdge& edge) {
                      return edge.kind == Dependency::After && is_target(edge.other);
                    });
    if (!contradicts) add_edge(spec, Dependency::After, Origin::defaulted, member);
  }
  normalise_edges(spec);
}

}  // namespace pidward::unit
