// The daemon on a bus with a broker, a real one of the test's own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <sys/stat.h>

#include "bus/bus_fixture.hpp"

namespace pidward::test {

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
  std::string address_;
  std::unique_ptr<Program> broker_;
};

}  // namespace pidward::test
