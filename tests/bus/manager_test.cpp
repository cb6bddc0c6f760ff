// Every method of the manager, on the real daemon: what it answers, and what bad input gets.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "bus/bus_fixture.hpp"

namespace pidward::test {
namespace {

using ManagerOnTheBus = BusFixture;

TEST_F(ManagerOnTheBus, LoadsAndFindsUnits) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  EXPECT_EQ(error_of(client, "GetUnit", [](Writer& out) { out.s("web.service"); }),
            Errc::no_such_unit);
  EXPECT_EQ(ask(client, "LoadUnit", [](Writer& out) { out.s("web.service"); }).text,
            "/org/pidward1/unit/web_2eservice");
  EXPECT_EQ(error_of(client, "LoadUnit", [](Writer& out) { out.s("no suffix"); }),
            Errc::invalid_argument);
}

TEST_F(ManagerOnTheBus, StartsAndStopsAndSaysSoByJobRemoved) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  EXPECT_EQ(run_job(client, "StartUnit", "web.service"), "done");
  const auto path = bus::unit_path("web.service");
  const auto all = client.properties(path);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("ActiveState"), "active");
  EXPECT_EQ(all->text("SubState"), "running");
  const auto pid = static_cast<std::uint32_t>(all->number("MainPID"));
  EXPECT_NE(pid, 0U);
  EXPECT_NE(all->number("MainProcess"), 0U);
  EXPECT_EQ(ask(client, "GetUnitByPID", [&](Writer& out) { out.u(pid); }).text, path);
  const auto& invocation = all->data("InvocationID").items;
  std::vector<std::uint8_t> bytes;
  for (const Data& byte : invocation) bytes.push_back(static_cast<std::uint8_t>(byte.number));
  EXPECT_EQ(ask(client, "GetUnitByInvocationID", [&](Writer& out) { out.ay(bytes); }).text, path);
  EXPECT_EQ(run_job(client, "StopUnit", "web.service"), "done");
}

