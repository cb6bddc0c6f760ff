// The environment block of a process (systemd.exec(5), "Environment Variables in Spawned
// Processes").
#pragma once

#include <string>
#include <string_view>
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

/// $PATH of services, and where their programs are looked for, unless ExecSearchPath= says
/// otherwise.
inline constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories in which a program without a path is looked for.
std::vector<std::string> program_directories(const ExecRequest& request,
                                             const std::vector<std::string>& environment);

}  // namespace pidward::exec
