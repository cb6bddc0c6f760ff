// The half of InstallPlanner that takes links away: disable and revert.
#include <algorithm>

#include <fmt/core.h>

#include "unit/install_plan.hpp"

namespace pidward::unit {
namespace {

std::string template_of(const std::string& text) {
  const auto name = UnitName::parse(text);
  return name && name->is_instance() ? name->template_name().str() : std::string();
}

}  // namespace

Result<std::set<std::string>> InstallPlanner::names_to_disable(const std::vector<UnitName>& names) {
  std::set<std::string> out;
  std::vector<UnitName> todo = names;
  while (!todo.empty()) {
    const UnitName name = std::move(todo.back());
    todo.pop_back();
    if (!out.insert(name.str()).second) continue;
    auto info = view_.info(name);
    if (!info) {
      // What enables again says itself what it cannot find.
      const bool asked_for = request_.operation != InstallOperation::reenable &&
                             std::find(names.begin(), names.end(), name) != names.end();
      // A unit whose file is gone may have left links, and those can be removed.
      if (asked_for && info.error().code() == Errc::no_such_unit &&
          view_.links_about(name.str()).empty()) {
        return std::move(info.error());
      }
      if (info.error().code() == Errc::unit_masked) {
        note(Diagnostic::Severity::note, {}, info.error().message());
      }
      continue;
    }
    if (info->has_rules() || info->has_also()) plan_.carries_install_info = true;
    out.insert(info->name.str());
    if (info->name.is_template() && name.is_template()) out.insert(info->link_name().str());
    for (const std::string& also : info->words(Directive::Also)) {
      auto next = UnitName::parse(also);
      if (next) todo.push_back(*std::move(next));
    }
  }
  return out;
}

Status InstallPlanner::disable(const std::vector<UnitName>& names) {
  PIDWARD_TRY(std::set<std::string> gone, names_to_disable(names));
  // An alias that goes is a name of the unit too: what hangs on it goes with it, so look until
  // nothing is found.
  for (bool more = true; more;) {
    more = false;
    for (const InstalledLink& link : view_.links()) {
      if (link.directory != target_dir_ || link.is_null ||
          planned(link.path).kind == FileKind::missing)
        continue;
      const bool matches = gone.contains(link.name) || gone.contains(template_of(link.name)) ||
                           gone.contains(link.target_name);
      if (!matches) continue;
      plan_unlink(link.path);
      gone.insert(link.name);
      more = true;
    }
  }
  if (!request_.runtime) hide_foreign(gone);
  return {};
}

Status InstallPlanner::check_is_still_there(const UnitName& name) const {
  const Resolution found = view_.index().resolve(name);
  if (found.kind != Resolution::Kind::file ||
      planned(found.candidate->path).kind != FileKind::missing ||
      view_.index().on_path(std::string(directory_name(found.candidate->file)))) {
    return {};
  }
  const std::string file = view_.without_root(found.candidate->file);
  return std::move(Error(Errc::no_such_unit,
                         fmt::format("Unit {} is linked from {}: without the link, which reenable "
                                     "removes, nobody finds it by its name.",
                                     name.str(), file)))
      .advise(fmt::format("Give the path: pidwardctl reenable {}", file));
}

void InstallPlanner::hide_foreign(const std::set<std::string>& names) {
  // Links in systemd's directories are systemd's. One of the same name to /dev/null in ours makes
  // them count no more.
  for (const InstalledLink& link : view_.links()) {
    if (link.folder.empty() || link.directory == target_dir_ || link.is_null || link.hidden)
      continue;
    if (directory_kind(view_.context().path, link.directory) != DirectoryKind::persistent) continue;
    if (!names.contains(link.name) && !names.contains(template_of(link.name)) &&
        !names.contains(link.target_name)) {
      continue;
    }
    const std::string path = fmt::format("{}/{}/{}", target_dir_, link.folder, link.name);
    if (planned(path).kind == FileKind::missing || planned_target(path) != "/dev/null") {
      plan_unlink(path);
      overlay_[path] = "/dev/null";
      plan_.changes.push_back({"symlink", path, "/dev/null"});
    }
  }
}

void InstallPlanner::remove_files_in(const std::string& folder) {
  for (const std::string& file : view_.index().list(folder))
    plan_unlink(fmt::format("{}/{}", folder, file));
}

Status InstallPlanner::revert(const UnitName& name) {
  const SearchPath& path = view_.context().path;
  bool has_vendor = false;
  for (const Candidate& candidate : view_.index().all(name.str())) {
    const auto kind = directory_kind(path, view_.index().directories()[candidate.directory]);
    has_vendor =
        has_vendor || (kind == DirectoryKind::vendor && candidate.kind == Candidate::Kind::file);
  }
  for (const std::string* directory : {&path.control_dir, &path.runtime_control_dir,
                                       &path.transient_dir, &path.config_dir, &path.runtime_dir}) {
    if (directory->empty()) continue;
    remove_files_in(fmt::format("{}/{}.d", *directory, name.str()));
    for (const std::string_view suffix : {"", ".yaml"}) {
      const std::string file = fmt::format("{}/{}{}", *directory, name.str(), suffix);
      const Followed end = view_.index().follow(file);
      const bool there =
          view_.index().files().info(file).value_or(FileInfo{}).kind != FileKind::missing;
      if (there && (has_vendor || end.is_mask())) plan_unlink(file);
    }
  }
  return {};
}

}  // namespace pidward::unit
