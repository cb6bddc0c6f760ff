// Preset files: which units a distribution or an administrator wants enabled (systemd.preset(5)).
#pragma once

#include <string>
#include <vector>

#include "unit/loader.hpp"

namespace pidward::unit {

enum class PresetAction : std::uint8_t { enable, disable, ignore };

/// What the presets say about one unit. `instances`: for a template, the instances to enable in its
/// place.
struct PresetVerdict {
  PresetAction action = PresetAction::enable;
  std::vector<std::string> instances;
};

class Presets {
 public:
  /// Reads every *.preset file of the directories, highest precedence first. Files that cannot be
  /// read and lines that cannot be understood are in diagnostics().
  Presets(const FileSource& files, const std::vector<std::string>& directories);
  /// The first rule that fits decides; without one the unit is enabled.
  [[nodiscard]] PresetVerdict query(const UnitName& name) const;
  [[nodiscard]] const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  struct Rule {
    PresetAction action;
    std::string pattern;
    std::vector<std::string> instances;
  };
  void read(const std::string& path, const std::string& content);

  std::vector<Rule> rules_;
  std::vector<Diagnostic> diagnostics_;
};

}  // namespace pidward::unit
