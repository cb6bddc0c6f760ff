// The parent of the daemon under test: starts it, keeps its descriptors as pidward-init does, kills
// it at a system call of its own, and collects what lands on it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crash/fail_allocation.h"
#include "sys/fd.hpp"
#include "sys/pidfd.hpp"

namespace pidward::test {

class Keeper {
 public:
  struct Options {
    std::vector<std::string> command;
    std::string directory;
    bool keeps_descriptors = true;
    std::string preload;  ///< a library that lets allocations fail (fail_allocation.c); empty: none
  };
  explicit Keeper(Options options);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Starts the daemon and waits until it says READY=1. False: it ended first.
  bool start() { return launch() && wait_until_ready(); }
  /// The two halves of start().
  bool launch();
  bool wait_until_ready();
  /// Is its parent for so long, and no more; false when it ended meanwhile.
  bool look_after(std::chrono::microseconds time);
  /// SIGKILL, and whatever it said before.
  void kill();
  /// Runs `work` beside the daemon and counts the daemon's system calls, entries and exits, from
  /// then on. At number `kill_at` it is killed (SIGKILL); true then. False when it was idle again
  /// before that many: `seen` says how many there were.
  bool kill_at(std::size_t kill_at, const std::function<void()>& work, std::size_t& seen);
  enum class Failure {
    not_reached,  ///< there were not that many allocations
    survived,     ///< the daemon goes on nevertheless
    ended,        ///< it said that there is no memory, and ended with an exit code
    crashed,      ///< it ended in any other way
  };
  /// Runs `work` beside the daemon and lets allocation number `fail_at` from then on fail.
  Failure fail_at(std::size_t fail_at, const std::function<void()>& work);
  /// SIGTERM, and the end awaited.
  std::optional<int> stop();
  [[nodiscard]] bool is_running() const { return static_cast<bool>(daemon_); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_ready() const { return ready_; }
  /// How many descriptors are kept for it.
  [[nodiscard]] std::size_t kept() const { return stored_.size(); }
  /// The names of those whose name begins so.
  [[nodiscard]] std::vector<std::string> kept(const std::string& prefix) const;

 private:
  void collect_messages();
  void reap_strangers();
  bool wait(int milliseconds);

  void open_board();

  Options options_;
  allocation_board* board_ = nullptr;
  sys::Fd notify_;
  sys::Pidfd daemon_;
  pid_t pid_ = 0;
  bool ready_ = false;
  std::vector<std::pair<std::string, sys::Fd>> stored_;
};

}  // namespace pidward::test
