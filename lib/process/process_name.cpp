#include "process/process_name.hpp"

#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/core.h>

namespace pidward::process {
namespace {

/// pidfs's file handle type; its content is the inode number.
constexpr std::int32_t kPidfsHandleType = 254;

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

Result<ProcessName> parse_process_name(std::string_view text, BareNumber bare) {
  const Error bad = Error(Errc::invalid_argument, fmt::format("\"{}\" names no process", text))
                        .advise("Write PID:INODE, as ps shows it, or one of the two");
  const std::size_t colon = text.find(':');
  const std::string_view first = text.substr(0, colon);
  const bool first_is_pid = colon != std::string_view::npos || bare == BareNumber::pid;
  const auto number = number_in(first);
  if (!number) return bad;
  ProcessName name;
  if (first_is_pid) {
    if (*number > static_cast<std::uint64_t>(std::numeric_limits<pid_t>::max())) return bad;
    name.pid = static_cast<pid_t>(*number);
  } else {
    name.inode = ProcessId(*number);
  }
  if (colon == std::string_view::npos) return name;
  const auto inode = number_in(text.substr(colon + 1));
  if (!inode) return bad;
  name.inode = ProcessId(*inode);
  return name;
}

Status check_name(const sys::Pidfd& process, const ProcessName& name) {
  PIDWARD_TRY(const pid_t pid, process.pid());
  if (name.pid && *name.pid != pid) {
    return Error(Errc::process_mismatch,
                 fmt::format("The process has number {} and not {}", pid, *name.pid));
  }
  if (!name.inode) return {};
  PIDWARD_TRY(const bool is_pidfs, process.is_pidfs());
  if (!is_pidfs) {
    return Error(Errc::not_supported, "This kernel gives processes no inode of their own")
        .advise("Name the process by its number alone");
  }
  PIDWARD_TRY(const std::uint64_t inode, process.inode());
  if (inode == name.inode->number()) return {};
  return Error(
      Errc::process_mismatch,
      fmt::format("Process {} has inode {} and not {}: the number is another process's now", pid,
                  inode, name.inode->number()));
}

Result<sys::Pidfd> open_by_inode(ProcessId process) {
  sys::PidfsHandle handle;
  handle.type = kPidfsHandleType;
  const std::uint64_t number = process.number();
  handle.size = sizeof number;
  std::memcpy(handle.bytes.data(), &number, sizeof number);
  PIDWARD_TRY(sys::Pidfd pidfd, sys::Pidfd::from_handle(handle));
  PIDWARD_TRY(const std::uint64_t inode, pidfd.inode());
  if (inode != number) return Error(Errc::no_such_process, "The process is gone");
  return pidfd;
}

Result<sys::Pidfd> open_by_name(const ProcessName& name, const sys::KernelFeatures& features) {
  if (name.inode && !features.has(sys::Feature::pidfs)) {
    return Error(Errc::not_supported, "This kernel gives processes no inode of their own")
        .advise("Name the process by its number alone");
  }
  if (!name.pid) {
    if (!name.inode) return Error(Errc::invalid_argument, "No process is named");
    return open_by_inode(*name.inode);
  }
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::open(*name.pid));
  PIDWARD_CHECK(check_name(process, name));
  return process;
}

}  // namespace pidward::process
