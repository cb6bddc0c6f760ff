// The environment block of a process (systemd.exec(5), "Environment Variables in Spawned
// Processes"). Internal.
#pragma once

#include <string>
#include <vector>

#include "exec/identity.hpp"

namespace pidward::exec {

/// Later assignments win. Errors: an EnvironmentFile= that cannot be read ("resources", exit code
/// none). Lines of such files that make no sense are left out and told in `warnings`. `directories`
/// are the …_DIRECTORY assignments.
CompileStatus make_environment(const ExecRequest& request, const Identity& identity,
                               const std::vector<std::string>& directories,
                               std::vector<std::string>& environment,
                               std::vector<std::string>& warnings);

/// Directories in which a program without a path is looked for.
std::vector<std::string> program_directories(const ExecRequest& request,
                                             const std::vector<std::string>& environment);

}  // namespace pidward::exec
