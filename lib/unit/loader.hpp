// From a name to a UnitSpec: search path, aliases, templates, drop-ins, masks, .wants folders,
// implicit and default dependencies (systemd.unit(5)). Pure over a FileSource; meant to run off the
// event loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "unit/file_source.hpp"
#include "unit/spec.hpp"
#include "unit/specifier.hpp"

namespace pidward::unit {

enum class Scope : std::uint8_t { system, user };

/// Directories in order of precedence, highest first.
struct SearchPath {
  std::vector<std::string> directories;
  std::string config_dir;     ///< where enable, mask and edit write: /etc/pidward/system
  std::string runtime_dir;    ///< the same with --runtime: /run/pidward/system
  std::string transient_dir;  ///< /run/pidward/transient
  std::string control_dir;    ///< set-property: /etc/pidward/system.control
  std::string runtime_control_dir;
  std::vector<std::string> preset_dirs;  ///< systemd.preset(5), highest first
  std::string root;  ///< --root=, already in front of all of the above; empty for "/"
};

struct SearchPathOptions {
  Scope scope = Scope::system;
  bool include_systemd = true;  ///< systemd's own directories after ours
  std::string home;             ///< user scope: $XDG_CONFIG_HOME's parent and friends
  std::string xdg_config_home, xdg_data_home, xdg_runtime_dir;
  std::string root;                        ///< prefix for all of it (--root=)
  std::vector<std::string> override_path;  ///< $PIDWARD_UNIT_PATH: replaces everything; a trailing
                                           ///< empty entry appends the default
};
SearchPath make_search_path(const SearchPathOptions& options);

struct LoaderContext {
  const FileSource* files = nullptr;  ///< outlives the loader
  SearchPath path;
  Scope scope = Scope::system;
  SpecifierContext specifiers;  ///< what %H, %m, %u … mean
  /// Manager defaults (DefaultTimeoutStartSec=, DefaultRestartSec= …), put under every unit's own
  /// settings.
  Settings defaults;
  bool strict = false;  ///< unknown directives are errors, in ini too
};

/// Reads units. Keeps an index of the search path for one batch of loads, so that a closure of
/// thousands of units lists every directory once; make a new one (or refresh()) to see changes on
/// disk.
class UnitLoader {
 public:
  explicit UnitLoader(LoaderContext context);
  ~UnitLoader();
  UnitLoader(UnitLoader&&) noexcept;
  UnitLoader& operator=(UnitLoader&&) noexcept;

  void refresh();
  /// Looks already at what every load needs to know of all files: which are links to which.
  void look_around() const;
  /// One unit. Never fails: what is wrong is in load_state and diagnostics. An alias gives its
  /// target's spec; a link that leads nowhere gives a spec of its own name that was not found.
  [[nodiscard]] UnitSpecPtr load(const UnitName& name) const;
  /// `names` and everything they lead to through any dependency, except where `known` says true.
  /// Every alias that was followed is in the `aliases` of its target.
  [[nodiscard]] std::vector<UnitSpecPtr> load_closure(
      const std::vector<UnitName>& names, const std::function<bool(const UnitName&)>& known) const;
  /// The same; each is given to `loaded` as soon as it is read. Returns how many there were.
  std::size_t load_closure(const std::vector<UnitName>& names,
                           const std::function<bool(const UnitName&)>& known,
                           const std::function<void(UnitSpecPtr)>& loaded) const;
  /// Unit file names (not aliases resolved) that exist on the search path, sorted; for
  /// list-unit-files and globs.
  [[nodiscard]] std::vector<std::string> unit_file_names() const;
  /// A unit made of settings alone (StartTransientUnit, systemd-run): gets the same implicit
  /// dependencies.
  [[nodiscard]] UnitSpecPtr finish_transient(UnitSpec spec) const;
  /// The same from the text that was written to `file`: the index need not know of it yet.
  [[nodiscard]] UnitSpecPtr load_transient(const UnitName& name, const SourceFile& file,
                                           const std::string& text) const;
  /// One fragment given by path, whatever its directory (verify FILE, quickstart with unit files as
  /// arguments).
  /// The folder beside it (FILE.d) counts as well. A template is read as the instance its
  /// DefaultInstance= names, or "instance".
  [[nodiscard]] UnitSpecPtr load_file(const std::string& path) const;
  /// True when a file that made `spec`, or a drop-in that would be added, changed since it was
  /// read.
  /// Asks the index: refresh() first.
  [[nodiscard]] bool needs_reload(const UnitSpec& spec) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pidward::unit
