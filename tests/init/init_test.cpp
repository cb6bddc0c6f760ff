// pidward-init, from outside: a stand-in for pidward tells on standard output what happens to it.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/patience.hpp"
#include "support/temporary_directory.hpp"
#include "sys/clone.hpp"

namespace pidward::test {
namespace {

using testing::HasSubstr;

/// How and with what pidward-init is started.
struct Setting {
  std::vector<std::string> arguments;
  std::string root;  ///< becomes the root directory, read-only and without /proc; with namespaces
  int out = -1;
};

int enter(void* argument) {
  const auto& setting = *static_cast<const Setting*>(argument);
  if (!setting.root.empty()) {
    const char* const root = setting.root.c_str();
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 121;
    if (::mount(root, root, nullptr, MS_BIND, nullptr) != 0) return 122;
    if (::mount("none", root, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) return 123;
    if (::chroot(root) != 0 || ::chdir("/") != 0) return 124;
  }
  if (::dup2(setting.out, STDOUT_FILENO) < 0) return 125;
  ::unsetenv("NOTIFY_SOCKET");
  std::vector<char*> arguments;
  for (const std::string& word : setting.arguments) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return 126;
}

class InitTest : public testing::Test {
 protected:
  /// Starts pidward-init with the stand-in doing `what`.
  void start(const std::string& what, const std::string& more = {}) {
    Setting setting{.arguments = {PIDWARD_INIT, PIDWARD_FAKE, what}, .root = {}};
    if (!more.empty()) setting.arguments.push_back(more);
    launch(std::move(setting), 0);
  }
  void start_program(const std::string& path) {
    launch({.arguments = {PIDWARD_INIT, path}, .root = {}}, 0);
  }
  void start_as_pid_1(const std::string& what) {
    std::filesystem::create_directory(directory_.path("root"));
    std::filesystem::copy_file(PIDWARD_INIT, directory_.path("root/init"));
    std::filesystem::copy_file(PIDWARD_FAKE, directory_.path("root/fake"));
    launch({.arguments = {"/init", "/fake", what}, .root = directory_.path("root")},
           CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET);
  }
  void TearDown() override {
    if (!init_.pidfd) return;
    static_cast<void>(init_.pidfd.send_signal(SIGKILL));
    static_cast<void>(exit_code());
  }

  /// The next line the stand-in tells; empty at the end of all output.
  std::string line() {
    std::size_t end = text_.find('\n');
    while (end == std::string::npos) {
      pollfd wait{out_.get(), POLLIN, 0};
      if (::poll(&wait, 1, test::patience_ms()) <= 0) return "nothing came";
      char bytes[512];
      const ssize_t length = ::read(out_.get(), bytes, sizeof bytes);
      if (length <= 0) return text_;
      text_.append(bytes, static_cast<std::size_t>(length));
      end = text_.find('\n');
    }
    const std::string taken = text_.substr(0, end);
    text_.erase(0, end + 1);
    return taken;
  }
  void signal(int number) { EXPECT_TRUE(init_.pidfd.send_signal(number)); }
  /// How pidward-init ended: its exit code, or minus the signal.
  int exit_code() {
    if (!init_.pidfd) return -1000;
    pollfd wait{init_.pidfd.get(), POLLIN, 0};
    if (::poll(&wait, 1, test::patience_ms()) <= 0) return -1001;
    const auto end = init_.pidfd.reap();
    init_.pidfd = sys::Pidfd();
    if (!end || !*end) return -1002;
    return (*end)->status.kind == ExitStatus::Kind::exited ? (*end)->status.code
                                                           : -(*end)->status.code;
  }
  [[nodiscard]] pid_t number() const { return init_.pid; }

 private:
  void launch(Setting setting, std::uint64_t namespaces) {
    auto pipe = sys::make_pipe();
    ASSERT_TRUE(pipe);
    setting.out = pipe->write_end.get();
    auto stack = sys::ChildStack::create(1 << 20);
    ASSERT_TRUE(stack);
    sys::CloneRequest request;
    request.share_memory = false;
    request.extra_flags = namespaces;
    auto made = sys::spawn_on_stack(request, *stack, enter, &setting);
    ASSERT_TRUE(made) << made.error().to_string();
    init_ = *std::move(made);
    out_ = std::move(pipe->read_end);
  }

  TemporaryDirectory directory_;
  sys::Child init_;
  sys::Fd out_;
  std::string text_;
};

TEST_F(InitTest, APidwardThatNeverCameUpGivesItsExitCode) {
  start("exit", "7");
  EXPECT_EQ(exit_code(), 7);
}

TEST_F(InitTest, AProgramThatIsNotThereIsSaidByTheExitCode) {
  start_program("/no/such/program");
  EXPECT_EQ(exit_code(), 127);
}

TEST_F(InitTest, TheSignalsOfARuntimeHaveTheirMeaning) {
  for (const int stop : {SIGTERM, SIGINT, SIGPWR, SIGRTMIN + 3, SIGRTMIN + 4}) {
    start("signals");
    EXPECT_EQ(line(), "ready");
    signal(SIGUSR1);  // of no meaning, and no harm
    signal(SIGHUP);
    EXPECT_EQ(line(), "reload");
    signal(stop);
    EXPECT_EQ(line(), "stop");
    EXPECT_EQ(exit_code(), 0);
  }
}

TEST_F(InitTest, AKilledPidwardIsStartedAgainAndGetsItsDescriptorsBack) {
  start("store");
  EXPECT_EQ(line(), "fds 2");
  EXPECT_EQ(line(), "names one:two");
  EXPECT_EQ(line(), "for me");
  EXPECT_EQ(line(), "holds one");
  EXPECT_EQ(line(), "holds two");
  EXPECT_EQ(exit_code(), 5);
}

TEST_F(InitTest, WhatIsBoundToPidwardDiesWithIt) {
  start("bind");
  EXPECT_EQ(line(), "names alive");
  EXPECT_EQ(line(), "the child is gone");
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(InitTest, OrphansAreReaped) {
  start("orphans");
  EXPECT_EQ(line(), "ready");
  // Whoever is left as a child of pidward-init is pidward itself.
  const std::string file =
      "/proc/" + std::to_string(number()) + "/task/" + std::to_string(number()) + "/children";
  std::size_t children = 0;
  for (int i = 0; i < 2000 && children != 1; ++i) {
    std::ifstream list(file);
    children = 0;
    for (std::string child; list >> child;) ++children;
    if (children != 1) ::poll(nullptr, 0, 5);
  }
  EXPECT_EQ(children, 1U);
  signal(SIGTERM);
  EXPECT_EQ(line(), "stop");
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(InitTest, AsPid1ItNeedsNeitherProcNorAnythingToWriteTo) {
  if (PIDWARD_IS_STATIC == 0) return;  // instrumented programs need their libraries in the root
  start_as_pid_1("look");
  EXPECT_EQ(line(), "parent 1");
  EXPECT_EQ(line(), "no /proc");
  EXPECT_EQ(line(), "read-only");
  EXPECT_EQ(line(), "ready");
  signal(SIGTERM);
  EXPECT_EQ(line(), "stop");
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(InitTest, AsPid1ItKeepsDescriptorsAndReapsToo) {
  if (PIDWARD_IS_STATIC == 0) return;
  start_as_pid_1("store");
  EXPECT_EQ(line(), "fds 2");
  EXPECT_EQ(line(), "names one:two");
  EXPECT_EQ(line(), "for me");
  EXPECT_EQ(line(), "holds one");
  EXPECT_EQ(line(), "holds two");
  EXPECT_EQ(exit_code(), 5);
}

TEST(InitProgram, AllocatesNothing) {
  const std::string command = std::string(PIDWARD_NM) + " -u -P '" PIDWARD_INIT_OBJECT "'";
  FILE* const output = popen(command.c_str(), "re");
  ASSERT_NE(output, nullptr);
  std::string imports = "\n";
  char bytes[512];
  while (std::fgets(bytes, sizeof bytes, output) != nullptr) imports += bytes;
  EXPECT_EQ(pclose(output), 0);
  EXPECT_THAT(imports, HasSubstr("memcpy"));
  for (const char* name : {"malloc ", "calloc ", "realloc ", "strdup ", "_Znw", "_Zna", "fopen "}) {
    EXPECT_THAT(imports, testing::Not(HasSubstr(std::string("\n") + name)));
  }
}

}  // namespace
}  // namespace pidward::test
