#include "runtime/logger_process.hpp"

#include <array>
#include <csignal>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/raw_syscall.hpp"

namespace pidward::runtime {
namespace {

struct Start {
  const char* program;
  std::array<const char*, 6> arguments;
  int control;
  int null;
};

constexpr int kLoggerControl = 3;
constexpr int kExecFailed = 203;

// Runs in a copy of our memory, in which other threads' locks may be held for ever: raw calls only.
PIDWARD_CHILD_CODE int run_child(void* argument) {
  const auto* start = static_cast<const Start*>(argument);
  const unsigned long no_signals = 0;
  sys::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, sizeof no_signals);
  sys::raw_syscall(SYS_setsid);
  sys::raw_syscall(SYS_dup3, start->null, STDIN_FILENO, 0);
  sys::raw_syscall(SYS_dup3, start->null, STDOUT_FILENO, 0);
  sys::raw_syscall(SYS_dup3, start->control, kLoggerControl, 0);
  sys::raw_syscall(SYS_execve, start->program, start->arguments.data(), environ);
  return kExecFailed;
}

}  // namespace

Result<sys::Child> spawn_logger(const std::string& program, int control,
                                const LoggerSettings& settings) {
  PIDWARD_TRY(const sys::Fd null, sys::open_path("/dev/null", O_RDWR));
  // Above everything run_child() writes over.
  const sys::Fd high(sys::adopt_fd, ::fcntl(control, F_DUPFD_CLOEXEC, 10));
  PIDWARD_TRY(const sys::ChildStack stack, sys::ChildStack::create());
  const std::string bytes = std::to_string(settings.limits.max_bytes);
  const std::string files = std::to_string(settings.limits.max_files);
  Start start{program.c_str(),
              {"pidward-logger", "--logger", settings.directory.c_str(), bytes.c_str(),
               files.c_str(), nullptr},
              high.get(),
              null.get()};
  sys::CloneRequest request;
  request.share_memory = false;
  return sys::spawn_on_stack(request, stack, run_child, &start);
}

}  // namespace pidward::runtime
