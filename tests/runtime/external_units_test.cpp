// Devices that come and go.
#include <filesystem>

#include "manager_fixture.hpp"
#include "unit/name.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;

class ExternalUnitsTest : public ManagerTest {
 protected:
  void SetUp() override {
    node_ = directory_.path("dev/new/node");
    device_ = unit::escape_path(node_) + ".device";
    write_unit("uses.service", "[Unit]\nDefaultDependencies=no\nBindsTo=" + device_ + "\nAfter=" +
                                   device_ + "\n[Service]\nExecStart=/bin/sleep 1000\n");
    start_manager();
  }
  std::string node_;
  std::string device_;
};

TEST_F(ExternalUnitsTest, AStartWaitsForTheNodeWhereverItsPathBegins) {
  start("uses.service");
  run_until([&] { return status("uses.service").job.operator bool(); });
  EXPECT_EQ(status("uses.service").active, ActiveState::inactive);
  std::filesystem::create_directories(directory_.path("dev"));
  std::filesystem::create_directories(directory_.path("dev/new"));
  directory_.write("dev/new/node", "");
  wait_for("uses.service", ActiveState::active);
  EXPECT_EQ(status(device_).active, ActiveState::active);
}

TEST_F(ExternalUnitsTest, WhatIsBoundToANodeGoesWithIt) {
  directory_.write("dev/new/node", "");
  start("uses.service");
  wait_for("uses.service", ActiveState::active);
  std::filesystem::remove_all(directory_.path("dev"));
  wait_for("uses.service", ActiveState::inactive);
  EXPECT_EQ(status(device_).active, ActiveState::inactive);
  // And again.
  directory_.write("dev/new/node", "");
  run_until([&] { return status(device_).active == ActiveState::active; });
}

}  // namespace
}  // namespace pidward::runtime
