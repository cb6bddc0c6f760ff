// Promise P1, watched from outside: the running daemon, through a churn of services, makes no
// system call that acts on a process by number.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <regex>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "bus/object_path.hpp"
#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

namespace fs = std::filesystem;

/// strace attached to the daemon, writing only the calls named.
class Trace {
 public:
  Trace(const Supervisor& supervisor, const std::string& calls) : directory_(supervisor.directory) {
    // Not -f for the children of the daemon: what services do is theirs. The loop is the thread
    // traced. The first thing strace says is that it is attached.
    directory_.write("trace.said", "");
    const sys::Fd changes(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC));
    ::inotify_add_watch(changes.get(), directory_.path("trace.said").c_str(), IN_MODIFY);
    auto started = test::Program::start(
        {.arguments = {"/usr/bin/strace", "-e", "trace=" + calls, "-o", directory_.path("trace"),
                       "-p", std::to_string(supervisor.pid())},
         .err = directory_.path("trace.said")});
    EXPECT_TRUE(started);
    if (!started) return;
    strace_ = std::make_unique<test::Program>(*std::move(started));
    while (directory_.read("trace.said").find("attached") == std::string::npos) {
      pollfd waits[2] = {{.fd = changes.get(), .events = POLLIN, .revents = 0},
                         {.fd = strace_->pidfd().get(), .events = POLLIN, .revents = 0}};
      ::poll(waits, 2, test::patience_ms());
      if (waits[0].revents == 0) {
        ADD_FAILURE() << "strace does not attach: " << directory_.read("trace.said");
        return;
      }
      static_cast<void>(sys::read_some(changes.get(), 4096));
    }
  }
  ~Trace() { static_cast<void>(finish()); }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Detaches, and returns what was seen.
  [[nodiscard]] std::string finish() {
    if (strace_) {
      static_cast<void>(strace_->signal(SIGINT));
      strace_->wait();
      strace_.reset();
    }
    return directory_.read("trace");
  }

 private:
  const test::TemporaryDirectory& directory_;
  std::unique_ptr<test::Program> strace_;
};

constexpr const char* kByNumber =
    "kill,tkill,tgkill,wait4,waitid,setpgid,rt_sigqueueinfo,rt_tgsigqueueinfo";

void churn(const Supervisor& supervisor) {
  supervisor.write_unit(
      "churn@.service",
      "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n"
      "ExecStart=/bin/sh -c 'sleep 0.05; (sleep 60 &); exit %i'\nExecStopPost=/bin/true\n"
      "Restart=on-failure\nRestartSec=10ms\nTimeoutStopSec=1s\n");
  supervisor.write_unit("forking.service",
                        "[Unit]\nDefaultDependencies=no\n[Service]\nType=forking\nPIDFile=" +
                            supervisor.directory.path() +
                            "/forking.pid\nExecStart=/bin/sh -c 'sleep 60 & echo $! > " +
                            supervisor.directory.path() + "/forking.pid'\n");
  EXPECT_EQ(supervisor.ctl({"start", "forking", "churn@0", "churn@3"}).exit_code, 0);
  EXPECT_TRUE(supervisor.wait_until([](bus::Client& bus) {
    const auto all = bus.properties(bus::unit_path("churn@3.service"));
    return all && all->number("NRestarts") >= 5;
  }));
  EXPECT_EQ(supervisor.ctl({"kill", "forking"}).exit_code, 0);
  EXPECT_TRUE(supervisor.reaches("forking.service", "MainPID", "0"));
  EXPECT_EQ(supervisor.ctl({"stop", "churn@3", "churn@0", "forking"}).exit_code, 0);
}

