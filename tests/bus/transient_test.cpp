// Units made over the bus: what a client may say about them, what becomes of it, and when they go.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus/wish.hpp"
#include "sys/cgroup.hpp"

namespace pidward::test {
namespace {

std::function<void(Writer&)> request(const std::string& name, const Wish& wish,
                                     const std::string& other = {}, const Wish& others = {}) {
  return [=](Writer& out) {
    out.s(name).s("fail");
    wish.write(out);
    out.open_array("(sa(sv))");
    if (!other.empty()) {
      out.open_struct("sa(sv)").s(other);
      others.write(out);
      out.close();
    }
    out.close();
  };
}

class TransientUnits : public BusFixture {
 protected:
  /// Starts it and waits for the end of its start job.
  static std::string run(Client& client, const std::string& name, const Wish& wish) {
    return run_job(client, "StartTransientUnit", request(name, wish));
  }
  static std::string refusal(Client& client, const std::string& name, const Wish& wish) {
    const auto answer = client.manager("StartTransientUnit", request(name, wish));
    EXPECT_FALSE(answer) << name << " should have been refused";
    return answer ? "" : answer.error().message();
  }
  /// Waits for UnitRemoved of a unit; `begin` sets off what leads to it.
  static bool is_removed(Client& client, const std::string& name,
                         const std::function<void()>& begin) {
    bool gone = false;
    EXPECT_TRUE(client.subscribe([&](sd_bus_message* message) {
      if (sd_bus_message_is_signal(message, bus::kManagerInterface, "UnitRemoved") <= 0) return;
      gone = gone || Reader(message).s() == name;
    }));
    begin();
    while (!gone) {
      const auto came = client.process(test::patience());
      if (!came || !*came) break;
    }
    client.unsubscribe();
    return gone;
  }
  [[nodiscard]] std::string file(const std::string& name) const {
    return directory.path("run/transient/" + name);
  }
};

TEST_F(TransientUnits, RunAndAreWrittenDown) {
  start();
  Client client = this->client();
  const Wish wish = Wish()
                        .text("Description", "100% made on request")
                        .list("Environment", {"WORD=two words", "PERCENT=%n"})
                        .number("RestartUSec", 1500000)
                        .flag("RemainAfterExit", true)
                        .number("LimitNOFILE", 4096)
                        .number("LimitNOFILESoft", 1024)
                        .assignment("KillMode", "mixed")
                        .command("ExecStart", {"/bin/sleep", "infinity"});
  EXPECT_EQ(run(client, "made.service", wish), "done");
  const auto all = client.properties(bus::unit_path("made.service"));
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(all->text("ActiveState"), "active");
  EXPECT_EQ(all->text("Description"), "100% made on request");
  EXPECT_TRUE(all->flag("Transient"));
  EXPECT_TRUE(all->flag("RemainAfterExit"));
  EXPECT_EQ(all->number("RestartUSec"), 1500000U);
  EXPECT_EQ(all->number("LimitNOFILE"), 4096U);
  EXPECT_EQ(all->number("LimitNOFILESoft"), 1024U);
  EXPECT_EQ(all->text("KillMode"), "mixed");
  EXPECT_EQ(all->strings("Environment"),
            (std::vector<std::string>{"WORD=two words", "PERCENT=%n"}));
  EXPECT_EQ(all->text("FragmentPath"), file("made.service"));
  EXPECT_TRUE(std::filesystem::exists(file("made.service")));
  EXPECT_EQ(all->text("UnitFileState"), "transient");
}

TEST_F(TransientUnits, TakeEveryKindOfValue) {
  start();
  Client client = this->client();
  const Wish wish =
      Wish()
          .value("UMask", "u", [](Writer& out) { out.u(027); })
          .value("Nice", "i", [](Writer& out) { out.i(5); })
          .value("KillSignal", "i", [](Writer& out) { out.i(SIGUSR2); })
          .value("SuccessExitStatus", "(aiai)",
                 [](Writer& out) {
                   out.open_struct("aiai").open_array("i").i(7).i(9).close();
                   out.open_array("i").i(SIGUSR1).close().close();
                 })
          .value("CPUAffinity", "ay", [](Writer& out) { out.ay(std::vector<std::uint8_t>{1}); })
          .value("EnvironmentFiles", "a(sb)",
                 [](Writer& out) {
                   out.open_array("(sb)").open_struct("sb").s("/no/such/file").b(true).close();
                   out.close();
                 })
          .value("Conditions", "a(sbbs)",
                 [](Writer& out) {
                   out.open_array("(sbbs)").open_struct("sbbs").s("ConditionPathExists");
                   out.b(false).b(true).s("/no/such/path").close().close();
                 })
          .value("ExecStartEx", "a(sasas)",
                 [](Writer& out) {
                   const std::vector<std::string> argv{"/bin/sleep", "infinity"};
                   out.open_array("(sasas)").open_struct("sasas").s("/bin/sleep").as(argv);
                   out.as(std::vector<std::string>{"ignore-failure"}).close().close();
                 })
          .list("After", {"default.target"})
          .list("Wants", {"default.target", "basic.target"})
          .text("StandardOutputFile", directory.path("out"))
          .text("Restart", "on-failure")
          .number("LimitCORE", UINT64_MAX)
          .number("TimeoutStopUSec", UINT64_MAX)
          .number("CapabilityBoundingSet", 3)
          .number("CPUQuotaPerSecUSec", 250000);
  EXPECT_EQ(run(client, "kinds.service", wish), "done");
  const auto all = client.properties(bus::unit_path("kinds.service"));
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(all->number("UMask"), 027U);
  EXPECT_EQ(all->data("Nice").integer(), 5);
  EXPECT_EQ(all->number("KillSignal"), static_cast<std::uint64_t>(SIGUSR2));
  EXPECT_EQ(all->data("SuccessExitStatus").items[0].items.size(), 2U);
  EXPECT_EQ(all->data("SuccessExitStatus").items[1].items[0].number,
            static_cast<std::uint64_t>(SIGUSR1));
  ASSERT_EQ(all->data("CPUAffinity").items.size(), 1U);
  EXPECT_EQ(all->data("CPUAffinity").items[0].number, 1U);
  ASSERT_EQ(all->data("EnvironmentFiles").items.size(), 1U);
  EXPECT_TRUE(all->data("EnvironmentFiles").items[0].items[1].number != 0);
  ASSERT_EQ(all->data("Conditions").items.size(), 1U);
  EXPECT_EQ(all->data("Conditions").items[0].items[4].integer(), 1);
  EXPECT_EQ(all->data("ExecStart").items[0].items[2].number, 1U);
  const std::vector<std::string> wants = all->strings("Wants");
  EXPECT_EQ(std::count(wants.begin(), wants.end(), "basic.target"), 1);
  EXPECT_EQ(all->text("StandardOutput"), "file");
  EXPECT_EQ(all->text("Restart"), "on-failure");
  EXPECT_EQ(all->number("LimitCORE"), UINT64_MAX);
  EXPECT_EQ(all->number("TimeoutStopUSec"), UINT64_MAX);
  EXPECT_EQ(all->number("CapabilityBoundingSet"), 3U);
  EXPECT_NE(directory.read("run/transient/kinds.service").find("CPUQuota=25%"), std::string::npos)
      << directory.read("run/transient/kinds.service");
  const auto listen = [](const char* type, const std::string& address) {
    return [=](Writer& out) {
      out.open_array("(ss)").open_struct("ss").s(type).s(address).close().close();
    };
  };
  const Wish service = Wish().command("ExecStart", {"/bin/true"});
  ask(client, "StartTransientUnit",
      request("door.socket", Wish().value("Listen", "a(ss)", listen("Stream", directory.path("d"))),
              "door.service", service));
  EXPECT_EQ(
      client.property(bus::unit_path("door.socket"), "org.pidward1.Socket", "Listen")->items.size(),
      1U);
  ask(client, "StartTransientUnit",
      request("late.timer",
              Wish().value("TimersMonotonic", "a(st)",
                           [](Writer& out) {
                             out.open_array("(st)").open_struct("st").s("OnActiveSec");
                             out.t(3'600'000'000U).close().close();
                           }),
              "late.service", service));
  EXPECT_EQ(client.property(bus::unit_path("late.timer"), "org.pidward1.Timer", "TimersMonotonic")
                ->items.size(),
            1U);
}

TEST_F(TransientUnits, OutliveAReload) {
  start();
  Client client = this->client();
  EXPECT_EQ(run(client, "made.service", Wish().command("ExecStart", {"/bin/sleep", "infinity"})),
            "done");
  const auto before = client.properties(bus::unit_path("made.service"));
  ask(client, "Reload");
  const auto after = client.properties(bus::unit_path("made.service"));
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->text("ActiveState"), "active");
  EXPECT_EQ(after->text("LoadState"), "loaded");
  EXPECT_TRUE(after->flag("Transient"));
  EXPECT_FALSE(after->flag("NeedDaemonReload"));
  EXPECT_EQ(after->number("MainProcess"), before->number("MainProcess"));
}

TEST_F(TransientUnits, AreGoneWhenTheyEnd) {
  start();
  Client client = this->client();
  EXPECT_TRUE(is_removed(client, "short.service", [&] {
    ask(client, "StartTransientUnit",
        request("short.service", Wish().command("ExecStart", {"/bin/true"})));
  }));
  EXPECT_FALSE(std::filesystem::exists(file("short.service")));
  EXPECT_EQ(error_of(client, "GetUnit", [](Writer& out) { out.s("short.service"); }),
            Errc::no_such_unit);
}

TEST_F(TransientUnits, StayWhenTheyFailUnlessTheyAreToBeCollected) {
  start();
  Client client = this->client();
  const Wish failing = Wish().text("Type", "oneshot").command("ExecStart", {"/bin/false"});
  EXPECT_EQ(run(client, "kept.service", failing), "failed");
  const auto state =
      client.property(bus::unit_path("kept.service"), bus::kUnitInterface, "ActiveState");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->text, "failed");
  EXPECT_EQ(refusal(client, "kept.service", failing),
            "Unit kept.service was already loaded or has a fragment file.");
  EXPECT_TRUE(is_removed(client, "kept.service", [&] {
    ask(client, "ResetFailedUnit", [](Writer& out) { out.s("kept.service"); });
  }));
  Wish collected = failing;
  collected.text("CollectMode", "inactive-or-failed");
  EXPECT_TRUE(is_removed(client, "swept.service", [&] {
    ask(client, "StartTransientUnit", request("swept.service", collected));
  }));
}

TEST_F(TransientUnits, AreHeldByAReference) {
  start();
  auto holder = std::make_unique<Client>(client());
  Client client = this->client();
  const Wish wish =
      Wish().flag("AddRef", true).text("Type", "oneshot").command("ExecStart", {"/bin/true"});
  EXPECT_EQ(run(*holder, "held.service", wish), "done");
  const auto all = client.properties(bus::unit_path("held.service"));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("ActiveState"), "inactive");
  EXPECT_TRUE(all->flag("Transient"));
  EXPECT_EQ(all->strings("Refs").size(), 1U);
  EXPECT_TRUE(is_removed(client, "held.service", [&] { holder.reset(); }));
}

