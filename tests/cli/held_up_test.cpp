// Something that a worker of the daemon asks of the file system is never answered.
#include <csignal>
#include <filesystem>

#include <sys/stat.h>

#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

class HeldUp : public DaemonFixture {
 protected:
  /// A daemon with a service that runs, and with a worker that is held up for ever: where a timer's
  /// last time is written down there is a pipe that nobody reads.
  void hold_up() {
    std::filesystem::create_directories(directory.path("state/timers"));
    ASSERT_EQ(::mkfifo(directory.path("state/timers/stamp-held.timer").c_str(), 0600), 0);
    const std::string head = "[Unit]\nDefaultDependencies=no\n";
    unit("up.service", head + "[Service]\nExecStart=/bin/sleep infinity\n");
    unit("held.service", head + "[Service]\nExecStart=/bin/sleep infinity\n");
    unit("held.timer", head + "[Timer]\nOnCalendar=*:*:*\nAccuracySec=1us\nPersistent=yes\n");
    start();
    ASSERT_EQ(ctl({"start", "up", "held.timer"}).code, 0);
    auto main = sys::Pidfd::open(all().main_pid("up.service"));
    ASSERT_TRUE(main);
    up_ = *std::move(main);
    // The time of its elapse is on its way to the file before the service is started.
    ASSERT_TRUE(all().reaches("held.service", "ActiveState", "active"));
  }
  /// Everything is in order as after any other end.
  void expect_order() {
    EXPECT_TRUE(ends_in_time(up_));
    EXPECT_FALSE(std::filesystem::exists(directory.path("run/state")));
    EXPECT_NE(all().output().find("has not been answered"), std::string::npos) << all().output();
  }
  sys::Pidfd up_;
};

TEST_F(HeldUp, SigtermEndsTheDaemonAllTheSame) {
  hold_up();
  EXPECT_EQ(all().stop(), 0);
  expect_order();
}

TEST_F(HeldUp, ExitEndsTheDaemonWithItsCode) {
  hold_up();
  EXPECT_EQ(ctl({"exit", "3"}).code, 0);
  ASSERT_TRUE(ends_in_time(daemon().pidfd()));
  EXPECT_EQ(daemon().wait()->code, 3);
  expect_order();
}

}  // namespace
}  // namespace pidward::test
