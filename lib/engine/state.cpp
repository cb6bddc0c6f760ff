#include "engine/state.hpp"

#include <array>

namespace pidward::engine {
namespace {

struct StateRow {
  std::string_view name;
  ActiveState active;
};

// In the order of the enums.
constexpr std::array<StateRow, 20> kServiceStates{{
    {"dead", ActiveState::inactive},
    {"condition", ActiveState::activating},
    {"start-pre", ActiveState::activating},
    {"start", ActiveState::activating},
    {"start-post", ActiveState::activating},
    {"running", ActiveState::active},
    {"exited", ActiveState::active},
    {"reload", ActiveState::reloading},
    {"reload-signal", ActiveState::reloading},
    {"reload-notify", ActiveState::reloading},
    {"stop", ActiveState::deactivating},
    {"stop-watchdog", ActiveState::deactivating},
    {"stop-sigterm", ActiveState::deactivating},
    {"stop-sigkill", ActiveState::deactivating},
    {"stop-post", ActiveState::deactivating},
    {"final-watchdog", ActiveState::deactivating},
    {"final-sigterm", ActiveState::deactivating},
    {"final-sigkill", ActiveState::deactivating},
    {"failed", ActiveState::failed},
    {"auto-restart", ActiveState::activating},
}};

constexpr std::array<StateRow, 13> kSocketStates{{
    {"dead", ActiveState::inactive},
    {"start-pre", ActiveState::activating},
    {"start", ActiveState::activating},
    {"start-post", ActiveState::activating},
    {"listening", ActiveState::active},
    {"running", ActiveState::active},
    {"stop-pre", ActiveState::deactivating},
    {"stop-pre-sigterm", ActiveState::deactivating},
    {"stop-pre-sigkill", ActiveState::deactivating},
    {"stop-post", ActiveState::deactivating},
    {"final-sigterm", ActiveState::deactivating},
    {"final-sigkill", ActiveState::deactivating},
    {"failed", ActiveState::failed},
}};

constexpr std::array<std::string_view, 6> kActiveStates{"active", "reloading",  "inactive",
                                                        "failed", "activating", "deactivating"};
constexpr std::array<std::string_view, 11> kServiceResults{
    "success",   "resources", "protocol",        "timeout",  "exit-code",     "signal",
    "core-dump", "watchdog",  "start-limit-hit", "oom-kill", "exec-condition"};
constexpr std::array<std::string_view, 9> kJobTypes{"start",      "verify-active",   "stop",
                                                    "reload",     "restart",         "try-restart",
                                                    "try-reload", "reload-or-start", "nop"};
constexpr std::array<std::string_view, 2> kJobStates{"waiting", "running"};
constexpr std::array<std::string_view, 11> kJobResults{
    "done",    "canceled", "timeout",     "failed",    "dependency", "skipped",
    "invalid", "assert",   "unsupported", "collected", "once"};
constexpr std::array<std::string_view, 3> kProcessRoles{"main", "control", "other"};

template <typename Table, typename Enum>
const auto& entry(const Table& table, Enum value) {
  return table.at(static_cast<std::size_t>(value));
}

}  // namespace

std::string_view to_string(ActiveState state) {
  return entry(kActiveStates, state);
}
std::string_view to_string(ServiceState state) {
  return entry(kServiceStates, state).name;
}
ActiveState active_state(ServiceState state) {
  return entry(kServiceStates, state).active;
}
std::string_view to_string(SocketState state) {
  return entry(kSocketStates, state).name;
}
ActiveState active_state(SocketState state) {
  return entry(kSocketStates, state).active;
}
std::string_view to_string(ServiceResult result) {
  return entry(kServiceResults, result);
}
std::string_view to_string(JobType type) {
  return entry(kJobTypes, type);
}
std::string_view to_string(JobState state) {
  return entry(kJobStates, state);
}
std::string_view to_string(JobResult result) {
  return entry(kJobResults, result);
}
std::string_view to_string(ProcessRole role) {
  return entry(kProcessRoles, role);
}

}  // namespace pidward::engine
