// pidward.yaml: every setting, its default, and how it is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "unit/loader.hpp"

namespace pidward::runtime {

enum class BusMode : std::uint8_t { automatic, off, required };

/// The whole configuration, each field documented in config/pidward.yaml under the same name in
/// kebab case.
struct Config {
  unit::Scope scope = unit::Scope::system;
  std::string runtime_directory;       ///< /run/pidward or $XDG_RUNTIME_DIR/pidward
  std::string state_directory;         ///< /var/lib/pidward
  std::string log_directory;           ///< /var/log/pidward
  std::vector<std::string> unit_path;  ///< replaces the search path when not empty
  bool systemd_directories =
      true;  ///< systemd's unit directories after ours, unless a systemd is running
  std::string default_target = "default.target";
  BusMode bus =
      BusMode::automatic;  ///< the system or session bus; the private socket is always there
  LogLevel log_level = LogLevel::info;
  bool strict_units = false;
  std::string
      control_group;  ///< parent of all units' control groups, relative to our own; empty: own
  bool use_control_groups = true;
  std::vector<std::string> disabled_features;
  std::uint64_t log_max_bytes = 8U << 20U;  ///< per unit, all rotated files together
  std::uint32_t log_max_files = 4;
  Duration default_timeout_start = std::chrono::seconds(90);
  Duration default_timeout_stop = std::chrono::seconds(90);
  std::optional<Duration> default_timeout_abort;  ///< unset: as the stop timeout of the unit
  Duration default_restart = std::chrono::milliseconds(100);
  Duration default_start_limit_interval = std::chrono::seconds(10);
  std::uint32_t default_start_limit_burst = 5;
  std::vector<std::string> default_environment;
  /// What is run as `PROGRAM --logger …` beside the daemon; empty: a thread of this process does
  /// it. Not a setting of the file: pidward itself fills it in.
  std::string logger_program;
  std::vector<std::string>
      boot_units;  ///< started instead of the default target; not a setting of the file
};

/// Defaults for the scope, with directories filled in from the environment ($XDG_RUNTIME_DIR …).
Result<Config> default_config(unit::Scope scope);
/// `text` of a pidward.yaml over `base`. Errors: unknown keys (with the nearest known one), wrong
/// types, values out of range, each with file, line and column; all of them at once.
Result<Config> read_config(const std::string& text, const std::string& path, Config base);

}  // namespace pidward::runtime
