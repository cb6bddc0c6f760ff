// A test with a real daemon of its own; see daemon.hpp.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/daemon.hpp"

namespace pidward::test {

class DaemonFixture : public ::testing::Test {
 public:
  /// The targets that default dependencies lead to are there already.
  DaemonFixture() {
    for (const char* name : {"default", "basic", "sysinit", "shutdown", "sockets", "multi-user"}) {
      unit(std::string(name) + ".target",
           "[Unit]\nDescription=Target of a test\nDefaultDependencies=no\n");
    }
  }

  /// Writes a unit file; the daemon sees it at its start or after a reload.
  void unit(const std::string& name, const std::string& text) { daemon_.unit(name, text); }

  /// Starts the daemon and waits until it can be reached; a failure ends the test.
  void start(const std::vector<std::string>& options = {"--no-cgroup"}) {
    DaemonOptions call{.environment = daemon_environment};
    if (std::find(options.begin(), options.end(), "--bus") == options.end()) {
      call.arguments = {"--bus", "off"};
    }
    call.arguments.insert(call.arguments.end(), options.begin(), options.end());
    ASSERT_TRUE(daemon_.start(std::move(call)));
  }
  void stop() { daemon_.stop(); }

  [[nodiscard]] std::string socket() const { return daemon_.socket(); }
  [[nodiscard]] Program& daemon() { return daemon_.process(); }
  bus::Client client() { return daemon_.client(); }
  CtlResult ctl(const std::vector<std::string>& arguments, std::optional<uid_t> uid = {},
                std::vector<std::string> environment = {}) {
    return daemon_.ctl(arguments, uid, std::move(environment));
  }
  [[nodiscard]] Daemon& all() { return daemon_; }

 private:
  Daemon daemon_;

 public:
  TemporaryDirectory& directory = daemon_.directory;
  std::vector<std::string> daemon_environment;  ///< of daemon and pidwardctl, besides ours
};

}  // namespace pidward::test
