// One real pidward with a runtime directory of its own, ended with everything it started when it
// goes out of scope.
#pragma once

#include <string>
#include <vector>

#include "integration/command.hpp"
#include "sys/pidfd.hpp"

namespace pidward::testing {

class Supervisor {
 public:
  struct Options {
    std::vector<std::string> arguments;    ///< further ones for the daemon
    std::vector<std::string> environment;  ///< "KEY=VALUE"
    bool system_units = true;              ///< Debian's own units after ours
  };
  Supervisor();
  explicit Supervisor(const Options& options);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Writes a unit file (or "NAME.d/x.conf"); takes effect with the next load or daemon-reload.
  void write_unit(const std::string& name, const std::string& text) const;
  /// pidwardctl with these words.
  CommandResult ctl(const std::vector<std::string>& words) const;
  /// One property of a unit.
  [[nodiscard]] std::string property(const std::string& unit, const std::string& name) const;
  /// Returns once the unit's property has the value; false when the test's patience (a minute)
  /// ended first.
  [[nodiscard]] bool reaches(const std::string& unit, const std::string& name,
                             const std::string& value) const;
  /// PID of the main process, for clients that ask by number (ps); 0 when there is none.
  [[nodiscard]] int main_pid(const std::string& unit) const;
  /// Directory of the unit's control group, or empty.
  [[nodiscard]] std::string control_group(const std::string& unit) const;

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const sys::Pidfd& process() const { return process_; }
  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] std::string daemon_log() const;
  /// Ends the daemon by SIGTERM, in order, and returns its exit code.
  int stop();

 private:
  std::string directory_;
  sys::Pidfd process_;
  int pid_ = 0;
};

/// The mount point of cgroup v2, wherever it is.
std::string cgroup_mount();

}  // namespace pidward::testing
