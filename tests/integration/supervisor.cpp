#include "integration/supervisor.hpp"

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern char** environ;

namespace pidward::testing {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(60);

std::string read_file(const std::string& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// The socket on which the daemon says that it is ready.
sys::Fd listen_for_notifications(const std::string& path) {
  auto socket = sys::make_socket(AF_UNIX, SOCK_DGRAM);
  if (!socket) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(socket->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return std::move(*socket);
}

/// False when the daemon ends before it is ready.
bool wait_until_ready(const sys::Fd& socket, const sys::Pidfd& process) {
  for (;;) {
    pollfd waiting[2] = {{socket.get(), POLLIN, 0}, {process.get(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0)
      return false;
    if ((waiting[0].revents & POLLIN) != 0) {
      auto text = sys::read_some(socket.get(), 4096);
      if (text && text->find("READY=1") != std::string::npos) return true;
      continue;
    }
    if (waiting[1].revents != 0) return false;
  }
}

}  // namespace

std::string cgroup_mount() {
  std::ifstream mounts("/proc/self/mounts");
  std::string device;
  std::string point;
  std::string type;
  for (std::string rest; mounts >> device >> point >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") return point;
  }
  return {};
}

Supervisor::Supervisor() : Supervisor(Options{}) {}

Supervisor::Supervisor(const Options& options) {
  std::string pattern = (fs::temp_directory_path() / "pidward-it-XXXXXX").string();
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  directory_ = pattern;
  fs::permissions(directory_, fs::perms(0755));
  fs::create_directories(directory_ + "/units");
  write_unit("idle.target", "[Unit]\nDescription=Nothing at all\n");
  const sys::Fd ready = listen_for_notifications(directory_ + "/notify");

  std::vector<std::string> words{PIDWARD_DAEMON,  "--system",
                                 "--runtime-dir", directory_ + "/run",
                                 "--log-dir",     directory_ + "/log",
                                 "--state-dir",   directory_ + "/state",
                                 "--bus",         "off",
                                 "--unit",        "idle.target"};
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment{"NOTIFY_SOCKET=" + directory_ + "/notify",
                                       "PIDWARD_UNIT_PATH=" + directory_ + "/units:" +
                                           PIDWARD_UNITS + (options.system_units ? ":" : "")};
  environment.insert(environment.end(), options.environment.begin(), options.environment.end());
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& word : environment) envp.push_back(word.data());
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const std::string log = directory_ + "/daemon.log";
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
  ::posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << PIDWARD_DAEMON;
  auto process = sys::Pidfd::open(pid_);
  EXPECT_TRUE(process);
  if (process) process_ = std::move(*process);
  EXPECT_TRUE(wait_until_ready(ready, process_)) << daemon_log();
}

Supervisor::~Supervisor() {
  if (process_) stop();
  if (::testing::Test::HasFailure()) std::fprintf(stderr, "%s\n", daemon_log().c_str());
  fs::remove_all(directory_);
}

int Supervisor::stop() {
  static_cast<void>(process_.send_signal(SIGTERM));
  pollfd waiting{process_.get(), POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0) {
    ADD_FAILURE() << "the daemon did not end on SIGTERM\n" << daemon_log();
    static_cast<void>(process_.send_signal(SIGKILL));
    ::poll(&waiting, 1, -1);
  }
  auto end = process_.reap();
  process_ = {};
  return end && *end ? (*end)->status.code : -1;
}

std::string Supervisor::daemon_log() const {
  return read_file(directory_ + "/daemon.log");
}

void Supervisor::write_unit(const std::string& name, const std::string& text) const {
  const fs::path path = fs::path(directory_) / "units" / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

CommandResult Supervisor::ctl(const std::vector<std::string>& words) const {
  std::vector<std::string> argv{PIDWARD_CTL, "--runtime-dir", directory_ + "/run"};
  argv.insert(argv.end(), words.begin(), words.end());
  return run_command(argv);
}

std::string Supervisor::property(const std::string& unit, const std::string& name) const {
  return trim(ctl({"show", "--value", "-p", name, unit}).output);
}

bool Supervisor::reaches(const std::string& unit, const std::string& name,
                         const std::string& value) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (property(unit, name) != value) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

int Supervisor::main_pid(const std::string& unit) const {
  const std::string text = property(unit, "MainPID");
  return text.empty() ? 0 : std::stoi(text);
}

std::string Supervisor::control_group(const std::string& unit) const {
  const std::string group = property(unit, "ControlGroup");
  return group.empty() ? std::string() : cgroup_mount() + group;
}

}  // namespace pidward::testing
