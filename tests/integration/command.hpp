// Runs a program and collects what it says. For tests; waits for the program's end, never for a
// time.
#pragma once

#include <string>
#include <vector>

namespace pidward::testing {

struct CommandResult {
  int exit_code = -1;  ///< 128 + signal for a program that was killed
  std::string output;  ///< standard output and error, as they came
};

/// Runs `argv` with our environment and `extra` ("KEY=VALUE") on top.
CommandResult run_command(const std::vector<std::string>& argv,
                          const std::vector<std::string>& extra = {});
/// `script` in /bin/sh.
CommandResult run_shell(const std::string& script);

/// `text` without white space at both ends.
std::string trim(const std::string& text);

}  // namespace pidward::testing
