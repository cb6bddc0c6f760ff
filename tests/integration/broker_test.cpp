// The second door: org.pidward1 on a bus of the test's own, with the policy that ships.
#include <gtest/gtest.h>
#include <poll.h>

#include "bus/sdbus.hpp"
#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

/// As Debian's system bus is set up, but for where it listens.
constexpr const char* kConfiguration = R"(<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=@DIRECTORY@/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>@POLICY@</include>
</busconfig>
)";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  text.replace(text.find(what), what.size(), with);
  return text;
}

/// A message bus of its own, ended with it.
class Broker {
 public:
  explicit Broker(const test::TemporaryDirectory& directory) : directory_(directory) {
    directory_.write("bus.conf", replaced(replaced(kConfiguration, "@DIRECTORY@", directory.path()),
                                          "@POLICY@", PIDWARD_POLICY));
    start();
  }
  ~Broker() { stop(); }
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// Returns when it listens: it prints its address then.
  void start() {
    auto pipe = sys::make_pipe();
    ASSERT_TRUE(pipe);
    auto started = test::Program::start(
        {.arguments = {"/usr/bin/dbus-daemon", "--nofork", "--nopidfile", "--nosyslog",
                       "--print-address=1", "--config-file=" + directory_.path("bus.conf")},
         .out = "/proc/self/fd/" + std::to_string(pipe->write_end.get())});
    ASSERT_TRUE(started) << started.error().to_string();
    program_ = std::make_unique<test::Program>(*std::move(started));
    pipe->write_end.reset();
    const auto address = sys::read_some(pipe->read_end.get(), 4096);
    ASSERT_TRUE(address && !address->empty()) << "dbus-daemon does not start";
  }
  void stop() {
    if (!program_) return;
    static_cast<void>(program_->signal(SIGTERM));
    program_->wait();
    program_.reset();
  }
  [[nodiscard]] std::string address() const { return "unix:path=" + directory_.path("bus"); }

  /// Waits until somebody owns org.pidward1.
  [[nodiscard]] bool is_owned() const {
    sd_bus* raw = nullptr;
    if (sd_bus_new(&raw) < 0) return false;
    const bus::BusPtr bus(raw);
    sd_bus_set_address(raw, address().c_str());
    sd_bus_set_bus_client(raw, 1);
    if (sd_bus_start(raw) < 0) return false;
    sd_bus_add_match(raw, nullptr,
                     "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                     "arg0='org.pidward1'",
                     nullptr, nullptr);
    const auto deadline = std::chrono::steady_clock::now() + test::patience();
    while (std::chrono::steady_clock::now() < deadline) {
      sd_bus_creds* owner = nullptr;
      const int asked =
          sd_bus_get_name_creds(raw, "org.pidward1", SD_BUS_CREDS_UNIQUE_NAME, &owner);
      sd_bus_creds_unref(owner);
      if (asked >= 0) return true;
      while (sd_bus_process(raw, nullptr) > 0) {
      }
      sd_bus_wait(raw, 1000000);
    }
    return false;
  }
  /// busctl on this bus: a client that is not ours.
  [[nodiscard]] test::CtlResult busctl(const std::vector<std::string>& words,
                                       std::optional<uid_t> uid = {}) const {
    test::ProgramCall call{.arguments = {"/usr/bin/busctl", "--address=" + address()},
                           .out = directory_.path("busctl.out"),
                           .err = directory_.path("busctl.err"),
                           .uid = uid};
    call.arguments.insert(call.arguments.end(), words.begin(), words.end());
    auto run = test::Program::start(call);
    const auto status = run ? run->wait() : std::nullopt;
    return {.code = status ? status->code : -1,
            .out = directory_.read("busctl.out"),
            .err = directory_.read("busctl.err")};
  }

 private:
  const test::TemporaryDirectory& directory_;
  std::unique_ptr<test::Program> program_;
};

class OnTheBus : public ::testing::Test {
 protected:
  static constexpr uid_t kNobody = 65534;
  static constexpr const char* kName = "org.pidward1";
  static constexpr const char* kPath = "/org/pidward1";
  static constexpr const char* kManager = "org.pidward1.Manager";

  void SetUp() override {
    supervisor_ = std::make_unique<Supervisor>(
        Supervisor::Options{.arguments = {"--bus", "required"},
                            .environment = {"DBUS_SYSTEM_BUS_ADDRESS=" + broker_.address()},
                            .system_units = false});
    supervisor_->write_unit(
        "one.service", "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
    ASSERT_TRUE(broker_.is_owned());
  }

  test::TemporaryDirectory directory_;
  Broker broker_{directory_};
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(OnTheBus, AStrangeClientDrivesItByName) {
  const auto started =
      broker_.busctl({"call", kName, kPath, kManager, "StartUnit", "ss", "one.service", "replace"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_NE(started.out.find("/org/pidward1/job/"), std::string::npos) << started.out;
  EXPECT_TRUE(supervisor_->reaches("one.service", "ActiveState", "active"));
  const auto tree = broker_.busctl({"introspect", kName, "/org/pidward1/unit/one_2eservice"});
  EXPECT_EQ(tree.code, 0) << tree.err;
  EXPECT_NE(tree.out.find("org.pidward1.Service"), std::string::npos) << tree.out;
}

TEST_F(OnTheBus, AnybodyReadsAndOnlyRootChanges) {
  const auto read = broker_.busctl({"get-property", kName, kPath, kManager, "Version"}, kNobody);
  EXPECT_EQ(read.code, 0) << read.err;
  EXPECT_NE(read.out.find(PIDWARD_VERSION), std::string::npos) << read.out;
  const auto refused = broker_.busctl(
      {"call", kName, kPath, kManager, "StartUnit", "ss", "one.service", "replace"}, kNobody);
  EXPECT_NE(refused.code, 0);
  EXPECT_NE(refused.err.find("Access denied"), std::string::npos) << refused.err;
  EXPECT_EQ(supervisor_->property("one.service", "ActiveState"), "inactive");
}

TEST_F(OnTheBus, ThePolicyGivesTheNameToRootAlone) {
  const auto taken = broker_.busctl({"call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "RequestName", "su", kName, "6"},
                                    kNobody);
  EXPECT_NE(taken.code, 0);
  EXPECT_NE(taken.err.find("Access denied"), std::string::npos) << taken.err;
}

TEST_F(OnTheBus, ABrokerThatGoesAndComesBackFindsItAgain) {
  ASSERT_EQ(supervisor_->ctl({"start", "one"}).exit_code, 0);
  broker_.stop();
  // The private socket is open all the time.
  EXPECT_EQ(supervisor_->ctl({"is-active", "one"}).exit_code, 0);
  broker_.start();
  EXPECT_TRUE(broker_.is_owned());
  const auto state = broker_.busctl({"get-property", kName, "/org/pidward1/unit/one_2eservice",
                                     "org.pidward1.Unit", "ActiveState"});
  EXPECT_EQ(state.out, "s \"active\"\n") << state.err;
}

TEST(WithoutABroker, RequiredIsAnErrorThatSaysWhatToDo) {
  const test::TemporaryDirectory directory;
  auto run = test::Program::start(
      {.arguments = {PIDWARD_PROGRAM, "--system", "--runtime-dir", directory.path("run"),
                     "--log-dir", directory.path("log"), "--bus", "required"},
       .environment = {"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + directory.path("none")},
       .err = directory.path("err")});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->wait()->code, 1);
  EXPECT_NE(directory.read("err").find("bus: required"), std::string::npos);
  EXPECT_NE(directory.read("err").find("start the bus first"), std::string::npos);
}

}  // namespace
}  // namespace pidward::testing
