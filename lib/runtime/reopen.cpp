#include "runtime/reopen.hpp"

#include <array>

#include <fmt/core.h>

#include "sys/cgroup.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::array kRoles{process::Role::main, process::Role::control, process::Role::other};

Error mismatch(const ProcessRecord& record, std::string_view why) {
  return {Errc::process_mismatch,
          fmt::format("Process {} of {} is not taken over: {}", record.pid, record.unit, why)};
}

Result<sys::Pidfd> reopen_by_handle(const ProcessRecord& record) {
  PIDWARD_TRY(const sys::PidfsHandle handle, sys::PidfsHandle::parse(record.handle));
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::from_handle(handle));
  PIDWARD_TRY(const std::uint64_t inode, process.inode());
  if (ProcessId(inode) != record.id) return mismatch(record, "its handle leads to another process");
  return process;
}

}  // namespace

Result<sys::Pidfd> reopen(const ProcessRecord& record, const sys::KernelFeatures& features,
                          const std::optional<std::string>& group) {
  if (!record.handle.empty() && features.has(sys::Feature::pidfs_handles)) {
    return reopen_by_handle(record);
  }
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::open(record.pid));
  if (features.has(sys::Feature::pidfs)) {
    PIDWARD_TRY(const std::uint64_t inode, process.inode());
    if (ProcessId(inode) == record.id) return process;
  }
  if (record.start_ticks == 0) return mismatch(record, "nothing proves that it is the same");
  PIDWARD_TRY(const sys::ProcStat stat, sys::stat_of(process));
  if (stat.start_ticks != record.start_ticks) {
    return Error(Errc::no_such_process, "The number is another process's now");
  }
  if (!group) return mismatch(record, "there is no control group to prove whose it is");
  PIDWARD_TRY(const std::string found, sys::cgroup_path_of(process));
  if (!sys::cgroup_is_within(found, *group)) return mismatch(record, "it is in another group");
  PIDWARD_TRY(const bool exists, process.exists());
  if (!exists) return Error(Errc::no_such_process, "The process is gone");
  return process;
}

void write_label(const sys::Pidfd& process, const ProcessLabel& label) {
  // One that cannot be written is one way less to find the process again, no more.
  static_cast<void>(process.set_label("unit", label.unit));
  static_cast<void>(process.set_label("role", process::to_string(label.role)));
  static_cast<void>(process.set_label("invocation", label.invocation.to_string()));
}

std::optional<ProcessLabel> read_label(const sys::Pidfd& process) {
  const auto unit = process.label("unit");
  const auto role = process.label("role");
  const auto invocation = process.label("invocation");
  if (!unit || !*unit || !role || !*role || !invocation || !*invocation) return std::nullopt;
  ProcessLabel label;
  label.unit = **unit;
  const auto parsed = InvocationId::parse(**invocation);
  if (!parsed) return std::nullopt;
  label.invocation = *parsed;
  for (const process::Role known : kRoles) {
    if (process::to_string(known) != **role) continue;
    label.role = known;
    return label;
  }
  return std::nullopt;
}

}  // namespace pidward::runtime
