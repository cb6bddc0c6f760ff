// The daemon as the integration tests want it: control groups, the units that ship and, unless it
// is told not to, Debian's own after them.
#pragma once

#include <string>
#include <vector>

#include "integration/command.hpp"
#include "support/daemon.hpp"

namespace pidward::testing {

class Supervisor : public test::Daemon {
 public:
  struct Options {
    std::vector<std::string> arguments;    ///< further ones for the daemon
    std::vector<std::string> environment;  ///< "KEY=VALUE"
    bool system_units = true;              ///< Debian's own units after ours
    std::string configuration = "{}\n";    ///< its pidward.yaml
    rlim_t descriptors = 0;                ///< RLIMIT_NOFILE of the daemon; 0: ours
  };
  Supervisor();
  explicit Supervisor(const Options& options);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  void write_unit(const std::string& name, const std::string& text) const { unit(name, text); }
  /// SIGKILL; waits until it is gone.
  void kill_daemon() const;
  /// Another one in its place. Nobody kept its descriptors.
  void start_again() { start(call_); }
  /// pidwardctl with these words.
  CommandResult ctl(const std::vector<std::string>& words) const;
  /// Directory of the unit's control group, or empty.
  [[nodiscard]] std::string control_group(const std::string& unit) const;
  [[nodiscard]] int pid() const { return process().pid(); }

 private:
  test::DaemonOptions call_;
};

/// The mount point of cgroup v2, wherever it is.
std::string cgroup_mount();

}  // namespace pidward::testing
