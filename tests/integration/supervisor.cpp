#include "integration/supervisor.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

namespace pidward::testing {

std::string cgroup_mount() {
  std::ifstream mounts("/proc/self/mounts");
  std::string device;
  std::string point;
  std::string type;
  for (std::string rest; mounts >> device >> point >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") return point;
  }
  return {};
}

Supervisor::Supervisor() : Supervisor(Options{}) {}

Supervisor::Supervisor(const Options& options) {
  unit("idle.target", "[Unit]\nDescription=Nothing at all\n");
  call_ = {.configuration = options.configuration,
           .unit_path =
               directory.path("units") + ":" + PIDWARD_UNITS + (options.system_units ? ":" : ""),
           .arguments = {"--unit", "idle.target"},
           .environment = options.environment,
           .descriptors = options.descriptors};
  if (std::ranges::find(options.arguments, "--bus") == options.arguments.end()) {
    call_.arguments.insert(call_.arguments.end(), {"--bus", "off"});
  }
  call_.arguments.insert(call_.arguments.end(), options.arguments.begin(), options.arguments.end());
  start(call_);
}

void Supervisor::kill_daemon() const {
  EXPECT_TRUE(process().pidfd().send_signal(SIGKILL));
  EXPECT_TRUE(test::ends_in_time(process().pidfd()));
}

Supervisor::~Supervisor() {
  stop();
  if (::testing::Test::HasFailure()) std::fprintf(stderr, "%s\n", output().c_str());
}

CommandResult Supervisor::ctl(const std::vector<std::string>& words) const {
  const test::CtlResult result = Daemon::ctl(words);
  return {.exit_code = result.code, .output = result.out + result.err};
}

std::string Supervisor::control_group(const std::string& unit) const {
  const std::string group = property(unit, "ControlGroup");
  return group.empty() ? std::string() : cgroup_mount() + group;
}

}  // namespace pidward::testing
