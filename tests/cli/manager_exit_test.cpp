// KillOnManagerExit=: the real daemon, killed.
#include <csignal>

#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

class ManagerExitTest : public DaemonFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  [[nodiscard]] std::vector<std::string> options() const {
    if (std::string(GetParam()) == "no-cgroup") return {"--no-cgroup"};
    return {};
  }
  // The main process of a unit that is up, opened.
  sys::Pidfd main_of(const std::string& name) {
    const CtlResult shown = ctl({"show", "-p", "MainPID", "--value", name});
    auto process = sys::Pidfd::open(std::atoi(shown.out.c_str()));
    EXPECT_TRUE(process) << name << ": " << shown.out << shown.err;
    return process ? *std::move(process) : sys::Pidfd();
  }
  // A number that a service left in a file.
  sys::Pidfd process_in(const std::string& file) {
    std::string text;
    while (text.empty() || text.back() != '\n') text = directory.read(file);
    auto process = sys::Pidfd::open(std::atoi(text.c_str()));
    EXPECT_TRUE(process) << text;
    return process ? *std::move(process) : sys::Pidfd();
  }
  static bool ends(const sys::Pidfd& process) {
    pollfd waiting{.fd = process.get(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, test::patience_ms()) == 1;
  }
  static bool lives(const sys::Pidfd& process) {
    const auto ended = process.has_ended();
    return ended && !*ended;
  }
};
INSTANTIATE_TEST_SUITE_P(Groups, ManagerExitTest, ::testing::Values("cgroup", "no-cgroup"));

TEST_P(ManagerExitTest, AServiceDiesWithTheDaemonOrSurvivesItAsItsUnitSays) {
  unit("dies.service",
       "[Unit]\nDefaultDependencies=no\n[Service]\nKillOnManagerExit=yes\nExecStart=/bin/sh -c "
       "'setsid sleep 1000 & echo $$! > " +
           directory.path("helper") + "; exec sleep 1001'\n");
  unit("tree.service",
       "[Unit]\nDefaultDependencies=no\n[Service]\nKillOnManagerExit=yes\nPrivatePIDs=yes\n"
       "KillSignal=SIGKILL\nExecStart=/bin/sh -c 'setsid sleep 1000 & sleep 1001'\n");
  unit("stays.service", "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
  start(options());
  ASSERT_EQ(ctl({"start", "dies", "tree", "stays"}).code, 0);
  const sys::Pidfd dies = main_of("dies");
  const sys::Pidfd tree = main_of("tree");
  const sys::Pidfd stays = main_of("stays");
  const sys::Pidfd helper = process_in("helper");
  ASSERT_TRUE(lives(dies) && lives(tree) && lives(stays) && lives(helper));

  ASSERT_TRUE(daemon().signal(SIGKILL));
  EXPECT_TRUE(daemon().wait());
  EXPECT_TRUE(ends(dies));
  EXPECT_TRUE(ends(tree));
  EXPECT_TRUE(lives(stays));
  stop();

  start(options());
  if (std::string(GetParam()) == "cgroup" &&
      ctl({"features"}).out.find("cgroup-kill") != std::string::npos) {
    EXPECT_TRUE(ends(helper)) << "what the main process left is ended by the next pidward";
  }
  EXPECT_TRUE(lives(stays));
  static_cast<void>(helper.send_signal(SIGKILL));
  EXPECT_TRUE(stays.send_signal(SIGKILL));
  EXPECT_TRUE(ends(stays));
}

}  // namespace
}  // namespace pidward::test
