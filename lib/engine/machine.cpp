#include "engine/machine.hpp"

#include <fmt/core.h>

namespace pidward::engine {

Status Machine::kill(MachineContext& context, KillWhom whom, int signal) {
  static_cast<void>(whom);
  static_cast<void>(signal);
  return Error(Errc::not_supported,
               fmt::format("{} has no processes of its own to signal", context.spec().name.str()));
}

Status Machine::abandon(MachineContext& context) {
  return Error(Errc::invalid_argument, fmt::format("{} is no scope", context.spec().name.str()));
}

}  // namespace pidward::engine
