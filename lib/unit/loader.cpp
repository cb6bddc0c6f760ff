#include "unit/loader.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include <fmt/core.h>

#include "base/contract.hpp"
#include "unit/calendar/time_zone.hpp"
#include "unit/dependency.hpp"
#include "unit/dropin.hpp"
#include "unit/implicit.hpp"
#include "unit/loader_index.hpp"
#include "unit/loader_verify.hpp"
#include "unit/syntax/fragment.hpp"

namespace pidward::unit {
namespace {

void add_error(UnitSpec& spec, const std::string& file, std::string message,
               std::string advice = {}) {
  spec.diagnostics.push_back(
      {Diagnostic::Severity::error, Location{file}, std::move(message), std::move(advice)});
}

bool has_error(const UnitSpec& spec) {
  return std::any_of(spec.diagnostics.begin(), spec.diagnostics.end(), [](const Diagnostic& found) {
    return found.severity == Diagnostic::Severity::error;
  });
}

/// Units that are there without a file: slices exist by being named, and init.scope holds pidward
/// itself.
bool needs_no_file(const UnitName& name) {
  return name.type() == UnitType::slice || name.str() == "init.scope";
}

/// systemd's own parts (udev, journald, tmpfiles at boot) hang on targets that are pidward's here.
/// Where pidward's units are missing, and systemd's targets stand in for them, they count no more:
/// systemd-tmpfiles-setup.service would empty /tmp of a system that has been up for long.
bool belongs_to_systemd(const FolderLink& link) {
  return link.path.find("/lib/systemd/") != std::string::npos && link.entry.starts_with("systemd-");
}

}  // namespace

struct UnitLoader::Impl {
  explicit Impl(LoaderContext given) : context(std::move(given)) {
    PIDWARD_EXPECT(context.files != nullptr);
    refresh();
  }

  void refresh() {
    raw.clear();
    texts.clear();
    names.clear();
    zones.emplace(*context.files);
    index = std::make_unique<SearchIndex>(*context.files, context.path);
  }

  UnitSpecPtr load(const UnitName& name);
  UnitSpecPtr load_raw(const UnitName& name);
  UnitSpec read_unit(const UnitName& name);
  bool read_file(const std::string& path, bool yaml, const std::string& fragment, UnitSpec& spec);
  void apply_dropins(const std::vector<std::string>& beside, UnitSpec& spec);
  void add_folder_links(UnitSpec& spec);
  void finish(UnitSpec& spec) const;
  UnitSpecPtr with_members(UnitSpec spec);
  UnitSpecPtr keep(UnitSpec spec);
  ImplicitContext implicit_context() const;

