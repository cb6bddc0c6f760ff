#include "unit/install.hpp"

#include <fmt/core.h>

#include "unit/install_plan.hpp"
#include "unit/preset.hpp"

namespace pidward::unit {
namespace {

std::string_view to_word(PresetAction action) {
  switch (action) {
    case PresetAction::enable:
      return "enabled";
    case PresetAction::disable:
      return "disabled";
    case PresetAction::ignore:
      return "ignored";
  }
  return "";
}

/// Whether the operation is about what a name stands for, so that a path says no more than its last
/// part.
bool takes_paths_for_names(InstallOperation operation) {
  return operation == InstallOperation::disable || operation == InstallOperation::reenable ||
         operation == InstallOperation::preset;
}

Result<std::vector<UnitName>> parse_all(const InstallRequest& request) {
  std::vector<UnitName> out;
  for (const std::string& text : request.names) {
    const bool is_path = text.starts_with('/') && takes_paths_for_names(request.operation);
    bool yaml = false;
    PIDWARD_TRY(UnitName name, UnitName::parse(is_path ? strip_yaml(base_name(text), yaml) : text));
    out.push_back(std::move(name));
  }
  return out;
}

Status run(InstallPlanner& planner, const InstallRequest& request) {
  if (request.operation == InstallOperation::enable ||
      request.operation == InstallOperation::link) {
    for (const std::string& text : request.names) {
      PIDWARD_CHECK(request.operation == InstallOperation::link ? planner.link(text)
                                                                : planner.enable(text));
    }
    return {};
  }
  PIDWARD_TRY(const std::vector<UnitName> names, parse_all(request));
  switch (request.operation) {
    case InstallOperation::enable:
    case InstallOperation::link:
      return {};
    case InstallOperation::disable:
      return planner.disable(names);
    case InstallOperation::reenable:
      PIDWARD_CHECK(planner.disable(names));
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (!request.names[i].starts_with('/')) {
          PIDWARD_CHECK(planner.check_is_still_there(names[i]));
        }
        PIDWARD_CHECK(planner.enable(request.names[i]));
      }
      return {};
    case InstallOperation::preset:
      return planner.preset(names.empty() ? planner.all_names() : names);
    case InstallOperation::mask:
      for (const UnitName& name : names) PIDWARD_CHECK(planner.mask(name));
      return {};
    case InstallOperation::unmask:
      for (const UnitName& name : names) PIDWARD_CHECK(planner.unmask(name));
      return {};
    case InstallOperation::revert:
      for (const UnitName& name : names) PIDWARD_CHECK(planner.revert(name));
      return {};
    case InstallOperation::add_wants:
      for (const UnitName& name : names) PIDWARD_CHECK(planner.add_dependency(name, ".wants"));
      return {};
    case InstallOperation::add_requires:
      for (const UnitName& name : names) PIDWARD_CHECK(planner.add_dependency(name, ".requires"));
      return {};
  }
  return {};
}

bool says_something_about_install(InstallOperation operation) {
  switch (operation) {
    case InstallOperation::enable:
    case InstallOperation::reenable:
      return true;
    case InstallOperation::disable:
    case InstallOperation::preset:
    case InstallOperation::mask:
    case InstallOperation::unmask:
    case InstallOperation::link:
    case InstallOperation::revert:
    case InstallOperation::add_wants:
    case InstallOperation::add_requires:
      return false;
  }
  return false;
}

/// Folders that may be left empty when their last link goes; the directories of the search path
/// themselves stay.
bool is_folder(std::string_view path) {
  const std::string_view name = base_name(path);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view suffix = name.substr(dot);
  return suffix == ".wants" || suffix == ".requires" || suffix == ".upholds" || suffix == ".d";
}

}  // namespace

Result<std::string> unit_file_state(const LoaderContext& context, const UnitName& name) {
  return InstallView(context).state(name);
}

std::string preset_state(const LoaderContext& context, const UnitName& name) {
  const Presets presets(*context.files, context.path.preset_dirs);
  return std::string(to_word(presets.query(name).action));
}

Result<InstallPlan> plan_install(const LoaderContext& context, const InstallRequest& request) {
  const std::string& directory =
      request.runtime ? context.path.runtime_dir : context.path.config_dir;
  if (directory.empty()) {
    return Error(Errc::not_supported,
                 "there is no directory to write to: the user has no runtime directory");
  }
  const InstallView view(context);
  InstallPlanner planner(view, request);
  PIDWARD_CHECK(run(planner, request));
  InstallPlan plan = planner.take();
  if (says_something_about_install(request.operation) && !plan.carries_install_info) {
    plan.diagnostics.push_back({Diagnostic::Severity::note, Location{},
                                "The unit files have no [Install] section that says what enabling "
                                "means (WantedBy=, RequiredBy=, UpheldBy=, "
                                "Also= or Alias=)",
                                "They are started by other units that want them, by a socket, "
                                "timer or path unit, or by hand"});
  }
  return plan;
}

Status apply(const InstallPlan& plan, FileSink& sink) {
  for (const InstallChange& change : plan.changes) {
    Status done = change.type == "symlink" ? sink.make_link(change.path, change.target, true)
                                           : sink.remove(change.path);
    if (!done) {
      return std::move(done.error())
          .within(fmt::format("{} {}", change.type == "symlink" ? "making the link" : "removing",
                              change.path));
    }
    const std::string folder(directory_name(change.path));
    if (change.type == "unlink" && is_folder(folder))
      PIDWARD_CHECK(sink.remove_empty_directory(folder));
  }
  return {};
}

std::vector<UnitFileEntry> list_unit_files(const LoaderContext& context) {
  const InstallView view(context);
  const Presets presets(*context.files, context.path.preset_dirs);
  std::vector<UnitFileEntry> out;
  for (const std::string& text : view.index().names()) {
    const auto name = UnitName::parse(text);
    const Candidate* candidate = view.index().find(text);
    if (!name || candidate == nullptr) continue;
    UnitFileEntry entry;
    entry.path = view.without_root(candidate->path);
    entry.state = view.state(*name).value_or("bad");
    const bool has_preset = entry.state != "alias" && entry.state != "static" &&
                            entry.state != "generated" && entry.state != "transient";
    if (has_preset) entry.preset = to_word(presets.query(*name).action);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace pidward::unit
