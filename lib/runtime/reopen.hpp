// Finding a process of the last daemon's again: by its file handle where the kernel has them, else
// by number, start time and control group, which must all agree.
#pragma once

#include <optional>
#include <string>

#include "runtime/state_keeper.hpp"
#include "sys/features.hpp"
#include "sys/pidfd.hpp"

namespace pidward::runtime {

/// The process of a record. Errors: no_such_process when it is gone for certain; process_mismatch
/// when the number is somebody else's now, or nothing proves that it is not. `group` is the control
/// group that it must be in, for the second way.
Result<sys::Pidfd> reopen(const ProcessRecord& record, const sys::KernelFeatures& features,
                          const std::optional<std::string>& group);

/// What the kernel keeps with a process for us (trusted.* xattrs), where it does.
struct ProcessLabel {
  std::string unit;
  process::Role role = process::Role::other;
  InvocationId invocation;
};
void write_label(const sys::Pidfd& process, const ProcessLabel& label);
/// Nothing when there is no label, or none that we would have written.
std::optional<ProcessLabel> read_label(const sys::Pidfd& process);

}  // namespace pidward::runtime
