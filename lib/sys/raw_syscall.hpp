// System calls as single instructions: no libc state, no errno, no cancellation. A child that
// shares our memory (CLONE_VM) shares the thread pointer too and may run nothing else than this.
#pragma once

#include <cstddef>
#include <type_traits>

/// For functions that run in a memory-sharing child: no instrumentation that would touch
/// thread-local state.
#define PIDWARD_CHILD_CODE __attribute__((no_sanitize("address", "undefined", "thread")))

namespace pidward::sys {

/// One argument of a system call as the register's value.
template <typename T>
constexpr long syscall_argument(T value) {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);  // NOLINT: a register has no type
  } else {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>,
                  "a system call takes integers and pointers");
    return static_cast<long>(value);
  }
}

/// Runs system call `number`. Returns its result, or -errno (-4095 to -1).
PIDWARD_CHILD_CODE inline long raw_syscall6(long number, long a, long b, long c, long d, long e,
                                            long f) {
#if defined(__x86_64__)
  long result = number;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#else
#error "pidward knows the system call instruction of x86_64 and aarch64"
#endif
}

/// raw_syscall6 with up to six arguments of any integer or pointer type.
template <typename... Args>
PIDWARD_CHILD_CODE inline long raw_syscall(long number, Args... args) {
  static_assert(sizeof...(Args) <= 6, "a system call has at most six arguments");
  const long values[7] = {syscall_argument(args)..., 0};
  return raw_syscall6(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

/// Whether a raw result is an error; its errno is then -result.
constexpr bool is_error(long result) {
  return result < 0 && result >= -4095;
}

}  // namespace pidward::sys
