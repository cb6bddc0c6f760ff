// Times pidward beside the bare program, in one run: starting many trivial services, starting one
// again after SIGKILL, resident memory, and wake-ups when idle. Reports; asserts nothing about
// time. Rounds take turns, so that what else the machine does meets both alike.
//   bench-supervisors [--services N]... [--kills N] [--rounds N] [--only NAME] [--no-rest] [--json]
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/shared.h"

namespace {

namespace fs = std::filesystem;

constexpr int kLongestWaitSeconds = 120;
// Longer than pidward waits before it drops units that nobody holds: after that it is at rest.
constexpr unsigned kRestSeconds = 12;
constexpr unsigned kIdleSeconds = 3;

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
  double start_all_ms = 0;
  double restart_median_ms = 0;
  double restart_p95_ms = 0;
  std::optional<Memory> memory;
  long idle_wakeups = 0;
};

struct Plan {
  int services = 0;
  int kills = 0;
  bool rests = false;  ///< memory and wake-ups at rest, which take a while to wait for
};

/// Everything is measured from outside, the same way for every supervisor.
std::optional<Figures> measure(const std::string& name, const Plan& plan, const Board& board,
                               int supervisor, long long begun) {
  Figures figures;
  const int services = plan.services;
  if (!board.wait_for(services)) {
    fmt::print(stderr, "{}: only {} of {} services started\n", name, board.starts(), services);
    return std::nullopt;
  }
  long long last = 0;
  for (int slot = 0; slot < services; ++slot) last = std::max(last, board.began(slot));
  figures.start_all_ms = static_cast<double>(last - begun) / 1e6;
  ::sleep(1);  // what the starts left to do

  std::vector<double> latencies;
  for (int i = 0; i < plan.kills; ++i) {
    const int slot = static_cast<int>((static_cast<long long>(i) * 7919) % services);
    const int seen = board.starts();
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, board.pid(slot), 0));
    const long long killed = now_ns();
    ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
    ::close(pidfd);
    if (!board.wait_for(seen + 1)) {
      fmt::print(stderr, "{}: a killed service did not come back\n", name);
      return std::nullopt;
    }
    latencies.push_back(static_cast<double>(board.began(slot) - killed) / 1e6);
  }
  std::sort(latencies.begin(), latencies.end());
  figures.restart_median_ms = latencies[latencies.size() / 2];
  figures.restart_p95_ms = latencies[latencies.size() * 95 / 100];
  if (!plan.rests) return figures;
  ::sleep(kRestSeconds);
  const long before = switches_of(supervisor);
  ::sleep(kIdleSeconds);
  figures.idle_wakeups = switches_of(supervisor) - before;
  figures.memory = memory_of(supervisor);
  return figures;
}

void end(int pid, int signal) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  ::waitpid(pid, nullptr, 0);
  ::close(pidfd);
}

