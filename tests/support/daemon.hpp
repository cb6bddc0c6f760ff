// The real daemon on directories of its own: started, waited for until it says READY=1, talked to,
// and ended through its pidfd with all it started. Every wait is for an event of the daemon's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/client/client.hpp"
#include "support/child.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::test {

/// What one run of pidwardctl came to.
struct CtlResult {
  int code = -1;
  std::string out;
  std::string err;
};

struct DaemonOptions {
  bool user = false;                     ///< `--user`, with XDG directories below `directory`
  std::optional<uid_t> uid;              ///< whose process the daemon is; none: ours
  std::string configuration = "{}\n";    ///< its pidward.yaml
  std::string unit_path;                 ///< $PIDWARD_UNIT_PATH; empty: the daemon's own units/
  std::vector<std::string> arguments;    ///< further ones for the daemon
  std::vector<std::string> environment;  ///< "KEY=VALUE", for daemon and pidwardctl
  rlim_t descriptors = 0;                ///< RLIMIT_NOFILE of the daemon; 0: ours
  std::vector<std::string> wrapper;      ///< a command that executes the daemon's in its place
};

class Daemon {
 public:
  Daemon();
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Writes a unit file (or "NAME.d/x.conf"); seen at the daemon's start or after a reload, a new
  /// one when it is first asked for.
  void unit(const std::string& name, const std::string& text) const;
  [[nodiscard]] std::string unit_file(const std::string& name) const;

  /// Starts the daemon; false, with a failure of the test, when it ends before it is ready.
  bool start(DaemonOptions options);
  /// Ends it in order and returns its exit code; -1 with a failure of the test if it does not end.
  int stop();
  [[nodiscard]] bool is_started() const { return daemon_ != nullptr; }
  [[nodiscard]] Program& process() { return *daemon_; }
  [[nodiscard]] const Program& process() const { return *daemon_; }
  /// What it has written so far.
  [[nodiscard]] std::string output() const;

  [[nodiscard]] std::string socket() const;
  /// A new connection.
  [[nodiscard]] bus::Client client() const;
  /// One that says nothing.
  [[nodiscard]] sys::Fd connect() const;
  /// Runs pidwardctl against this daemon.
  CtlResult ctl(const std::vector<std::string>& arguments, std::optional<uid_t> uid = {},
                std::vector<std::string> environment = {}) const;

  /// A property of a unit as pidwardctl would print it; empty when there is none.
  [[nodiscard]] std::string property(const std::string& unit, const std::string& name) const;
  /// Waits until the condition, asked again after each signal of the daemon's, holds; false when
  /// the test's patience ended first.
  [[nodiscard]] bool wait_until(const std::function<bool(bus::Client&)>& holds) const;
  /// Waits until the unit's property is `value`.
  [[nodiscard]] bool reaches(const std::string& unit, const std::string& name,
                             const std::string& value) const;
  /// Waits until the daemon has written `text`.
  [[nodiscard]] bool wait_for_output(const std::string& text) const;
  /// PID of the unit's main process, for clients that ask by number; 0 without one.
  [[nodiscard]] int main_pid(const std::string& unit) const;

  TemporaryDirectory directory;

 private:
  [[nodiscard]] sys::Fd make_notify_socket() const;
  [[nodiscard]] bool wait_until_ready(int notify) const;

  std::unique_ptr<Program> daemon_;
  DaemonOptions options_;
  mutable unsigned runs_ = 0;
};

/// Waits until the process has ended; false when the test's patience ended first.
bool ends_in_time(const sys::Pidfd& process);

}  // namespace pidward::test
