#include "sys/clone.hpp"

#include <utility>

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/contract.hpp"

namespace pidward::sys {
namespace {

constexpr std::size_t kPage = 64 * 1024;  // the largest page size of the machines we build for

constexpr std::size_t rounded(std::size_t size) {
  return (size + kPage - 1) / kPage * kPage;
}

}  // namespace

Result<ChildStack> ChildStack::create(std::size_t size) {
  const std::size_t usable = rounded(size == 0 ? 1 : size);
  const long address = call(SYS_mmap, nullptr, usable + kPage, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (is_error(address)) {
    return Error::from_errno(static_cast<int>(-address), "No memory for a child's stack");
  }
  ChildStack stack;
  stack.mapping_ = reinterpret_cast<void*>(address);  // NOLINT: mmap's result is an address
  stack.size_ = usable;
  const long opened = call(SYS_mprotect, stack.base(), usable, PROT_READ | PROT_WRITE);
  if (is_error(opened)) {
    return Error::from_errno(static_cast<int>(-opened), "No memory for a child's stack");
  }
  return stack;
}

ChildStack::ChildStack(ChildStack&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)), size_(std::exchange(other.size_, 0)) {}

ChildStack& ChildStack::operator=(ChildStack&& other) noexcept {
  if (this != &other) {
    unmap();
    mapping_ = std::exchange(other.mapping_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

ChildStack::~ChildStack() {
  unmap();
}

void* ChildStack::base() const {
  return static_cast<char*>(mapping_) + kPage;
}

void ChildStack::unmap() noexcept {
  if (mapping_ != nullptr) call(SYS_munmap, mapping_, size_ + kPage);
  mapping_ = nullptr;
}

Result<Child> spawn_on_stack(const CloneRequest& request, const ChildStack& stack, ChildEntry entry,
                             void* argument) {
  PIDWARD_EXPECT(stack && entry != nullptr);
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | request.extra_flags;
  if (request.share_memory) args.flags |= CLONE_VM;
  if (request.share_descriptors) args.flags |= CLONE_FILES;
  if (request.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(request.cgroup);
  }
  args.pidfd = static_cast<std::uint64_t>(syscall_argument(&pidfd));
  args.exit_signal = static_cast<std::uint64_t>(request.exit_signal);
  args.stack = static_cast<std::uint64_t>(syscall_argument(stack.base()));
  args.stack_size = stack.size();
  const long pid = kernel().clone_on_stack(args, sizeof(args), entry, argument);
  if (is_error(pid)) {
    return Error::from_errno(static_cast<int>(-pid), "Cannot make a child process");
  }
  return Child{static_cast<pid_t>(pid), Pidfd(Fd(adopt_fd, pidfd))};
}

}  // namespace pidward::sys
