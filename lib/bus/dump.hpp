// The state of everything as text for people; its form is no interface.
#pragma once

#include <string>
#include <vector>

#include "bus/services.hpp"

namespace pidward::bus {

/// Units whose name matches one of the globs, or all with the manager and the jobs.
std::string dump_text(const Services& services, const std::vector<std::string>& patterns);

}  // namespace pidward::bus