TEST_F(ManagerOnTheBus, StartsWhatNobodyHoldsFromItsFilesAsTheyAreNow) {
  const std::string said = directory.path("said");
  const auto says = [&said](const char* word) {
    return "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo " + std::string(word) + " >>" +
           said + "'\n";
  };
  unit("once.service", says("one"));
  std::filesystem::create_symlink("once.service", all().unit_file("alias.service"));
  start();
  Client client = this->client();
  EXPECT_EQ(run_job(client, "StartUnit", "alias.service"), "done");
  unit("once.service", says("two"));
  EXPECT_EQ(run_job(client, "StartUnit", "alias.service"), "done") << "its other name is known";
  // Nor do its starts count for ever.
  for (int i = 0; i < 6; ++i) EXPECT_EQ(run_job(client, "StartUnit", "once.service"), "done");
  std::ifstream file(said);
  const std::string words{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(words.substr(0, 8), "one\ntwo\n");
}

TEST_F(ManagerOnTheBus, KillsAndForgetsOnlyWhatIsThere) {
  unit("x.target", "[Unit]\nDefaultDependencies=no\n");
  start();
  Client client = this->client();
  for (const char* name : {"nope.service", "x.target"}) {
    ask(client, "LoadUnit", [&](Writer& out) { out.s(name); });
    EXPECT_EQ(error_of(client, "KillUnit", [&](Writer& out) { out.s(name).s("all").i(SIGTERM); }),
              Errc::no_such_unit);
    EXPECT_EQ(error_of(client, "ResetFailedUnit", [&](Writer& out) { out.s(name); }),
              Errc::no_such_unit);
  }
  EXPECT_EQ(run_job(client, "StartUnit", "x.target"), "done");
  EXPECT_EQ(
      error_of(client, "KillUnit", [](Writer& out) { out.s("x.target").s("all").i(SIGTERM); }),
      Errc::not_supported);
}

TEST_F(ManagerOnTheBus, ShowsWhatTheConfigurationSaysWhereTheUnitSaysNothing) {
  unit("open.service", kSleeper);
  unit("set.service", std::string("[Unit]\nStartLimitBurst=7\n") + kSleeper +
                          "TimeoutSec=8\nTimeoutAbortSec=9\nRestartSec=10\n");
  unit("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n");
  unit("a.socket", "[Socket]\nListenStream=/run/x\nService=open.service\n");
  ASSERT_TRUE(all().start({.configuration = "default-timeout-start: 1s\ndefault-timeout-stop: 2s\n"
                                            "default-restart: 3s\ndefault-start-limit-burst: 4\n"
                                            "default-start-limit-interval: 5s\n",
                           .arguments = {"--bus", "off", "--no-cgroup"}}));
  Client client = this->client();
  const auto number = [&client](const char* unit, const char* name) {
    ask(client, "LoadUnit", [&](Writer& out) { out.s(unit); });
    const auto all = client.properties(bus::unit_path(unit));
    EXPECT_TRUE(all && all->has(name)) << name;
    return all ? all->number(name) : 0;
  };
  constexpr std::uint64_t kSecond = 1'000'000;
  EXPECT_EQ(number("open.service", "TimeoutStartUSec"), 1 * kSecond);
  EXPECT_EQ(number("open.service", "TimeoutStopUSec"), 2 * kSecond);
  EXPECT_EQ(number("open.service", "TimeoutAbortUSec"), 2 * kSecond);
  EXPECT_EQ(number("open.service", "RestartUSec"), 3 * kSecond);
  EXPECT_EQ(number("open.service", "StartLimitBurst"), 4U);
  EXPECT_EQ(number("open.service", "StartLimitIntervalUSec"), 5 * kSecond);
  EXPECT_EQ(number("set.service", "TimeoutStartUSec"), 8 * kSecond);
  EXPECT_EQ(number("set.service", "TimeoutStopUSec"), 8 * kSecond);
  EXPECT_EQ(number("set.service", "TimeoutAbortUSec"), 9 * kSecond);
  EXPECT_EQ(number("set.service", "RestartUSec"), 10 * kSecond);
  EXPECT_EQ(number("set.service", "StartLimitBurst"), 7U);
  EXPECT_EQ(number("once.service", "TimeoutStartUSec"), UINT64_MAX);
  EXPECT_EQ(number("a.socket", "TimeoutUSec"), 1 * kSecond);
  EXPECT_FALSE(client.properties(bus::unit_path("open.service"))->has("TimeoutUSec"));
}

TEST_F(ManagerOnTheBus, CountsJobsAlsoWhenItIsExecutedAnew) {
  unit("web.service", kSleeper);
  unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n");
  start();
  const auto count = [this](const char* name) {
    const auto value = client().property(bus::kManagerPath, bus::kManagerInterface, name);
    EXPECT_TRUE(value) << value.error().to_string();
    return value ? value->number : 0;
  };
  const std::uint64_t before = count("NInstalledJobs");
  EXPECT_EQ(count("NFailedJobs"), 0U);
  Client client = this->client();
  EXPECT_EQ(run_job(client, "StartUnit", "web.service"), "done");
  EXPECT_EQ(run_job(client, "StartUnit", "bad.service"), "failed");
  // Each of them wants the targets before it as well.
  const std::uint64_t after = count("NInstalledJobs");
  EXPECT_GE(after, before + 2);
  EXPECT_EQ(count("NFailedJobs"), 1U);
  EXPECT_EQ(ctl({"daemon-reexec"}).code, 0);
  EXPECT_EQ(count("NInstalledJobs"), after);
  EXPECT_EQ(count("NFailedJobs"), 1U);
}

TEST_F(ManagerOnTheBus, RefusesWhatIsNotThere) {
  start();
  Client client = this->client();
  const auto start_missing = [](Writer& out) { out.s("missing.service").s("replace"); };
  EXPECT_EQ(error_of(client, "StartUnit", start_missing), Errc::no_such_unit);
  EXPECT_EQ(error_of(client, "StopUnit", start_missing), Errc::no_such_unit);
  EXPECT_EQ(error_of(client, "StartUnit", [](Writer& out) { out.s("a.target").s("sometimes"); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "StartUnit", [](Writer& out) { out.s("../etc/passwd").s("replace"); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "CancelJob", [](Writer& out) { out.u(4711); }), Errc::no_such_job);
  EXPECT_EQ(error_of(client, "GetJob", [](Writer& out) { out.u(0); }), Errc::no_such_job);
  EXPECT_EQ(
      error_of(client, "KillUnit", [](Writer& out) { out.s("default.target").s("whoever").i(15); }),
      Errc::invalid_argument);
  EXPECT_EQ(
      error_of(client, "KillUnit", [](Writer& out) { out.s("default.target").s("all").i(999); }),
      Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "SetEnvironment",
                     [](Writer& out) { out.as(std::vector<std::string>{"no assignment"}); }),
            Errc::invalid_argument);
}

TEST_F(ManagerOnTheBus, RefusesWrongTypesAndNames) {
  start();
  Client client = this->client();
  EXPECT_EQ(error_of(client, "StartUnit", [](Writer& out) { out.u(1); }), Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "ListUnits", [](Writer& out) { out.s("too much"); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_name_of(client, bus::kManagerPath, bus::kManagerInterface, "Levitate"),
            "org.freedesktop.DBus.Error.UnknownMethod");
  EXPECT_EQ(error_name_of(client, "/org/pidward1/nothing", bus::kUnitInterface, "Start"),
            "org.freedesktop.DBus.Error.UnknownObject");
  EXPECT_EQ(error_name_of(client, "/org/pidward1/job/4711", "org.freedesktop.DBus.Peer2", "Ping"),
            "org.freedesktop.DBus.Error.UnknownObject");
}

TEST_F(ManagerOnTheBus, AgreesWithItselfAboutEveryUnit) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  const Data rows = ask(client, "ListUnits");
  EXPECT_GE(rows.items.size(), 3U);
  for (const Data& row : rows.items) {
    const auto all = client.properties(row.items[6].text, bus::kUnitInterface);
    ASSERT_TRUE(all) << row.items[0].text;
    EXPECT_EQ(all->text("Id"), row.items[0].text);
    EXPECT_EQ(all->text("Description"), row.items[1].text);
    EXPECT_EQ(all->text("LoadState"), row.items[2].text);
    EXPECT_EQ(all->text("ActiveState"), row.items[3].text);
    EXPECT_EQ(all->text("SubState"), row.items[4].text);
  }
}

TEST_F(ManagerOnTheBus, FiltersLists) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  const std::vector<std::string> running{"running"};
  const Data by_state = ask(client, "ListUnitsFiltered", [&](Writer& out) { out.as(running); });
  ASSERT_EQ(by_state.items.size(), 1U);
  EXPECT_EQ(by_state.items[0].items[0].text, "web.service");
  const Data by_pattern = ask(client, "ListUnitsByPatterns", [](Writer& out) {
    out.as({}).as(std::vector<std::string>{"w?b.*"});
  });
  EXPECT_EQ(by_pattern.items.size(), 1U);
  const Data by_name = ask(client, "ListUnitsByNames", [](Writer& out) {
    out.as(std::vector<std::string>{"missing.service", "web.service"});
  });
  ASSERT_EQ(by_name.items.size(), 2U);
  EXPECT_EQ(by_name.items[0].items[2].text, "not-found");
}

TEST_F(ManagerOnTheBus, LoadsAUnitWhoseObjectIsAskedFor) {
  unit("web.service", "[Unit]\nDescription=Asked for\n" + std::string(kSleeper));
  start();
  Client client = this->client();
  const auto text =
      client.property(bus::unit_path("web.service"), bus::kUnitInterface, "Description");
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(text->text, "Asked for");
  const auto state =
      client.property(bus::unit_path("missing.service"), bus::kUnitInterface, "LoadState");
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->text, "not-found");
}

