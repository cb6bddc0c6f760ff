// Processes by inode and leases, on the real daemon: the objects, what they do, who may.
#include <csignal>

#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bus/bus_fixture.hpp"

namespace pidward::test {
namespace {

class ProcessesOnTheBus : public BusFixture {
 protected:
  static Result<Program> sleeper() {
    return Program::start({.arguments = {"/bin/sleep", "infinity"}});
  }
  static std::string open(Client& client, const sys::Pidfd& process) {
    return ask(client, "OpenProcess", [&](Writer& out) { out.h(process.get()); }).text;
  }
  static Result<bus::MessageRef> on(Client& client, const std::string& path, const char* method,
                                    const std::function<void(Writer&)>& fill = {}) {
    return client.call(path, bus::kProcessInterface, method, fill);
  }
  std::string main_process(Client& client, const std::string& unit) {
    const auto main = client.property(bus::unit_path(unit), "org.pidward1.Service", "MainProcess");
    EXPECT_TRUE(main);
    return main ? bus::process_path(ProcessId(main->number)) : "/";
  }
  /// Waits for a unit to be down.
  static bool is_down(Client& client, const std::string& unit) {
    EXPECT_TRUE(client.subscribe([](sd_bus_message*) {}));
    for (;;) {
      const auto state = client.property(bus::unit_path(unit), bus::kUnitInterface, "ActiveState");
      if (!state) return false;
      if (state->text == "inactive" || state->text == "failed") break;
      const auto came = client.process(test::patience());
      if (!came || !*came) return false;
    }
    client.unsubscribe();
    return true;
  }
  static sys::Fd lease(Client& client, const std::string& unit) {
    const auto answer = client.manager("LeaseUnit", [&](Writer& out) { out.s(unit).s("replace"); });
    EXPECT_TRUE(answer) << answer.error().to_string();
    if (!answer) return {};
    Reader in(answer->get());
    in.o();
    return in.h();
  }
};

TEST_F(ProcessesOnTheBus, AUnitsProcessTellsAboutItself) {
  unit("web.service", std::string(kSleeper) + "Type=exec\n");
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  const std::string path = main_process(client, "web.service");
  const auto all = client.properties(path, bus::kProcessInterface);
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(bus::process_path(ProcessId(all->number("Inode"))), path);
  EXPECT_EQ(all->data("Unit").items[0].text, "web.service");
  EXPECT_EQ(all->data("Unit").items[1].text, bus::unit_path("web.service"));
  EXPECT_EQ(all->text("Role"), "main");
  EXPECT_EQ(all->text("Command"), "/bin/sleep infinity");
  EXPECT_EQ(all->strings("Arguments"), (std::vector<std::string>{"/bin/sleep", "infinity"}));
  EXPECT_EQ(all->text("State"), "running");
  EXPECT_EQ(all->number("UID"), ::getuid());
  EXPECT_NE(all->number("StartTimestamp"), 0U);
  // Without inodes, only what pidward holds has an identity, and it does not hold itself.
  EXPECT_EQ(all->number("Parent"), has_feature("pidfs") ? *daemon().pidfd().inode() : 0);
  EXPECT_EQ(all->number("Holders"), 0U);
  EXPECT_EQ(all->text("LastClose"), "none");
  EXPECT_EQ(ask(client, "GetProcess", [&](Writer& out) { out.t(all->number("Inode")); }).text,
            path);
  EXPECT_EQ(ask(client, "GetProcessByPID",
                [&](Writer& out) { out.u(static_cast<std::uint32_t>(all->number("PID"))); })
                .text,
            path);
}

TEST_F(ProcessesOnTheBus, OneProcessIsOneObjectHoweverItWasNamed) {
  start();
  Client client = this->client();
  auto program = sleeper();
  ASSERT_TRUE(program);
  const std::string path = open(client, program->pidfd());
  if (has_feature("pidfs")) {
    EXPECT_EQ(path, bus::process_path(ProcessId(*program->pidfd().inode())));
  }
  EXPECT_EQ(open(client, program->pidfd()), path);
  const auto number = static_cast<std::uint32_t>(*program->pidfd().pid());
  EXPECT_EQ(ask(client, "GetProcessByPID", [&](Writer& out) { out.u(number); }).text, path);
  const auto all = client.properties(path, bus::kProcessInterface);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("Role"), "foreign");
  EXPECT_EQ(all->data("Unit").items[0].text, "");
  EXPECT_TRUE(on(client, path, "Signal", [](Writer& out) { out.i(SIGKILL); }));
  EXPECT_EQ(program->wait()->code, SIGKILL);
}

TEST_F(ProcessesOnTheBus, ADescriptorFromTheBusIsTheProcess) {
  start();
  Client client = this->client();
  auto program = sleeper();
  ASSERT_TRUE(program);
  const auto answer = on(client, open(client, program->pidfd()), "GetPidfd");
  ASSERT_TRUE(answer) << answer.error().to_string();
  const sys::Pidfd got(Reader(answer->get()).h());
  EXPECT_EQ(*got.inode(), *program->pidfd().inode());
  EXPECT_TRUE(got.send_signal(SIGKILL));
  EXPECT_EQ(program->wait()->code, SIGKILL);
}

TEST_F(ProcessesOnTheBus, AWaitIsAnsweredByTheEndAndTheStatusStays) {
  unit("short.service",
       "[Service]\nExecStart=/bin/sh -c 'read line < " + directory.path("gate") + "; exit 7'\n");
  ASSERT_EQ(::mkfifo(directory.path("gate").c_str(), 0600), 0);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "short.service");
  const std::string path = main_process(client, "short.service");
  // Kept for us from here on, status and all.
  ask(client, "GetProcess",
      [&](Writer& out) { out.t(bus::parse_object_path(path).process.number()); });
  Client other = this->client();
  directory.write("go", "go\n");
  auto opener = Program::start(
      {.arguments = {"/bin/sh", "-c",
                     "cat " + directory.path("go") + " > " + directory.path("gate")}});
  const auto answer = on(other, path, "Wait");
  ASSERT_TRUE(answer) << answer.error().to_string();
  Reader in(answer->get());
  EXPECT_EQ(in.i(), CLD_EXITED);
  EXPECT_EQ(in.i(), 7);
  const auto all = client.properties(path, bus::kProcessInterface);
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(all->text("State"), "ended");
  EXPECT_EQ(all->number("ExitCode"), static_cast<std::uint64_t>(CLD_EXITED));
  EXPECT_EQ(all->number("ExitStatus"), 7U);
  ASSERT_TRUE(opener);
  opener->wait();
}