TEST_F(TransientUnits, TakeANameAgainAtOnce) {
  start();
  Client client = this->client();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(run(client, "again.service",
                  Wish().text("Type", "oneshot").command("ExecStart", {"/bin/true"})),
              "done");
  }
}

TEST_F(TransientUnits, UseTheStreamsTheyAreGiven) {
  start();
  Client client = this->client();
  const sys::Fd in = *sys::make_memfd("in", "hello\n");
  const sys::Fd out = *sys::make_memfd("out");
  const Wish wish = Wish()
                        .text("Type", "oneshot")
                        .descriptor("StandardInputFileDescriptor", in.get())
                        .descriptor("StandardOutputFileDescriptor", out.get())
                        .command("ExecStart", {"/bin/cat"});
  EXPECT_EQ(run(client, "pipe.service", wish), "done");
  ::lseek(out.get(), 0, SEEK_SET);
  EXPECT_EQ(*sys::read_all(out.get()), "hello\n");
}

TEST_F(TransientUnits, LetGoOfTheStreamsWhenTheyEnd) {
  start();
  Client client = this->client();
  sys::Pipe pipe = *sys::make_pipe();
  const Wish wish = Wish()
                        .descriptor("StandardOutputFileDescriptor", pipe.write_end.get())
                        .command("ExecStart", {"/bin/echo", "through the pipe"});
  run(client, "pipe.service", wish);
  pipe.write_end.reset();
  // The end of the file comes only when the daemon has closed its copies.
  EXPECT_EQ(*sys::read_all(pipe.read_end.get()), "through the pipe\n");
}