TEST_F(ManagerOnTheBus, KeepsAnEnvironment) {
  start();
  Client client = this->client();
  ask(client, "SetEnvironment", [](Writer& out) {
    out.as(std::vector<std::string>{"A=1", "B=2"});
  });
  ask(client, "UnsetAndSetEnvironment", [](Writer& out) {
    out.as(std::vector<std::string>{"A"}).as(std::vector<std::string>{"C=3"});
  });
  const auto block = client.property(bus::kManagerPath, bus::kManagerInterface, "Environment");
  ASSERT_TRUE(block);
  const std::vector<std::string> lines = block->strings();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "A=1"), 0);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "B=2"), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "C=3"), 1);
}

TEST_F(ManagerOnTheBus, ReloadsAndReportsComplaints) {
  start();
  Client client = this->client();
  unit("late.service", "[Service]\nExecStart=/bin/sleep infinity\nRestrat=always\n");
  ask(client, "Reload");
  const Data found = ask(client, "LoadDiagnostics", [](Writer& out) { out.s("late.service"); });
  ASSERT_FALSE(found.items.empty());
  EXPECT_EQ(found.items[0].items[1].text, directory.path("units/late.service"));
  EXPECT_EQ(found.items[0].items[2].number, 3U);
  EXPECT_NE(found.items[0].items[4].text.find("Restart"), std::string::npos);
}

