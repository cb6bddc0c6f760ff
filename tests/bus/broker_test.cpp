// The daemon on a bus with a broker, and polkit asked about strangers. The broker is a real one of
// the test's own; polkit is played by the test.
#include <poll.h>
#include <sys/stat.h>

#include "bus/bus_fixture.hpp"

namespace pidward::test {
namespace {

/// A connection to the test's broker.
class OnTheBus {
 public:
  explicit OnTheBus(const std::string& address) {
    sd_bus* raw = nullptr;
    EXPECT_GE(sd_bus_new(&raw), 0);
    bus_.reset(raw);
    EXPECT_GE(sd_bus_set_address(raw, address.c_str()), 0);
    EXPECT_GE(sd_bus_set_bus_client(raw, 1), 0);
    EXPECT_GE(sd_bus_start(raw), 0);
  }
  [[nodiscard]] sd_bus* get() const { return bus_.get(); }
  Result<bus::MessageRef> call(const char* member, const std::function<void(Writer&)>& fill = {}) {
    sd_bus_message* raw = nullptr;
    EXPECT_GE(sd_bus_message_new_method_call(get(), &raw, bus::kBusName, bus::kManagerPath,
                                             bus::kManagerInterface, member),
              0);
    const auto message = bus::MessageRef::adopt(raw);
    Writer out(raw);
    if (fill) fill(out);
    sd_bus_message* answer = nullptr;
    bus::BusError error;
    const int result = sd_bus_call(get(), raw, 0, error.out(), &answer);
    if (result < 0) {
      return Error(Errc::failed, error.get()->name == nullptr ? member : error.get()->name);
    }
    return bus::MessageRef::adopt(answer);
  }

 private:
  bus::BusPtr bus_;
};

/// Answers every question in the same way.
class Authority : public OnTheBus {
 public:
  explicit Authority(const std::string& address) : OnTheBus(address) {
    EXPECT_GE(sd_bus_request_name(get(), "org.freedesktop.PolicyKit1", 0), 0);
    sd_bus_slot* slot = nullptr;
    EXPECT_GE(
        sd_bus_add_object(get(), &slot, "/org/freedesktop/PolicyKit1/Authority", on_call, this), 0);
    slot_.reset(slot);
  }
  bool allows = true;
  bool challenges = false;
  std::vector<std::string> actions;
  std::string subject;

  /// Answers until the program has ended.
  void serve(const Program& program) {
    for (;;) {
      while (sd_bus_process(get(), nullptr) > 0) {
      }
      pollfd waits[2] = {
          {.fd = sd_bus_get_fd(get()), .events = POLLIN, .revents = 0},
          {.fd = program.pidfd().get(), .events = POLLIN, .revents = 0},
      };
      if (::poll(waits, 2, test::patience_ms()) <= 0 || waits[1].revents != 0) return;
    }
  }

 private:
  static int on_call(sd_bus_message* message, void* userdata, sd_bus_error* /*error*/) {
    if (sd_bus_message_is_method_call(message, "org.freedesktop.PolicyKit1.Authority",
                                      "CheckAuthorization") <= 0) {
      return 0;
    }
    auto* self = static_cast<Authority*>(userdata);
    Reader in(message);
    in.enter('r', "sa{sv}");
    self->subject = in.s();
    in.skip("a{sv}");
    in.exit();
    self->actions.push_back(in.s());
    sd_bus_message* answer = nullptr;
    if (sd_bus_message_new_method_return(message, &answer) < 0) return -ENOMEM;
    const auto owned = bus::MessageRef::adopt(answer);
    Writer(answer)
        .open_struct("bba{ss}")
        .b(self->allows)
        .b(self->challenges)
        .open_array("{ss}")
        .close()
        .close();
    return sd_bus_send(nullptr, answer, nullptr);
  }
  bus::SlotPtr slot_;
};

class WithABroker : public BusFixture {
 protected:
  void SetUp() override {
    ::chmod(directory.path("").c_str(), 0755);
    address_ = "unix:path=" + directory.path("bus");
    const std::string config = directory.write(
        "bus.conf",
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
        "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig><type>system</type><listen>" +
            address_ +
            "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow own=\"*\"/>"
            "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
            "<allow user=\"*\"/></policy></busconfig>\n");
    ASSERT_EQ(::mkfifo(directory.path("ready").c_str(), 0600), 0);
    auto broker = Program::start({.arguments = {"/bin/sh", "-c",
                                                "exec dbus-daemon --nofork --nopidfile "
                                                "--print-address=3 --config-file=" +
                                                    config + " 3>" + directory.path("ready")},
                                  .environment = {},
                                  .out = {},
                                  .err = directory.path("bus.err"),
                                  .uid = {}});
    ASSERT_TRUE(broker);
    broker_ = std::make_unique<Program>(*std::move(broker));
    // Opening the other end waits for the broker, which writes when it listens.
    const auto told = sys::read_file(directory.path("ready"));
    ASSERT_TRUE(told && !told->empty()) << directory.read("bus.err");
    daemon_environment.push_back("DBUS_SYSTEM_BUS_ADDRESS=" + address_);
    unit("web.service", kSleeper);
    start({"--no-cgroup", "--bus", "required"});
  }
  void TearDown() override {
    stop();
    if (!broker_) return;
    EXPECT_TRUE(broker_->signal(SIGTERM));
    broker_->wait();
  }
  /// Runs pidwardctl as nobody while `authority` is there to be asked.
  CtlResult as_nobody(Authority& authority, const std::vector<std::string>& arguments) {
    ProgramCall call{.arguments = {PIDWARDCTL_PROGRAM, "--socket", socket()},
                     .environment = {},
                     .out = directory.path("nobody.out"),
                     .err = directory.path("nobody.err"),
                     .uid = kNobody};
    call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
    auto program = Program::start(call);
    EXPECT_TRUE(program);
    if (!program) return {};
    authority.serve(*program);
    const auto status = program->wait();
    return {.code = status ? status->code : -1,
            .out = directory.read("nobody.out"),
            .err = directory.read("nobody.err")};
  }