  LoaderContext context;
  std::unique_ptr<SearchIndex> index;
  /// Units as they are before a target's members are looked at, by every name they were asked for.
  std::unordered_map<UnitName, UnitSpecPtr> raw;
  /// Texts that many units share: templates and the drop-ins of types and prefixes.
  std::unordered_map<std::string, std::string> texts;
  std::optional<TimeZones> zones;
  /// Every name met, so that all units share one copy of it.
  std::unordered_set<UnitName> names;
};

ImplicitContext UnitLoader::Impl::implicit_context() const {
  ImplicitContext out;
  out.scope = context.scope;
  out.specifiers = &context.specifiers;
  out.defaults = &context.defaults;
  if (index->has_mounts()) {
    out.mount_file_exists = [this](const UnitName& name) {
      const Candidate* candidate = index->find(name.str());
      return candidate != nullptr && candidate->kind == Candidate::Kind::file;
    };
  }
  return out;
}

bool UnitLoader::Impl::read_file(const std::string& path, bool yaml, const std::string& fragment,
                                 UnitSpec& spec) {
  const bool shared = spec.name.is_instance() || path != fragment;
  const ReadContext reading{spec.name, &context.specifiers, context.strict, fragment, &*zones};
  if (const auto found = texts.find(path); found != texts.end()) {
    read_fragment(FragmentText{path, found->second, yaml}, reading, spec);
    return true;
  }
  auto content = context.files->read(path, kMaxUnitFile);
  if (!content) {
    add_error(spec, path, fmt::format("the file cannot be read: {}", content.error().message()),
              content.error().advice());
    return false;
  }
  FragmentText text{path, *std::move(content), yaml};
  read_fragment(text, reading, spec);
  if (shared) texts.emplace(path, std::move(text.content));
  return true;
}

void UnitLoader::Impl::apply_dropins(const std::vector<std::string>& beside, UnitSpec& spec) {
  const std::string fragment = spec.fragment ? spec.fragment->path : std::string();
  for (const DropinFile& file :
       find_dropins(*index, spec.name, spec.aliases, beside, spec.diagnostics)) {
    const std::size_t before = spec.diagnostics.size();
    spec.dropins.push_back({file.path, file.modified});
    if (!read_file(file.path, file.yaml, fragment.empty() ? file.path : fragment, spec)) {
      // As systemd has it, a drop-in that cannot be read costs its settings, not the unit.
      spec.diagnostics[before].severity = Diagnostic::Severity::warning;
    }
  }
}

void UnitLoader::Impl::add_folder_links(UnitSpec& spec) {
  for (const FolderLink& link :
       find_folder_links(*index, spec.name, spec.aliases, spec.diagnostics)) {
    if (belongs_to_systemd(link)) {
      spec.diagnostics.push_back({Diagnostic::Severity::note,
                                  Location{link.path},
                                  fmt::format("{} is a part of systemd and not started with {}",
                                              link.entry, spec.name.str()),
                                  {}});
      continue;
    }
    auto other = UnitName::parse(link.entry);
    if (other && other->is_template() && spec.name.is_instance()) {
      other = other->with_instance(spec.name.instance());
    }
    if (!other || other->is_template()) {
      spec.diagnostics.push_back(
          {Diagnostic::Severity::warning,
           Location{link.path},
           other ? fmt::format("{} is a template and {} has no instance to give it; left out",
                               link.entry, spec.name.str())
                 : fmt::format("{} is not a unit's name; left out", link.entry),
           {}});
      continue;
    }
    add_edge(spec, link.kind, Origin::link, *other);
  }
}

void UnitLoader::Impl::finish(UnitSpec& spec) const {
  complete_unit(spec, implicit_context());
  verify_unit(spec);
  spec.load_state = has_error(spec) ? LoadState::bad_setting : LoadState::loaded;
}

UnitSpec UnitLoader::Impl::read_unit(const UnitName& name) {
  Resolution found = index->resolve(name);
  UnitSpec spec(found.name);
  spec.aliases = std::move(found.aliases);
  spec.diagnostics = std::move(found.diagnostics);
  if (name.is_template()) {
    if (found.kind == Resolution::Kind::file) {
      spec.fragment = SourceFile{found.candidate->file, found.candidate->modified};
    }
    spec.load_state = LoadState::error;
    add_error(
        spec, {},
        fmt::format("{} is a template: it needs an instance between '@' and '.'", name.str()));
    return spec;
  }
  switch (found.kind) {
    case Resolution::Kind::mask:
      spec.load_state = LoadState::masked;
      spec.fragment = SourceFile{found.candidate->path, found.candidate->modified};
      return spec;
    case Resolution::Kind::bad:
      // A link into nothing is a unit that is not there; anything else is one that cannot be
      // loaded.
      spec.load_state = found.candidate != nullptr && found.candidate->dangling
                            ? LoadState::not_found
                            : LoadState::error;
      return spec;
    case Resolution::Kind::not_found:
      if (!is_managed(name.type())) {
        spec.load_state = LoadState::loaded;
        return spec;
      }
      if (!needs_no_file(name)) {
        spec.load_state = LoadState::not_found;
        for (const Diagnostic& problem : index->problems()) {
          if (index->on_path(problem.where.file)) spec.diagnostics.push_back(problem);
        }
        return spec;
      }
      break;
    case Resolution::Kind::file: {
      const Candidate& file = *found.candidate;
      spec.fragment = SourceFile{file.file, file.modified};
      spec.transient = !context.path.transient_dir.empty() &&
                       directory_name(file.file) == context.path.transient_dir;
      for (const Diagnostic& problem : index->problems()) {
        if (problem.where.file == file.path + ".yaml") spec.diagnostics.push_back(problem);
      }
      if (!is_managed(name.type())) {
        spec.load_state = LoadState::loaded;
        return spec;
      }
      if (!read_file(file.file, file.yaml, file.file, spec)) {
        spec.load_state = LoadState::error;
        return spec;
      }
      break;
    }
  }
  apply_dropins({}, spec);
  add_folder_links(spec);
  finish(spec);
  return spec;
}

/// As it is to stay in memory: with names that others have as well, and as a copy, which has none
/// of the room to spare that growing left in the original.
UnitSpecPtr UnitLoader::Impl::keep(UnitSpec spec) {
  spec.name = *names.insert(spec.name).first;
  for (DependencyEdge& edge : spec.dependencies) edge.other = *names.insert(edge.other).first;
  const UnitSpec complete = std::move(spec);
  return std::make_shared<const UnitSpec>(complete);
}

UnitSpecPtr UnitLoader::Impl::load_raw(const UnitName& name) {
  if (const auto found = raw.find(name); found != raw.end()) return found->second;
  const UnitSpecPtr spec = keep(read_unit(name));
  raw.emplace(name, spec);
  if (spec->load_state != LoadState::not_found) {
    raw.emplace(spec->name, spec);
    for (const UnitName& alias : spec->aliases) raw.emplace(alias, spec);
  }
  return spec;
}

UnitSpecPtr UnitLoader::Impl::with_members(UnitSpec spec) {
  complete_target(spec, [this](const UnitName& member) { return load_raw(member); });
  return keep(std::move(spec));
}

UnitSpecPtr UnitLoader::Impl::load(const UnitName& name) {
  UnitSpecPtr spec = load_raw(name);
  return spec->name.type() == UnitType::target ? with_members(*spec) : spec;
}

UnitLoader::UnitLoader(LoaderContext context) : impl_(std::make_unique<Impl>(std::move(context))) {}
UnitLoader::~UnitLoader() = default;
UnitLoader::UnitLoader(UnitLoader&&) noexcept = default;
UnitLoader& UnitLoader::operator=(UnitLoader&&) noexcept = default;

void UnitLoader::refresh() {
  impl_->refresh();
}

void UnitLoader::look_around() const {
  impl_->index->find_links();
}

UnitSpecPtr UnitLoader::load(const UnitName& name) const {
  return impl_->load(name);
}

std::vector<UnitSpecPtr> UnitLoader::load_closure(
    const std::vector<UnitName>& names, const std::function<bool(const UnitName&)>& known) const {
  std::vector<UnitSpecPtr> out;
  load_closure(names, known, [&out](UnitSpecPtr spec) { out.push_back(std::move(spec)); });
  return out;
}

std::size_t UnitLoader::load_closure(const std::vector<UnitName>& names,
                                     const std::function<bool(const UnitName&)>& known,
                                     const std::function<void(UnitSpecPtr)>& loaded) const {
  std::size_t count = 0;
  std::unordered_set<UnitName> seen;
  std::deque<UnitName> todo(names.begin(), names.end());
  while (!todo.empty()) {
    const UnitName name = std::move(todo.front());
    todo.pop_front();
    if (!seen.insert(name).second || (known && known(name))) continue;
    UnitSpecPtr spec = impl_->load(name);
    if (spec->name != name) {
      // An alias: its unit may be here already, or be known under the other name.
      if (!seen.insert(spec->name).second || (known && known(spec->name))) continue;
    }
    for (const UnitName& alias : spec->aliases) seen.insert(alias);
    for (const DependencyEdge& edge : spec->dependencies) {
      if (!seen.contains(edge.other)) todo.push_back(edge.other);
    }
    ++count;
    loaded(std::move(spec));
  }
  return count;
}

std::vector<std::string> UnitLoader::unit_file_names() const {
  return impl_->index->names();
}

UnitSpecPtr UnitLoader::finish_transient(UnitSpec spec) const {
  spec.transient = true;
  std::sort(spec.aliases.begin(), spec.aliases.end());
  impl_->apply_dropins({}, spec);
  impl_->add_folder_links(spec);
  impl_->finish(spec);
  if (spec.name.type() == UnitType::target) return impl_->with_members(std::move(spec));
  return std::make_shared<const UnitSpec>(std::move(spec));
}

UnitSpecPtr UnitLoader::load_transient(const UnitName& name, const SourceFile& file,
                                       const std::string& text) const {
  UnitSpec spec(name);
  spec.fragment = file;
  const LoaderContext& context = impl_->context;
  read_fragment({file.path, text, false},
                {name, &context.specifiers, context.strict, file.path, &*impl_->zones}, spec);
  return finish_transient(std::move(spec));
}

UnitSpecPtr UnitLoader::load_file(const std::string& path) const {
  bool yaml = false;
  const std::string base(strip_yaml(base_name(path), yaml));
  auto parsed = UnitName::parse(base);
  if (!parsed) {
    auto stand_in = UnitName::mangle(base.empty() ? "unnamed" : base);
    UnitSpec bad(stand_in ? *std::move(stand_in) : *UnitName::parse("unnamed.service"));
    bad.load_state = LoadState::error;
    add_error(bad, path, parsed.error().message(), parsed.error().advice());
    return std::make_shared<const UnitSpec>(std::move(bad));
  }
  const std::string directory(directory_name(path));
  const auto read = [&](const UnitName& name) {
    UnitSpec spec(name);
    const Followed end = impl_->index->follow(path);
    spec.fragment = SourceFile{path, end.info.modified};
    if (end.is_mask()) {
      spec.load_state = LoadState::masked;
    } else if (!impl_->read_file(path, yaml, path, spec)) {
      spec.load_state = end.kind == FileKind::missing ? LoadState::not_found : LoadState::error;
    } else if (!is_managed(name.type())) {
      spec.load_state = LoadState::loaded;
    } else {
      impl_->apply_dropins({directory}, spec);
      impl_->add_folder_links(spec);
      impl_->finish(spec);
    }
    return spec;
  };
  if (parsed->is_template()) {
    const std::string asked = read(*parsed).settings.string(Directive::DefaultInstance);
    auto instance = parsed->with_instance(asked.empty() ? "instance" : asked);
    if (instance) parsed = *std::move(instance);
  }
  UnitSpec spec = read(*parsed);
  if (spec.name.type() == UnitType::target) return impl_->with_members(std::move(spec));
  return std::make_shared<const UnitSpec>(std::move(spec));
}

bool UnitLoader::needs_reload(const UnitSpec& spec) const {
  const SearchIndex& index = *impl_->index;
  if (spec.transient && !spec.fragment) return false;
  const Resolution found = index.resolve(spec.name);
  // What could not be read and still cannot has not changed for all we know.
  if (found.kind == Resolution::Kind::bad && spec.load_state == LoadState::error) return false;
  std::optional<SourceFile> fragment;
  if (found.kind == Resolution::Kind::file || found.kind == Resolution::Kind::mask) {
    const bool mask = found.kind == Resolution::Kind::mask;
    fragment =
        SourceFile{mask ? found.candidate->path : found.candidate->file, found.candidate->modified};
  }
  if (spec.fragment != fragment) {
    // A unit that was loaded from a file given by path is not looked for on the search path.
    const bool elsewhere =
        spec.fragment && !index.on_path(std::string(directory_name(spec.fragment->path)));
    if (!elsewhere || fragment) return true;
    const Followed end = index.follow(spec.fragment->path);
    if (end.kind != FileKind::regular || end.info.modified != spec.fragment->modified) return true;
  }
  if (spec.load_state == LoadState::masked || spec.load_state == LoadState::not_found) return false;
  if (!is_managed(spec.name.type())) return false;
  std::vector<std::string> beside;
  if (spec.fragment && !index.on_path(std::string(directory_name(spec.fragment->path))) &&
      !fragment) {
    beside.emplace_back(directory_name(spec.fragment->path));
  }
  std::vector<Diagnostic> ignored;
  const auto dropins = find_dropins(index, spec.name, spec.aliases, beside, ignored);
  return !std::equal(dropins.begin(), dropins.end(), spec.dropins.begin(), spec.dropins.end(),
                     [](const DropinFile& a, const SourceFile& b) {
                       return a.path == b.path && a.modified == b.modified;
                     });
}

}  // namespace pidward::unit
