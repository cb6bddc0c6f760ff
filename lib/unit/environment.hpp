// What environment variables do to command lines, and files of them (systemd.service(5), "Command
// lines"; systemd.exec(5), "EnvironmentFile=").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unit/spec.hpp"

namespace pidward::unit {

/// The value of `name` in a list of "NAME=VALUE", or nothing. The last one counts.
std::optional<std::string_view> find_variable(const std::vector<std::string>& environment,
                                              std::string_view name);

/// Sets "NAME=VALUE" in `environment`: replaces the variable where it is, or adds it.
void set_variable(std::vector<std::string>& environment, std::string assignment);

/// UnsetEnvironment=: removes what a NAME, or exactly a NAME=VALUE, names.
void unset_variables(std::vector<std::string>& environment, const std::vector<std::string>& names);

struct ExpandedCommand {
  std::vector<std::string> argv;
  std::vector<std::string> unset;  ///< variables the command names that have no value; each once
};

/// argv as the program gets it. $NAME alone in a word becomes as many words as its value has,
/// quotes in the value read (none, when it is unset); ${NAME} anywhere becomes the value, as part
/// of its word; $$ is a dollar sign. With the ':' prefix nothing is replaced.
ExpandedCommand expand_command(const ExecCommand& command,
                               const std::vector<std::string>& environment);

struct EnvironmentFileText {
  std::vector<std::string> assignments;  ///< in file order, each variable once, the last value
  std::vector<Diagnostic> diagnostics;   ///< lines left out
};

/// Reads the text of an environment file; `path` is what diagnostics name. Never fails as a whole.
EnvironmentFileText read_environment_file(std::string_view text, std::string_view path);

}  // namespace pidward::unit
