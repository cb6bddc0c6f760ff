// The environment block of a process (systemd.exec(5), "Environment Variables in Spawned
// Processes"). Internal.
#pragma once

#include <string>
#include <vector>

#include "exec/identity.hpp"

namespace pidward::exec {

/// Later assignments win. Errors: an EnvironmentFile= that cannot be read ("resources", exit code
/// none). `directories` are the …_DIRECTORY assignments.
CompileStatus make_environment(const ExecRequest& request, const Identity& identity,
                               const std::vector<std::string>& directories,
                               std::vector<std::string>& environment);

/// Value of `name` in a block, or empty.
std::string_view variable(const std::vector<std::string>& environment, std::string_view name);

/// Directories in which a program without a path is looked for.
std::vector<std::string> program_directories(const ExecRequest& request,
                                             const std::vector<std::string>& environment);

}  // namespace pidward::exec
