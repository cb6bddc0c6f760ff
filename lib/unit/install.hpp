// enable, disable, preset, mask, link, revert: what [Install] means, as link operations
// (systemctl(1), "Unit File Commands"). Planning is pure; apply() carries the plan out through a
// FileSink.
#pragma once

#include <string>
#include <vector>

#include "unit/loader.hpp"

namespace pidward::unit {

/// One thing done to the file system, as the bus reports it: type "symlink" or "unlink".
struct InstallChange {
  std::string type;
  std::string path;
  std::string target;
  friend bool operator==(const InstallChange&, const InstallChange&) = default;
};

enum class InstallOperation : std::uint8_t {
  enable,
  disable,
  reenable,
  preset,
  mask,
  unmask,
  link,
  revert,
  add_wants,
  add_requires
};
enum class PresetMode : std::uint8_t { full, enable_only, disable_only };

struct InstallRequest {
  InstallOperation operation;
  /// Unit names, or absolute paths for enable, reenable and link; disable and preset take the name
  /// of the unit from a path. None for preset: all unit files (preset-all).
  std::vector<std::string> names;
  bool runtime = false;
  bool force = false;
  PresetMode preset_mode = PresetMode::full;
  std::string target;  ///< add_wants, add_requires: the unit that gets the link
};

struct InstallPlan {
  std::vector<InstallChange> changes;
  bool carries_install_info = false;
  std::vector<Diagnostic> diagnostics;  ///< "no [Install] section" and the like
};

/// "enabled", "enabled-runtime", "linked", "linked-runtime", "alias", "masked", "masked-runtime",
/// "static", "disabled", "indirect", "generated", "transient", "bad". Errors: no such unit file.
Result<std::string> unit_file_state(const LoaderContext& context, const UnitName& name);
/// "enabled", "disabled" or "ignored" by the preset files; for the UnitFilePreset property.
std::string preset_state(const LoaderContext& context, const UnitName& name);
/// Nothing is written. Errors leave nothing half planned. All changes are below the search path's
/// config_dir, or with `runtime` its runtime_dir (revert: its control and transient directories
/// too); what systemd's directories hold is never touched: disabling a unit that is enabled there
/// hides their links behind ones to /dev/null in ours.
Result<InstallPlan> plan_install(const LoaderContext& context, const InstallRequest& request);
/// Carries `plan` out; on an error what was done before stays, and the error says where it stopped.
Status apply(const InstallPlan& plan, FileSink& sink);

struct UnitFileEntry {
  std::string path;    ///< of the entry on the search path, "….yaml" included
  std::string state;   ///< as unit_file_state() has it
  std::string preset;  ///< empty where enabling means nothing: alias, static, generated, transient
};
/// Every unit file, by name. For several questions at once this is much cheaper than
/// unit_file_state() for each.
std::vector<UnitFileEntry> list_unit_files(const LoaderContext& context);

}  // namespace pidward::unit