TEST_F(TransientUnits, BringOthersWithThem) {
  start();
  Client client = this->client();
  const Wish timer = Wish().assignment("OnActiveSec", "1h");
  const Wish service = Wish().command("ExecStart", {"/bin/true"});
  ask(client, "StartTransientUnit", request("later.timer", timer, "later.service", service));
  const auto all = client.properties(bus::unit_path("later.service"), bus::kUnitInterface);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("LoadState"), "loaded");
  EXPECT_TRUE(all->flag("Transient"));
  EXPECT_EQ(all->text("ActiveState"), "inactive");
}

TEST_F(TransientUnits, AreRefusedWithASentence) {
  unit("file.service", kSleeper);
  start();
  Client client = this->client();
  const Wish good = Wish().command("ExecStart", {"/bin/true"});
  EXPECT_NE(refusal(client, "file.service", good).find("file.service"), std::string::npos);
  EXPECT_NE(refusal(client, "no suffix", good).find("not valid"), std::string::npos);
  EXPECT_NE(refusal(client, "home.mount", good).find("home.mount"), std::string::npos);
  EXPECT_NE(refusal(client, "t@.service", good).find("template"), std::string::npos);
  EXPECT_NE(refusal(client, "empty.service", Wish()).find("empty.service"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file("empty.service")));
  EXPECT_NE(refusal(client, "a.service", Wish(good).text("Levitate", "yes")).find("Levitate"),
            std::string::npos);
  EXPECT_NE(refusal(client, "a.service", Wish(good).text("RestartUSec", "5")).find("RestartUSec"),
            std::string::npos);
  EXPECT_NE(refusal(client, "a.service", Wish(good).number("User", 5)).find("User"),
            std::string::npos);
  EXPECT_NE(refusal(client, "a.service", Wish(good).text("Restart", "sometimes")).find("Restart"),
            std::string::npos);
  EXPECT_NE(
      refusal(client, "a.service", Wish(good).assignment("Restrat", "always")).find("Restrat"),
      std::string::npos);
  EXPECT_NE(refusal(client, "a.service", Wish(good).text("Description", "two\nlines"))
                .find("Description"),
            std::string::npos);
  EXPECT_NE(
      refusal(client, "a.service", Wish().command("ExecStart", {"bin/true"})).find("absolute path"),
      std::string::npos);
  EXPECT_NE(refusal(client, "a.scope", Wish()).find("PIDs"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file("a.service")));
}

