#include "sys/kernel.hpp"

#include <atomic>
#include <cerrno>
#include <utility>

#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

// The child of clone3() wakes up on another stack, so it cannot return from a C++ function: the
// instruction after the system call belongs to both, and only assembly can part them. The entry and
// its argument wait in registers that the kernel preserves.
#if defined(__x86_64__)
asm(R"(
  .text
  .globl pidward_clone3
  .hidden pidward_clone3
  .type pidward_clone3, @function
pidward_clone3:
  .cfi_startproc
  movl $435, %eax
  movq %rdx, %r8
  movq %rcx, %r9
  syscall
  testq %rax, %rax
  jz 1f
  ret
1:
  .cfi_undefined rip
  xorl %ebp, %ebp
  movq %r9, %rdi
  callq *%r8
  movl %eax, %edi
  movl $231, %eax
  syscall
  hlt
  .cfi_endproc
  .size pidward_clone3, . - pidward_clone3
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .globl pidward_clone3
  .hidden pidward_clone3
  .type pidward_clone3, @function
pidward_clone3:
  .cfi_startproc
  mov x8, #435
  mov x9, x2
  mov x10, x3
  svc #0
  cbz x0, 1f
  ret
1:
  .cfi_undefined x30
  mov x29, #0
  mov x30, #0
  mov x0, x10
  blr x9
  mov x8, #94
  svc #0
  brk #0
  .cfi_endproc
  .size pidward_clone3, . - pidward_clone3
)");
#endif

extern "C" long pidward_clone3(clone_args* args, std::size_t size, pidward::sys::ChildEntry entry,
                               void* argument);

namespace pidward::sys {
namespace {

Kernel& default_kernel() {
  // Never destroyed: a thread may still call while the program ends.
  static auto* const the_kernel = new Kernel;
  return *the_kernel;
}

std::atomic<Kernel*> replacement_kernel{nullptr};

}  // namespace

static_assert(SYS_clone3 == 435, "the assembly above has the number in it");

long Kernel::syscall(long number, const SyscallArguments& arguments) {
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer follows descriptors through libc's close() alone. Without it a new one of the
  // same number is still the old one, of another thread.
  if (number == SYS_close) return ::close(static_cast<int>(arguments[0])) == 0 ? 0 : -errno;
#endif
  return raw_syscall6(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                      arguments[5]);
}

long Kernel::clone_on_stack(clone_args& args, std::size_t size, ChildEntry entry, void* argument) {
  return pidward_clone3(&args, size, entry, argument);
}

Kernel& kernel() {
  Kernel* replacement = replacement_kernel.load(std::memory_order_acquire);
  return replacement != nullptr ? *replacement : default_kernel();
}

ScopedKernel::ScopedKernel(Kernel& replacement)
    : previous_(replacement_kernel.exchange(&replacement, std::memory_order_acq_rel)) {}

ScopedKernel::~ScopedKernel() {
  replacement_kernel.store(previous_, std::memory_order_release);
}

}  // namespace pidward::sys
