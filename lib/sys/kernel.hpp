// The seam: every system call of pidward goes through one replaceable object, so that a test can
// make any of them fail, at any occurrence, with any errno.
#pragma once

#include <array>
#include <cstddef>

#include "base/result.hpp"
#include "sys/raw_syscall.hpp"

struct clone_args;

namespace pidward::sys {

using SyscallArguments = std::array<long, 6>;

/// What a memory-sharing child runs. Returns its exit code. Raw system calls only, see
/// raw_syscall.hpp.
using ChildEntry = int (*)(void* argument);

/// The kernel as an object. The default instance passes every call on; tests derive from it.
class Kernel {
 public:
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  /// Result of the call, or -errno.
  virtual long syscall(long number, const SyscallArguments& arguments);
  /// clone3() whose child runs `entry(argument)` on the stack named in `args`; see clone.hpp. Pid
  /// or -errno.
  virtual long clone_on_stack(clone_args& args, std::size_t size, ChildEntry entry, void* argument);
};

/// The kernel in use. Safe from any thread; never null.
Kernel& kernel();

/// Puts another kernel in the place of the default one for a scope. Scopes nest; only for tests,
/// and only while no other thread makes calls.
class ScopedKernel {
 public:
  explicit ScopedKernel(Kernel& replacement);
  ~ScopedKernel();
  ScopedKernel(const ScopedKernel&) = delete;
  ScopedKernel& operator=(const ScopedKernel&) = delete;

 private:
  Kernel* previous_;
};

/// One call through the seam: its result, or -errno.
template <typename... Args>
long call(long number, Args... args) {
  static_assert(sizeof...(Args) <= 6, "a system call has at most six arguments");
  return kernel().syscall(number, SyscallArguments{syscall_argument(args)...});
}

/// The same, again for as long as a signal interrupts it. Not for close(2).
template <typename... Args>
long call_retrying(long number, Args... args) {
  constexpr long kInterrupted = -4;  // -EINTR
  long result = kInterrupted;
  while (result == kInterrupted) result = call(number, args...);
  return result;
}

}  // namespace pidward::sys
