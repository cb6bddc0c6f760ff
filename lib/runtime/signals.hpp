// Signals to pidward itself, through a descriptor. SIGCHLD is among them as a doorbell.
#pragma once

#include <functional>

#include "runtime/core.hpp"

namespace pidward::runtime {

class Signals final : private DescriptorHandler {
 public:
  using Callback = std::function<void(int signal)>;
  explicit Signals(Callback callback) : callback_(std::move(callback)) {}

  /// Blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP for this thread and those it makes. As PID 1 also
  /// SIGRTMIN+3, by which container managers ask for a halt. What comes from then on waits until
  /// open() and is told then. Twice is once.
  static void block();
  /// Blocks them, and ignores SIGPIPE.
  Status open(DescriptorWatcher& watcher);

 private:
  void descriptor_ready(int fd, std::uint32_t events) override;

  Callback callback_;
  sys::Fd fd_;
  Watch watch_;
};

}  // namespace pidward::runtime
