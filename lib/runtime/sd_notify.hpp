// Telling whoever started us how we are (sd_notify(3)).
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace pidward::runtime {

/// Sends `state` to $NOTIFY_SOCKET. Without one nothing happens. Never waits.
Status notify_parent(std::string_view state);

}  // namespace pidward::runtime
