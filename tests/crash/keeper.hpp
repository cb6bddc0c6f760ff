// The parent of the daemon under test: starts it, keeps its descriptors as pidward-init does, kills
// it at a system call of its own, and collects what lands on it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sys/fd.hpp"
#include "sys/pidfd.hpp"

namespace pidward::test {

class Keeper {
 public:
  struct Options {
    std::vector<std::string> command;
    std::string directory;
    bool keeps_descriptors = true;
  };
  explicit Keeper(Options options);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Starts the daemon and waits until it says READY=1. False: it ended first.
  bool start();
  /// Runs `work` beside the daemon and counts the daemon's system calls, entries and exits, from
  /// then on. At number `kill_at` it is killed (SIGKILL); true then. False when it was idle again
  /// before that many: `seen` says how many there were.
  bool kill_at(std::size_t kill_at, const std::function<void()>& work, std::size_t& seen);
  /// SIGTERM, and the end awaited.
  std::optional<int> stop();
  [[nodiscard]] bool is_running() const { return static_cast<bool>(daemon_); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  void collect_messages();
  void reap_strangers();
  void daemon_is_gone();

  Options options_;
  sys::Fd notify_;
  sys::Pidfd daemon_;
  pid_t pid_ = 0;
  bool ready_ = false;
  std::vector<std::pair<std::string, sys::Fd>> stored_;
};

}  // namespace pidward::test
