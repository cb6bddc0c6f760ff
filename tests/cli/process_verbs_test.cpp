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
  /// What pidward calls a process, for as long as the client is there: its inode, or where the
  /// kernel has none a number of pidward's own.
  static std::uint64_t id_of(bus::Client& client, const sys::Pidfd& process) {
    const auto answer =
        client.manager("OpenProcess", [&](bus::Writer& out) { out.h(process.get()); });
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer ? bus::parse_object_path(bus::Reader(answer->get()).o()).process.number() : 0;
  }
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
  const std::string file = directory.write("no-program", "");
  const CtlResult refused = ctl({"run", "--collect", "-p", "Type=exec", file});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("203"), std::string::npos) << refused.err;
  // What the unit takes for a success is one, by code or by signal.
  EXPECT_EQ(ctl({"run", "--wait", "-p", "SuccessExitStatus=7 SIGKILL", "sh", "-c", "exit 7"}).code,
            0);
  EXPECT_EQ(ctl({"run", "--wait", "--", "sh", "-c", "kill $$"}).code, 0);
}

TEST_F(ProcessVerbs, MakesNoUnitOfAProgramThatIsNotThere) {
  for (const char* program : {"no-such-program", "/no/such/program", "./no-such-program"}) {
    const CtlResult missing = ctl({"run", "--unit", "mine", program});
    EXPECT_EQ(missing.code, 1) << program;
    EXPECT_NE(missing.err.find("there is no program"), std::string::npos) << missing.err;
    EXPECT_EQ(ctl({"status", "mine"}).code, 4) << program;
  }
  // Where the unit looks elsewhere, only it can tell.
  const CtlResult elsewhere =
      ctl({"run", "--collect", "-p", "ExecSearchPath=/bin", "-p", "Type=exec", "no-such-program"});
  EXPECT_NE(elsewhere.err.find("203"), std::string::npos) << elsewhere.err;
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

TEST_F(ProcessVerbs, TellsProgramsWhatItHolds) {
  const json held =
      json::parse(ctl({"hold", "--json", "web", "--", "/bin/sh", "-c", "exit 5"}).out);
  EXPECT_EQ(held, (json{{"unit", "web.service"}, {"code", "exited"}, {"status", 5}, {"exit", 5}}));
  await_state("web.service", "inactive");
  const CtlResult killed = ctl({"hold", "--json", "web", "--", "/bin/sh", "-c", "kill -9 $$"});
  EXPECT_EQ(killed.code, 137);
  EXPECT_EQ(json::parse(killed.out),
            (json{{"unit", "web.service"}, {"code", "killed"}, {"status", 9}, {"exit", 137}}));
  unit("bad.service", "[Service]\nType=exec\nExecStart=/no/such/program\n");
  const CtlResult bad = ctl({"hold", "--json", "bad", "--", "/bin/true"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_EQ(json::parse(bad.out)["result"], "failed") << bad.err;
  EXPECT_EQ(json::parse(ctl({"leases", "--json"}).out), json::array());
}

TEST_F(ProcessVerbs, TellsProgramsWhatItRan) {
  const CtlResult ran = ctl({"run", "--json", "--unit", "told", "--", "/bin/sleep", "infinity"});
  EXPECT_EQ(json::parse(ran.out), (json{{"unit", "told.service"}, {"result", "started"}}))
      << ran.err;
  const json tree = json::parse(ctl({"ps", "--tree", "--json", "told"}).out);
  ASSERT_EQ(tree.size(), 1U);
  EXPECT_EQ(tree[0]["unit"], "told.service");
  EXPECT_EQ(tree[0]["role"], "main");
  EXPECT_EQ(tree[0]["parent"], daemon().pid());
  const json queued = json::parse(
      ctl({"run", "--no-block", "--json", "--unit", "queued", "--collect", "/bin/true"}).out);
  EXPECT_EQ(queued, (json{{"unit", "queued.service"}, {"result", "queued"}}));
  const CtlResult seven = ctl({"run", "--wait", "--json", "--unit", "seven", "--collect", "--",
                               "/bin/sh", "-c", "echo said; exit 7"});
  EXPECT_EQ(seven.code, 7) << seven.err;
  EXPECT_EQ(json::parse(seven.out), (json{{"unit", "seven.service"},
                                          {"result", "exit-code"},
                                          {"code", "exited"},
                                          {"status", 7},
                                          {"exit", 7}}));
  const json killed = json::parse(
      ctl({"run", "--wait", "--json", "--collect", "--", "/bin/sh", "-c", "kill -9 $$"}).out);
  EXPECT_EQ(killed["result"], "signal");
  EXPECT_EQ(killed["code"], "killed");
  EXPECT_EQ(killed["exit"], 137);
  const json held = json::parse(ctl({"run", "--hold", "--json", "--", "/bin/true"}).out);
  EXPECT_EQ(held["exit"], 0);
  // Standard output is the command's own where it was given away.
  const CtlResult piped = ctl({"run", "-q", "--pipe", "--json", "--collect", "/bin/echo", "hello"});
  EXPECT_EQ(piped.out, "hello\n");
  EXPECT_EQ(json::parse(piped.err)["exit"], 0) << piped.err;
}

TEST_F(ProcessVerbs, TellsProgramsWhatEnded) {
  ctl({"run", "--unit", "told", "--", "/bin/sleep", "infinity"});
  auto other = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(other);
  // Kept for us, so that it can be asked about before and after its end.
  bus::Client client = this->client();
  const std::uint64_t inode = id_of(client, other->pidfd());
  const CtlResult bound = ctl({"bind", "--json", "told", std::to_string(other->pid())});
  EXPECT_EQ(json::parse(bound.out),
            (json{{"unit", "told.service"}, {"process", inode}, {"result", "bound"}}))
      << bound.err;
  auto waiting = ctl_in_background({"wait", "--json", std::to_string(inode), "told"});
  ASSERT_TRUE(waiting);
  EXPECT_TRUE(other->signal(SIGKILL));
  other->wait();
  const auto ended = waiting->wait();
  ASSERT_TRUE(ended);
  // How a process ended that is not pidward's child, the kernel has to tell.
  const bool told_how = has_feature("pidfd-exit-info");
  EXPECT_EQ(ended->code, told_how ? 128 + SIGKILL : 1);
  const json told = json::parse(directory.read("background.out"));
  ASSERT_EQ(told.size(), 2U) << told;
  EXPECT_EQ(told[0], (json{{"name", std::to_string(inode)},
                           {"process", inode},
                           {"result", "ended"},
                           {"code", told_how ? "killed" : "unknown"},
                           {"status", told_how ? SIGKILL : 0},
                           {"exit", told_how ? 128 + SIGKILL : 1}}));
  EXPECT_EQ(told[1], (json{{"name", "told.service"}, {"result", "inactive"}, {"exit", 0}}));
}

TEST_F(ProcessVerbs, TellsProgramsWhatWentWrong) {
  ctl({"start", "web"});
  const std::string too_long(300, 'x');
  const struct {
    std::vector<std::string> arguments;
    const char* kind;
  } cases[] = {
      {{"bind", "--json", "web", "4294967296"}, "invalid-argument"},
      {{"bind", "--json", "web"}, "invalid-argument"},
      {{"bind", "--json", "web", "nonsense"}, "invalid-argument"},
      {{"bind", "--json", "web", "1"}, "process-mismatch"},
      {{"hold", "--json", "missing", "--", "/bin/true"}, "no-such-unit"},
      {{"hold", "--json", "web"}, "invalid-argument"},
      {{"kill", "--json", "-s", "NOSUCH", "web"}, "invalid-argument"},
      {{"kill", "--json"}, "invalid-argument"},
      {{"wait", "--json"}, "invalid-argument"},
      {{"ps", "--json", "absent"}, "no-such-unit"},
      {{"ps", "--json", too_long}, "invalid-argument"},
      {{"run", "--json"}, "invalid-argument"},
      {{"run", "--json", "/no/such/program"}, "not-found"},
      {{"run", "--json", "-p", "nonsense", "--", "/bin/true"}, "invalid-argument"},
      {{"run", "--json", "-p", "Restrat=always", "--", "/bin/true"}, "invalid-argument"},
      {{"set-property", "--json", "web"}, "invalid-argument"},
      {{"set-property", "--json", "web", "nonsense"}, "invalid-argument"},
      {{"set-property", "--json", "web", "ExecStart=/bin/true"}, "invalid-argument"},
      {{"set-property", "--json", "missing", "Description=x"}, "no-such-unit"},
  };
  for (const auto& [arguments, kind] : cases) {
    const CtlResult failed = ctl(arguments);
    const std::string what = ::testing::PrintToString(arguments) + " says " + failed.out;
    EXPECT_NE(failed.code, 0) << what;
    ASSERT_TRUE(json::accept(failed.out)) << what;
    const json told = json::parse(failed.out);
    ASSERT_TRUE(told.is_object()) << what;
    EXPECT_EQ(told["kind"], kind) << what;
    EXPECT_FALSE(told["error"].get<std::string>().empty()) << what;
    EXPECT_NE(failed.err.find("pidwardctl: "), std::string::npos) << what << failed.err;
  }
  // What can be done of a list is done, and the rest has its reason.
  for (const char* verb : {"kill", "wait"}) {
    const CtlResult some = ctl({verb, "--json", "web", "1:18446744073709551615", too_long});
    const json told = json::parse(some.out);
    ASSERT_EQ(told.size(), 3U) << some.out;
    EXPECT_NE(told[0]["result"], "failed");
    EXPECT_EQ(told[1]["result"], "failed");
    EXPECT_EQ(told[1]["kind"], "process-mismatch");
    EXPECT_EQ(told[2]["kind"], "invalid-argument");
    EXPECT_EQ(some.code, 1);
  }
  stop();
  const CtlResult nobody = ctl({"ps", "--json"});
  EXPECT_FALSE(json::parse(nobody.out)["error"].get<std::string>().empty()) << nobody.out;
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
  EXPECT_EQ(
      json::parse(killed.out),
      json::array({{{"name", pid + ":" + inode}, {"result", "signalled"}, {"signal", SIGTERM}}}));
  await_state("web.service", "inactive");
  EXPECT_EQ(ctl({"kill", inode}).code, 1);
  ctl({"start", "web"});
  EXPECT_EQ(ctl({"kill", "web"}).code, 0);
  await_state("web.service", "inactive");
}

TEST_F(ProcessVerbs, TwoNumbersAreRefusedTogetherWhereverAProcessIsNamed) {
  ctl({"start", "web"});
  const json first = processes("web")[0];
  const std::string inode = std::to_string(first["process"].get<std::uint64_t>());
  const std::string pid = std::to_string(first["pid"].get<int>());
  const std::string other = std::to_string(first["process"].get<std::uint64_t>() + 1);
  EXPECT_NE(ctl({"status", pid + ":" + inode}).out.find("web.service"), std::string::npos);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"kill"},
                                                {"kill", "--tree"},
                                                {"wait"},
                                                {"bind", "web"},
                                                {"status"}}) {
    std::vector<std::string> arguments = words;
    arguments.push_back(pid + ":" + other);
    const CtlResult refused = ctl(arguments);
    EXPECT_NE(refused.code, 0) << words[0];
    for (const std::string& number : {pid, inode, other}) {
      EXPECT_NE(refused.err.find(number), std::string::npos) << words[0] << ": " << refused.err;
    }
  }
  EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
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
  bus::Client client = this->client();
  const std::string inode = std::to_string(id_of(client, other->pidfd()));
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
  EXPECT_EQ(changed.out, "");
  const json told = json::parse(
      ctl({"set-property", "--runtime", "--json", "web", "Description=Changed now"}).out);
  EXPECT_EQ(told, (json{{"unit", "web.service"},
                        {"result", "changed"},
                        {"until", "next-boot"},
                        {"settings", {{{"directive", "Description"}, {"value", "Changed now"}}}},
                        {"warnings", json::array()}}));
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "Changed now\n");
  EXPECT_EQ(ctl({"set-property", "web", "ExecStart=/bin/true"}).code, 1);
  EXPECT_EQ(ctl({"set-property", "web"}).code, 1);
  EXPECT_EQ(ctl({"revert", "web"}).code, 0);
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "web.service\n");
}

}  // namespace
}  // namespace pidward::test
