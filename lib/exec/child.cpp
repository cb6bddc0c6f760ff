// Runs in the child, which shares the daemon's memory and its thread pointer: raw system calls
// only, nothing that allocates, locks, or touches errno. The whole file is built without sanitizers
// and stack protector.
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "exec/handover.hpp"
#include "exec/step.hpp"
#include "sys/raw_syscall.hpp"

namespace pidward::exec {
namespace {

using sys::is_error;
using sys::raw_syscall;
using sys::raw_syscall6;

PIDWARD_CHILD_CODE long open_onto(const Step& step) {
  const long fd =
      raw_syscall(SYS_openat, AT_FDCWD, step.args[0], step.args[1] | O_CLOEXEC, step.args[2]);
  if (is_error(fd)) return fd;
  const long placed = raw_syscall(SYS_dup3, fd, step.args[3], 0);
  raw_syscall(SYS_close, fd);
  return placed;
}

PIDWARD_CHILD_CODE long write_file(const Step& step) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, step.args[0], O_WRONLY | O_CLOEXEC, 0);
  if (is_error(fd)) return fd;
  const long written = raw_syscall(SYS_write, fd, step.args[1], step.args[2]);
  raw_syscall(SYS_close, fd);
  return written;
}

PIDWARD_CHILD_CODE long lift(const Step& step, const int* descriptors) {
  const int source = descriptors[step.args[0]];
  const long copy = raw_syscall(SYS_fcntl, source, F_DUPFD_CLOEXEC, step.args[2]);
  if (!is_error(copy)) *reinterpret_cast<int*>(step.args[1]) = static_cast<int>(copy);
  return copy;
}

PIDWARD_CHILD_CODE long place(const Step& step) {
  const int source = *reinterpret_cast<const int*>(step.args[0]);
  const long placed = raw_syscall(SYS_dup3, source, step.args[1], 0);
  if (is_error(placed)) return placed;
  const long flags = raw_syscall(SYS_fcntl, placed, F_GETFL, 0);
  if (is_error(flags)) return flags;
  const long wanted =
      step.args[2] != 0 ? flags | O_NONBLOCK : flags & ~static_cast<long>(O_NONBLOCK);
  return wanted == flags ? 0 : raw_syscall(SYS_fcntl, placed, F_SETFL, wanted);
}

