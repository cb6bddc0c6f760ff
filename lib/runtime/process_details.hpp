// One process as its object on the bus, `ps` and `leases` show it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/exit_status.hpp"
#include "base/time.hpp"
#include "engine/state.hpp"
#include "process/process_table.hpp"

namespace pidward::runtime {

/// Facts read at one moment. What the kernel does not tell of a process that has ended is empty.
struct ProcessDetails {
  ProcessId id;
  std::uint32_t pid = 0;  ///< for display only; 0 when it was dead before it was met
  UnitId unit;            ///< none: foreign
  process::Role role = process::Role::foreign;
  ProcessId parent;              ///< none where the kernel has no inodes, or it is out of sight
  std::uint32_t parent_pid = 0;  ///< for display only
  std::optional<WallTime> started;
  std::vector<std::string> arguments;  ///< empty for a kernel thread or a zombie
  std::string command;                 ///< arguments joined by blanks; its name where it has none
  std::uint32_t uid = 0;               ///< effective
  std::uint32_t gid = 0;               ///< effective
  std::string control_group;           ///< "/a/b", of cgroup v2
  std::size_t leases = 0;              ///< how many leases are on it
  process::LastClose last_close;       ///< what the end of the last one does
  bool ended = false;
  std::optional<ExitStatus> exit_status;  ///< when it has ended; may be of kind unknown
};

/// The means that hold a unit's tree together, and how it dies with the manager. Words for `show`.
struct UnitMeans {
  /// "cgroup.kill", "cgroup-freeze" (freeze, signal each, thaw), "pid-namespace" (PrivatePIDs=) or
  /// "descendants".
  std::string tree;
  /// KillOnManagerExit=: "survive" (no), "autokill" or "parent-death-signal", the latter two with
  /// "+cgroup" where the next pidward ends what is left in the unit's group.
  std::string manager_exit;
};

/// What a process of a unit is to it: the engine knows the main and the control process, of any
/// other `noted` says it.
process::Role role_in(const engine::UnitStatus& status, ProcessId process, process::Role noted);

/// `arguments` joined by blanks; the name of the process where there are none, or nothing when it
/// has ended.
std::string command_text(const sys::Pidfd& process, const std::vector<std::string>& arguments);

/// Keeps a wait for a process's end going; dropping it cancels the wait.
using WaitTicket = std::shared_ptr<const void>;

}  // namespace pidward::runtime
