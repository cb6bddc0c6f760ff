#include "support/daemon.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bus/object_path.hpp"

namespace pidward::test {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// As `pidwardctl show` writes simple values.
std::string text_of(const bus::Data& value) {
  switch (value.type) {
    case 'b':
      return value.number != 0 ? "yes" : "no";
    case 'y':
    case 'q':
    case 'u':
    case 't':
      return std::to_string(value.number);
    case 'n':
    case 'i':
    case 'x':
      return std::to_string(value.integer());
    case 'a': {
      std::string words;
      for (const bus::Data& item : value.items) {
        words += (words.empty() ? "" : " ") + text_of(item);
      }
      return words;
    }
    default:
      return value.text;
  }
}

}  // namespace

bool ends_in_time(const sys::Pidfd& process) {
  pollfd wait{.fd = process.get(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, test::patience_ms()) == 1;
}

Daemon::Daemon() {
  std::filesystem::create_directories(directory.path("units"));
  std::filesystem::create_directories(directory.path("run"));
}

Daemon::~Daemon() {
  stop();
}

std::string Daemon::unit_file(const std::string& name) const {
  return directory.path("units/" + name);
}

void Daemon::unit(const std::string& name, const std::string& text) const {
  directory.write("units/" + name, text);
}

std::string Daemon::output() const {
  return directory.read("daemon.err");
}

std::string Daemon::socket() const {
  return directory.path(options_.user ? "run/pidward/private" : "run/private");
}

bool Daemon::start(DaemonOptions options) {
  options_ = std::move(options);
  const sys::Fd notify = make_notify_socket();
  ProgramCall call{.arguments = {PIDWARD_PROGRAM, "--config"},
                   .environment = {"NOTIFY_SOCKET=" + directory.path("notify")},
                   .out = directory.path("daemon.out"),
                   .err = directory.path("daemon.err"),
                   .uid = options_.uid,
                   .descriptors = options_.descriptors};
  call.arguments.push_back(directory.write("pidward.yaml", options_.configuration));
  if (options_.user) {
    call.arguments.emplace_back("--user");
    call.environment.push_back("HOME=" + directory.path("home"));
    call.environment.push_back("XDG_RUNTIME_DIR=" + directory.path("run"));
    for (const char* kind : {"CONFIG", "DATA", "STATE", "CACHE"}) {
      call.environment.push_back(std::string("XDG_") + kind +
                                 "_HOME=" + directory.path(std::string("xdg-") + kind));
    }
  } else {
    for (const auto& [option, place] :
         {std::pair{"--runtime-dir", "run"}, {"--log-dir", "log"}, {"--state-dir", "state"}}) {
      if (std::ranges::find(options_.arguments, option) != options_.arguments.end()) continue;
      call.arguments.emplace_back(option);
      call.arguments.push_back(directory.path(place));
    }
    call.arguments.emplace_back("--system");
    call.environment.push_back("PIDWARD_UNIT_PATH=" + (options_.unit_path.empty()
                                                           ? directory.path("units")
                                                           : options_.unit_path));
  }
  call.arguments.insert(call.arguments.end(), options_.arguments.begin(), options_.arguments.end());
  call.environment.insert(call.environment.end(), options_.environment.begin(),
                          options_.environment.end());
  call.arguments.insert(call.arguments.begin(), options_.wrapper.begin(), options_.wrapper.end());
  auto started = Program::start(call);
  if (!started) {
    ADD_FAILURE() << started.error().to_string();
    return false;
  }
  daemon_ = std::make_unique<Program>(*std::move(started));
  if (wait_until_ready(notify.get())) return true;
  ADD_FAILURE() << "the daemon does not become ready:\n" << output();
  return false;
}

int Daemon::stop() {
  if (!daemon_) return -1;
  static_cast<void>(daemon_->signal(SIGTERM));
  auto status = daemon_->wait(patience_ms());
  if (!status) {
    ADD_FAILURE() << "the daemon did not end:\n" << output();
    static_cast<void>(daemon_->signal(SIGKILL));
    daemon_->wait();
  }
  daemon_.reset();
  return status && status->kind == ExitStatus::Kind::exited ? status->code : -1;
}

sys::Fd Daemon::connect() const {
  sys::Fd connection(sys::adopt_fd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket();
  std::memcpy(address.sun_path, path.c_str(), path.size());
  EXPECT_EQ(::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return connection;
}

bus::Client Daemon::client() const {
  auto connected = bus::Client::connect({.socket = socket()});
  if (!connected) {
    ADD_FAILURE() << connected.error().to_string() << "\n" << output();
    std::abort();
  }
  return *std::move(connected);
}

CtlResult Daemon::ctl(const std::vector<std::string>& arguments, std::optional<uid_t> uid,
                      std::vector<std::string> environment) const {
  const std::string number = std::to_string(++runs_);
  environment.emplace_back("NO_COLOR=1");
  environment.insert(environment.end(), options_.environment.begin(), options_.environment.end());
  ProgramCall call{.arguments = {PIDWARDCTL_PROGRAM, "--socket", socket()},
                   .environment = std::move(environment),
                   .out = directory.path("ctl.out." + number),
                   .err = directory.path("ctl.err." + number),
                   .uid = uid};
  call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
  auto started = Program::start(call);
  if (!started) return {.err = started.error().to_string()};
  const auto status = started->wait(2 * patience_ms());
  CtlResult result{.out = directory.read("ctl.out." + number),
                   .err = directory.read("ctl.err." + number)};
  std::filesystem::remove(call.out);
  std::filesystem::remove(call.err);
  if (status && status->kind == ExitStatus::Kind::exited) result.code = status->code;
  return result;
}

std::string Daemon::property(const std::string& unit, const std::string& name) const {
  const auto all = client().properties(bus::unit_path(unit));
  return all ? text_of(all->data(name)) : all.error().to_string();
}

bool Daemon::wait_until(const std::function<bool(bus::Client&)>& holds) const {
  const auto deadline = steady_clock::now() + patience();
  bus::Client bus = client();
  if (!bus.subscribe([](sd_bus_message*) {})) return false;
  while (!holds(bus)) {
    const auto left = duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds(0)) return false;
    const auto came = bus.process(left);
    if (!came) return false;
  }
  return true;
}

bool Daemon::reaches(const std::string& unit, const std::string& name,
                     const std::string& value) const {
  std::string last;
  const bool reached = wait_until([&](bus::Client& bus) {
    const auto all = bus.properties(bus::unit_path(unit));
    if (all) last = text_of(all->data(name));
    return all && last == value;
  });
  if (!reached) {
    ADD_FAILURE() << unit << ": " << name << " stays '" << last << "', not '" << value << "'\n"
                  << output();
  }
  return reached;
}

bool Daemon::wait_for_output(const std::string& text) const {
  const sys::Fd changes(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC));
  ::inotify_add_watch(changes.get(), directory.path("daemon.err").c_str(), IN_MODIFY);
  while (output().find(text) == std::string::npos) {
    pollfd wait{.fd = changes.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, patience_ms()) != 1) return false;
    if (!sys::read_some(changes.get(), 4096)) return false;
  }
  return true;
}

int Daemon::main_pid(const std::string& unit) const {
  const auto all = client().properties(bus::unit_path(unit));
  return all ? static_cast<int>(all->number("MainPID")) : 0;
}

sys::Fd Daemon::make_notify_socket() const {
  sys::Fd socket(sys::adopt_fd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory.path("notify");
  ::unlink(path.c_str());
  std::memcpy(address.sun_path, path.c_str(), path.size());
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::chmod(path.c_str(), 0777), 0);
  return socket;
}

bool Daemon::wait_until_ready(int notify) const {
  for (;;) {
    pollfd waits[2] = {{.fd = notify, .events = POLLIN, .revents = 0},
                       {.fd = daemon_->pidfd().get(), .events = POLLIN, .revents = 0}};
    if (::poll(waits, 2, patience_ms()) <= 0) return false;
    if ((waits[0].revents & POLLIN) == 0) return false;
    std::string message(4096, '\0');
    const ssize_t length = ::recv(notify, message.data(), message.size(), 0);
    if (length > 0 && message.find("READY=1") != std::string::npos) return true;
  }
}

}  // namespace pidward::test
