// Scopes whose end is somebody's on the bus, and names on the bus that units depend on.
#include <csignal>

#include "bus/broker_fixture.hpp"
#include "bus/wish.hpp"

namespace pidward::test {
namespace {

constexpr const char* kName = "org.example.Thing";

/// A client that makes scopes and is asked to end them.
class Controller : public OnTheBus {
 public:
  explicit Controller(const std::string& address) : OnTheBus(address) {
    sd_bus_slot* slot = nullptr;
    EXPECT_GE(sd_bus_add_filter(get(), &slot, on_message, this), 0);
    filter_.reset(slot);
  }
  [[nodiscard]] std::string name() const {
    const char* unique = nullptr;
    EXPECT_GE(sd_bus_get_unique_name(get(), &unique), 0);
    return unique == nullptr ? "" : unique;
  }
  Result<bus::MessageRef> make(const std::string& unit, const Program& program,
                               const std::string& controller) {
    const auto number = static_cast<std::uint32_t>(*program.pidfd().pid());
    return call("StartTransientUnit", [&](Writer& out) {
      out.s(unit).s("fail");
      Wish().processes({number}).text("Controller", controller).write(out);
      out.open_array("(sa(sv))").close();
    });
  }
  /// Waits until it is asked; the object whose end is wanted.
  std::string asked() {
    const auto deadline = std::chrono::steady_clock::now() + patience();
    while (paths_.empty() && std::chrono::steady_clock::now() < deadline) {
      if (sd_bus_process(get(), nullptr) > 0) continue;
      sd_bus_wait(get(), static_cast<std::uint64_t>(patience_ms()) * 1000);
    }
    return paths_.empty() ? "" : paths_.front();
  }

 private:
  static int on_message(sd_bus_message* message, void* userdata, sd_bus_error* /*error*/) {
    if (sd_bus_message_is_signal(message, bus::kScopeInterface, "RequestStop") <= 0) return 0;
    static_cast<Controller*>(userdata)->paths_.emplace_back(sd_bus_message_get_path(message));
    return 0;
  }
  bus::SlotPtr filter_;
  std::vector<std::string> paths_;
};

class ScopeControllers : public WithABroker {
 protected:
  void SetUp() override {
    WithABroker::SetUp();
    if (HasFatalFailure()) return;
    auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
    ASSERT_TRUE(program);
    program_ = std::make_unique<Program>(*std::move(program));
    ASSERT_TRUE(all().wait_for_output("serving org.pidward1"));
  }
  void TearDown() override {
    if (program_) static_cast<void>(program_->signal(SIGKILL));
    WithABroker::TearDown();
  }
  bool is_up(const char* scope) { return all().reaches(scope, "SubState", "running"); }
  void lose_daemon() {
    ASSERT_TRUE(daemon().signal(SIGKILL));
    EXPECT_TRUE(daemon().wait());
    stop();
    start({"--no-cgroup", "--bus", "required"});
  }
  std::unique_ptr<Program> program_;
};

TEST_F(ScopeControllers, AControllerIsAskedAndEndsTheScopeItself) {
  Controller controller(address_);
  const auto made = controller.make("held.scope", *program_, controller.name());
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_TRUE(is_up("held.scope"));
  EXPECT_EQ(all().property("held.scope", "Controller"), controller.name());
  EXPECT_EQ(ctl({"stop", "--no-block", "held.scope"}).code, 0);
  EXPECT_EQ(controller.asked(), bus::unit_path("held.scope"));
  EXPECT_EQ(all().property("held.scope", "SubState"), "stop-sigterm");
  const auto ended = program_->pidfd().has_ended();
  EXPECT_TRUE(ended && !*ended) << "nobody but the controller ends it";
  EXPECT_TRUE(program_->signal(SIGUSR1));
  EXPECT_EQ(program_->wait()->code, SIGUSR1);
  EXPECT_TRUE(all().reaches("held.scope", "ActiveState", "inactive"));
}

TEST_F(ScopeControllers, AControllerThatLeavesTheBusIsForgotten) {
  {
    Controller controller(address_);
    ASSERT_TRUE(controller.make("held.scope", *program_, controller.name()));
    ASSERT_TRUE(is_up("held.scope"));
  }
  EXPECT_TRUE(all().reaches("held.scope", "Controller", ""));
  EXPECT_EQ(ctl({"stop", "held.scope"}).code, 0);
  EXPECT_EQ(program_->wait()->code, SIGTERM);
}

TEST_F(ScopeControllers, AnAbandonedScopeIsEndedBySignals) {
  Controller controller(address_);
  ASSERT_TRUE(controller.make("held.scope", *program_, controller.name()));
  ASSERT_TRUE(is_up("held.scope"));
  EXPECT_TRUE(controller.call("AbandonScope", [](Writer& out) { out.s("held.scope"); }));
  EXPECT_EQ(all().property("held.scope", "Controller"), "");
  EXPECT_EQ(ctl({"stop", "held.scope"}).code, 0);
  EXPECT_EQ(program_->wait()->code, SIGTERM);
}

TEST_F(ScopeControllers, TheNextDaemonAsksTheSameController) {
  Controller controller(address_);
  ASSERT_TRUE(controller.make("held.scope", *program_, controller.name()));
  ASSERT_TRUE(is_up("held.scope"));
  lose_daemon();
  EXPECT_EQ(all().property("held.scope", "Controller"), controller.name());
  EXPECT_EQ(ctl({"stop", "--no-block", "held.scope"}).code, 0);
  EXPECT_EQ(controller.asked(), bus::unit_path("held.scope"));
}

TEST_F(ScopeControllers, TheNextDaemonFollowsTheNamesOfItsUnits) {
  // What such a service is started after; the broker here is nobody's unit.
  unit("dbus.service", kSleeper);
  unit("dbus.socket", "[Socket]\nListenStream=" + directory.path("unused") + "\n");
  unit("named.service",
       "[Service]\nType=dbus\nBusName=" + std::string(kName) + "\nExecStart=/bin/sleep infinity\n");
  OnTheBus owner(address_);
  ASSERT_GE(sd_bus_request_name(owner.get(), kName, 0), 0);
  ASSERT_EQ(ctl({"start", "named"}).code, 0);
  lose_daemon();
  EXPECT_EQ(all().property("named.service", "ActiveState"), "active");
  ASSERT_TRUE(all().wait_for_output("serving org.pidward1"));
  ASSERT_GE(sd_bus_release_name(owner.get(), kName), 0);
  EXPECT_TRUE(all().reaches("named.service", "ActiveState", "inactive"));
}

TEST_F(ScopeControllers, WhatIsNoNameOnTheBusIsNoController) {
  Controller controller(address_);
  const auto refused = controller.make("held.scope", *program_, "no name");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "org.freedesktop.DBus.Error.InvalidArgs");
  EXPECT_TRUE(controller.make("held.scope", *program_, ""));
  ASSERT_TRUE(is_up("held.scope"));
  EXPECT_EQ(all().property("held.scope", "Controller"), "");
  // Over the private socket nobody has a name.
  Client client = this->client();
  EXPECT_EQ(error_of(client, "StartTransientUnit",
                     [](Writer& out) {
                       out.s("other.scope").s("fail");
                       Wish().processes({1}).text("Controller", ":1.1").write(out);
                       out.open_array("(sa(sv))").close();
                     }),
            Errc::not_supported);
}

}  // namespace
}  // namespace pidward::test
