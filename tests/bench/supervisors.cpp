// Times pidward beside the bare program, in one run: starting many trivial services, starting one
// again after SIGKILL, resident memory, and wake-ups when idle. Reports; asserts nothing about
// time.
//   bench-supervisors [--services N]... [--kills N] [--json]
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/shared.h"

namespace {

namespace fs = std::filesystem;

constexpr int kLongestWaitSeconds = 120;

long long now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

class Board {
 public:
  explicit Board(const std::string& path) : path_(path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const auto size = sizeof(bench_board);
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(size)) < 0) std::abort();
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED) std::abort();
    board_ = static_cast<bench_board*>(memory);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int starts() const { return board_->starts.load(); }
  [[nodiscard]] long long began(int slot) const { return board_->slots[slot].began_ns.load(); }
  [[nodiscard]] int pid(int slot) const { return board_->slots[slot].pid; }
  /// Sleeps until `count` starts have been seen. False after kLongestWaitSeconds.
  [[nodiscard]] bool wait_for(int count) const {
    const long long deadline = now_ns() + kLongestWaitSeconds * 1'000'000'000LL;
    for (int seen = starts(); seen < count; seen = starts()) {
      if (now_ns() > deadline) return false;
      const timespec second{1, 0};
      ::syscall(SYS_futex, &board_->starts, FUTEX_WAIT, seen, &second, nullptr, 0);
    }
    return true;
  }

 private:
  std::string path_;
  bench_board* board_;
};

struct Memory {
  double pss_kb = 0;
  double private_kb = 0;
};

Memory memory_of(int pid) {
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
  Memory memory;
  std::string key;
  double value = 0;
  for (std::string line; std::getline(file, line);) {
    char name[64];
    if (std::sscanf(line.c_str(), "%63[^:]: %lf kB", name, &value) != 2) continue;
    if (std::strcmp(name, "Pss") == 0) memory.pss_kb = value;
    if (std::strcmp(name, "Private_Dirty") == 0) memory.private_kb = value;
  }
  return memory;
}

long switches_of(int pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  long total = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find("ctxt_switches") != std::string::npos)
      total += std::stol(line.substr(line.find(':') + 1));
  }
  return total;
}

int start(const std::vector<std::string>& command, const std::vector<std::string>& environment,
          const std::string& output) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const std::string& word : environment) envp.push_back(const_cast<char*>(word.c_str()));
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int pid = -1;
  if (::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data()) != 0) pid = -1;
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}

struct Figures {
  std::string supervisor;
  int services = 0;
  double start_all_ms = 0;
  double restart_median_ms = 0;
  double restart_p95_ms = 0;
  Memory memory;
  long idle_wakeups = 0;
};

/// Everything is measured from outside, the same way for every supervisor.
Figures measure(const std::string& name, int services, int kills, const Board& board,
                int supervisor, long long begun) {
  Figures figures;
  figures.supervisor = name;
  figures.services = services;
  if (!board.wait_for(services)) {
    fmt::print(stderr, "{}: only {} of {} services started\n", name, board.starts(), services);
    return figures;
  }
  long long last = 0;
  for (int slot = 0; slot < services; ++slot) last = std::max(last, board.began(slot));
  figures.start_all_ms = static_cast<double>(last - begun) / 1e6;
  ::sleep(2);  // let it settle: what follows is about rest
  const long before = switches_of(supervisor);
  ::sleep(3);
  figures.idle_wakeups = switches_of(supervisor) - before;
  figures.memory = memory_of(supervisor);

  std::vector<double> latencies;
  for (int i = 0; i < kills; ++i) {
    const int slot = static_cast<int>((static_cast<long long>(i) * 7919) % services);
    const int seen = board.starts();
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, board.pid(slot), 0));
    const long long killed = now_ns();
    ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
    ::close(pidfd);
    if (!board.wait_for(seen + 1)) {
      fmt::print(stderr, "{}: a killed service did not come back\n", name);
      return figures;
    }
    latencies.push_back(static_cast<double>(board.began(slot) - killed) / 1e6);
  }
  std::sort(latencies.begin(), latencies.end());
  figures.restart_median_ms = latencies[latencies.size() / 2];
  figures.restart_p95_ms = latencies[latencies.size() * 95 / 100];
  return figures;
}

void end(int pid, int signal) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  ::waitpid(pid, nullptr, 0);
  ::close(pidfd);
}

