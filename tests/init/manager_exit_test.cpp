// KillOnManagerExit= under pidward-init, which has the means to end such units and uses them when
// the real pidward is killed.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "support/child.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class UnderInit : public testing::Test, public testing::WithParamInterface<const char*> {
 protected:
  void service(const std::string& name, const std::string& lines) const {
    directory_.write("units/" + name + ".service",
                     "[Unit]\nDefaultDependencies=no\n[Service]\n" + lines);
  }
  void start() {
    directory_.write("units/default.target",
                     "[Unit]\nDefaultDependencies=no\nWants=dies.service stays.service\n");
    ProgramCall call{.arguments = {PIDWARD_INIT, PIDWARD_PROGRAM, "--system"},
                     .err = directory_.path("log")};
    for (const auto& [option, value] : {std::pair{"--runtime-dir", directory_.path("run")},
                                        {"--unit-path", directory_.path("units")},
                                        {"--log-dir", directory_.path("log.d")},
                                        {"--state-dir", directory_.path("state")},
                                        {"--config", directory_.write("pidward.yaml", "{}\n")},
                                        {"--bus", std::string("off")}}) {
      call.arguments.emplace_back(option);
      call.arguments.push_back(value);
    }
    if (std::string(GetParam()) == "no-cgroup") call.arguments.emplace_back("--no-cgroup");
    auto started = Program::start(call);
    ASSERT_TRUE(started) << started.error().to_string();
    init_ = std::make_unique<Program>(*std::move(started));
  }
  void TearDown() override {
    if (!init_) return;
    static_cast<void>(init_->signal(SIGTERM));
    const auto end = init_->wait();
    EXPECT_TRUE(end && end->kind == ExitStatus::Kind::exited && end->code == 0)
        << directory_.read("log");
    if (!end) static_cast<void>(init_->signal(SIGKILL));
  }
  /// The process whose number a service left in a file.
  sys::Pidfd process_in(const std::string& file) const {
    std::string text;
    for (int i = 0; i < 6000 && (text.empty() || text.back() != '\n'); ++i) {
      ::poll(nullptr, 0, 10);
      text = directory_.read(file);
    }
    auto process = sys::Pidfd::open(std::atoi(text.c_str()));
    EXPECT_TRUE(process) << file << ": " << text << directory_.read("log");
    return process ? *std::move(process) : sys::Pidfd();
  }
  /// The child of pidward-init that is no orphan of a service.
  sys::Pidfd pidward() const {
    const std::string number = std::to_string(init_->pid());
    std::ifstream children("/proc/" + number + "/task/" + number + "/children");
    for (pid_t pid = 0; children >> pid;) {
      std::ifstream command("/proc/" + std::to_string(pid) + "/cmdline");
      std::string program;
      std::getline(command, program, '\0');
      if (program != PIDWARD_PROGRAM) continue;
      auto found = sys::Pidfd::open(pid);
      if (found) return *std::move(found);
    }
    return {};
  }
  static bool ends(const sys::Pidfd& process) {
    pollfd wait{.fd = process.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 60000) == 1;
  }
  static bool lives(const sys::Pidfd& process) {
    const auto ended = process.has_ended();
    return ended && !*ended;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Program> init_;
};
INSTANTIATE_TEST_SUITE_P(Groups, UnderInit, testing::Values("cgroup", "no-cgroup"));

TEST_P(UnderInit, AUnitThatIsToDieWithPidwardDiesAndNoOther) {
  const bool grouped = std::string(GetParam()) == "cgroup";
  // What the kernel would do by itself is called off.
  service("dies",
          "KillOnManagerExit=yes\nExecStart=/usr/bin/setpriv --pdeathsig clear /bin/sh -c "
          "'setsid sleep 1000 & echo $$! > " +
              directory_.path("helper") + "; echo $$$$ > " + directory_.path("dies") +
              "; exec sleep 1001'\n");
  service("stays",
          "ExecStart=/bin/sh -c 'echo $$$$ > " + directory_.path("stays") + "; exec sleep 1001'\n");
  start();
  const sys::Pidfd dies = process_in("dies");
  const sys::Pidfd helper = process_in("helper");
  const sys::Pidfd stays = process_in("stays");
  const sys::Pidfd daemon = pidward();
  ASSERT_TRUE(lives(dies) && lives(helper) && lives(stays) && daemon);

  ASSERT_TRUE(daemon.send_signal(SIGKILL));
  EXPECT_TRUE(ends(dies));
  if (grouped) {
    EXPECT_TRUE(ends(helper));
  }
  EXPECT_TRUE(lives(stays));
  // It was not the next pidward that did it.
  EXPECT_THAT(directory_.read("log"), Not(HasSubstr("Killing what an earlier pidward left")));
  // The next one has taken over before it is asked to stop everything.
  for (int i = 0; i < 6000 && directory_.read("log").find("Took over") == std::string::npos; ++i) {
    ::poll(nullptr, 0, 10);
  }
  EXPECT_THAT(directory_.read("log"), HasSubstr("starting it again"));
  if (!grouped) static_cast<void>(helper.send_signal(SIGKILL));
}

/// Whether it has a child, and be it one that still runs the program of its parent.
bool has_child(const Program& program) {
  const std::string number = std::to_string(program.pid());
  std::ifstream children("/proc/" + number + "/task/" + number + "/children");
  pid_t pid = 0;
  return static_cast<bool>(children >> pid);
}

TEST_P(UnderInit, AnEndThatIsAskedForWhilePidwardComesUpIsOneInOrder) {
  for (int i = 0; i < 10; ++i) {
    start();
    while (!has_child(*init_)) ::sched_yield();
    // Anywhere on its way: before its first instruction, among its first, or later.
    ::usleep(static_cast<useconds_t>(i * i * 300));
    ASSERT_TRUE(init_->signal(SIGTERM));
    const auto end = init_->wait();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->kind, ExitStatus::Kind::exited);
    EXPECT_EQ(end->code, 0) << directory_.read("log");
    init_.reset();
  }
}

}  // namespace
}  // namespace pidward::test
