// pidwardctl's verbs for transient units, processes and leases against the real daemon.
#include <csignal>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "bus/object_path.hpp"
#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

using nlohmann::json;

class ProcessVerbs : public DaemonFixture {
 protected:
  void SetUp() override {
    unit("web.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    start();
  }
  /// A program with these arguments to pidwardctl, running beside the test.
  Result<Program> ctl_in_background(std::vector<std::string> arguments) {
    ProgramCall call{.arguments = {PIDWARDCTL_PROGRAM, "--socket", socket()},
                     .environment = {},
                     .out = directory.path("background.out"),
                     .err = directory.path("background.err"),
                     .uid = {}};
    call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
    return Program::start(call);
  }
  json processes(const std::string& name) { return json::parse(ctl({"ps", "--json", name}).out); }
  /// Waits until the unit has reached a state, by its signals.
  void await_state(const std::string& name, const std::string& wanted) {
    bus::Client client = this->client();
    ASSERT_TRUE(client.subscribe([](sd_bus_message*) {}));
    for (;;) {
      const auto state = client.property(bus::unit_path(name), bus::kUnitInterface, "ActiveState");
      ASSERT_TRUE(state) << state.error().to_string();
      if (state->text == wanted) return;
      const auto came = client.process(test::patience());
      ASSERT_TRUE(came && *came) << name << " is " << state->text;
    }
  }
};

TEST_F(ProcessVerbs, RunsACommandAndPassesItsExitCodeOn) {
  const CtlResult good = ctl({"run", "--wait", "--", "/bin/true"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_NE(good.err.find("Running as unit: run-r"), std::string::npos) << good.err;
  const CtlResult bad = ctl({"run", "--wait", "--collect", "/bin/sh", "-c", "exit 9"});
  EXPECT_EQ(bad.code, 9) << bad.err;
  const CtlResult killed = ctl({"run", "--wait", "--collect", "--", "/bin/sh", "-c", "kill -9 $$"});
  EXPECT_EQ(killed.code, 128 + SIGKILL) << killed.err;
  EXPECT_NE(ctl({"run"}).code, 0);
  const CtlResult missing = ctl({"run", "--collect", "-p", "Type=exec", "/no/such/program"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("203"), std::string::npos) << missing.err;
}

TEST_F(ProcessVerbs, RunsUnderAGivenNameWithSettings) {
  const CtlResult started =
      ctl({"run", "--unit", "mine", "--description", "My own", "-p", "KillMode=mixed", "-p",
           "Environment=A=1 B=2", "--", "/bin/sleep", "infinity"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(ctl({"show", "-p", "Description,KillMode,Environment,Transient", "mine"}).out,
            "Description=My own\nKillMode=mixed\nEnvironment=A=1 B=2\nTransient=yes\n");
  EXPECT_EQ(ctl({"run", "--unit", "mine", "--", "/bin/true"}).code, 1);
  const CtlResult wrong = ctl({"run", "-p", "Restrat=always", "--", "/bin/true"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find("Restart"), std::string::npos) << wrong.err;
  EXPECT_EQ(ctl({"run", "-p", "nonsense", "--", "/bin/true"}).code, 1);
  EXPECT_EQ(ctl({"stop", "mine"}).code, 0);
  // It goes with the unit, which may be a moment after its job.
  EXPECT_TRUE(all().wait_until([this](bus::Client&) {
    return !std::filesystem::exists(directory.path("run/transient/mine.service"));
  }));
}

TEST_F(ProcessVerbs, PipesThroughACommand) {
  const CtlResult piped = ctl({"run", "-q", "--pipe", "--collect", "/bin/echo", "-n", "hello"});
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(piped.out, "hello");
}

TEST_F(ProcessVerbs, AHeldCommandDiesWithItsHolder) {
  auto holder = ctl_in_background({"run", "--hold", "--unit", "held", "/bin/sleep", "infinity"});
  ASSERT_TRUE(holder);
  await_state("held.service", "active");
  const json leases = json::parse(ctl({"leases", "--json"}).out);
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0]["unit"], "held.service");
  const auto process = sys::Pidfd::open(processes("held")[0]["pid"].get<int>());
  ASSERT_TRUE(process);
  EXPECT_TRUE(holder->signal(SIGKILL));
  holder->wait();
  pollfd end{.fd = process->get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&end, 1, test::patience_ms()), 1);
}

TEST_F(ProcessVerbs, AHeldCommandDiesWithItsHolderHoweverThatEnds) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGKILL}) {
    // A name of its own: the last one may be taken for a moment longer.
    const std::string unit = "held-" + std::to_string(signal);
    auto holder = ctl_in_background({"run", "--hold", "--unit", unit, "-p", "Restart=always", "-p",
                                     "RestartSec=0", "/bin/sleep", "infinity"});
    ASSERT_TRUE(holder);
    await_state(unit + ".service", "active");
    EXPECT_TRUE(holder->signal(signal));
    EXPECT_TRUE(holder->wait());
    await_state(unit + ".service", "inactive");
  }
  // Nor need it be up: one that never says it is ready.
  auto holder = ctl_in_background(
      {"run", "--hold", "--unit", "slow", "-p", "Type=notify", "/bin/sleep", "infinity"});
  ASSERT_TRUE(holder);
  await_state("slow.service", "activating");
  EXPECT_TRUE(holder->signal(SIGKILL));
  EXPECT_TRUE(holder->wait());
  await_state("slow.service", "inactive");
  EXPECT_EQ(json::parse(ctl({"leases", "--json"}).out), json::array());
}

TEST_F(ProcessVerbs, TellsPrograms) {
  const json held =
      json::parse(ctl({"hold", "--json", "web", "--", "/bin/sh", "-c", "exit 5"}).out);
  EXPECT_EQ(held, (json{{"unit", "web.service"}, {"exit", 5}}));
  await_state("web.service", "inactive");
  const CtlResult ran = ctl({"run", "--json", "--unit", "told", "--", "/bin/sleep", "infinity"});
  EXPECT_EQ(json::parse(ran.out), (json{{"unit", "told.service"}})) << ran.err;
  const json tree = json::parse(ctl({"ps", "--tree", "--json", "told"}).out);
  ASSERT_EQ(tree.size(), 1U);
  EXPECT_EQ(tree[0]["unit"], "told.service");
  EXPECT_EQ(tree[0]["role"], "main");
  EXPECT_EQ(tree[0]["parent"], daemon().pid());
  auto other = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(other);
  const CtlResult bound = ctl({"bind", "--json", "told", std::to_string(other->pid())});
  EXPECT_EQ(json::parse(bound.out), json::array({{{"name", "told.service"}, {"result", "bound"}}}))
      << bound.err;
  EXPECT_TRUE(other->signal(SIGKILL));
  other->wait();
  await_state("told.service", "inactive");
  const json waited = json::parse(ctl({"wait", "--json", "web"}).out);
  EXPECT_EQ(waited, json::array({{{"name", "web.service"}, {"result", "inactive"}}}));
}

TEST_F(ProcessVerbs, HoldsAUnitForAsLongAsACommandRuns) {
  const CtlResult held =
      ctl({"hold", "web", "--", "/bin/sh", "-c",
           std::string(PIDWARDCTL_PROGRAM) + " --socket " + socket() + " is-active web; exit 5"});
  EXPECT_EQ(held.code, 5) << held.err;
  EXPECT_EQ(held.out, "active\n");
  await_state("web.service", "inactive");
  EXPECT_EQ(ctl({"hold", "web"}).code, 1);
  EXPECT_EQ(ctl({"hold", "missing", "--", "/bin/true"}).code, 5);
}

TEST_F(ProcessVerbs, AUnitThatRanAlreadyOutlivesTheHold) {
  ctl({"start", "web"});
  EXPECT_EQ(ctl({"hold", "web", "--", "/bin/true"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
}

TEST_F(ProcessVerbs, KillsByInodeAndByBothNumbers) {
  ctl({"start", "web"});
  const json first = processes("web")[0];
  const std::string inode = std::to_string(first["process"].get<std::uint64_t>());
  const std::string pid = std::to_string(first["pid"].get<int>());
  const CtlResult wrong = ctl({"kill", "1:" + inode});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find(inode), std::string::npos) << wrong.err;
  EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
  const CtlResult killed = ctl({"kill", "--json", pid + ":" + inode});
  EXPECT_EQ(killed.code, 0) << killed.err;
  EXPECT_EQ(json::parse(killed.out)[0]["result"], "signalled");
  await_state("web.service", "inactive");
  EXPECT_EQ(ctl({"kill", inode}).code, 1);
  ctl({"start", "web"});
  EXPECT_EQ(ctl({"kill", "web"}).code, 0);
  await_state("web.service", "inactive");
}

TEST_F(ProcessVerbs, WaitsForProcessesAndUnits) {
  EXPECT_EQ(ctl({"wait", "web"}).out, "web.service: inactive\n");
  ctl({"start", "web"});
  const std::string inode = std::to_string(processes("web")[0]["process"].get<std::uint64_t>());
  auto waiting = ctl_in_background({"wait", "--json", inode});
  ASSERT_TRUE(waiting);
  ctl({"stop", "web"});
  const auto status = waiting->wait();
  ASSERT_TRUE(status);
  // It may have ended before it was asked for; then it is not known any more.
  EXPECT_TRUE(status->code == 128 + SIGTERM || status->code == 1);
  EXPECT_EQ(json::parse(directory.read("background.out"))[0]["name"], inode);
  EXPECT_EQ(ctl({"wait"}).code, 1);
}

TEST_F(ProcessVerbs, BindsAUnitToAProcess) {
  ctl({"start", "web"});
  auto other = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(other);
  const std::string pid = std::to_string(*other->pidfd().pid());
  const std::string inode = std::to_string(*other->pidfd().inode());
  EXPECT_EQ(ctl({"bind", "web", pid + ":1"}).code, 1);
  const CtlResult bound = ctl({"bind", "web", pid + ":" + inode});
  EXPECT_EQ(bound.code, 0) << bound.err;
  EXPECT_TRUE(other->signal(SIGKILL));
  other->wait();
  await_state("web.service", "inactive");
  EXPECT_EQ(ctl({"bind", "web", "nonsense"}).code, 1);
}

TEST_F(ProcessVerbs, ShowsProcessesAsTrees) {
  unit("tree.service", "[Service]\nExecStart=/bin/sh -c '/bin/sleep infinity & wait'\n");
  ctl({"start", "tree"});
  CtlResult tree = ctl({"ps", "--tree", "tree"});
  // The shell has made its child when that runs the program.
  const std::string branch = "\u2514\u2500/bin/sleep infinity";
  for (int i = 0; i < 200 && tree.out.find(branch) == std::string::npos; ++i) {
    tree = ctl({"ps", "--tree", "tree"});
  }
  EXPECT_NE(tree.out.find("tree.service"), std::string::npos) << tree.out;
  EXPECT_NE(tree.out.find(branch), std::string::npos) << tree.out;
}

TEST_F(ProcessVerbs, ChangesASettingWhileTheUnitIsLoaded) {
  ctl({"start", "web"});
  const CtlResult changed = ctl({"set-property", "web", "Description=Changed now"});
  EXPECT_EQ(changed.code, 0) << changed.err;
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "Changed now\n");
  EXPECT_EQ(ctl({"set-property", "web", "ExecStart=/bin/true"}).code, 1);
  EXPECT_EQ(ctl({"set-property", "web"}).code, 1);
  EXPECT_EQ(ctl({"revert", "web"}).code, 0);
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "web.service\n");
}

}  // namespace
}  // namespace pidward::test
