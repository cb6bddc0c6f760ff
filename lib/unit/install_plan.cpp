#include "unit/install_plan.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/preset.hpp"

namespace pidward::unit {
namespace {

constexpr std::array<std::pair<Directive, std::string_view>, 3> kFolders{
    {{Directive::WantedBy, ".wants"},
     {Directive::RequiredBy, ".requires"},
     {Directive::UpheldBy, ".upholds"}}};

Error invalid(std::string message, std::string advice = {}) {
  return std::move(Error(Errc::invalid_argument, std::move(message))).advise(std::move(advice));
}

}  // namespace

InstallPlanner::InstallPlanner(const InstallView& view, const InstallRequest& request)
    : view_(view),
      request_(request),
      target_dir_(request.runtime ? view.context().path.runtime_dir
                                  : view.context().path.config_dir) {}

void InstallPlanner::note(Diagnostic::Severity severity, const std::string& file,
                          std::string message) {
  plan_.diagnostics.push_back({severity, Location{file}, std::move(message), {}});
}

Followed InstallPlanner::planned(const std::string& path) const {
  const auto over = overlay_.find(path);
  if (over == overlay_.end()) {
    Followed out;
    out.path = path;
    if (const auto info = view_.index().files().info(path)) {
      out.info = *info;
      out.kind = info->kind;
    }
    return out;
  }
  Followed out;
  out.kind = over->second ? FileKind::symlink : FileKind::missing;
  return out;
}

std::optional<std::string> InstallPlanner::planned_target(const std::string& path) const {
  const auto over = overlay_.find(path);
  if (over != overlay_.end()) return over->second;
  const auto target = view_.index().link_target(path);
  return target ? std::optional(view_.without_root(*target)) : std::nullopt;
}

Status InstallPlanner::plan_link(const std::string& path, const std::string& target, bool replace) {
  const FileKind kind = planned(path).kind;
  if (kind == FileKind::symlink) {
    const auto current = planned_target(path);
    if (current == target) return {};
    if (!replace) {
      return Error(Errc::unit_exists,
                   fmt::format("File {} already exists and is a link to {}.", path,
                               current.value_or("somewhere that cannot be read")))
          .advise("--force replaces it");
    }
  } else if (kind != FileKind::missing) {
    return Error(Errc::unit_exists, fmt::format("File {} already exists and is not a link.", path));
  }
  overlay_[path] = target;
  plan_.changes.push_back({"symlink", path, target});
  return {};
}

void InstallPlanner::plan_unlink(const std::string& path) {
  if (planned(path).kind == FileKind::missing) return;
  overlay_[path] = std::nullopt;
  plan_.changes.push_back({"unlink", path, {}});
}

Status InstallPlanner::enable(const std::string& name_or_path) {
  std::vector<InstallInfo> todo;
  if (name_or_path.substr(0, 1) == "/") {
    PIDWARD_TRY(auto info, info_of_path(name_or_path));
    if (!info) return {};
    todo.push_back(*std::move(info));
  } else {
    PIDWARD_TRY(const UnitName name, UnitName::parse(name_or_path));
    PIDWARD_TRY(auto info, view_.info(name));
    todo.push_back(std::move(info));
  }
  return enable_all(std::move(todo));
}

Status InstallPlanner::enable_all(std::vector<InstallInfo> todo) {
  std::set<std::string> done;
  while (!todo.empty()) {
    const InstallInfo info = std::move(todo.back());
    todo.pop_back();
    if (!done.insert(info.name.str()).second) continue;
    std::vector<UnitName> also;
    PIDWARD_CHECK(enable_unit(info, also));
    for (const UnitName& name : also) {
      auto next = view_.info(name);
      if (next) {
        todo.push_back(*std::move(next));
      } else {
        note(Diagnostic::Severity::warning, info.path,
             fmt::format("Also={} is left out: {}", name.str(), next.error().message()));
      }
    }
  }
  return {};
}

Result<std::optional<InstallInfo>> InstallPlanner::info_of_path(const std::string& path) {
  const std::string file = simplify_path(path);
  bool yaml = false;
  PIDWARD_TRY(const UnitName name, UnitName::parse(strip_yaml(base_name(file), yaml)));
  if (view_.index().on_path(std::string(directory_name(file)))) {
    PIDWARD_TRY(auto info, view_.info(name));
    return std::optional(std::move(info));
  }
  const Followed end = view_.index().follow(file);
  if (end.kind != FileKind::regular) {
    return Error(Errc::not_found,
                 end.problem.empty() ? fmt::format("{} is not a unit file", file) : end.problem);
  }
  PIDWARD_TRY(auto info, view_.info_of_file(name, file));
  PIDWARD_CHECK(
      plan_link(fmt::format("{}/{}", target_dir_, base_name(file)), info.path, request_.force));
  return std::optional(std::move(info));
}

Status InstallPlanner::enable_unit(const InstallInfo& info, std::vector<UnitName>& also) {
  const std::string& transient = view_.context().path.transient_dir;
  if (info.directory == transient || info.directory.find("/generator") != std::string::npos) {
    return invalid(
        fmt::format("Unit {} is transient or generated and cannot be enabled.", info.name.str()));
  }
  if (info.has_rules() || info.has_also() ||
      !info.settings.string(Directive::DefaultInstance).empty()) {
    plan_.carries_install_info = true;
  }
  Enabled done;
  PIDWARD_CHECK(enable_aliases(info, done));
  for (const auto& [directive, suffix] : kFolders) {
    PIDWARD_CHECK(enable_folder_links(info, directive, suffix, done));
  }
  if (done.refused) {
    // A preset does what can be done and is content with nothing, as of all unit files.
    if (!done.any && request_.operation != InstallOperation::preset)
      return *std::move(done.refused);
    if (done.any) note(Diagnostic::Severity::warning, info.path, done.refused->to_string());
  }
  for (const std::string& text : info.words(Directive::Also)) {
    auto name = UnitName::parse(text);
    if (name) {
      also.push_back(*std::move(name));
    } else {
      note(Diagnostic::Severity::warning, info.path,
           fmt::format("Also={}: {}", text, name.error().message()));
    }
  }
  return {};
}

Status InstallPlanner::enable_folder_links(const InstallInfo& info, Directive directive,
                                           std::string_view suffix, Enabled& done) {
  const UnitName name = info.link_name();
  for (const std::string& text : info.words(directive)) {
    const auto target = UnitName::parse(text);
    if (!target) {
      return std::move(Error(target.error()))
          .within(fmt::format("{}: {}={}", info.path, row(directive).name, text));
    }
    if (name.is_template() && !target->is_template() && !target->is_instance()) {
      done.refused = invalid(
          fmt::format(
              "{} is a template without DefaultInstance=, and {} has no instance to give it.",
              name.str(), text),
          fmt::format("Name the instance to enable, as in {}@NAME.{}", name.prefix(),
                      to_string(name.type())));
      continue;
    }
    PIDWARD_CHECK(plan_link(fmt::format("{}/{}{}/{}", target_dir_, text, suffix, name.str()),
                            info.path, true));
    done.any = true;
    if (view_.index().resolve(*target).kind == Resolution::Kind::not_found) {
      note(Diagnostic::Severity::warning, info.path,
           fmt::format("{} is added to {}, which does not exist", name.str(), text));
    }
  }
  return {};
}

Status InstallPlanner::enable_aliases(const InstallInfo& info, Enabled& done) {
  const UnitName name = info.link_name();
  if (!may_have_aliases(name.type())) {
    if (!info.words(Directive::Alias).empty()) {
      note(Diagnostic::Severity::warning, info.path,
           fmt::format("Alias= is left out: {} units cannot have aliases", to_string(name.type())));
    }
    return {};
  }
  for (const std::string& text : info.words(Directive::Alias)) {
    auto alias = UnitName::parse(text);
    if (!alias)
      return std::move(alias.error()).within(fmt::format("{}: Alias={}", info.path, text));
    if (alias->is_template() && name.is_instance() && !info.name.is_template()) {
      PIDWARD_TRY(alias, alias->with_instance(name.instance()));
    }
    if (*alias == info.name) continue;
    const UnitName& target = alias->is_template() ? info.name : name;
    const std::string why = alias_problem(*alias, target);
    if (!why.empty()) {
      return invalid(fmt::format("{}: Alias={} cannot be another name of {}: {}", info.path, text,
                                 target.str(), why));
    }
    PIDWARD_CHECK(
        plan_link(fmt::format("{}/{}", target_dir_, alias->str()), info.path, request_.force));
    done.any = true;
  }
  return {};
}

Status InstallPlanner::mask(const UnitName& name) {
  if (view_.index().resolve(name).kind == Resolution::Kind::not_found) {
    note(Diagnostic::Severity::warning, {},
         fmt::format("Unit {} does not exist, it is masked all the same", name.str()));
  }
  return plan_link(fmt::format("{}/{}", target_dir_, name.str()), "/dev/null", request_.force);
}

Status InstallPlanner::unmask(const UnitName& name) {
  const std::string path = fmt::format("{}/{}", target_dir_, name.str());
  if (view_.index().follow(path).is_mask()) plan_unlink(path);
  for (const Candidate& candidate : view_.index().all(name.str())) {
    if (candidate.kind == Candidate::Kind::mask && candidate.path != path) {
      note(Diagnostic::Severity::warning, candidate.path,
           fmt::format("{} stays masked by {}", name.str(), candidate.path));
      break;
    }
    if (candidate.kind != Candidate::Kind::mask) break;
  }
  return {};
}

Status InstallPlanner::link(const std::string& path) {
  if (path.substr(0, 1) != "/")
    return invalid(fmt::format("\"{}\" is not an absolute path to a unit file", path));
  PIDWARD_TRY(auto info, info_of_path(path));
  return {};
}

Status InstallPlanner::add_dependency(const UnitName& name, std::string_view suffix) {
  PIDWARD_TRY(const UnitName target, UnitName::parse(request_.target));
  PIDWARD_TRY(const InstallInfo wanted, view_.info(name));
  PIDWARD_TRY(const InstallInfo wanting, view_.info(target));
  plan_.carries_install_info = true;
  const std::string path =
      fmt::format("{}/{}{}/{}", target_dir_, wanting.name.str(), suffix, wanted.link_name().str());
  return plan_link(path, wanted.path, true);
}

std::vector<UnitName> InstallPlanner::all_names() const {
  std::vector<UnitName> out;
  for (const std::string& text : view_.index().names()) {
    auto name = UnitName::parse(text);
    if (name && view_.index().resolve(*name).kind == Resolution::Kind::file)
      out.push_back(*std::move(name));
  }
  return out;
}

Status InstallPlanner::preset_one(const UnitName& name, Presets& presets,
                                  std::vector<UnitName>& off) {
  const Resolution found = view_.index().resolve(name);
  // Aliases are passed over in silence, and masked units where none was named.
  if (found.kind == Resolution::Kind::file && found.name != name) return {};
  if (found.kind == Resolution::Kind::mask && request_.names.empty()) return {};
  PIDWARD_TRY(auto info, view_.info(name));
  if (!info.has_rules() && !info.has_also()) return {};
  const PresetVerdict verdict = presets.query(name);
  switch (verdict.action) {
    case PresetAction::ignore:
      return {};
    case PresetAction::disable:
      if (request_.preset_mode != PresetMode::enable_only) off.push_back(name);
      return {};
    case PresetAction::enable:
      break;
  }
  if (request_.preset_mode == PresetMode::disable_only) return {};
  std::vector<InstallInfo> on;
  if (name.is_template() && !verdict.instances.empty()) {
    for (const std::string& instance : verdict.instances) {
      PIDWARD_TRY(const UnitName instantiated, name.with_instance(instance));
      PIDWARD_TRY(auto instance_info, view_.info(instantiated));
      on.push_back(std::move(instance_info));
    }
  } else {
    on.push_back(std::move(info));
  }
  return enable_all(std::move(on));
}

Status InstallPlanner::preset(const std::vector<UnitName>& names) {
  Presets presets(view_.index().files(), view_.context().path.preset_dirs);
  plan_.diagnostics.insert(plan_.diagnostics.end(), presets.diagnostics().begin(),
                           presets.diagnostics().end());
  std::vector<UnitName> off;
  for (const UnitName& name : names) PIDWARD_CHECK(preset_one(name, presets, off));
  return off.empty() ? Status() : disable(off);
}

}  // namespace pidward::unit