TEST(Promises, ThroughAChurnOfServicesNoCallActsOnANumber) {
  const Supervisor supervisor;
  Trace trace(supervisor, std::string(kByNumber) + ",pidfd_send_signal");
  churn(supervisor);
  const std::string text = trace.finish();
  EXPECT_NE(text.find("waitid(P_PIDFD"), std::string::npos)
      << text;  // the trace sees what it should
  EXPECT_NE(text.find("pidfd_send_signal("), std::string::npos) << text;
  const std::regex forbidden(
      R"((^|\n)(kill|tkill|tgkill|wait4|setpgid|rt_\w*sigqueueinfo)\(|waitid\(P_(PID|PGID),)");
  std::smatch match;
  EXPECT_FALSE(std::regex_search(text, match, forbidden)) << match.str();
  // P_ALL only ever looks.
  const std::regex reaping(R"(waitid\(P_ALL,[^\n]*\))");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), reaping);
       it != std::sregex_iterator(); ++it) {
    EXPECT_NE(it->str().find("WNOWAIT"), std::string::npos) << it->str();
  }
}

/// What /proc says a process waits for.
class Waiting {
 public:
  explicit Waiting(int pid) : directory_("/proc/" + std::to_string(pid)) {}

  /// Until the first of its timers goes off; nothing when none is armed.
  [[nodiscard]] std::optional<std::chrono::milliseconds> next_timer() const {
    std::optional<std::chrono::milliseconds> next;
    for (const auto& entry : fs::directory_iterator(directory_ + "/fdinfo")) {
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        long long seconds = 0;
        long long nanoseconds = 0;
        if (std::sscanf(line.c_str(), "it_value: (%lld, %lld)", &seconds, &nanoseconds) != 2)
          continue;
        if (seconds == 0 && nanoseconds == 0) continue;
        const std::chrono::milliseconds left(seconds * 1000 + nanoseconds / 1000000 + 1);
        next = std::min(next.value_or(left), left);
      }
    }
    return next;
  }
  /// Threads that are not in a wait without end, each with the line that says so.
  [[nodiscard]] std::string not_waiting() const {
    std::string found;
    for (const auto& task : fs::directory_iterator(directory_ + "/task")) {
      std::ifstream file(task.path() / "syscall");
      std::string line;
      std::getline(file, line);
      std::istringstream words(line);
      long number = -1;
      std::vector<std::string> arguments(6);
      words >> number;
      for (std::string& argument : arguments) words >> argument;
      const bool events = number == SYS_epoll_wait || number == SYS_epoll_pwait;
      const bool endless =
          events ? arguments[3] == "0xffffffff" || arguments[3] == "0xffffffffffffffff"
                 : number == SYS_futex && arguments[3] == "0x0";
      if (!endless) found += task.path().filename().string() + ": " + line + "\n";
    }
    return found;
  }
  [[nodiscard]] long switches() const {
    long sum = 0;
    for (const auto& task : fs::directory_iterator(directory_ + "/task")) {
      std::ifstream file(task.path() / "status");
      for (std::string line; std::getline(file, line);) {
        if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stol(line.substr(24));
      }
    }
    return sum;
  }

 private:
  std::string directory_;
};

TEST(Promises, AnIdleDaemonWaitsForEventsAlone) {
  const Supervisor supervisor;
  supervisor.write_unit("sleeper.service",
                        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(supervisor.ctl({"start", "sleeper"}).exit_code, 0);
  // One timer may be left, the one that drops units nobody needs: until it has gone off.
  const Waiting daemon(supervisor.pid());
  for (auto left = daemon.next_timer(); left; left = daemon.next_timer()) {
    ASSERT_LT(*left, test::patience());
    pollfd ended{.fd = supervisor.process().pidfd().get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&ended, 1, static_cast<int>(left->count())), 0);
  }
  // No timer is armed and every thread waits without end: nothing of its own can wake it.
  const auto deadline = std::chrono::steady_clock::now() + test::patience();
  while (!daemon.not_waiting().empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_EQ(daemon.not_waiting(), "");
  ASSERT_FALSE(daemon.next_timer());
  const long before = daemon.switches();
  for (int i = 0; i < 50; ++i) run_shell("true");
  EXPECT_EQ(daemon.switches(), before);
}

}  // namespace
}  // namespace pidward::testing
