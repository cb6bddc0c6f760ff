// KillOnManagerExit=: the real daemon, killed.
#include <csignal>

#include <nlohmann/json.hpp>

#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

using nlohmann::json;

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
INSTANTIATE_TEST_SUITE_P(Groups, ManagerExitTest, ::testing::Values("cgroup", "no-cgroup"),
                         [](const auto& groups) {
                           return groups.param == std::string("cgroup") ? "With" : "Without";
                         });

TEST_P(ManagerExitTest, ShowSaysByWhatMeans) {
  const std::string service = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/true\n";
  unit("stays.service", service);
  unit("dies.service", service + "KillOnManagerExit=yes\n");
  unit("alone.service", service + "PrivatePIDs=yes\n");
  start(options());
  const bool grouped = options().empty() && has_feature("cgroup");
  std::string manager_exit = has_feature("autokill") ? "autokill" : "parent-death-signal";
  if (grouped) manager_exit += "+cgroup";
  const std::string in_group = has_feature("cgroup-kill") ? "cgroup.kill" : "cgroup-freeze";
  const std::string tree = grouped ? in_group : "descendants";
  const auto means = [this](const char* name) {
    return ctl({"show", "-p", "TreeMeans,ManagerExitMeans", name}).out;
  };
  const auto both = [](const std::string& held, const std::string& ended) {
    return "TreeMeans=" + held + "\nManagerExitMeans=" + ended + "\n";
  };
  EXPECT_EQ(means("stays"), both(tree, "survive"));
  EXPECT_EQ(means("dies"), both(tree, manager_exit));
  EXPECT_EQ(means("alone"), both(grouped ? in_group : "pid-namespace", "survive"));
  EXPECT_EQ(
      json::parse(ctl({"features", "--json", "dies"}).out),
      json::array({{{"unit", "dies.service"}, {"tree", tree}, {"manager_exit", manager_exit}}}));
}

TEST_P(ManagerExitTest, WhereTheKernelDoesItNoProgramGetsOutOfIt) {
  unit("evades.service",
       "[Unit]\nDefaultDependencies=no\n[Service]\nType=exec\nKillOnManagerExit=yes\n"
       "ExecStart=/usr/bin/setpriv --pdeathsig clear /bin/sh -c 'echo $$$$ > " +
           directory.path("number") + "; exec sleep 1000'\n");
  start(options());
  const bool by_kernel = has_feature("autokill");
  ASSERT_EQ(ctl({"start", "evades"}).code, 0);
  const sys::Pidfd evades = process_in("number");
  EXPECT_EQ(*evades.pid(), *main_of("evades").pid());
  ASSERT_TRUE(daemon().signal(SIGKILL));
  EXPECT_TRUE(daemon().wait());
  if (by_kernel) {
    EXPECT_TRUE(ends(evades));
    return;
  }
  // It took back that it wants the signal, as the directive's page says it can.
  EXPECT_TRUE(lives(evades));
  stop();
  start(options());
  // Without its inode and without a group nothing proves whose it is.
  const bool is_found = has_feature("pidfs") || (options().empty() && has_feature("cgroup"));
  if (is_found) {
    EXPECT_TRUE(ends(evades)) << "the next pidward ends what it finds";
  } else {
    EXPECT_TRUE(lives(evades)) << "nobody's process is left alone";
  }
  static_cast<void>(evades.send_signal(SIGKILL));
}

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
  if (options().empty() && has_feature("cgroup")) {
    EXPECT_TRUE(ends(helper)) << "what the main process left is ended by the next pidward";
  }
  EXPECT_TRUE(lives(stays));
  static_cast<void>(helper.send_signal(SIGKILL));
  EXPECT_TRUE(stays.send_signal(SIGKILL));
  EXPECT_TRUE(ends(stays));
}

}  // namespace
}  // namespace pidward::test
