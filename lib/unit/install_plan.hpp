// Planning the install operations: every change is checked against the files and against what was
// planned before it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "unit/install_links.hpp"

namespace pidward::unit {

class InstallPlanner {
 public:
  InstallPlanner(const InstallView& view, const InstallRequest& request);

  Status enable(const std::string& name_or_path);
  Status disable(const std::vector<UnitName>& names);
  /// Whether the name still leads to a file once the planned links are gone: that of a linked unit
  /// does not.
  [[nodiscard]] Status check_is_still_there(const UnitName& name) const;
  Status preset(const std::vector<UnitName>& names);
  Status mask(const UnitName& name);
  Status unmask(const UnitName& name);
  Status link(const std::string& path);
  Status revert(const UnitName& name);
  Status add_dependency(const UnitName& name, std::string_view suffix);

  /// Every unit file there is, for a preset of all.
  [[nodiscard]] std::vector<UnitName> all_names() const;
  InstallPlan take() { return std::move(plan_); }

 private:
  Status enable_unit(const InstallInfo& info, std::vector<UnitName>& also);
  Status enable_all(std::vector<InstallInfo> todo);
  /// What became of the names in one [Install] section.
  struct Enabled {
    bool any = false;              ///< one of them has its link
    std::optional<Error> refused;  ///< a template cannot go where only an instance can
  };
  Status enable_folder_links(const InstallInfo& info, Directive directive, std::string_view suffix,
                             Enabled& done);
  Status enable_aliases(const InstallInfo& info, Enabled& done);
  Result<std::optional<InstallInfo>> info_of_path(const std::string& path);
  Result<std::set<std::string>> names_to_disable(const std::vector<UnitName>& names);
  void hide_foreign(const std::set<std::string>& names);
  Status preset_one(const UnitName& name, class Presets& presets, std::vector<UnitName>& off);
  void remove_files_in(const std::string& folder);

  Status plan_link(const std::string& path, const std::string& target, bool replace);
  void plan_unlink(const std::string& path);
  /// What is at `path` once everything planned so far is done.
  [[nodiscard]] Followed planned(const std::string& path) const;
  [[nodiscard]] std::optional<std::string> planned_target(const std::string& path) const;
  void note(Diagnostic::Severity severity, const std::string& file, std::string message);

  const InstallView& view_;
  const InstallRequest& request_;
  std::string target_dir_;
  InstallPlan plan_;
  std::map<std::string, std::optional<std::string>> overlay_;  ///< path to link target, or removed
};

}  // namespace pidward::unit