Figures bare(const fs::path& tools, const fs::path& directory, int services, int kills) {
  const Board board((directory / "board").string());
  const long long begun = now_ns();
  const int pid = start({(tools / "bench-bare").string(), (tools / "bench-child").string(),
                         board.path(), std::to_string(services)},
                        {}, (directory / "bare.log").string());
  Figures figures = measure("bare", services, kills, board, pid, begun);
  end(pid, SIGKILL);
  // The children of the bare program outlive it: it knows nothing better.
  for (int slot = 0; slot < services; ++slot) {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, board.pid(slot), 0));
    if (pidfd < 0) continue;
    ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
    ::close(pidfd);
  }
  return figures;
}

void write_units(const fs::path& units, const fs::path& tools, const Board& board, int services) {
  fs::create_directories(units / "bench.target.wants");
  std::ofstream(units / "bench.target") << "[Unit]\nDescription=All services of the benchmark\n";
  for (int slot = 0; slot < services; ++slot) {
    const std::string name = fmt::format("bench-{}.service", slot);
    std::ofstream(units / name)
        << "[Unit]\nDescription=Trivial service " << slot
        << "\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nExecStart="
        << (tools / "bench-child").string() << ' ' << board.path() << ' ' << slot
        << "\nRestart=always\nRestartSec=0\n";
    fs::create_symlink(units / name, units / "bench.target.wants" / name);
  }
}

Figures with_pidward(const fs::path& tools, const fs::path& daemon, const fs::path& directory,
                     int services, int kills) {
  const Board board((directory / "board").string());
  write_units(directory / "units", tools, board, services);
  const std::vector<std::string> environment{"PATH=/usr/bin:/bin",
                                             "PIDWARD_UNIT_PATH=" + (directory / "units").string(),
                                             "HOME=" + directory.string()};
  const long long begun = now_ns();
  const int pid = start(
      {daemon.string(), "--system", "--runtime-dir", (directory / "run").string(), "--log-dir",
       (directory / "log").string(), "--state-dir", (directory / "state").string(), "--bus", "off",
       "--unit", "bench.target", "--log-level", "warning"},
      environment, (directory / "pidward.log").string());
  Figures figures = measure("pidward", services, kills, board, pid, begun);
  end(pid, SIGTERM);
  return figures;
}

void print(const std::vector<Figures>& all, bool json) {
  if (!json) {
    fmt::print("{:<10} {:>8} {:>14} {:>14} {:>14} {:>10} {:>12}\n", "supervisor", "services",
               "start all ms", "restart ms", "restart p95", "PSS kB", "idle wakes/3s");
  }
  for (const Figures& row : all) {
    if (json) {
      fmt::print(
          "{{\"supervisor\":\"{}\",\"services\":{},\"start_all_ms\":{:.1f},\"restart_ms\":{:.3f},"
          "\"restart_p95_ms\":{:.3f},\"pss_kb\":{:.0f},\"idle_wakeups\":{}}}\n",
          row.supervisor, row.services, row.start_all_ms, row.restart_median_ms, row.restart_p95_ms,
          row.memory.pss_kb, row.idle_wakeups);
    } else {
      fmt::print("{:<10} {:>8} {:>14.1f} {:>14.3f} {:>14.3f} {:>10.0f} {:>12}\n", row.supervisor,
                 row.services, row.start_all_ms, row.restart_median_ms, row.restart_p95_ms,
                 row.memory.pss_kb, row.idle_wakeups);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> sizes;
  int kills = 200;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") {
      json = true;
    } else if (word == "--services" && i + 1 < argc) {
      sizes.push_back(std::clamp(std::atoi(argv[++i]), 1, static_cast<int>(BENCH_SLOTS)));
    } else if (word == "--kills" && i + 1 < argc) {
      kills = std::max(1, std::atoi(argv[++i]));
    } else {
      fmt::print(stderr, "usage: bench-supervisors [--services N]... [--kills N] [--json]\n");
      return 2;
    }
  }
  if (sizes.empty()) sizes = {300, 2000};
  const fs::path tools = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path daemon = tools.parent_path().parent_path() / "daemon" / "pidward";
  std::vector<Figures> all;
  for (const int services : sizes) {
    std::string pattern = (fs::temp_directory_path() / "pidward-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return 1;
    all.push_back(bare(tools, pattern, services, kills));
    all.push_back(with_pidward(tools, daemon, pattern, services, kills));
    fs::remove_all(pattern);
  }
  print(all, json);
  return 0;
}
