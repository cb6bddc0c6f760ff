// A test with a real daemon of its own; see daemon.hpp.
#pragma once

#include <algorithm>
#include <cstdlib>
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

  /// Starts the daemon and waits until it can be reached; a failure ends the test. Without control
  /// groups, which most tests have no need of, unless a kernel tier is tried.
  void start(const std::vector<std::string>& options = usual_options()) {
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
  /// Whether the daemon uses this kernel feature.
  bool has_feature(const std::string& name) {
    const auto answer = client().manager("GetKernelFeatures");
    EXPECT_TRUE(answer) << answer.error().to_string();
    if (!answer) return false;
    bus::Reader in(answer->get());
    for (const bus::Data& row : bus::read_data(in).items) {
      if (row.items[0].text == name) return row.items[1].text == "available";
    }
    ADD_FAILURE() << "there is no feature " << name;
    return false;
  }

 private:
  static std::vector<std::string> usual_options() {
    if (std::getenv("PIDWARD_TEST_GROUPS") != nullptr) return {};
    return {"--no-cgroup"};
  }

  Daemon daemon_;

 public:
  TemporaryDirectory& directory = daemon_.directory;
  std::vector<std::string> daemon_environment;  ///< of daemon and pidwardctl, besides ours
};

}  // namespace pidward::test
