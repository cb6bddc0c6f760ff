#include "unit/loader_index.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/core.h>

namespace pidward::unit {
namespace {

constexpr std::array<std::string_view, 4> kFolderSuffixes{".d", ".wants", ".requires", ".upholds"};

bool is_folder_name(std::string_view name) {
  return std::any_of(kFolderSuffixes.begin(), kFolderSuffixes.end(), [&](std::string_view suffix) {
    return name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
  });
}

}  // namespace

SearchIndex::SearchIndex(const FileSource& files, const SearchPath& path)
    : files_(files), root_(path.root), directories_(path.directories) {
  for (std::uint32_t i = 0; i < directories_.size(); ++i) {
    // On a system where /lib is a link, the same directory has two names: the first one counts.
    if (real_directories_.emplace(real_directory(directories_[i]), i).second) scan(i);
  }
}

void SearchIndex::scan(std::uint32_t directory) {
  const std::string& path = directories_[directory];
  auto names = files_.list(path);
  if (!names) {
    problems_.push_back(warning_about(
        path, fmt::format("the directory cannot be listed: {}", names.error().message())));
    return;
  }
  for (const std::string& name : *names) {
    if (name.front() == '.') continue;
    if (is_folder_name(name)) {
      folders_[name].push_back(directory);
      continue;
    }
    bool yaml = false;
    const std::string_view unit = strip_yaml(name, yaml);
    auto parsed = UnitName::parse(unit);
    if (!parsed) continue;
    has_mounts_ = has_mounts_ || parsed->type() == UnitType::mount;
    add_entry(std::string(unit), directory, yaml);
  }
}

void SearchIndex::add_entry(std::string name, std::uint32_t directory, bool yaml) {
  std::vector<Entry>& entries = entries_[name];
  // Names come sorted, so the ini spelling is there before NAME.yaml of the same directory.
  if (yaml && !entries.empty() && entries.back().directory == directory) {
    const std::string file = fmt::format("{}/{}.yaml", directories_[directory], name);
    problems_.push_back(warning_about(
        file,
        fmt::format("{} is there in both spellings; {} is read and this file is not", name, name),
        "Remove one of the two"));
    return;
  }
  entries.push_back(Entry{directory, yaml, nullptr});
}

const Candidate& SearchIndex::candidate_of(const std::string& name, const Entry& entry) const {
  if (!entry.candidate) entry.candidate = std::make_unique<Candidate>(classify(name, entry));
  return *entry.candidate;
}

Candidate SearchIndex::classify(const std::string& name, const Entry& entry) const {
  Candidate out;
  out.directory = entry.directory;
  out.yaml = entry.yaml;
  out.path = fmt::format("{}/{}{}", directories_[entry.directory], name, entry.yaml ? ".yaml" : "");
  out.file = out.path;
  const auto info = files_.info(out.path);
  if (!info) {
    out.problem = fmt::format("{} cannot be looked at: {}", out.path, info.error().message());
  } else if (info->kind == FileKind::symlink) {
    classify_link(name, *info, out);
  } else {
    classify_followed(Followed{info->kind, out.path, *info, {}}, out);
  }
  return out;
}

void SearchIndex::classify_followed(const Followed& end, Candidate& out) const {
  out.modified = end.info.modified;
  if (!end.problem.empty()) {
    out.problem = end.problem;
    return;
  }
  switch (end.kind) {
    case FileKind::regular:
      out.kind = end.is_mask() ? Candidate::Kind::mask : Candidate::Kind::file;
      return;
    case FileKind::null_device:
      out.kind = Candidate::Kind::mask;
      return;
    case FileKind::directory:
      out.problem = fmt::format("{} is a directory, not a unit file", end.path);
      return;
    case FileKind::missing:
      out.dangling = out.is_link;
      out.problem =
          out.is_link ? fmt::format("{} is a link to {}, which does not exist", out.path, end.path)
                      : fmt::format("{} does not exist any more", out.path);
      return;
    case FileKind::symlink:
    case FileKind::other:
      out.problem = fmt::format("{} is neither a regular file nor a link to one", end.path);
      return;
  }
}

void SearchIndex::classify_link(const std::string& name, const FileInfo& info,
                                Candidate& out) const {
  out.is_link = true;
  out.modified = info.modified;
  const auto text = files_.read_link(out.path);
  const auto target = link_target(out.path);
  if (!text || !target) {
    out.problem = fmt::format("{} is a link that cannot be read", out.path);
    return;
  }
  out.link_text = *text;
  bool target_yaml = false;
  const std::string other(strip_yaml(base_name(*target), target_yaml));
  if (!on_path(std::string(directory_name(*target))) || other == name) {
    // A linked unit file, or a link to the file of the same name: its content is the unit's.
    out.yaml = out.yaml || target_yaml;
    const Followed end = follow(out.path);
    out.file = end.path;
    classify_followed(end, out);
    return;
  }
  const auto own = UnitName::parse(name);
  const auto parsed = UnitName::parse(other);
  if (!parsed) {
    out.problem = fmt::format("{} is a link to {}, which is not a unit's name", out.path, *target);
    return;
  }
  const std::string why = alias_problem(*own, *parsed);
  if (!why.empty()) {
    out.problem = fmt::format("{} cannot be an alias of {}: {}", out.path, other, why);
    return;
  }
  out.kind = Candidate::Kind::alias;
  out.target = other;
  if (parsed->is_template() && own->is_instance()) {
    out.target = fmt::format("{}@{}.{}", parsed->prefix(), own->instance(), to_string(own->type()));
    if (out.target == name) {
      // getty@tty1.service -> getty@.service: the instance itself, which the template gives its
      // content anyway.
      const Followed end = follow(out.path);
      out.file = end.path;
      out.yaml = out.yaml || target_yaml;
      classify_followed(end, out);
    }
  }
}

const Candidate* SearchIndex::find(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  return &candidate_of(name, found->second.front());
}

std::vector<Candidate> SearchIndex::all(const std::string& name) const {
  std::vector<Candidate> out;
  const auto found = entries_.find(name);
  if (found == entries_.end()) return out;
  for (const Entry& entry : found->second) out.push_back(candidate_of(name, entry));
  return out;
}

std::vector<std::string> SearchIndex::names() const {
  std::vector<std::string> out;
  out.reserve(entries_.size());
  for (const auto& [name, entries] : entries_) out.push_back(name);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> SearchIndex::folders(const std::string& folder) const {
  std::vector<std::string> out;
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return out;
  for (const std::uint32_t directory : found->second) {
    out.push_back(directories_[directory] + "/" + folder);
  }
  return out;
}

std::vector<std::string> SearchIndex::folder_names(std::string_view suffix) const {
  std::vector<std::string> out;
  for (const auto& [name, directories] : folders_) {
    if (name.size() > suffix.size() &&
        std::string_view(name).substr(name.size() - suffix.size()) == suffix) {
      out.push_back(name);
    }
  }
  return out;
}

const std::vector<std::string>& SearchIndex::list(const std::string& folder) const {
  const auto [found, fresh] = lists_.try_emplace(folder);
  if (fresh) {
    auto names = files_.list(folder);
    if (names) {
      found->second = *std::move(names);
    } else {
      problems_.push_back(warning_about(
          folder, fmt::format("the folder cannot be listed: {}", names.error().message())));
    }
  }
  return found->second;
}

}  // namespace pidward::unit