TEST_F(ProcessesOnTheBus, AWaiterMayLeave) {
  start();
  Client client = this->client();
  auto program = sleeper();
  ASSERT_TRUE(program);
  const std::string path = open(client, program->pidfd());
  {
    Client other = this->client();
    sd_bus_message* raw = nullptr;
    ASSERT_GE(sd_bus_message_new_method_call(other.get(), &raw, bus::kBusName, path.c_str(),
                                             bus::kProcessInterface, "Wait"),
              0);
    const auto call = bus::MessageRef::adopt(raw);
    ASSERT_GE(sd_bus_call_async(
                  other.get(), nullptr, raw,
                  [](sd_bus_message*, void*, sd_bus_error*) { return 0; }, nullptr, UINT64_MAX),
              0);
    ASSERT_GE(sd_bus_flush(other.get()), 0);
  }
  EXPECT_TRUE(program->signal(SIGKILL));
  program->wait();
  EXPECT_FALSE(ask(client, "GetKernelFeatures").items.empty());
}

TEST_F(ProcessesOnTheBus, SaysWhenProcessesComeAndGo) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  std::map<std::uint64_t, std::string> seen;
  std::map<std::uint64_t, std::int32_t> ended;
  run_job(client, "StartUnit", "web.service");
  const std::uint64_t process =
      bus::parse_object_path(main_process(client, "web.service")).process.number();
  ASSERT_TRUE(client.subscribe([&](sd_bus_message* message) {
    Reader in(message);
    if (sd_bus_message_is_signal(message, bus::kManagerInterface, "ProcessNew") > 0) {
      const std::uint64_t inode = in.t();
      in.o();
      seen[inode] = in.s();
    }
    if (sd_bus_message_is_signal(message, bus::kManagerInterface, "ProcessExited") > 0) {
      const std::uint64_t inode = in.t();
      in.o();
      in.s();
      in.i();
      ended[inode] = in.i();
    }
  }));
  ASSERT_TRUE(
      client.manager("RestartUnit", [](Writer& out) { out.s("web.service").s("replace"); }));
  while (ended.empty() || seen.empty()) {
    const auto came = client.process(test::patience());
    ASSERT_TRUE(came && *came);
  }
  EXPECT_EQ(ended.count(process), 1U);
  EXPECT_EQ(ended[process], SIGTERM);
  EXPECT_EQ(seen.begin()->second, "web.service");
  EXPECT_NE(seen.begin()->first, process);
}