TEST_F(TransientUnits, AScopeTakesInProcesses) {
  start();
  Client client = this->client();
  auto first = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  auto second = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(first && second);
  const auto number = static_cast<std::uint32_t>(*first->pidfd().pid());
  const Wish wish = Wish().processes({number}).pidfd(second->pidfd().get());
  EXPECT_EQ(run(client, "taken.scope", wish), "done");
  EXPECT_EQ(ask(client, "GetUnitByPID", [&](Writer& out) { out.u(number); }).text,
            bus::unit_path("taken.scope"));
  const Data rows = ask(client, "ListProcesses",
                        [](Writer& out) { out.as(std::vector<std::string>{"taken.scope"}); });
  EXPECT_EQ(rows.items.size(), 2U);
  Client other = this->client();
  EXPECT_TRUE(is_removed(client, "taken.scope",
                         [&] { EXPECT_EQ(run_job(other, "StopUnit", "taken.scope"), "done"); }));
  EXPECT_EQ(first->wait()->code, SIGTERM);
  EXPECT_EQ(second->wait()->code, SIGTERM);
}

TEST_F(TransientUnits, AProcessThatIsMovedAwayIsTheScopesNoMore) {
  start({});
  Client client = this->client();
  auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(program);
  const auto number = static_cast<std::uint32_t>(*program->pidfd().pid());
  EXPECT_EQ(run(client, "left.scope", Wish().processes({number})), "done");
  const std::string group =
      client.property(bus::unit_path("left.scope"), "org.pidward1.Scope", "ControlGroup")->text;
  if (group.empty()) GTEST_SKIP() << "There are no control groups";
  EXPECT_TRUE(is_removed(client, "left.scope", [&] {
    const auto mount = sys::find_cgroup_mount();
    const auto root = sys::CgroupDir::open(**mount, "/");
    ASSERT_TRUE(root);
    EXPECT_TRUE(root->attach(program->pidfd()));
  }));
  EXPECT_FALSE(*program->pidfd().has_ended());
  ASSERT_TRUE(program->pidfd().send_signal(SIGKILL));
  program->wait();
}

