// RuntimeDirectory= and its siblings (systemd.exec(5), Table 2). Internal to the layer; blocks.
#pragma once

#include <string>
#include <vector>

#include "exec/identity.hpp"

namespace pidward::exec {

/// Makes the directories, gives them to the user of the service (all but ConfigurationDirectory=)
/// and adds "RUNTIME_DIRECTORY=/run/a:/run/b" and the like to `environment`. Nothing is followed
/// that the service could have planted: below the root every step is opened without following
/// links, except those that root owns.
CompileStatus make_directories(const ExecRequest& request, const Identity& identity,
                               std::vector<std::string>& environment);

}  // namespace pidward::exec
