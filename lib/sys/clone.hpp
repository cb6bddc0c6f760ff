// Making a child: clone3(2) with our memory, on a stack of its own, without stopping us.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"
#include "sys/fd.hpp"
#include "sys/kernel.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {

/// Memory for a child's stack, with a guard page below. Must outlive the child's use of it: until
/// its exec succeeded or it ended, both of which close its copy of a close-on-exec pipe (the kernel
/// lets go of the memory before the files).
class ChildStack {
 public:
  ChildStack() = default;
  /// `size` bytes usable, rounded up to pages.
  static Result<ChildStack> create(std::size_t size = 64 * 1024);
  ChildStack(ChildStack&& other) noexcept;
  ChildStack& operator=(ChildStack&& other) noexcept;
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  ~ChildStack();

  /// Lowest usable address and the number of bytes from there.
  [[nodiscard]] void* base() const;
  [[nodiscard]] std::size_t size() const { return size_; }
  explicit operator bool() const { return mapping_ != nullptr; }

 private:
  void unmap() noexcept;
  void* mapping_ = nullptr;
  std::size_t size_ = 0;
};

/// What kind of child. CLONE_PIDFD and CLONE_CLEAR_SIGHAND are always set, CLONE_VFORK never.
struct CloneRequest {
  bool share_memory = true;  ///< CLONE_VM; without it the child has a copy and may use libc
  /// CLONE_FILES: the child has our descriptors and not copies of them, until it says otherwise.
  bool share_descriptors = false;
  std::uint64_t extra_flags =
      0;            ///< namespaces and the like, CLONE_NEW*; uapi::kCloneNnp, kClonePidfdAutokill
  int cgroup = -1;  ///< directory descriptor for CLONE_INTO_CGROUP (O_PATH will do), or -1
  int exit_signal = 17;  ///< SIGCHLD; 0 for none, as CLONE_AUTOREAP demands
};

struct Child {
  pid_t pid = 0;  ///< for logs; act through the pidfd
  Pidfd pidfd;
};

/// Starts a child that runs `entry(argument)` on `stack` and exits with what it returns. Returns at
/// once. With share_memory, `stack` and everything `argument` points to must stay as they are until
/// the child has exec'd or ended, and `entry` may use raw system calls only: no errno, no
/// allocation, no locks, nothing thread-local. The child has default dispositions for all signals
/// that were handled here, and our signal mask.
Result<Child> spawn_on_stack(const CloneRequest& request, const ChildStack& stack, ChildEntry entry,
                             void* argument);

}  // namespace pidward::sys
