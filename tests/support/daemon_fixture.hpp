// The real daemon on directories of its own: starts it, waits until it says READY=1, ends it
// through its pidfd. Needs PIDWARD_PROGRAM and PIDWARDCTL_PROGRAM (see tests/bus/CMakeLists.txt).
#pragma once

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bus/client/client.hpp"
#include "support/child.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::test {

/// What one run of pidwardctl came to.
struct CtlResult {
  int code = -1;
  std::string out;
  std::string err;
};

class DaemonFixture : public ::testing::Test {
 public:
  /// The targets that default dependencies lead to are there already.
  DaemonFixture() {
    for (const char* name : {"default", "basic", "sysinit", "shutdown", "sockets", "multi-user"}) {
      unit(std::string(name) + ".target",
           "[Unit]\nDescription=Target of a test\nDefaultDependencies=no\n");
    }
  }
  ~DaemonFixture() override { stop(); }

  /// Writes a unit file; the daemon sees it at its start or after a reload.
  void unit(const std::string& name, const std::string& text) {
    directory.write("units/" + name, text);
  }

  /// Starts the daemon and waits until it can be reached; a failure ends the test.
  void start(const std::vector<std::string>& options = {"--no-cgroup"}) {
    std::filesystem::create_directories(directory.path("run"));
    const sys::Fd notify = make_notify_socket();
    ProgramCall call{
        .arguments = {PIDWARD_PROGRAM, "--system", "--runtime-dir", directory.path("run"),
                      "--unit-path", directory.path("units"), "--log-dir", directory.path("log"),
                      "--config", directory.write("pidward.yaml", "{}\n")},
        .environment = daemon_environment,
        .out = directory.path("daemon.out"),
        .err = directory.path("daemon.err")};
    call.environment.push_back("NOTIFY_SOCKET=" + directory.path("notify"));
    call.arguments.insert(call.arguments.end(), options.begin(), options.end());
    if (std::find(options.begin(), options.end(), "--bus") == options.end()) {
      call.arguments.insert(call.arguments.end(), {"--bus", "off"});
    }
    auto started = Program::start(call);
    ASSERT_TRUE(started) << started.error().to_string();
    daemon_ = std::make_unique<Program>(*std::move(started));
    ASSERT_TRUE(wait_until_ready(notify.get())) << directory.read("daemon.err");
  }

  /// Ends the daemon in order; SIGKILL if it does not end.
  void stop() {
    if (!daemon_) return;
    static_cast<void>(daemon_->signal(SIGTERM));
    if (!daemon_->wait()) {
      ADD_FAILURE() << "the daemon did not end:\n" << directory.read("daemon.err");
      static_cast<void>(daemon_->signal(SIGKILL));
      daemon_->wait();
    }
    daemon_.reset();
  }

  [[nodiscard]] std::string socket() const { return directory.path("run/private"); }
  [[nodiscard]] Program& daemon() { return *daemon_; }

  /// A new connection to the daemon.
  bus::Client client() {
    auto connected = bus::Client::connect({.socket = socket()});
    if (!connected) {
      ADD_FAILURE() << connected.error().to_string() << "\n" << directory.read("daemon.err");
      std::abort();
    }
    return *std::move(connected);
  }

  /// Runs pidwardctl against this daemon.
  CtlResult ctl(std::vector<std::string> arguments, std::optional<uid_t> uid = {},
                std::vector<std::string> environment = {}) {
    const std::string number = std::to_string(++runs_);
    environment.emplace_back("NO_COLOR=1");
    ProgramCall call{.arguments = {PIDWARDCTL_PROGRAM, "--socket", socket()},
                     .environment = std::move(environment),
                     .out = directory.path("ctl.out." + number),
                     .err = directory.path("ctl.err." + number),
                     .uid = uid};
    call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
    auto started = Program::start(call);
    if (!started) return {.err = started.error().to_string()};
    const auto status = started->wait();
    CtlResult result{.out = directory.read("ctl.out." + number),
                     .err = directory.read("ctl.err." + number)};
    if (status && status->kind == ExitStatus::Kind::exited) result.code = status->code;
    return result;
  }

  TemporaryDirectory directory;
  std::vector<std::string> daemon_environment;  ///< of the daemon, besides ours

 private:
  sys::Fd make_notify_socket() {
    sys::Fd socket(sys::adopt_fd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory.path("notify");
    ::unlink(path.c_str());
    std::memcpy(address.sun_path, path.c_str(), path.size());
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  bool wait_until_ready(int notify) {
    for (;;) {
      pollfd waits[2] = {{.fd = notify, .events = POLLIN, .revents = 0},
                         {.fd = daemon_->pidfd().get(), .events = POLLIN, .revents = 0}};
      if (::poll(waits, 2, 60000) <= 0 || (waits[0].revents & POLLIN) == 0) return false;
      std::string message(4096, '\0');
      const ssize_t length = ::recv(notify, message.data(), message.size(), 0);
      if (length > 0 && message.find("READY=1") != std::string::npos) return true;
    }
  }

  std::unique_ptr<Program> daemon_;
  unsigned runs_ = 0;
};

}  // namespace pidward::test
