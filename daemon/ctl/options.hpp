// What the command line asked for.
#pragma once

#include <string>
#include <vector>

#include "bus/client/client.hpp"

namespace pidward::ctl {

struct Options {
  bus::ClientOptions place;
  std::string verb;
  std::vector<std::string> names;

  bool no_block = false;
  bool wait = false;
  std::string job_mode = "replace";
  bool now = false;
  bool runtime = false;
  bool force = false;
  bool no_reload = false;
  std::string preset_mode = "full";

  std::vector<std::string> properties;
  std::vector<std::string> values;  ///< -P: properties of which only the value is shown
  bool value = false;
  bool all = false;
  std::vector<std::string> types;
  std::vector<std::string> states;
  bool failed = false;
  unsigned lines = 10;
  bool follow = false;
  bool reverse = false;
  bool after = false;
  bool before = false;

  std::string output;
  std::string legend;

  std::string signal = "SIGTERM";
  std::string kill_whom = "all";

  bool tree = false;

  std::string unit;
  std::string description;
  bool pipe = false;
  bool collect = false;
  bool hold = false;

  bool full = false;
  bool no_legend = false;
  bool plain = false;
  bool quiet = false;
  bool json = false;
  bool no_color = false;
  bool accepted = false;  ///< of options that are systemctl's and have nothing to do here
};

/// systemctl's exit codes (systemctl(1), "Exit status", and LSB).
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kNotImplemented = 3;
inline constexpr int kNotRunning = 3;
inline constexpr int kNoPermission = 4;
inline constexpr int kUnknown = 4;
inline constexpr int kNotInstalled = 5;
inline constexpr int kNotConfigured = 6;

}  // namespace pidward::ctl
