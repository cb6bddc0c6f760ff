// What a person may call a process: its number, its inode, or both as "PID:INODE". Both must belong
// together, so that a number that was given to somebody else since is noticed.
#pragma once

#include <optional>
#include <string_view>

#include "process/process_table.hpp"

namespace pidward::process {

struct ProcessName {
  std::optional<pid_t> pid;
  std::optional<ProcessId> inode;
};

/// What a bare number means where it is read.
enum class BareNumber : std::uint8_t { pid, inode };

/// "4711:123456", or "4711" as `bare` says. Errors: invalid_argument, with the text.
Result<ProcessName> parse_process_name(std::string_view text, BareNumber bare);

/// Whether an open process is the one that was named. process_mismatch with both numbers, as given
/// and as found; no_such_process when it was collected already.
Status check_name(const sys::Pidfd& process, const ProcessName& name);

/// Opens a process by its inode number, which is all that pidfs's file handle holds. Errors:
/// no_such_process, not_supported where the kernel has no such handles.
Result<sys::Pidfd> open_by_inode(ProcessId process);

/// Opens the process that `name` gives a number of, and checks the rest. Without pidfs an inode
/// cannot be checked: not_supported. A name with an inode alone is not_supported too where the
/// kernel opens no process by file handle.
Result<sys::Pidfd> open_by_name(const ProcessName& name, const sys::KernelFeatures& features);

}  // namespace pidward::process