TEST_F(ProcessesOnTheBus, WhatIsNoProcessGetsASentence) {
  start();
  Client client = this->client();
  const sys::Fd file = *sys::make_memfd("no process");
  EXPECT_EQ(error_of(client, "OpenProcess", [&](Writer& out) { out.h(file.get()); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_of(client, "GetProcess", [](Writer& out) { out.t(4711); }),
            Errc::no_such_process);
  EXPECT_EQ(error_of(client, "GetProcess", [](Writer& out) { out.t(0); }), Errc::no_such_process);
  EXPECT_EQ(error_of(client, "GetProcessByPID", [](Writer& out) { out.u(UINT32_MAX); }),
            Errc::invalid_argument);
  EXPECT_EQ(error_name_of(client, "/org/pidward1/process/4711", bus::kProcessInterface, "GetPidfd"),
            "org.freedesktop.DBus.Error.UnknownObject");
  EXPECT_EQ(error_name_of(client, "/org/pidward1/process/x", bus::kProcessInterface, "GetPidfd"),
            "org.freedesktop.DBus.Error.UnknownObject");
  const std::string self = open(client, daemon().pidfd());
  EXPECT_FALSE(on(client, self, "Signal", [](Writer& out) { out.i(SIGKILL); }));
  const std::string first = ask(client, "GetProcessByPID", [](Writer& out) { out.u(1); }).text;
  EXPECT_FALSE(on(client, first, "Signal", [](Writer& out) { out.i(SIGCONT); }));
  EXPECT_FALSE(on(client, first, "Signal", [](Writer& out) { out.i(999); }));
}

TEST_F(ProcessesOnTheBus, AClientKeepsSoManyProcessesAndNoMore) {
  start();
  Client client = this->client();
  std::vector<Program> programs;
  Errc last = Errc::failed;
  for (int i = 0; i < 300 && last == Errc::failed; ++i) {
    auto program = sleeper();
    ASSERT_TRUE(program);
    const auto answer =
        client.manager("OpenProcess", [&](Writer& out) { out.h(program->pidfd().get()); });
    if (!answer) last = answer.error().code();
    programs.push_back(*std::move(program));
  }
  EXPECT_EQ(last, Errc::limit_exceeded);
  Client other = this->client();
  EXPECT_FALSE(open(other, programs.front().pidfd()).empty());
  for (Program& program : programs) {
    EXPECT_TRUE(program.signal(SIGKILL));
    program.wait();
  }
}

TEST_F(ProcessesOnTheBus, AUnitLivesAsLongAsItsLease) {
  unit("held.service", kSleeper);
  start();
  Client client = this->client();
  sys::Fd first = lease(client, "held.service");
  sys::Fd copy = *first.duplicate();
  const Data rows = ask(client, "ListLeases");
  ASSERT_EQ(rows.items.size(), 1U);
  EXPECT_EQ(rows.items[0].items[1].text, "held.service");
  EXPECT_EQ(rows.items[0].items[4].number, ::getuid());
  first.reset();
  const auto count =
      client.property(bus::unit_path("held.service"), "org.pidward1.Service", "Leases");
  ASSERT_TRUE(count);
  EXPECT_EQ(count->number, 1U);
  copy.reset();
  EXPECT_TRUE(is_down(client, "held.service"));
  EXPECT_TRUE(ask(client, "ListLeases").items.empty());
}

TEST_F(ProcessesOnTheBus, AProcessDiesWithItsLastLease) {
  start();
  Client client = this->client();
  auto program = sleeper();
  ASSERT_TRUE(program);
  const std::string path = open(client, program->pidfd());
  const std::uint64_t inode = bus::parse_object_path(path).process.number();
  EXPECT_EQ(error_of(client, "LeaseProcess", [&](Writer& out) { out.t(inode).s("sometimes"); }),
            Errc::invalid_argument);
  sys::Fd held;
  {
    // The message has a copy of the descriptor, which ends with it.
    const auto answer =
        client.manager("LeaseProcess", [&](Writer& out) { out.t(inode).s("signal USR1"); });
    ASSERT_TRUE(answer) << answer.error().to_string();
    held = Reader(answer->get()).h();
  }
  const auto all = client.properties(path, bus::kProcessInterface);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->number("Holders"), 1U);
  EXPECT_EQ(all->text("LastClose"), fmt::format("signal {}", SIGUSR1));
  held.reset();
  EXPECT_EQ(program->wait()->code, SIGUSR1);
}

TEST_F(ProcessesOnTheBus, AUnitStopsWithTheProcessItIsBoundTo) {
  unit("bound.service", kSleeper);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "bound.service");
  auto program = sleeper();
  ASSERT_TRUE(program);
  const auto bind = [&](Writer& out) { out.s("bound.service").h(program->pidfd().get()); };
  const std::string path = open(client, program->pidfd());
  ask(client, "BindToProcess", bind);
  const auto bound =
      client.property(bus::unit_path("bound.service"), "org.pidward1.Service", "BoundToProcesses");
  ASSERT_TRUE(bound);
  ASSERT_EQ(bound->items.size(), 1U);
  EXPECT_EQ(bus::process_path(ProcessId(bound->items[0].number)), path);
  EXPECT_TRUE(program->signal(SIGKILL));
  program->wait();
  EXPECT_TRUE(is_down(client, "bound.service"));
  EXPECT_EQ(error_of(client, "BindToProcess", bind), Errc::unit_inactive);
}

TEST_F(ProcessesOnTheBus, OnlyWhoMayStopMayLeaseSignalOrTake) {
  unit("web.service", kSleeper);
  start();
  ctl({"start", "web"});
  Client client = this->client();
  const std::string path = main_process(client, "web.service");
  const std::string inode = std::to_string(bus::parse_object_path(path).process.number());
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"kill", inode},
                                                    {"hold", "web", "--", "/bin/true"},
                                                    {"bind", "web", "1"},
                                                    {"run", "--", "/bin/true"},
                                                    {"set-property", "web", "Description=x"}}) {
    const CtlResult refused = ctl(arguments, kNobody);
    EXPECT_EQ(refused.code, arguments[0] == "hold" ? 4 : 1) << arguments[0] << ": " << refused.err;
    EXPECT_NE(refused.err.find("65534"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(ctl({"leases"}, kNobody).code, 0);
  EXPECT_EQ(ctl({"ps", "--tree"}, kNobody).code, 0);
}

}  // namespace
}  // namespace pidward::test