PIDWARD_CHILD_CODE long write_pid(const Step& step) {
  char digits[24];
  long rest = raw_syscall(SYS_getpid);
  long count = 0;
  do {
    digits[count++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  // volatile: a compiler may otherwise turn the loops into calls of instrumented string functions.
  volatile char* out = reinterpret_cast<volatile char*>(step.args[0]);
  for (long i = 0; i < step.args[1]; ++i) out[i] = i < count ? digits[count - 1 - i] : '\0';
  return 0;
}

/// Waits until somebody closes what `watch` looks at. A stop ends the wait: from here on signals
/// are open.
PIDWARD_CHILD_CODE long wait_for_close(long watch) {
  const std::uint64_t none = 0;
  raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
  char events[512];
  return raw_syscall(SYS_read, watch, &events, sizeof events);
}

/// A terminal that is being hung up answers EIO for a moment.
PIDWARD_CHILD_CODE long open_terminal(long path) {
  constexpr int kTries = 20;
  const timespec pause{0, 50000000};
  long fd = -EIO;
  for (int i = 0; i < kTries && fd == -EIO; ++i) {
    if (i > 0) raw_syscall(SYS_nanosleep, &pause, 0);
    fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
  }
  return fd;
}

/// One try. -EPERM: another session has it, and `mode` says what that means.
PIDWARD_CHILD_CODE long try_terminal(long fd, TerminalMode mode) {
  const long taken = raw_syscall(SYS_ioctl, fd, TIOCSCTTY, mode == TerminalMode::force ? 1 : 0);
  return is_error(taken) ? taken : raw_syscall(SYS_dup3, fd, 0, 0);
}

PIDWARD_CHILD_CODE long take_terminal(const Step& step) {
  const auto mode = static_cast<TerminalMode>(step.args[1]);
  for (;;) {
    long watch = -1;
    if (mode == TerminalMode::wait) {
      watch = raw_syscall(SYS_inotify_init1, IN_CLOEXEC);
      if (is_error(watch)) return watch;
      const long added = raw_syscall(SYS_inotify_add_watch, watch, step.args[0], IN_CLOSE);
      if (is_error(added)) return added;
    }
    const long fd = open_terminal(step.args[0]);
    if (is_error(fd)) return fd;
    long result = try_terminal(fd, mode);
    const bool again = result == -EPERM && mode == TerminalMode::wait;
    if (again) result = wait_for_close(watch);
    // Only now: our own close would have ended the wait.
    raw_syscall(SYS_close, fd);
    if (watch >= 0) raw_syscall(SYS_close, watch);
    if (!again || is_error(result)) return result;
  }
}

/// As execvp(3): a missing or unreadable candidate gives way to the next, and the most telling
/// error is kept.
PIDWARD_CHILD_CODE long execute(const Step& step) {
  const auto* candidates = reinterpret_cast<const char* const*>(step.args[0]);
  long error = -ENOENT;
  for (; *candidates != nullptr; ++candidates) {
    const long result = raw_syscall(SYS_execve, *candidates, step.args[1], step.args[2]);
    if (result != -ENOENT && result != -ENOTDIR && result != -EACCES) return result;
    if (result == -EACCES) error = result;
  }
  return error;
}

/// A parent that died before the parent-death signal was asked for sends none. Its end of the pipe
/// closed with it; in a pid namespace of its own the child could not tell by getppid().
PIDWARD_CHILD_CODE long check_parent(int report_fd) {
  pollfd watched{report_fd, 0, 0};
  const timespec no_time{0, 0};
  const long ready = raw_syscall(SYS_ppoll, &watched, 1, &no_time, nullptr, 0);
  if (is_error(ready)) return ready;
  return (watched.revents & POLLERR) != 0 ? -ESRCH : 0;
}

PIDWARD_CHILD_CODE long run_step(const Step& step, const int* descriptors, int report_fd) {
  switch (step.kind) {
    case StepKind::call:
      return raw_syscall6(step.number, step.args[0], step.args[1], step.args[2], step.args[3],
                          step.args[4], step.args[5]);
    case StepKind::copy_onto:
      return raw_syscall(SYS_dup3, descriptors[step.args[0]], step.args[1], 0);
    case StepKind::open_onto:
      return open_onto(step);
    case StepKind::write_file:
      return write_file(step);
    case StepKind::lift:
      return lift(step, descriptors);
    case StepKind::place:
      return place(step);
    case StepKind::write_pid:
      return write_pid(step);
    case StepKind::check_parent:
      return check_parent(report_fd);
    case StepKind::take_terminal:
      return take_terminal(step);
    case StepKind::execute:
      return execute(step);
  }
  return -EINVAL;
}

PIDWARD_CHILD_CODE void report(int fd, std::uint32_t step, long error) {
  StepFailure failure;
  failure.step = step;
  failure.error_number = static_cast<std::int32_t>(-error);
  raw_syscall(SYS_write, fd, &failure, sizeof failure);
}

/// "0" is whoever writes it.
PIDWARD_CHILD_CODE long join_cgroup(const char* path) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  if (is_error(fd)) return fd;
  const char self = '0';
  const long written = raw_syscall(SYS_write, fd, &self, 1);
  raw_syscall(SYS_close, fd);
  return written;
}

PIDWARD_CHILD_CODE GateState look_at(const GateWords* gate) {
  GateState state = GateState::closed;
  __atomic_load(&gate->state, &state, __ATOMIC_ACQUIRE);
  return state;
}

PIDWARD_CHILD_CODE bool has_ended(int pidfd) {
  struct pollfd end = {pidfd, POLLIN, 0};
  struct timespec at_once = {0, 0};
  return raw_syscall(SYS_ppoll, &end, 1, &at_once, nullptr, 0) > 0;
}

/// Whether the next daemon will read of us.
PIDWARD_CHILD_CODE bool is_recorded(const GateWords* gate) {
  const std::uint64_t size = __atomic_load_n(&gate->recorded_size, __ATOMIC_ACQUIRE);
  if (size == 0) return false;
  const long end = raw_syscall(SYS_lseek, gate->record_fd, 0, SEEK_END);
  return !is_error(end) && static_cast<std::uint64_t>(end) >= size;
}

/// The parent that made us on another processor is about to decide: for a moment we look only.
PIDWARD_CHILD_CODE void linger(GateWords* gate) {
  constexpr int kLooks = 200;
  for (int i = 0; i < kLooks && look_at(gate) == GateState::closed; ++i) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
}

/// Waits until the parent has decided. Should it die before that, we go with it, unless it has
/// written down that we exist. False: not to be run.
PIDWARD_CHILD_CODE bool wait_for_gate(const ChildTask& task) {
  linger(task.gate);
  for (;;) {
    GateState state = GateState::closed;
    GateState sleeping = GateState::waited_at;
    __atomic_compare_exchange(&task.gate->state, &state, &sleeping, false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
    if (state == GateState::open || state == GateState::abandoned) return state == GateState::open;
    if (has_ended(task.parent)) {
      return look_at(task.gate) == GateState::open || is_recorded(task.gate);
    }
    struct timespec nap = {0, 20'000'000};
    raw_syscall(SYS_futex, &task.gate->state, FUTEX_WAIT, GateState::waited_at, &nap, nullptr, 0);
  }
}

/// Parts from the parent's descriptors with as few of them as can be, and takes the plan's.
PIDWARD_CHILD_CODE long take_descriptors(const ChildTask& task) {
  constexpr unsigned kCloseRangeUnshare = 2;  // CLOSE_RANGE_UNSHARE
  const long parted = raw_syscall(SYS_close_range, task.keep_below, ~0U, kCloseRangeUnshare);
  if (is_error(parted)) return parted;
  constexpr std::size_t kRoom = CMSG_SPACE(sizeof(int) * LowNumbers::kMostInMessage);
  alignas(cmsghdr) char control[kRoom];
  char something;
  iovec data;
  data.iov_base = &something;
  data.iov_len = 1;
  msghdr message;
  message.msg_name = nullptr;
  message.msg_namelen = 0;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = kRoom;
  message.msg_flags = 0;
  const long received =
      raw_syscall(SYS_recvmsg, task.message, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (is_error(received)) return received;
  const auto* header = reinterpret_cast<const cmsghdr*>(control);
  const std::size_t wanted = CMSG_LEN(sizeof(int) * task.descriptor_count);
  if (message.msg_controllen < wanted || header->cmsg_len != wanted) return -EMFILE;
  const auto* numbers = reinterpret_cast<const int*>(control + CMSG_LEN(0));
  volatile int* out = task.descriptors;
  for (std::size_t i = 0; i < task.descriptor_count; ++i) out[i] = numbers[i];
  return 0;
}

}  // namespace

PIDWARD_CHILD_CODE int run_child(void* argument) {
  const auto& task = *static_cast<const ChildTask*>(argument);
  if (!wait_for_gate(task)) return static_cast<int>(ExitCode::exec);
  int report_fd = task.report_fd;
  if (task.message >= 0) {
    // Without a descriptor to report with; whoever waits for one hears that we ended.
    if (is_error(take_descriptors(task))) return static_cast<int>(ExitCode::fds);
    report_fd = task.descriptors[task.descriptor_count - 1];
  }
  if (report_fd < task.lowest_free_fd) {
    const long lifted = raw_syscall(SYS_fcntl, report_fd, F_DUPFD_CLOEXEC, task.lowest_free_fd);
    if (!is_error(lifted)) report_fd = static_cast<int>(lifted);
  }
  if (task.join_cgroup != nullptr) {
    const long joined = join_cgroup(task.join_cgroup);
    if (is_error(joined)) {
      report(report_fd, kJoinCgroup, joined);
      return static_cast<int>(ExitCode::cgroup);
    }
  }
  for (std::size_t i = 0; i < task.count; ++i) {
    const Step& step = task.steps[i];
    const long result = run_step(step, task.descriptors, report_fd);
    if (!is_error(result) || result == -step.tolerated || step.tolerated == kAnyError) continue;
    report(report_fd, static_cast<std::uint32_t>(i), result);
    return static_cast<int>(step.exit_code);
  }
  return static_cast<int>(ExitCode::exec);
}

}  // namespace pidward::exec
