#include "unit/dropin.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include <fmt/core.h>

namespace pidward::unit {
namespace {

/// The folders with this suffix that speak for the unit, in order of precedence: per name all
/// directories, and in each the more specific first; last the folders of the type as a whole
/// (service.d).
std::vector<std::string> relevant_folders(const SearchIndex& index, const UnitName& name,
                                          const std::vector<UnitName>& aliases,
                                          std::string_view suffix) {
  std::vector<std::pair<std::size_t, std::string>> found;
  std::unordered_set<std::string> seen;
  std::vector<std::string> out;
  const auto take = [&](const std::vector<std::string>& bases) {
    found.clear();
    for (const std::string& base : bases) {
      for (std::string& folder : index.folders(fmt::format("{}{}", base, suffix))) {
        const auto& all = index.directories();
        const auto at = std::find(all.begin(), all.end(), directory_name(folder));
        found.emplace_back(static_cast<std::size_t>(at - all.begin()), std::move(folder));
      }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [rank, folder] : found) {
      if (seen.insert(folder).second) out.push_back(std::move(folder));
    }
  };
  take(folder_bases(name));
  for (const UnitName& alias : aliases) take(folder_bases(alias));
  take({std::string(to_string(name.type()))});
  return out;
}

/// The name under which a drop-in overrides others, or nothing when the file is not a drop-in.
std::optional<std::string> dropin_key(std::string_view file, bool& yaml) {
  constexpr std::string_view kSuffix = ".conf";
  const std::string_view plain = strip_yaml(file, yaml);
  if (file.front() == '.' || plain.size() <= kSuffix.size()) return std::nullopt;
  if (plain.substr(plain.size() - kSuffix.size()) != kSuffix) return std::nullopt;
  return std::string(plain);
}

}  // namespace

std::vector<std::string> folder_bases(const UnitName& name) {
  std::vector<std::string> out{name.str()};
  if (name.is_instance()) out.push_back(name.template_name().str());
  // foo-bar-baz: foo-bar-, then foo-. A dash at the end is part of the name it ends.
  std::vector<std::string_view> shorter;
  for (std::string_view prefix = name.prefix(); !prefix.empty();) {
    const std::size_t dash = prefix.substr(0, prefix.size() - 1).rfind('-');
    if (dash == std::string_view::npos) break;
    prefix = prefix.substr(0, dash + 1);
    shorter.push_back(prefix);
  }
  const auto type = to_string(name.type());
  for (const std::string_view prefix : shorter) out.push_back(fmt::format("{}.{}", prefix, type));
  if (!name.is_instance() && !name.is_template()) return out;
  for (const std::string_view prefix : shorter) {
    if (name.is_instance()) out.push_back(fmt::format("{}@{}.{}", prefix, name.instance(), type));
    out.push_back(fmt::format("{}@.{}", prefix, type));
  }
  return out;
}

std::vector<DropinFile> find_dropins(const SearchIndex& index, const UnitName& name,
                                     const std::vector<UnitName>& aliases,
                                     const std::vector<std::string>& beside,
                                     std::vector<Diagnostic>& problems) {
  std::vector<std::string> folders;
  for (const std::string& directory : beside)
    folders.push_back(fmt::format("{}/{}.d", directory, name.str()));
  for (std::string& folder : relevant_folders(index, name, aliases, ".d"))
    folders.push_back(std::move(folder));
  std::map<std::string, std::optional<DropinFile>> chosen;
  for (const std::string& folder : folders) {
    std::string last;
    for (const std::string& file : index.list(folder)) {
      bool yaml = false;
      const auto key = dropin_key(file, yaml);
      if (!key) continue;
      const std::string path = fmt::format("{}/{}", folder, file);
      if (yaml && last == *key) {
        problems.push_back(warning_about(
            path, fmt::format("{} is there in both spellings; this file is not read", *key)));
      }
      last = *key;
      if (chosen.contains(*key)) continue;
      const Followed end = index.follow(path);
      if (end.is_mask()) {
        chosen.emplace(*key, std::nullopt);
      } else if (!end.problem.empty() || end.kind != FileKind::regular) {
        problems.push_back(warning_about(
            path, end.problem.empty() ? "the drop-in is not a file that can be read; left out"
                                      : end.problem));
      } else {
        chosen.emplace(*key, DropinFile{path, yaml, end.info.modified});
      }
    }
  }
  std::vector<DropinFile> out;
  for (auto& [key, file] : chosen) {
    if (file) out.push_back(*std::move(file));
  }
  return out;
}

std::vector<FolderLink> find_folder_links(const SearchIndex& index, const UnitName& name,
                                          const std::vector<UnitName>& aliases,
                                          std::vector<Diagnostic>& problems) {
  constexpr std::array<std::pair<Dependency, std::string_view>, 3> kKinds{
      {{Dependency::Wants, ".wants"},
       {Dependency::Requires, ".requires"},
       {Dependency::Upholds, ".upholds"}}};
  std::vector<FolderLink> out;
  for (const auto& [kind, suffix] : kKinds) {
    std::map<std::string, std::optional<FolderLink>> chosen;
    for (const std::string& folder : relevant_folders(index, name, aliases, suffix)) {
      for (const std::string& file : index.list(folder)) {
        bool yaml = false;
        const std::string entry(strip_yaml(file, yaml));
        if (file.front() == '.' || chosen.contains(entry)) continue;
        const std::string path = fmt::format("{}/{}", folder, file);
        const auto target = index.link_target(path);
        if (target ? index.leads_to_mask(*target) : index.follow(path).is_mask()) {
          chosen.emplace(entry, std::nullopt);
        } else if (!target) {
          problems.push_back(warning_about(
              path, fmt::format("only links are looked at in {} folders; left out", suffix)));
        } else {
          chosen.emplace(entry, FolderLink{kind, entry, path});
        }
      }
    }
    for (auto& [entry, link] : chosen) {
      if (link) out.push_back(*std::move(link));
    }
  }
  return out;
}

}  // namespace pidward::unit