TEST_F(TransientUnits, AScopeMadeBesideAnotherUnitTakesInItsProcesses) {
  start();
  Client client = this->client();
  auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(program);
  const auto number = static_cast<std::uint32_t>(*program->pidfd().pid());
  const Wish service = Wish().list("Wants", {"beside.scope"}).command("ExecStart", {"/bin/true"});
  EXPECT_EQ(run_job(client, "StartTransientUnit",
                    request("first.service", service, "beside.scope",
                            Wish().pidfd(program->pidfd().get()))),
            "done");
  Client other = this->client();
  EXPECT_EQ(run_job(other, "StartUnit", "beside.scope"), "done");
  EXPECT_EQ(ask(client, "GetUnitByPID", [&](Writer& out) { out.u(number); }).text,
            bus::unit_path("beside.scope"));
  EXPECT_EQ(run_job(other, "StopUnit", "beside.scope"), "done");
  EXPECT_EQ(program->wait()->code, SIGTERM);
  // And is refused like any other where it has none.
  const auto refused = client.manager("StartTransientUnit",
                                      request("second.service", service, "empty.scope", Wish()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("PIDs"), std::string::npos);
}

TEST_F(TransientUnits, AScopeIsNotMadeOfTheDaemonOrOfNothing) {
  start();
  Client client = this->client();
  const auto self = static_cast<std::uint32_t>(*daemon().pidfd().pid());
  EXPECT_NE(refusal(client, "self.scope", Wish().processes({self})).find("pidward itself"),
            std::string::npos);
  if (const auto comm = sys::read_file("/proc/2/comm"); comm && *comm == "kthreadd\n") {
    EXPECT_NE(refusal(client, "kernel.scope", Wish().processes({2})).find("kernel thread"),
              std::string::npos);
  }
  auto gone = Program::start({.arguments = {"/bin/true"}});
  ASSERT_TRUE(gone);
  gone->wait();
  EXPECT_FALSE(refusal(client, "gone.scope", Wish().pidfd(gone->pidfd().get())).empty());
  const sys::Fd file = *sys::make_memfd("no process");
  EXPECT_FALSE(refusal(client, "file.scope", Wish().pidfd(file.get())).empty());
}

TEST_F(TransientUnits, ControllersAreDelegatedByName) {
  start();
  Client client = this->client();
  const auto wish = [](const std::vector<std::string>& controllers) {
    return Wish()
        .command("ExecStart", {"/bin/sleep", "infinity"})
        .list("DelegateControllers", controllers);
  };
  EXPECT_EQ(run(client, "some.service", wish({"pids", "cpu"})), "done");
  EXPECT_EQ(run(client, "none.service", wish({})), "done");
  const auto some = client.properties(bus::unit_path("some.service"));
  const auto none = client.properties(bus::unit_path("none.service"));
  ASSERT_TRUE(some && none);
  EXPECT_TRUE(some->flag("Delegate"));
  EXPECT_EQ(some->strings("DelegateControllers"), (std::vector<std::string>{"cpu", "pids"}));
  EXPECT_TRUE(none->flag("Delegate"));
  EXPECT_TRUE(none->strings("DelegateControllers").empty());
  EXPECT_FALSE(refusal(client, "wrong.service", wish({"nonsense"})).empty());
}

TEST_F(TransientUnits, ADelegatedUnitTakesInProcessesWhileItIsUp) {
  unit("mine.service", kSleeper);
  start();
  Client client = this->client();
  auto first = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  auto second = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(first && second);
  const auto number = static_cast<std::uint32_t>(*first->pidfd().pid());
  const auto other = static_cast<std::uint32_t>(*second->pidfd().pid());
  const auto attach = [](const char* unit, std::uint32_t pid) {
    return [=](Writer& out) { out.s(unit).s("").open_array("u").u(pid).close(); };
  };
  EXPECT_EQ(run(client, "open.scope", Wish().processes({number}).flag("Delegate", true)), "done");
  ask(client, "AttachProcessesToUnit", attach("open.scope", other));
  EXPECT_EQ(ask(client, "GetUnitByPID", [&](Writer& out) { out.u(other); }).text,
            bus::unit_path("open.scope"));
  EXPECT_EQ(ask(client, "ListProcesses",
                [](Writer& out) { out.as(std::vector<std::string>{"open.scope"}); })
                .items.size(),
            2U);
  // Not into what keeps its group to itself, and not pidward.
  ASSERT_EQ(run_job(client, "StartUnit", "mine.service"), "done");
  EXPECT_EQ(error_of(client, "AttachProcessesToUnit", attach("mine.service", other)),
            Errc::invalid_argument);
  const auto self = static_cast<std::uint32_t>(*daemon().pidfd().pid());
  EXPECT_EQ(error_of(client, "AttachProcessesToUnit", attach("open.scope", self)),
            Errc::invalid_argument);
  EXPECT_EQ(
      error_of(client, "AttachProcessesToUnit",
               [&](Writer& out) { out.s("open.scope").s("a/b").open_array("u").u(other).close(); }),
      Errc::invalid_argument);
  // Both end with the unit.
  EXPECT_EQ(run_job(client, "StopUnit", "open.scope"), "done");
  EXPECT_EQ(first->wait()->code, SIGTERM);
  EXPECT_EQ(second->wait()->code, SIGTERM);
}

TEST_F(TransientUnits, AnAbandonedScopeRunsOnAndEndsWithItsProcesses) {
  unit("mine.service", kSleeper);
  start();
  Client client = this->client();
  auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(program);
  const auto number = static_cast<std::uint32_t>(*program->pidfd().pid());
  ASSERT_EQ(run(client, "left.scope", Wish().processes({number})), "done");
  ask(client, "AbandonScope", [](Writer& out) { out.s("left.scope"); });
  auto all = client.properties(bus::unit_path("left.scope"));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("ActiveState"), "active");
  EXPECT_EQ(all->text("SubState"), "abandoned");
  EXPECT_TRUE(is_removed(client, "left.scope", [&] {
    EXPECT_TRUE(program->signal(SIGKILL));
    program->wait();
  }));
  // A scope alone can be abandoned.
  ASSERT_EQ(run_job(client, "StartUnit", "mine.service"), "done");
  EXPECT_EQ(error_of(client, "AbandonScope", [](Writer& out) { out.s("mine.service"); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "AbandonScope", [](Writer& out) { out.s("left.scope"); }),
            Errc::no_such_unit);
}

}  // namespace
}  // namespace pidward::test
