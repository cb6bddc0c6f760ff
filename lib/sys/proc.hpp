// What /proc says about a process, read so that it cannot be another process's: the number is taken
// from the pidfd, and the pidfd is asked before and after the reading whether the number is still
// its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "sys/features.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {

/// The file /proc/PID/NAME. no_such_process when it was reaped before or during the reading.
Result<std::string> read_proc(const Pidfd& process, const std::string& name);

/// Command name, at most 15 bytes (more for kernel threads).
Result<std::string> comm_of(const Pidfd& process);
/// Arguments; empty for a zombie or a kernel thread.
Result<std::vector<std::string>> cmdline_of(const Pidfd& process);
/// "NAME=VALUE" as at exec.
Result<std::vector<std::string>> environ_of(const Pidfd& process);
/// The version 2 group ("/a/b"); "/" where there is no version 2 hierarchy.
Result<std::string> cgroup_path_of(const Pidfd& process);
/// Target of /proc/PID/exe.
Result<std::string> executable_of(const Pidfd& process);

/// From /proc/PID/stat.
struct ProcStat {
  pid_t pid = 0;
  std::string comm;
  char state = '?';  ///< R, S, D, Z, T ...
  pid_t ppid = 0;
  pid_t session = 0;
  std::uint64_t start_ticks =
      0;  ///< since boot, in clock ticks; with pid and boot id as good as an identity
};
/// Parses one stat line; the command name may hold anything, spaces and parentheses included.
Result<ProcStat> parse_stat(std::string_view line);
Result<ProcStat> stat_of(const Pidfd& process);

/// Who a process is and whose.
struct ProcessInfo {
  pid_t pid = 0;
  pid_t ppid = 0;
  uid_t uid = 0;                           ///< effective
  gid_t gid = 0;                           ///< effective
  std::optional<std::uint64_t> cgroup_id;  ///< needs pidfd_info
};
/// By PIDFD_GET_INFO, or from /proc between two looks at the pidfd where the feature is missing or
/// switched off.
Result<ProcessInfo> inspect(const Pidfd& process, const KernelFeatures& features);

/// Whether it is a thread of the kernel's own: those have no memory, hence (before Linux 6.8, which
/// says it) no size of it in the status file. A zombie has none either, and is none.
Result<bool> is_kernel_thread(const Pidfd& process);

/// The children of a process, each opened and then found to be its child still.
Result<std::vector<Pidfd>> children_of(const Pidfd& process, const KernelFeatures& features);
/// Its children and theirs, parents before children. A process whose parent ended is not found this
/// way: it belongs to the nearest subreaper.
Result<std::vector<Pidfd>> descendants_of(const Pidfd& process, const KernelFeatures& features);
/// Kills a process and its descendants without a cgroup: stops each one found until no new one
/// appears, then kills them all; where there are too few descriptors for that, one after the other,
/// children first. Never waits. Returns how many were signalled; one that is gone already counts
/// for none. We ourselves are never among them, nor are our children where we are below the
/// process. limit_exceeded: not even for that are there descriptors, and some may be left.
Result<std::size_t> kill_tree(const Pidfd& process, const KernelFeatures& features);

/// As it was before the kernel wrote it into mountinfo or swaps, with space, tab, newline and
/// backslash as three octal digits (proc_pid_mountinfo(5)).
std::string unescape_octal(std::string_view text);

/// The random id of this boot, 36 characters; what is valid "until reboot" is stored with it.
Result<std::string> boot_id();

}  // namespace pidward::sys
