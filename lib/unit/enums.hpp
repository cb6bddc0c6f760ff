// The closed sets of words that directives take. Each enum's order is the order of its names, and a
// Value of such a directive holds the index; tests/unit checks that every choice directive of the
// table names its set.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pidward::unit {

enum class ServiceType : std::uint8_t {
  simple,
  exec,
  forking,
  oneshot,
  dbus,
  notify,
  notify_reload,
  idle
};
inline constexpr std::array<std::string_view, 8> kServiceTypeNames{
    "simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"};

enum class ServiceExitType : std::uint8_t { main, cgroup };
inline constexpr std::array<std::string_view, 2> kServiceExitTypeNames{"main", "cgroup"};

enum class RestartPolicy : std::uint8_t {
  no,
  on_success,
  on_failure,
  on_abnormal,
  on_watchdog,
  on_abort,
  always
};
inline constexpr std::array<std::string_view, 7> kRestartPolicyNames{
    "no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"};

enum class RestartMode : std::uint8_t { normal, direct };
inline constexpr std::array<std::string_view, 2> kRestartModeNames{"normal", "direct"};

enum class NotifyAccess : std::uint8_t { none, main, exec, all };
inline constexpr std::array<std::string_view, 4> kNotifyAccessNames{"none", "main", "exec", "all"};

enum class KillMode : std::uint8_t { control_group, process, mixed, none };
inline constexpr std::array<std::string_view, 4> kKillModeNames{"control-group", "process", "mixed",
                                                                "none"};

enum class KillOnLastClose : std::uint8_t { no, main, control_group };
inline constexpr std::array<std::string_view, 3> kKillOnLastCloseNames{"no", "main",
                                                                       "control-group"};

enum class TimeoutFailureMode : std::uint8_t { terminate, abort, kill };
inline constexpr std::array<std::string_view, 3> kTimeoutFailureModeNames{"terminate", "abort",
                                                                          "kill"};

enum class StandardInput : std::uint8_t { null, tty, tty_force, tty_fail, data, file, socket, fd };
inline constexpr std::array<std::string_view, 8> kStandardInputNames{
    "null", "tty", "tty-force", "tty-fail", "data", "file", "socket", "fd"};

enum class StandardOutput : std::uint8_t {
  inherit,
  null,
  tty,
  journal,
  kmsg,
  journal_console,
  kmsg_console,
  file,
  append,
  truncate,
  socket,
  fd
};
inline constexpr std::array<std::string_view, 12> kStandardOutputNames{
    "inherit",      "null", "tty",    "journal",  "kmsg",   "journal+console",
    "kmsg+console", "file", "append", "truncate", "socket", "fd"};

enum class PreserveMode : std::uint8_t { no, yes, restart };
inline constexpr std::array<std::string_view, 3> kPreserveModeNames{"no", "yes", "restart"};

enum class JobMode : std::uint8_t {
  fail,
  replace,
  replace_irreversibly,
  isolate,
  flush,
  ignore_dependencies,
  ignore_requirements,
  triggering
};
inline constexpr std::array<std::string_view, 8> kJobModeNames{"fail",
                                                               "replace",
                                                               "replace-irreversibly",
                                                               "isolate",
                                                               "flush",
                                                               "ignore-dependencies",
                                                               "ignore-requirements",
                                                               "triggering"};

enum class EmergencyAction : std::uint8_t {
  none,
  reboot,
  reboot_force,
  reboot_immediate,
  poweroff,
  poweroff_force,
  poweroff_immediate,
  exit,
  exit_force
};
inline constexpr std::array<std::string_view, 9> kEmergencyActionNames{
    "none",      "reboot",         "reboot-force",       "reboot-immediate",
    "poweroff",  "poweroff-force", "poweroff-immediate", "exit",
    "exit-force"};

enum class CollectMode : std::uint8_t { inactive, inactive_or_failed };
inline constexpr std::array<std::string_view, 2> kCollectModeNames{"inactive",
                                                                   "inactive-or-failed"};

enum class OomPolicy : std::uint8_t { go_on, stop, kill };
inline constexpr std::array<std::string_view, 3> kOomPolicyNames{"continue", "stop", "kill"};

enum class SocketBind : std::uint8_t { use_default, both, ipv6_only };
inline constexpr std::array<std::string_view, 3> kSocketBindNames{"default", "both", "ipv6-only"};

/// The indexes are the kernel's SCHED_* and IOPRIO_CLASS_* numbers and syslog(3)'s levels and
/// facilities; numbers without a name are empty.
inline constexpr std::array<std::string_view, 6> kCpuSchedulingPolicyNames{"other", "fifo", "rr",
                                                                           "batch", "",     "idle"};
inline constexpr std::array<std::string_view, 4> kIoSchedulingClassNames{"none", "realtime",
                                                                         "best-effort", "idle"};
inline constexpr std::array<std::string_view, 5> kNumaPolicyNames{"default", "preferred", "bind",
                                                                  "interleave", "local"};
inline constexpr std::array<std::string_view, 8> kSyslogLevelNames{
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
inline constexpr std::array<std::string_view, 24> kSyslogFacilityNames{
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "",       "",       "",       "",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

inline constexpr std::array<std::string_view, 0> kNoChoices{};
inline constexpr std::array<std::string_view, 3> kKeyringModeNames{"inherit", "private", "shared"};
inline constexpr std::array<std::string_view, 3> kUtmpModeNames{"init", "login", "user"};
inline constexpr std::array<std::string_view, 4> kProtectProcNames{"default", "noaccess",
                                                                   "invisible", "ptraceable"};
inline constexpr std::array<std::string_view, 2> kProcSubsetNames{"all", "pid"};
inline constexpr std::array<std::string_view, 3> kDevicePolicyNames{"auto", "closed", "strict"};
inline constexpr std::array<std::string_view, 2> kManagedOomModeNames{"auto", "kill"};
inline constexpr std::array<std::string_view, 3> kManagedOomPreferenceNames{"none", "avoid",
                                                                            "omit"};
inline constexpr std::array<std::string_view, 3> kSocketProtocolNames{"udplite", "sctp", "mptcp"};
inline constexpr std::array<std::string_view, 3> kTimestampingNames{"off", "us", "ns"};
/// What these take besides yes and no.
inline constexpr std::array<std::string_view, 2> kProtectSystemNames{"full", "strict"};
inline constexpr std::array<std::string_view, 2> kProtectHomeNames{"read-only", "tmpfs"};
inline constexpr std::array<std::string_view, 1> kPrivateTmpNames{"disconnected"};
inline constexpr std::array<std::string_view, 3> kPrivateUsersNames{"self", "identity", "full"};
inline constexpr std::array<std::string_view, 1> kProtectHostnameNames{"private"};
inline constexpr std::array<std::string_view, 2> kProtectControlGroupsNames{"private", "strict"};

}  // namespace pidward::unit
