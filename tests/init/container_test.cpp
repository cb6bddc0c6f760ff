// As a container runtime uses it: pidward-init is PID 1 of a new pid, mount and network namespace,
// the root is read-only, and all there is to write to is a fresh /run and a volume.
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
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

struct Container {
  std::string volume;
  std::vector<std::string> arguments;
};

int enter(void* argument) {
  auto& container = *static_cast<Container*>(argument);
  const char* const volume = container.volume.c_str();
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 120;
  if (::mount(volume, volume, nullptr, MS_BIND, nullptr) != 0) return 121;
  if (::mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) return 122;
  if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) return 123;
  if (::mount("none", "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) return 124;
  const int log =
      ::open((container.volume + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0) return 125;
  ::unsetenv("NOTIFY_SOCKET");
  std::vector<char*> arguments;
  for (std::string& word : container.arguments) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return 126;
}

class ContainerTest : public testing::Test {
 protected:
  void unit(const std::string& name, const std::string& text) {
    volume_.write("units/" + name, "[Unit]\nDefaultDependencies=no\n" + text);
  }
  /// Says what it does in the file of its name, and takes a moment to stop.
  void service(const std::string& name, const std::string& more) {
    const std::string file = volume_.path(name);
    unit(name + ".service",
         more + "[Service]\nExecStart=/bin/sh -c 'trap \"sleep 0.1; echo down >> " + file +
             "; exit 0\" TERM; echo up >> " + file + "; while :; do sleep 0.05; done'\n");
  }
  bool start() {
    container_.volume = volume_.path("");
    container_.arguments = {PIDWARD_INIT,
                            PIDWARD_PROGRAM,
                            "--system",
                            "--unit-path",
                            volume_.path("units"),
                            "--log-dir",
                            "/run/log",
                            "--config",
                            volume_.write("pidward.yaml", "{}\n"),
                            "--bus",
                            "off"};
    auto stack = sys::ChildStack::create(1 << 20);
    sys::CloneRequest request;
    request.share_memory = false;
    request.extra_flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET;
    auto made = sys::spawn_on_stack(request, *stack, enter, &container_);
    EXPECT_TRUE(made) << made.error().to_string();
    if (made) init_ = std::move(made->pidfd);
    return static_cast<bool>(made);
  }
  /// What a service has said so far, once it is that much.
  bool says(const std::string& name, const std::string& text) {
    for (int i = 0; i < 6000; ++i) {
      if (volume_.read(name) == text) return true;
      pollfd wait{init_.get(), POLLIN, 0};
      if (::poll(&wait, 1, 10) != 0) return volume_.read(name) == text;
    }
    return false;
  }
  int stop() {
    EXPECT_TRUE(init_.send_signal(SIGTERM));
    pollfd wait{init_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, test::patience_ms()), 1);
    const auto end = init_.reap();
    init_ = sys::Pidfd();
    return end && *end && (*end)->status.kind == ExitStatus::Kind::exited ? (*end)->status.code
                                                                          : -1;
  }
  void TearDown() override {
    if (!init_) return;
    static_cast<void>(init_.send_signal(SIGKILL));
    pollfd wait{init_.get(), POLLIN, 0};
    ::poll(&wait, 1, test::patience_ms());
    static_cast<void>(init_.reap());
  }

  TemporaryDirectory volume_;
  Container container_;
  sys::Pidfd init_;
};

TEST_F(ContainerTest, ASetOfServicesStartsAndIsStoppedInOrderOnSigterm) {
  unit("default.target", "Wants=web.service db.service\n");
  service("db", "");
  service("web", "Requires=db.service\nAfter=db.service\n");
  ASSERT_TRUE(start());
  EXPECT_TRUE(says("db", "up\n")) << volume_.read("log");
  EXPECT_TRUE(says("web", "up\n")) << volume_.read("log");
  EXPECT_EQ(stop(), 0) << volume_.read("log");
  EXPECT_EQ(volume_.read("web"), "up\ndown\n");
  EXPECT_EQ(volume_.read("db"), "up\ndown\n");
}

}  // namespace
}  // namespace pidward::test