std::optional<Figures> bare(const fs::path& tools, const fs::path& directory, const Plan& plan) {
  const Board board((directory / "board").string());
  const long long begun = now_ns();
  const int pid = start({(tools / "bench-bare").string(), (tools / "bench-child").string(),
                         board.path(), std::to_string(plan.services)},
                        {}, (directory / "bare.log").string());
  auto figures = measure("bare", plan, board, pid, begun);
  end(pid, SIGKILL);
  // The children of the bare program outlive it: it knows nothing better.
  for (int slot = 0; slot < plan.services; ++slot) {
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

std::optional<Figures> with_pidward(const fs::path& tools, const fs::path& daemon,
                                    const fs::path& directory, const Plan& plan) {
  const Board board((directory / "board").string());
  write_units(directory / "units", tools, board, plan.services);
  const std::vector<std::string> environment{"PATH=/usr/bin:/bin",
                                             "PIDWARD_UNIT_PATH=" + (directory / "units").string(),
                                             "HOME=" + directory.string()};
  const long long begun = now_ns();
  const int pid = start(
      {daemon.string(), "--system", "--runtime-dir", (directory / "run").string(), "--log-dir",
       (directory / "log").string(), "--state-dir", (directory / "state").string(), "--bus", "off",
       "--unit", "bench.target", "--log-level", "warning"},
      environment, (directory / "pidward.log").string());
  auto figures = measure("pidward", plan, board, pid, begun);
  end(pid, SIGTERM);
  return figures;
}

/// All rounds of one supervisor with one number of services.
struct Row {
  std::string supervisor;
  int services = 0;
  std::vector<Figures> rounds;

  [[nodiscard]] std::vector<double> sorted(double Figures::*what) const {
    std::vector<double> values;
    for (const Figures& round : rounds) values.push_back(round.*what);
    std::sort(values.begin(), values.end());
    return values;
  }
  [[nodiscard]] double median(double Figures::*what) const {
    return sorted(what)[rounds.size() / 2];
  }
  [[nodiscard]] double least(double Figures::*what) const { return sorted(what).front(); }
  /// Of the first round.
  [[nodiscard]] Memory memory() const { return rounds.front().memory.value_or(Memory{}); }
};

/// A service holds several descriptors of its supervisor's, and ten thousand of them more than a
/// shell may have.
void raise_descriptor_limit(int services) {
  constexpr rlim_t kEach = 4;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = 1024 + kEach * static_cast<rlim_t>(services);
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  limit.rlim_cur = std::max(limit.rlim_cur, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    fmt::print(stderr, "The limit of descriptors cannot be raised to {}\n", wanted);
  }
}

/// In memory, as /run is, unless $TMPDIR says otherwise: ext4 passes over the inodes of what was
/// deleted in the last seconds, one by one, and the round before has just deleted thousands of
/// files. The first log file of each service would take two milliseconds to make, on the very
/// processor where the service is to be started again.
fs::path scratch_directory() {
  struct statfs status {};
  const char* const memory = "/dev/shm";
  const bool is_memory = ::statfs(memory, &status) == 0 && status.f_type == TMPFS_MAGIC;
  const bool is_said = std::getenv("TMPDIR") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  return !is_said && is_memory ? memory : fs::temp_directory_path();
}

/// What each service beyond the smallest number costs in memory.
double each_more_kb(const std::vector<Row>& all, const Row& row) {
  for (const Row& base : all) {
    if (base.supervisor != row.supervisor || base.services >= row.services) continue;
    return (row.memory().pss_kb - base.memory().pss_kb) / (row.services - base.services);
  }
  return 0;
}

void print(const std::vector<Row>& all, bool json) {
  if (!json) {
    fmt::print("{:<10} {:>8} {:>12} {:>9} {:>12} {:>11} {:>9} {:>9} {:>8} {:>11} {:>11}\n",
               "supervisor", "services", "start all ms", "(least)", "each, us", "restart ms",
               "(least)", "p95", "PSS kB", "each more", "idle wakes");
  }
  for (const Row& row : all) {
    const double start = row.median(&Figures::start_all_ms);
    const double start_least = row.least(&Figures::start_all_ms);
    const double restart = row.median(&Figures::restart_median_ms);
    const double restart_least = row.least(&Figures::restart_median_ms);
    const double p95 = row.median(&Figures::restart_p95_ms);
    if (json) {
      fmt::print(
          "{{\"supervisor\":\"{}\",\"services\":{},\"rounds\":{},\"start_all_ms\":{:.1f},"
          "\"start_all_least_ms\":{:.1f},\"restart_ms\":{:.3f},\"restart_least_ms\":{:.3f},"
          "\"restart_p95_ms\":{:.3f},\"pss_kb\":{:.0f},\"each_more_kb\":{:.2f},"
          "\"idle_wakeups\":{}}}\n",
          row.supervisor, row.services, row.rounds.size(), start, start_least, restart,
          restart_least, p95, row.memory().pss_kb, each_more_kb(all, row),
          row.rounds.front().idle_wakeups);
    } else {
      fmt::print(
          "{:<10} {:>8} {:>12.1f} {:>9.1f} {:>12.1f} {:>11.3f} {:>9.3f} {:>9.3f} {:>8.0f} "
          "{:>11.2f} {:>11}\n",
          row.supervisor, row.services, start, start_least, start * 1000 / row.services, restart,
          restart_least, p95, row.memory().pss_kb, each_more_kb(all, row),
          row.rounds.front().idle_wakeups);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> sizes;
  int kills = 200;
  int rounds = 1;
  std::string only;
  bool json = false;
  bool rests = true;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--json") {
      json = true;
    } else if (word == "--no-rest") {
      rests = false;
    } else if (word == "--services" && has_value) {
      sizes.push_back(std::clamp(std::atoi(argv[++i]), 1, static_cast<int>(BENCH_SLOTS)));
    } else if (word == "--kills" && has_value) {
      kills = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--rounds" && has_value) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--only" && has_value) {
      only = argv[++i];
    } else {
      fmt::print(stderr,
                 "usage: bench-supervisors [--services N]... [--kills N] [--rounds N] "
                 "[--only bare|pidward] [--no-rest] [--json]\n");
      return 2;
    }
  }
  if (sizes.empty()) sizes = {300, 2000};
  raise_descriptor_limit(*std::max_element(sizes.begin(), sizes.end()));
  const fs::path tools = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path daemon = tools.parent_path().parent_path() / "daemon" / "pidward";
  std::vector<Row> all;
  bool good = true;
  for (const int services : sizes) {
    Row bare_row{"bare", services, {}};
    Row pidward_row{"pidward", services, {}};
    for (int round = 0; round < rounds; ++round) {
      const Plan plan{services, kills, rests && round == 0};
      const auto run = [&](Row& row, const auto& with) {
        if (!only.empty() && only != row.supervisor) return;
        std::string pattern = (scratch_directory() / "pidward-bench-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        if (auto figures = with(fs::path(pattern))) row.rounds.push_back(*figures);
        fs::remove_all(pattern);
      };
      run(bare_row, [&](const fs::path& directory) { return bare(tools, directory, plan); });
      run(pidward_row,
          [&](const fs::path& directory) { return with_pidward(tools, daemon, directory, plan); });
    }
    for (Row& row : {std::ref(bare_row), std::ref(pidward_row)}) {
      if (!row.rounds.empty()) {
        all.push_back(std::move(row));
      } else if (only.empty() || only == row.supervisor) {
        good = false;
      }
    }
  }
  print(all, json);
  return good ? 0 : 1;
}