  std::string address_;
  std::unique_ptr<Program> broker_;
};

TEST_F(WithABroker, TheSameObjectsAreOnTheBus) {
  OnTheBus client(address_);
  // The name is there once it was asked for; until then the broker says so.
  auto answer = client.call("ListUnits");
  for (int i = 0; i < 1000 && !answer; ++i) answer = client.call("ListUnits");
  ASSERT_TRUE(answer) << answer.error().message();
  ASSERT_TRUE(client.call("Subscribe"));
  EXPECT_FALSE(client.call("Subscribe"));
  std::map<std::string, std::string> results;
  sd_bus_slot* slot = nullptr;
  ASSERT_GE(
      sd_bus_match_signal(
          client.get(), &slot, nullptr, bus::kManagerPath, bus::kManagerInterface, "JobRemoved",
          [](sd_bus_message* message, void* userdata, sd_bus_error*) {
            Reader in(message);
            in.u();
            const std::string path = in.o();
            in.s();
            (*static_cast<std::map<std::string, std::string>*>(userdata))[path] = in.s();
            return 0;
          },
          &results),
      0);
  const bus::SlotPtr match(slot);
  const auto started =
      client.call("StartUnit", [](Writer& out) { out.s("web.service").s("replace"); });
  ASSERT_TRUE(started) << started.error().message();
  const std::string job = Reader(started->get()).o();
  while (results.count(job) == 0) {
    if (sd_bus_process(client.get(), nullptr) > 0) continue;
    ASSERT_GT(sd_bus_wait(client.get(), 60'000'000), 0);
  }
  EXPECT_EQ(results[job], "done");
  EXPECT_TRUE(client.call("RefUnit", [](Writer& out) { out.s("web.service"); }));
}

TEST_F(WithABroker, PolkitMayLetAStrangerIn) {
  Authority authority(address_);
  const CtlResult started = as_nobody(authority, {"start", "web"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(authority.actions, std::vector<std::string>{"org.pidward1.manage-units"});
  EXPECT_EQ(authority.subject, "unix-process");
  EXPECT_EQ(as_nobody(authority, {"daemon-reload"}).code, 0);
  EXPECT_EQ(authority.actions.back(), "org.pidward1.reload-daemon");
  EXPECT_EQ(as_nobody(authority, {"mask", "other"}).code, 0);
  EXPECT_NE(std::find(authority.actions.begin(), authority.actions.end(),
                      "org.pidward1.manage-unit-files"),
            authority.actions.end());
}

TEST_F(WithABroker, PolkitMayRefuse) {
  Authority authority(address_);
  authority.allows = false;
  const CtlResult refused = as_nobody(authority, {"start", "web"});
  EXPECT_EQ(refused.code, 4) << refused.err;
  EXPECT_NE(refused.err.find("65534"), std::string::npos) << refused.err;
  authority.challenges = true;
  EXPECT_NE(as_nobody(authority, {"start", "web"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "web"}).out, "inactive\n");
}

TEST_F(WithABroker, NobodyIsAskedAboutRoot) {
  Authority authority(address_);
  EXPECT_EQ(ctl({"start", "web"}).code, 0);
  EXPECT_EQ(sd_bus_process(authority.get(), nullptr) < 0, false);
  EXPECT_TRUE(authority.actions.empty());
}

}  // namespace
}  // namespace pidward::test
