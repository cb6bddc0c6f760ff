// Real processes for tests, started with the layer under test and never left behind.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>

#include "sys/clone.hpp"
#include "sys/directory.hpp"
#include "sys/kernel.hpp"
#include "sys/pidfd.hpp"

namespace pidward::test {

/// Blocks until the process ended.
inline void wait_for_end(const sys::Pidfd& process) {
  pollfd watched{process.get(), POLLIN, 0};
  sys::raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
}

/// How many descriptors we have open, without the one this question needs.
inline std::size_t open_descriptors() {
  auto entries = sys::list_directory("/proc/self/fd");
  return entries ? entries->size() - 1 : 0;
}

/// A child in memory of its own that runs a function and exits with its result. Killed and
/// collected at the end, unless somebody collected it before.
class LiveChild {
 public:
  explicit LiveChild(std::function<int()> body, sys::CloneRequest request = {})
      : body_(std::make_unique<std::function<int()>>(std::move(body))) {
    request.share_memory = false;
    auto stack = sys::ChildStack::create(256 * 1024);
    EXPECT_TRUE(stack);
    stack_ = *std::move(stack);
    auto child = sys::spawn_on_stack(request, stack_, run, body_.get());
    if (!child) {
      ADD_FAILURE() << child.error().to_string();
      return;
    }
    pid_ = child->pid;
    pidfd_ = std::move(child->pidfd);
  }
  LiveChild(LiveChild&&) = default;
  LiveChild& operator=(LiveChild&&) = delete;
  ~LiveChild() {
    if (pidfd_) end_and_collect();
  }

  /// One that does nothing until it is killed.
  static LiveChild sleeping(sys::CloneRequest request = {}) {
    return LiveChild(
        [] {
          for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
          return 0;
        },
        request);
  }
  /// One that ended with `code`, uncollected.
  static LiveChild zombie(int code) {
    LiveChild child([code] { return code; });
    wait_for_end(child.pidfd());
    return child;
  }

  [[nodiscard]] const sys::Pidfd& pidfd() const { return pidfd_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Another descriptor of it, to give away.
  [[nodiscard]] sys::Pidfd copy() const {
    auto copy = pidfd_.duplicate();
    EXPECT_TRUE(copy);
    return *std::move(copy);
  }
  void end_and_collect() {
    [[maybe_unused]] const Status killed = pidfd_.send_signal(SIGKILL);
    wait_for_end(pidfd_);
    [[maybe_unused]] const auto collected = pidfd_.reap();
  }

 private:
  static int run(void* body) { return (*static_cast<std::function<int()>*>(body))(); }

  std::unique_ptr<std::function<int()>> body_;
  sys::ChildStack stack_;
  sys::Pidfd pidfd_;
  pid_t pid_ = 0;
};

}  // namespace pidward::test
