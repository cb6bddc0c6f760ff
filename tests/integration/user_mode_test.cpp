// One user's own supervisor: its units, its socket, its directories, no rights.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/daemon.hpp"

namespace pidward::testing {
namespace {

namespace fs = std::filesystem;

class UserMode : public ::testing::Test {
 protected:
  static constexpr uid_t kNobody = 65534;

  void SetUp() override {
    for (const char* name : {"home", "run", "xdg-CONFIG", "xdg-DATA", "xdg-STATE", "xdg-CACHE"}) {
      fs::create_directories(daemon_.directory.path(name));
    }
    unit("idle.target", "[Unit]\nDescription=Nothing at all\n");
    unit("mine.service",
         "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n"
         "ExecStartPre=/bin/sh -c 'id -u > %t/uid; echo %h > %t/home'\n"
         "Type=exec\nRuntimeDirectory=mine\nStateDirectory=mine\n");
    for (const auto& entry : fs::recursive_directory_iterator(daemon_.directory.path())) {
      ASSERT_EQ(::chown(entry.path().c_str(), kNobody, kNobody), 0);
    }
    ASSERT_EQ(::chown(daemon_.directory.path().c_str(), kNobody, kNobody), 0);
    ASSERT_TRUE(daemon_.start(
        {.user = true, .uid = kNobody, .arguments = {"--unit", "idle.target", "--bus", "off"}}));
  }
  void unit(const std::string& name, const std::string& text) {
    daemon_.directory.write("xdg-CONFIG/pidward/user/" + name, text);
  }

  test::Daemon daemon_;
};

TEST_F(UserMode, RunsTheUsersUnitsAsTheUserInTheUsersDirectories) {
  const auto started = daemon_.ctl({"start", "mine"}, kNobody);
  EXPECT_EQ(started.code, 0) << started.err;
  const test::TemporaryDirectory& directory = daemon_.directory;
  EXPECT_EQ(directory.read("run/uid"), std::to_string(kNobody) + "\n");
  EXPECT_EQ(directory.read("run/home"), directory.path("home") + "\n");
  EXPECT_TRUE(fs::is_directory(directory.path("run/mine")));
  EXPECT_TRUE(fs::is_directory(directory.path("xdg-STATE/mine")));
  EXPECT_EQ(daemon_.property("mine.service", "FragmentPath"),
            directory.path("xdg-CONFIG/pidward/user/mine.service"));
  EXPECT_EQ(daemon_.ctl({"stop", "mine"}, kNobody).code, 0);
}

TEST_F(UserMode, ItsSocketIsWhereTheCommandLineLooks) {
  EXPECT_TRUE(fs::is_socket(daemon_.directory.path("run/pidward/private")));
  auto run =
      test::Program::start({.arguments = {PIDWARDCTL_PROGRAM, "--user", "is-system-running"},
                            .environment = {"XDG_RUNTIME_DIR=" + daemon_.directory.path("run")},
                            .out = daemon_.directory.path("out"),
                            .uid = kNobody});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->wait()->code, 0);
  EXPECT_EQ(daemon_.directory.read("out"), "running\n");
}

TEST_F(UserMode, AnotherUserMayLookAndNotTouch) {
  constexpr uid_t kOther = 12345;
  EXPECT_EQ(daemon_.ctl({"start", "mine"}, kOther).code, 4);
  EXPECT_EQ(daemon_.ctl({"status", "mine"}, kOther).code, 3);
  EXPECT_EQ(daemon_.ctl({"start", "mine"}, 0).code, 0);  // root may
}

TEST_F(UserMode, EnablingWritesBelowTheUsersConfiguration) {
  unit("later.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n");
  const auto enabled = daemon_.ctl({"enable", "later"}, kNobody);
  EXPECT_EQ(enabled.code, 0) << enabled.err;
  EXPECT_TRUE(fs::is_symlink(
      daemon_.directory.path("xdg-CONFIG/pidward/user/default.target.wants/later.service")));
}

}  // namespace
}  // namespace pidward::testing
