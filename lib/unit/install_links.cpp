#include "unit/install_links.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/dropin.hpp"
#include "unit/syntax/fragment.hpp"

namespace pidward::unit {
namespace {

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

std::string_view grandparent(std::string_view path) {
  return directory_name(directory_name(path));
}

std::string plain_base_name(std::string_view path) {
  bool yaml = false;
  return std::string(strip_yaml(base_name(path), yaml));
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Error first_error(const UnitName& name, const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& found : diagnostics) {
    if (found.severity == Diagnostic::Severity::error) {
      return Error(Errc::unit_load_failed, fmt::format("{}: {}", name.str(), found.message))
          .at(found.where);
    }
  }
  return {Errc::unit_load_failed, fmt::format("{} cannot be read", name.str())};
}

}  // namespace

DirectoryKind directory_kind(const SearchPath& path, const std::string& directory) {
  if (directory == path.config_dir || directory == path.control_dir)
    return DirectoryKind::persistent;
  if (directory == path.runtime_dir || directory == path.runtime_control_dir)
    return DirectoryKind::runtime;
  if (begins_with(directory, path.root + "/etc/")) return DirectoryKind::persistent;
  if (begins_with(directory, path.root + "/run/")) return DirectoryKind::runtime;
  // $XDG_CONFIG_HOME/systemd/user beside $XDG_CONFIG_HOME/pidward/user.
  const auto is_beside = [&](const std::string& ours) {
    return ours.ends_with("/user") && grandparent(directory) == grandparent(ours);
  };
  if (is_beside(path.config_dir)) return DirectoryKind::persistent;
  if (is_beside(path.runtime_dir)) return DirectoryKind::runtime;
  return DirectoryKind::vendor;
}

UnitName InstallInfo::link_name() const {
  if (!name.is_template()) return name;
  auto instance = name.with_instance(settings.string(Directive::DefaultInstance));
  return instance ? *std::move(instance) : name;
}

bool InstallInfo::has_rules() const {
  return !words(Directive::WantedBy).empty() || !words(Directive::RequiredBy).empty() ||
         !words(Directive::UpheldBy).empty() ||
         (may_have_aliases(name.type()) && !words(Directive::Alias).empty());
}

InstallView::InstallView(const LoaderContext& context)
    : context_(context), index_(*context.files, context.path) {
  for (const std::string& name : index_.names()) {
    for (const Candidate& candidate : index_.all(name)) {
      if (!candidate.is_link) continue;
      const auto target = index_.link_target(candidate.path);
      InstalledLink link;
      link.directory = index_.directories()[candidate.directory];
      link.name = name;
      link.path = candidate.path;
      link.target = target.value_or(std::string());
      link.is_null = candidate.kind == Candidate::Kind::mask;
      links_.push_back(std::move(link));
    }
  }
  for (const std::string_view suffix : {".wants", ".requires", ".upholds"}) {
    for (const std::string& folder : index_.folder_names(suffix)) {
      for (const std::string& path : index_.folders(folder))
        collect_folder(std::string(directory_name(path)), folder);
    }
  }
  for (std::size_t i = 0; i < links_.size(); ++i) {
    InstalledLink& link = links_[i];
    link.target_name = plain_base_name(link.target);
    by_name_[link.name].push_back(i);
    if (link.target_name != link.name) by_name_[link.target_name].push_back(i);
  }
}

std::vector<const InstalledLink*> InstallView::links_about(const std::string& name) const {
  std::vector<const InstalledLink*> out;
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return out;
  for (const std::size_t i : found->second) out.push_back(&links_[i]);
  return out;
}

void InstallView::collect_folder(const std::string& directory, const std::string& folder) {
  const std::string path = fmt::format("{}/{}", directory, folder);
  for (const std::string& file : index_.list(path)) {
    InstalledLink link;
    link.directory = directory;
    link.folder = folder;
    link.name = plain_base_name(file);
    link.path = fmt::format("{}/{}", path, file);
    const auto target = index_.link_target(link.path);
    if (!target) continue;
    link.target = *target;
    link.is_null = index_.follow(link.path).is_mask();
    link.hidden = std::any_of(links_.begin(), links_.end(), [&](const InstalledLink& earlier) {
      return earlier.is_null && earlier.folder == folder && earlier.name == link.name;
    });
    links_.push_back(std::move(link));
  }
}

std::string InstallView::without_root(const std::string& path) const {
  const std::string& root = context_.path.root;
  return !root.empty() && begins_with(path, root + "/") ? path.substr(root.size()) : path;
}

Result<InstallInfo> InstallView::info_of_file(const UnitName& name, const std::string& path) const {
  PIDWARD_TRY(const std::string content, context_.files->read(path, kMaxUnitFile));
  bool yaml = false;
  strip_yaml(path, yaml);
  const auto read_as = [&](const UnitName& as) {
    UnitSpec spec(as);
    const ReadContext reading{as, &context_.specifiers, false, path};
    read_fragment(FragmentText{path, content, yaml}, reading, spec);
    for (const DropinFile& file : find_dropins(index_, as, {}, {}, spec.diagnostics)) {
      const auto more = context_.files->read(file.path, kMaxUnitFile);
      if (more) read_fragment(FragmentText{file.path, *more, file.yaml}, reading, spec);
    }
    return spec;
  };
  InstallInfo out(name);
  out.path = without_root(path);
  out.directory = std::string(directory_name(path));
  UnitSpec spec = read_as(name);
  if (name.is_template()) {
    // The names in [Install] may speak of the instance, which only the section itself names.
    const auto instance = name.with_instance(spec.settings.string(Directive::DefaultInstance));
    if (instance) spec = read_as(*instance);
  }
  out.settings = std::move(spec.settings);
  out.diagnostics = std::move(spec.diagnostics);
  return out;
}

Result<InstallInfo> InstallView::info(const UnitName& name) const {
  const Resolution found = index_.resolve(name);
  switch (found.kind) {
    case Resolution::Kind::not_found:
      return Error(Errc::no_such_unit, fmt::format("Unit file {} does not exist.", name.str()));
    case Resolution::Kind::mask:
      return std::move(Error(Errc::unit_masked, fmt::format("Unit file {} is masked.", name.str())))
          .advise(fmt::format("pidwardctl unmask {} undoes that", name.str()));
    case Resolution::Kind::bad:
      return first_error(name, found.diagnostics);
    case Resolution::Kind::file:
      break;
  }
  auto out = info_of_file(found.name, found.candidate->file);
  if (!out) return std::move(out.error()).within(name.str());
  out->directory = index_.directories()[found.candidate->directory];
  return out;
}

bool InstallView::speaks_of(const InstalledLink& link, const InstallInfo& info,
                            bool by_known_names) const {
  if (link.is_null || link.hidden) return false;
  const std::string& own = info.name.str();
  const bool by_name = link.name == own;
  const bool by_target = link.target_name == own;
  // A link of the unit's own name in a directory is the unit itself, or a linked file:
  // linked_state()'s business.
  if (link.folder.empty() && by_name) return false;
  if (!by_name && !by_target) return false;
  if (!by_known_names || by_name) return true;
  if (link.name == info.link_name().str()) return true;
  return contains(info.words(Directive::Alias), link.name);
}

std::string InstallView::enabled_state(const InstallInfo& info, bool by_known_names) const {
  bool persistent = false;
  bool runtime = false;
  bool anywhere = false;
  for (const InstalledLink* link : links_about(info.name.str())) {
    if (!speaks_of(*link, info, by_known_names)) continue;
    anywhere = true;
    switch (directory_kind(context_.path, link->directory)) {
      case DirectoryKind::persistent:
        persistent = true;
        break;
      case DirectoryKind::runtime:
        runtime = true;
        break;
      case DirectoryKind::vendor:
        break;
    }
  }
  if (persistent) return "enabled";
  if (runtime) return "enabled-runtime";
  // An instance that a vendor's link names is a stronger statement than an alias would be.
  if (anywhere && by_known_names && info.name.is_instance()) return "static";
  return {};
}

std::string InstallView::linked_state(const InstallInfo& info) const {
  for (const InstalledLink* link : links_about(info.name.str())) {
    if (!link->folder.empty() || link->name != info.name.str() || link->is_null) continue;
    switch (directory_kind(context_.path, link->directory)) {
      case DirectoryKind::persistent:
        return "linked";
      case DirectoryKind::runtime:
        return "linked-runtime";
      case DirectoryKind::vendor:
        break;
    }
  }
  return {};
}

Result<std::string> InstallView::state(const UnitName& name) const {
  const Resolution found = index_.resolve(name);
  switch (found.kind) {
    case Resolution::Kind::not_found:
      return Error(Errc::no_such_unit, fmt::format("Unit file {} does not exist.", name.str()));
    case Resolution::Kind::mask:
      return std::string(
          directory_kind(context_.path, index_.directories()[found.candidate->directory]) ==
                  DirectoryKind::runtime
              ? "masked-runtime"
              : "masked");
    case Resolution::Kind::bad:
      return std::string("bad");
    case Resolution::Kind::file:
      break;
  }
  if (found.name != name && !name.is_instance()) return std::string("alias");
  const std::string& directory = index_.directories()[found.candidate->directory];
  if (directory == context_.path.transient_dir) return std::string("transient");
  if (directory.find("/generator") != std::string::npos) return std::string("generated");
  const auto unit = info(name);
  if (!unit) return std::string("bad");
  std::string state = enabled_state(*unit, true);
  if (state.empty()) state = linked_state(*unit);
  if (state.empty() && !enabled_state(*unit, false).empty()) state = "indirect";
  if (state.empty() && unit->has_rules()) state = "disabled";
  if (state.empty()) state = unit->has_also() ? "indirect" : "static";
  return state;
}

}  // namespace pidward::unit
