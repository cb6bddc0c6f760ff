// What the engine knows of a unit while pidward runs. Read by everyone, written by the engine
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/exit_status.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "unit/spec.hpp"

namespace pidward::engine {

enum class ActiveState : std::uint8_t {
  active,
  reloading,
  inactive,
  failed,
  activating,
  deactivating
};
std::string_view to_string(ActiveState state);

/// systemd's service sub-states, in its order and spelling (to_string puts the dashes in).
enum class ServiceState : std::uint8_t {
  dead,
  condition,
  start_pre,
  start,
  start_post,
  running,
  exited,
  reload,
  reload_signal,
  reload_notify,
  stop,
  stop_watchdog,
  stop_sigterm,
  stop_sigkill,
  stop_post,
  final_watchdog,
  final_sigterm,
  final_sigkill,
  failed,
  auto_restart,
};
std::string_view to_string(ServiceState state);
ActiveState active_state(ServiceState state);

enum class SocketState : std::uint8_t {
  dead,
  start_pre,
  start,
  start_post,
  listening,
  running,
  stop_pre,
  stop_pre_sigterm,
  stop_pre_sigkill,
  stop_post,
  final_sigterm,
  final_sigkill,
  failed
};
std::string_view to_string(SocketState state);
ActiveState active_state(SocketState state);

/// Why a service ended, systemd's Result property: "success", "exit-code", "signal" …
enum class ServiceResult : std::uint8_t {
  success,
  resources,
  protocol,
  timeout,
  exit_code,
  signal,
  core_dump,
  watchdog,
  start_limit_hit,
  oom_kill,
  exec_condition,
};
std::string_view to_string(ServiceResult result);

enum class JobType : std::uint8_t {
  start,
  verify_active,
  stop,
  reload,
  restart,
  try_restart,
  try_reload,
  reload_or_start,
  nop
};
std::string_view to_string(JobType type);
enum class JobState : std::uint8_t { waiting, running };
std::string_view to_string(JobState state);
/// systemd's JobRemoved results.
enum class JobResult : std::uint8_t {
  done,
  canceled,
  timeout,
  failed,
  dependency,
  skipped,
  invalid,
  assert,
  unsupported,
  collected,
  once
};
std::string_view to_string(JobResult result);

/// How much happened to jobs, ever.
struct JobCounts {
  std::uint32_t installed = 0;
  std::uint32_t failed = 0;  ///< ended with `failed` or `invalid`
};

/// What a process is to its unit.
enum class ProcessRole : std::uint8_t { main, control, other };
std::string_view to_string(ProcessRole role);

/// One run of one command, for ExecStart's status tuple and ExecMain… properties.
struct CommandStatus {
  unit::Directive list;     ///< ExecStartPre …
  std::uint32_t index = 0;  ///< which of its commands
  ProcessId process;
  Now started{};
  Now exited{};  ///< zero while it runs
  ExitStatus status;
};

struct ServiceStatus {
  ServiceState state = ServiceState::dead;
  ServiceResult result = ServiceResult::success;
  ServiceResult reload_result = ServiceResult::success;
  ProcessId main;  ///< none while there is none
  ProcessId control;
  bool main_is_alien = false;           ///< not our child: its exit status may not be known
  CommandStatus main_status{};          ///< the last main process
  std::vector<CommandStatus> commands;  ///< the others, of this activation
  std::string status_text;              ///< STATUS=
  int status_errno = 0;                 ///< ERRNO=
  std::uint32_t restarts = 0;           ///< NRestarts
  MonoTime restart_at{};                ///< in auto_restart: when
  Now watchdog_last{};
  Duration watchdog_interval{};          ///< as the service may have overridden it
  std::uint32_t stored_descriptors = 0;  ///< NFileDescriptorStore
  bool start_limit_hit = false;          ///< the last start was refused by StartLimitBurst=
};

struct SocketStatus {
  SocketState state = SocketState::dead;
  std::string_view result = "success";
  std::uint32_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  ProcessId control;
};

struct TimerStatus {
  std::string_view result = "success";
  MonoTime next_monotonic{};  ///< zero: none is waited for
  WallTime next_calendar{};   ///< likewise; both with their random delay
  Now last_trigger{};
  /// Of each trigger, in the order of the settings, on its own clock; zero: never.
  std::vector<Duration> next_of_each;
};

struct PathStatus {
  std::string_view result = "success";
};

struct ScopeStatus {
  ServiceResult result = ServiceResult::success;  ///< or timeout, resources, oom_kill
  std::string controller;  ///< the bus name of whoever is to end the scope; empty: signals do
};

/// A read-only look at one unit. Valid until the next call that changes the engine.
struct UnitStatus {
  UnitId id;
  const unit::UnitSpec* spec = nullptr;
  ActiveState active = ActiveState::inactive;
  std::string_view sub;  ///< "running"
  JobId job;             ///< or none
  InvocationId invocation;
  Now state_changed{}, inactive_exit{}, active_enter{}, active_exit{}, inactive_enter{};
  bool condition_result = false, assert_result = false;
  Now condition_checked{}, assert_checked{};
  std::uint32_t start_tries_left = 0;      ///< before the start limit hits
  const ServiceStatus* service = nullptr;  ///< for services
  const SocketStatus* socket = nullptr;    ///< for sockets
  const TimerStatus* timer = nullptr;      ///< for timers
  const PathStatus* path = nullptr;        ///< for paths
  const ScopeStatus* scope = nullptr;      ///< for scopes
};

struct JobStatus {
  JobId id;
  UnitId unit;
  JobType type = JobType::start;
  JobState state = JobState::waiting;
  std::vector<JobId> waits_for;  ///< jobs ordered before this one
  Now begun{};
};

}  // namespace pidward::engine