TEST_F(ManagerOnTheBus, ShowsProcessesByInode) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  const Data rows = ask(client, "ListProcesses",
                        [](Writer& out) { out.as(std::vector<std::string>{"web.service"}); });
  ASSERT_EQ(rows.items.size(), 1U);
  const auto main =
      client.property(bus::unit_path("web.service"), "org.pidward1.Service", "MainProcess");
  ASSERT_TRUE(main);
  EXPECT_EQ(rows.items[0].items[0].number, main->number);
  EXPECT_EQ(rows.items[0].items[4].text, "main");
  EXPECT_FALSE(ask(client, "GetKernelFeatures").items.empty());
}

TEST_F(ManagerOnTheBus, CountsReferences) {
  start();
  Client client = this->client();
  const auto name = [](Writer& out) { out.s("default.target"); };
  EXPECT_FALSE(client.manager("UnrefUnit", name));
  EXPECT_TRUE(client.manager("RefUnit", name));
  EXPECT_TRUE(client.manager("UnrefUnit", name));
  EXPECT_FALSE(client.manager("UnrefUnit", name));
}

TEST_F(ManagerOnTheBus, DescribesItself) {
  start();
  Client client = this->client();
  const auto answer =
      client.call(bus::kManagerPath, "org.freedesktop.DBus.Introspectable", "Introspect");
  ASSERT_TRUE(answer);
  const std::string xml = Reader(answer->get()).s();
  EXPECT_NE(xml.find("<method name=\"StartUnit\">"), std::string::npos);
  EXPECT_NE(xml.find("<property name=\"Version\" type=\"s\""), std::string::npos);
  const auto all = client.properties(bus::kManagerPath);
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(all->text("Version"), PIDWARD_VERSION);
}

TEST_F(ManagerOnTheBus, EveryPropertyOfEveryInterfaceHasItsType) {
  unit("web.service", kSleeper);
  unit("web.socket", "[Socket]\nListenStream=" + directory.path("web.sock") + "\n");
  unit("web.timer", "[Timer]\nOnActiveSec=1h\n");
  unit("web.path", "[Path]\nPathExists=/nonexistent\n");
  start();
  Client client = this->client();
  for (const char* name :
       {"web.service", "web.socket", "web.timer", "web.path", "default.target", "web.slice"}) {
    const auto all = client.properties(bus::unit_path(name));
    ASSERT_TRUE(all) << name << ": " << all.error().to_string();
    EXPECT_EQ(all->text("Id"), name);
  }
}

}  // namespace
}  // namespace pidward::test
