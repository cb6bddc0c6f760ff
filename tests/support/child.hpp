// Running a program from a test, held by its pidfd.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/patience.hpp"
#include "sys/clone.hpp"

namespace pidward::test {

struct ProgramCall {
  std::vector<std::string> arguments;    ///< the program first, by path
  std::vector<std::string> environment;  ///< "KEY=VALUE", besides ours
  std::string out;                       ///< files for its output, empty: ours
  std::string err;
  std::optional<uid_t> uid;  ///< run as this user, without groups
  rlim_t descriptors = 0;    ///< RLIMIT_NOFILE, soft and hard; 0: ours
};

class Program {
 public:
  /// Starts it. Nothing is inherited but standard streams.
  static Result<Program> start(const ProgramCall& call) {
    PIDWARD_TRY(sys::ChildStack stack, sys::ChildStack::create(1 << 20));
    PIDWARD_TRY(sys::Child child, sys::spawn_on_stack({.share_memory = false}, stack, run,
                                                      const_cast<ProgramCall*>(&call)));
    return Program(std::move(child.pidfd), child.pid);
  }
  [[nodiscard]] const sys::Pidfd& pidfd() const { return pidfd_; }
  /// For tools that ask by number.
  [[nodiscard]] int pid() const { return pid_; }
  Status signal(int number) const { return pidfd_.send_signal(number); }
  /// Waits for its end, at most so long; nothing if it still runs then.
  std::optional<ExitStatus> wait(int milliseconds = patience_ms()) {
    if (status_) return status_;
    pollfd wait{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, milliseconds) <= 0) return std::nullopt;
    auto end = pidfd_.reap();
    if (end && *end) status_ = (*end)->status;
    return status_;
  }

 private:
  Program(sys::Pidfd pidfd, int pid) : pidfd_(std::move(pidfd)), pid_(pid) {}

  static void redirect(const std::string& file, int number) {
    if (file.empty()) return;
    const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (opened >= 0) ::dup2(opened, number);
  }
  static int run(void* argument) {
    const auto& call = *static_cast<const ProgramCall*>(argument);
    redirect(call.out, 1);
    redirect(call.err, 2);
    const rlimit limit{call.descriptors, call.descriptors};
    if (call.descriptors != 0 && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 126;
    if (call.uid && ::setresuid(*call.uid, *call.uid, *call.uid) != 0) return 126;
    std::vector<char*> arguments;
    for (const std::string& word : call.arguments)
      arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    for (const std::string& assignment : call.environment)
      ::putenv(const_cast<char*>(assignment.c_str()));
    ::execv(arguments[0], arguments.data());
    return 127;
  }

  sys::Pidfd pidfd_;
  int pid_ = 0;
  std::optional<ExitStatus> status_;
};

}  // namespace pidward::test
