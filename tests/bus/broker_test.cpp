// The daemon on a bus with a broker, and polkit asked about strangers. Polkit is played by the
// test.
#include <poll.h>

#include "bus/broker_fixture.hpp"

namespace pidward::test {
namespace {

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

class WithPolkit : public WithABroker {
 protected:
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

TEST_F(WithPolkit, PolkitMayLetAStrangerIn) {
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

TEST_F(WithPolkit, PolkitMayRefuse) {
  Authority authority(address_);
  authority.allows = false;
  const CtlResult refused = as_nobody(authority, {"start", "web"});
  EXPECT_EQ(refused.code, 4) << refused.err;
  EXPECT_NE(refused.err.find("65534"), std::string::npos) << refused.err;
  authority.challenges = true;
  EXPECT_NE(as_nobody(authority, {"start", "web"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "web"}).out, "inactive\n");
}

TEST_F(WithPolkit, NobodyIsAskedAboutRoot) {
  Authority authority(address_);
  EXPECT_EQ(ctl({"start", "web"}).code, 0);
  EXPECT_EQ(sd_bus_process(authority.get(), nullptr) < 0, false);
  EXPECT_TRUE(authority.actions.empty());
}

}  // namespace
}  // namespace pidward::test
