// A container image: a root file system of Debian packages, with pidward-init as its entry point
// and a multi-user.target of the packages' own units.
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/client/client.hpp"
#include "bus/object_path.hpp"
#include "support/temporary_directory.hpp"
#include "sys/cgroup.hpp"
#include "sys/clone.hpp"

namespace pidward::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

struct Image {
  std::string root;
  std::string log;
};

/// As a container runtime does.
bool bring_up_loopback() {
  const sys::Fd socket(sys::adopt_fd, ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

int enter_image(void* argument) {
  const auto& image = *static_cast<const Image*>(argument);
  const auto inside = [&image](const char* path) { return image.root + path; };
  const int log = ::open(image.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0) return 120;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 121;
  for (const char* path : {"/dev", "/sys"}) {
    if (::mount(path, inside(path).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return 122;
  }
  if (::mount("proc", inside("/proc").c_str(), "proc", 0, nullptr) != 0) return 123;
  if (::mount("tmpfs", inside("/run").c_str(), "tmpfs", 0, nullptr) != 0) return 124;
  if (::chroot(image.root.c_str()) != 0 || ::chdir("/") != 0) return 125;
  if (!bring_up_loopback()) return 127;
  ::clearenv();
  ::setenv("PATH", "/usr/sbin:/usr/bin", 1);
  ::setenv("container", "test", 1);
  ::execl("/usr/bin/pidward-init", "pidward-init", "/usr/bin/pidward", "--system", nullptr);
  return 126;
}

class DebianRoot : public testing::Test {
 protected:
  void SetUp() override {
    image_ = {directory_.path("root"), directory_.path("log")};
    fs::create_directory(image_.root);
    shell("sh '" MAKE_ROOT "' " + image_.root +
          " base-files dash coreutils cron nginx-light redis-server memcached");
    // pidward as its package would have put it there, with the libraries that package depends on.
    fs::copy_file(PIDWARD_INIT, image_.root + "/usr/bin/pidward-init");
    fs::copy_file(PIDWARD_PROGRAM, image_.root + "/usr/bin/pidward");
    shell("ldd '" PIDWARD_PROGRAM
          "' | sed -n 's/.*=> \\(\\/[^ ]*\\).*/\\1/p' | while read -r file; do "
          "test -e " +
          image_.root + "$file || cp -L $file " + image_.root + "/usr/lib/; done");
    fs::create_directories(image_.root + "/usr/lib/pidward");
    fs::copy(PIDWARD_UNITS, image_.root + "/usr/lib/pidward/system",
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    // What the packages' scripts do when they are installed.
    for (const char* made : {"/var/lib/redis", "/var/log/redis"}) {
      shell("install -d -o redis -g redis " + image_.root + made);
    }
    const std::string wants = image_.root + "/etc/systemd/system/multi-user.target.wants";
    fs::create_directories(wants);
    for (const std::string& unit : units_) {
      fs::create_symlink("/lib/systemd/system/" + unit, wants + "/" + unit);
    }
  }
  void TearDown() override {
    if (init_.pidfd) {
      static_cast<void>(init_.pidfd.send_signal(SIGKILL));
      static_cast<void>(exit_code());
    }
    if (group_) static_cast<void>(group_.remove());
  }

  /// A control group of the container's own, as a container runtime makes: every container has the
  /// same paths, and another pidward's groups must not look like its own.
  void make_group() {
    const auto mount = sys::find_cgroup_mount();
    const auto own = sys::own_cgroup_path();
    if (!mount || !*mount || !own) return;
    const std::string parent = *own == "/" ? "" : *own;
    auto made = sys::CgroupDir::create(
        **mount, parent + "/" + fs::path(directory_.path()).filename().string());
    if (made) group_ = *std::move(made);
  }

  static void shell(const std::string& script) {
    ASSERT_EQ(std::system(script.c_str()), 0) << script;  // NOLINT(cert-env33-c): a test's own
  }
  void start() {
    auto stack = sys::ChildStack::create(1 << 20);
    sys::CloneRequest request;
    request.share_memory = false;
    request.extra_flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET;
    make_group();
    request.cgroup = group_.get();
    auto made = sys::spawn_on_stack(request, *stack, enter_image, &image_);
    ASSERT_TRUE(made) << made.error().to_string();
    init_ = *std::move(made);
  }
  [[nodiscard]] bool has_ended(int wait_ms) const {
    pollfd wait{init_.pidfd.get(), POLLIN, 0};
    return ::poll(&wait, 1, wait_ms) != 0;
  }
  [[nodiscard]] std::string socket() const {
    return "/proc/" + std::to_string(init_.pid) + "/root/run/pidward/private";
  }
  /// The daemon's view of a unit, through the container's own socket.
  [[nodiscard]] std::string state(const std::string& unit) const {
    auto client = bus::Client::connect({.socket = socket()});
    if (!client) return "no daemon";
    const auto found = client->properties(bus::unit_path(unit));
    return found ? found->text("ActiveState") : "unknown";
  }
  bool comes_up(const std::string& unit) const {
    for (int i = 0; i < 6000 && !has_ended(10); ++i) {
      if (state(unit) == "active") return true;
    }
    return false;
  }
  int exit_code() {
    if (!has_ended(60000)) return -1;
    const auto end = init_.pidfd.reap();
    init_.pidfd = sys::Pidfd();
    return end && *end && (*end)->status.kind == ExitStatus::Kind::exited ? (*end)->status.code
                                                                          : -2;
  }

  const std::vector<std::string> units_{"cron.service", "nginx.service", "redis-server.service",
                                        "memcached.service"};
  TemporaryDirectory directory_;
  Image image_;
  sys::CgroupDir group_;
  sys::Child init_;
};

// In a container, where a first process that is taken in all the same is nobody else's.
TEST_F(DebianRoot, TheFirstProcessIsNoScopes) {
  start();
  ASSERT_TRUE(comes_up("multi-user.target")) << directory_.read("log");
  auto client = bus::Client::connect({.socket = socket()});
  ASSERT_TRUE(client);
  const auto refused = client->manager("StartTransientUnit", [](bus::Writer& out) {
    out.s("first.scope").s("fail").open_array("(sv)").open_struct("sv").s("PIDs");
    out.open_variant("au").open_array("u").u(1).close().close().close().close();
    out.open_array("(sa(sv))").close();
  });
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("Process 1"));
}

TEST_F(DebianRoot, ComesUpToItsServicesAndIsStoppedInTime) {
  start();
  for (const std::string& unit : units_) {
    EXPECT_TRUE(comes_up(unit)) << unit << " is " << state(unit) << '\n' << directory_.read("log");
  }
  EXPECT_TRUE(comes_up("multi-user.target"));
  ASSERT_TRUE(init_.pidfd.send_signal(SIGTERM));
  EXPECT_EQ(exit_code(), 0) << directory_.read("log");
  // Nothing had to be killed because the time that a container runtime gives was over.
  EXPECT_THAT(directory_.read("log"), Not(HasSubstr("The time to stop is over")));
}

TEST_F(DebianRoot, ItsServicesOutliveAKilledPidward) {
  start();
  for (const std::string& unit : units_) {
    ASSERT_TRUE(comes_up(unit)) << unit << " is " << state(unit) << '\n' << directory_.read("log");
  }
  const std::string number = std::to_string(init_.pid);
  sys::Pidfd daemon;
  std::ifstream children("/proc/" + number + "/task/" + number + "/children");
  for (pid_t pid = 0; children >> pid;) {
    std::error_code ignored;
    const auto program = fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", ignored);
    auto opened = sys::Pidfd::open(pid);
    if (program.filename() == "pidward" && opened && !daemon) daemon = *std::move(opened);
  }
  ASSERT_TRUE(daemon && daemon.send_signal(SIGKILL));
  for (const std::string& unit : units_) EXPECT_TRUE(comes_up(unit)) << unit;
  EXPECT_THAT(directory_.read("log"), HasSubstr("Took over"));
  ASSERT_TRUE(init_.pidfd.send_signal(SIGTERM));
  EXPECT_EQ(exit_code(), 0) << directory_.read("log");
}

}  // namespace
}  // namespace pidward::test
