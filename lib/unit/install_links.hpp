// The links that enable, mask and the like have made, and what a unit's [Install] section asks for:
// the material of the install operations.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "unit/install.hpp"
#include "unit/loader_index.hpp"

namespace pidward::unit {

/// Who a directory of the search path belongs to.
enum class DirectoryKind : std::uint8_t { persistent, runtime, vendor };
DirectoryKind directory_kind(const SearchPath& path, const std::string& directory);

/// One link on the search path, in a directory itself (an alias, a linked unit) or in a folder
/// (multi-user.target.wants).
struct InstalledLink {
  std::string directory;
  std::string folder;  ///< "multi-user.target.wants", or empty
  std::string name;    ///< the link's own name, without ".yaml"
  std::string path;
  std::string target;       ///< absolute, simplified
  std::string target_name;  ///< the last part of it, without ".yaml"
  bool is_null = false;
  bool hidden = false;  ///< by one of the same folder and name in a directory of higher precedence
};

/// A unit file with its [Install] section.
struct InstallInfo {
  explicit InstallInfo(UnitName unit_name) : name(std::move(unit_name)) {}
  UnitName name;          ///< canonical
  std::string path;       ///< the unit file, as a link is to name it: without the root
  std::string directory;  ///< the search path's directory its entry is in
  Settings settings;
  std::vector<Diagnostic> diagnostics;
  /// The name links get: the unit's, or for a template its DefaultInstance=.
  [[nodiscard]] UnitName link_name() const;
  [[nodiscard]] const std::vector<std::string>& words(Directive id) const {
    return settings.words(id);
  }
  [[nodiscard]] bool has_rules() const;
  [[nodiscard]] bool has_also() const { return !words(Directive::Also).empty(); }
};

/// Everything one install operation looks at, read once.
class InstallView {
 public:
  explicit InstallView(const LoaderContext& context);

  [[nodiscard]] const LoaderContext& context() const { return context_; }
  [[nodiscard]] const SearchIndex& index() const { return index_; }
  [[nodiscard]] const std::vector<InstalledLink>& links() const { return links_; }
  /// Those that are called `name` or lead to a file of that name.
  [[nodiscard]] std::vector<const InstalledLink*> links_about(const std::string& name) const;
  /// Errors: no such unit file, masked, unreadable. The unit is looked up under its canonical name.
  [[nodiscard]] Result<InstallInfo> info(const UnitName& name) const;
  /// The same for a file that is not on the search path.
  [[nodiscard]] Result<InstallInfo> info_of_file(const UnitName& name,
                                                 const std::string& path) const;
  [[nodiscard]] Result<std::string> state(const UnitName& name) const;
  /// `path` without the root of --root=.
  [[nodiscard]] std::string without_root(const std::string& path) const;

 private:
  void collect_folder(const std::string& directory, const std::string& folder);
  [[nodiscard]] std::string enabled_state(const InstallInfo& info, bool by_known_names) const;
  [[nodiscard]] std::string linked_state(const InstallInfo& info) const;
  [[nodiscard]] bool speaks_of(const InstalledLink& link, const InstallInfo& info,
                               bool by_known_names) const;

  LoaderContext context_;
  SearchIndex index_;
  std::vector<InstalledLink> links_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_name_;
};

}  // namespace pidward::unit
