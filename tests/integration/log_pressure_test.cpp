// A service that writes without limit, and a disk that is full: nobody else suffers.
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUnit = "[Unit]\nDefaultDependencies=no\n[Service]\n";

std::uintmax_t bytes_of(const std::string& directory, const std::string& prefix) {
  std::uintmax_t sum = 0;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const auto size = fs::file_size(entry.path(), gone);
    if (!gone) sum += size;
  }
  return sum;
}

std::size_t files_of(const std::string& directory, const std::string& prefix) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    count += entry.path().filename().string().starts_with(prefix) ? 1 : 0;
  }
  return count;
}

TEST(LogPressure, AFloodFromOneServiceStaysWithinItsBoundAndSlowsNobody) {
  constexpr std::uintmax_t kMostBytes = 256 * 1024;
  const Supervisor supervisor(
      {.system_units = false, .configuration = "log-max-bytes: 256K\nlog-max-files: 3\n"});
  const std::string logs = supervisor.directory.path("log");
  supervisor.write_unit("flood.service",
                        std::string(kUnit) + "ExecStart=/usr/bin/yes 'all work and no play'\n");
  supervisor.write_unit("quiet@.service",
                        std::string(kUnit) + "Type=oneshot\nExecStart=/bin/echo needle %i\n");
  ASSERT_EQ(supervisor.ctl({"start", "flood"}).exit_code, 0);
  const auto deadline = std::chrono::steady_clock::now() + test::patience();
  const auto in_time = [&] { return std::chrono::steady_clock::now() < deadline; };
  // Until the oldest file has been dropped, somebody else says something all the while.
  int round = 0;
  for (; (round < 5 || files_of(logs, "flood.service") < 3) && in_time(); ++round) {
    const std::string unit = "quiet@" + std::to_string(round) + ".service";
    ASSERT_EQ(supervisor.ctl({"start", unit}).exit_code, 0);
    const std::string needle = "needle " + std::to_string(round);
    std::string log;
    while (log.find(needle) == std::string::npos && in_time()) {
      log = supervisor.ctl({"logs", unit}).output;
    }
    EXPECT_NE(log.find(needle), std::string::npos) << unit;
    EXPECT_EQ(supervisor.property("flood.service", "ActiveState"), "active");
    EXPECT_LE(bytes_of(logs, "flood.service"), kMostBytes + 64 * 1024);
  }
  EXPECT_EQ(files_of(logs, "flood.service"), 3U);
  EXPECT_EQ(supervisor.ctl({"stop", "flood"}).exit_code, 0);
}

/// A file system of its own with next to no room.
class TinyDisk {
 public:
  explicit TinyDisk(std::string path) : path_(std::move(path)) {
    fs::create_directories(path_);
    EXPECT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=64k"), 0) << "needs root";
  }
  ~TinyDisk() { ::umount2(path_.c_str(), MNT_DETACH); }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  void fill() const { run_shell("dd if=/dev/zero of=" + path_ + "/filler bs=4k 2>/dev/null"); }
  void free() const { fs::remove(path_ + "/filler"); }

 private:
  std::string path_;
};

TEST(LogPressure, AFullDiskCostsLinesAndNoService) {
  const test::TemporaryDirectory place;
  const TinyDisk disk(place.path("disk"));
  const Supervisor supervisor(
      {.arguments = {"--log-dir", place.path("disk/log"), "--state-dir", place.path("disk/state")},
       .system_units = false});
  supervisor.write_unit("talks.service", std::string(kUnit) +
                                             "Type=exec\nExecStart=/bin/sh -c 'while :; do echo "
                                             "line; sleep 0.01; done'\n");
  supervisor.write_unit("short.service",
                        std::string(kUnit) + "Type=oneshot\nExecStart=/bin/true\n");
  supervisor.write_unit("dir.service",
                        std::string(kUnit) + "Type=oneshot\nExecStart=/bin/sh -c 'echo x > " +
                            place.path("disk/x") + " && test -s " + place.path("disk/x") + "'\n");
  ASSERT_EQ(supervisor.ctl({"start", "talks"}).exit_code, 0);
  const int main = supervisor.main_pid("talks.service");
  disk.fill();
  // The logger says it once, to whoever reads the daemon's own messages.
  EXPECT_TRUE(supervisor.wait_for_output("No space left on device"));
  EXPECT_EQ(supervisor.ctl({"start", "short"}).exit_code, 0);
  EXPECT_EQ(supervisor.ctl({"start", "dir"}).exit_code, 1);  // the one that writes there
  EXPECT_EQ(supervisor.main_pid("talks.service"), main);
  EXPECT_EQ(supervisor.property("talks.service", "ActiveState"), "active");
  EXPECT_EQ(supervisor.ctl({"daemon-reload"}).exit_code, 0);
  disk.free();
  EXPECT_EQ(supervisor.ctl({"start", "dir"}).exit_code, 0);
  supervisor.write_unit("after.service",
                        std::string(kUnit) + "Type=oneshot\nExecStart=/bin/echo room again\n");
  ASSERT_EQ(supervisor.ctl({"start", "after"}).exit_code, 0);
  const auto deadline = std::chrono::steady_clock::now() + test::patience();
  std::string log;
  while (log.find("room again") == std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    log = supervisor.ctl({"logs", "after"}).output;
  }
  EXPECT_NE(log.find("room again"), std::string::npos);
}

}  // namespace
}  // namespace pidward::testing
