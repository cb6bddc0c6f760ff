// Believing a process that came from outside.
#include <fmt/core.h>
#include <sys/syscall.h>

#include "process/process_table.hpp"
#include "sys/cgroup.hpp"
#include "sys/kernel.hpp"
#include "sys/proc.hpp"

namespace pidward::process {
namespace {

// Whether the chain of parents leads to us. Each parent is opened by number and believed if its
// child still names it after that: then the number was its own when it was opened.
Result<bool> descends_from_us(const sys::Pidfd& process) {
  const auto own_number = static_cast<pid_t>(sys::call(SYS_getpid));
  constexpr int kDeepest = 4096;
  PIDWARD_TRY(sys::Pidfd current, process.duplicate());
  for (int depth = 0; depth < kDeepest; ++depth) {
    PIDWARD_TRY(const sys::ProcStat stat, sys::stat_of(current));
    if (stat.ppid == own_number) return true;
    if (stat.ppid <= 1) return false;
    auto parent = sys::Pidfd::open(stat.ppid);
    PIDWARD_TRY(const sys::ProcStat again, sys::stat_of(current));
    if (again.ppid != stat.ppid) continue;  // it was handed to another parent meanwhile
    if (!parent) return std::move(parent).error();
    current = *std::move(parent);
  }
  return false;
}

// Whether the chain of our own parents leads to it. A parent's number is the process's if it is so
// while our side of the link stays and the process is there.
Result<bool> is_above_us(const sys::Pidfd& process) {
  PIDWARD_TRY(sys::Pidfd current, sys::Pidfd::self());
  constexpr int kDeepest = 4096;
  for (int depth = 0; depth < kDeepest; ++depth) {
    PIDWARD_TRY(const sys::ProcStat stat, sys::stat_of(current));
    if (stat.ppid <= 1) return false;
    auto parent = sys::Pidfd::open(stat.ppid);
    const auto number = process.pid();
    PIDWARD_TRY(const sys::ProcStat again, sys::stat_of(current));
    if (again.ppid != stat.ppid) continue;
    if (number && *number == stat.ppid) return process.exists();
    if (!parent) return std::move(parent).error();
    current = *std::move(parent);
  }
  return false;
}

Status check_cgroup(const sys::Pidfd& process, const std::string& expected) {
  PIDWARD_TRY(const std::string found, sys::cgroup_path_of(process));
  if (sys::cgroup_is_within(found, expected)) return {};
  return Error(Errc::process_mismatch,
               fmt::format("The process is in the cgroup {}, not in {}", found, expected));
}

}  // namespace

Status verify(const sys::Pidfd& process, const Expectation& expected) {
  PIDWARD_TRY(const bool ended, process.has_ended());
  if (ended) return Error(Errc::no_such_process, "The process has ended already");
  PIDWARD_TRY(const pid_t pid, process.pid());
  if (pid == static_cast<pid_t>(sys::call(SYS_getpid))) {
    return Error(Errc::process_mismatch, "The process is pidward itself");
  }
  if (pid == 1) return Error(Errc::process_mismatch, "The process is the init of the system");
  if (expected.cgroup) PIDWARD_CHECK(check_cgroup(process, *expected.cgroup));
  if (expected.descendant_of_us) {
    PIDWARD_TRY(const bool ours, descends_from_us(process));
    if (!ours) {
      return Error(Errc::process_mismatch, "The process does not descend from pidward");
    }
  }
  if (expected.not_above_us) {
    PIDWARD_TRY(const bool above, is_above_us(process));
    if (above) {
      return Error(Errc::process_mismatch, "pidward itself is in the tree of the process");
    }
  }
  PIDWARD_TRY(const bool ended_since, process.has_ended());
  if (ended_since) return Error(Errc::no_such_process, "The process ended while it was checked");
  return {};
}

Result<ProcessHandle> open_pid_verified(ProcessTable& table, pid_t pid,
                                        const Expectation& expected) {
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::open(pid));
  if (auto status = verify(process, expected); !status) {
    return std::move(status).error().within(fmt::format("Process {}", pid));
  }
  return table.open(std::move(process));
}

}  // namespace pidward::process
