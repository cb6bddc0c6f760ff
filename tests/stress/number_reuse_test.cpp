// Number reuse against the whole daemon: pidward runs in a pid namespace with two dozen numbers,
// where thousands of processes a second take every number that falls free. In each round it starts
// a service, signals it, stops it, answers for its number, holds it by a lease; and then, when a
// bystander has the number, it is asked for all of that again: by the old object, by the number and
// by a PIDFile that still names it. No bystander may ever be touched, and an actor that remembers
// the number and uses it has to hit one in every round, or the harness could not tell.
//
// PIDWARD_TEST_ROUNDS=200000 runs the long version.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include <fmt/core.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus/bus_fixture.hpp"
#include "stress/churn.hpp"
#include "sys/live_child.hpp"
#include "sys/raw_syscall.hpp"

namespace pidward::test {
namespace {

constexpr int kDefaultRounds = 300;
// The kernel gives out none of the first 300 again, so 24 are left for everybody.
constexpr const char* kHighestNumber = "324";

int rounds_wanted() {
  const char* text = std::getenv("PIDWARD_TEST_ROUNDS");
  return text != nullptr ? std::atoi(text) : kDefaultRounds;
}

/// What the init of the namespace found out, for the test outside.
struct Tally {
  Board board;
  int rounds = 0;
  int reused = 0;         ///< rounds in which a bystander got the number
  int naive_hits = 0;     ///< ended by the naive actor
  int touched = 0;        ///< was not alive any more when pidward had been asked
  int wrong_answers = 0;  ///< of GetProcessByPID
  int believed = 0;       ///< requests about one that was gone that were not refused
  int failed_at = 0;      ///< line at which the harness itself gave up
  double seconds = 0;
  std::array<char, 256> why{};  ///< what the harness had not expected
};

class Rounds {
 public:
  Rounds(Tally& tally, Daemon& daemon) : tally_(tally), daemon_(daemon) {}

  bool run(int wanted) {
    for (int i = 0; i < wanted; ++i) {
      if (i % 32 == 0) connect();  // a client keeps so many processes and no more
      if (!round(i)) return false;
      ++tally_.rounds;
    }
    lease_.reset();
    return true;
  }

 private:
  bool give_up(int line) {
    tally_.failed_at = line;
    fmt::format_to_n(tally_.why.data(), tally_.why.size() - 1, "{}", why_);
    return false;
  }

  void connect() {
    client_.emplace(daemon_.client());
    EXPECT_TRUE(client_->subscribe([this](sd_bus_message* message) {
      if (sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") <= 0) return;
      Reader in(message);
      in.u();
      const std::string path = in.o();
      in.s();
      results_[path] = in.s();
    }));
  }
  std::string begin(const char* method, const std::string& unit) {
    const auto answer = client_->manager(method, [&](Writer& out) { out.s(unit).s("replace"); });
    why_ = fmt::format("{} {}: {}", method, unit, answer ? "" : answer.error().to_string());
    return answer ? Reader(answer->get()).o() : std::string();
  }
  std::string finish(const std::string& job) {
    while (!job.empty() && results_.count(job) == 0) {
      const auto came = client_->process(test::patience());
      if (!came || !*came) break;
    }
    const std::string result = results_[job];
    why_ += fmt::format("job {} is {}", job, result);
    results_.clear();
    return result;
  }
  std::uint64_t service_number(const std::string& unit, const char* property) {
    const auto value = client_->property(bus::unit_path(unit), "org.pidward1.Service", property);
    return value ? value->number : 0;
  }
  std::string path_of_number(pid_t number) {
    const auto answer = client_->manager(
        "GetProcessByPID", [&](Writer& out) { out.u(static_cast<std::uint32_t>(number)); });
    return answer ? Reader(answer->get()).o() : std::string();
  }
  bool kill_unit(const std::string& unit, const char* whom, int signal) {
    return client_->manager("KillUnit", [&](Writer& out) { out.s(unit).s(whom).i(signal); })
        .has_value();
  }
  bool signal(const std::string& path, const char* method, int number) {
    return client_->call(path, bus::kProcessInterface, method, [&](Writer& out) { out.i(number); })
        .has_value();
  }
  sys::Fd lease(const std::string& path, const char* policy) {
    const std::uint64_t id = bus::parse_object_path(path).process.number();
    const auto answer = client_->manager("LeaseProcess", [&](Writer& out) { out.t(id).s(policy); });
    return answer ? Reader(answer->get()).h() : sys::Fd();
  }
  sys::Pidfd pidfd_of(const std::string& path) {
    const auto answer = client_->call(path, bus::kProcessInterface, "GetPidfd");
    return answer ? sys::Pidfd(Reader(answer->get()).h()) : sys::Pidfd();
  }
  void refuse(bool was_believed) { tally_.believed += was_believed ? 1 : 0; }

  bool round(int i) {
    const bool has_file = i % 2 == 1;
    const std::string unit = has_file ? "file.service" : "plain.service";
    if (finish(begin("StartUnit", unit)) != "done") return give_up(__LINE__);
    const auto number = static_cast<pid_t>(service_number(unit, "MainPID"));
    const std::string path = path_of_number(number);
    if (number == 0 || path != bus::process_path(ProcessId(service_number(unit, "MainProcess")))) {
      return give_up(__LINE__);
    }
    if (has_file && std::atoi(daemon_.directory.read("file.pid").c_str()) != number) {
      ++tally_.wrong_answers;
    }
    sys::Fd held = lease(path, "kill-tree");
    if (!held) return give_up(__LINE__);
    if (!end(i / 2 % 6, unit, path, held)) return give_up(__LINE__);
    if (finish(begin("StopUnit", unit)) != "done") return give_up(__LINE__);

    if (tally_.board.keep(number)) {
      ++tally_.reused;
      if (!act_on_what_is_gone(i, unit, path, std::move(held), number)) return false;
    }
    tally_.board.let_go();
    return ask_in_passing(number);
  }

  /// The service ends, in one way or another.
  bool end(int way, const std::string& unit, const std::string& path, sys::Fd& held) {
    switch (way) {
      case 0:
        return true;  // by the stop that follows
      case 1:
        return kill_unit(unit, "main", SIGKILL);
      case 2:
        return signal(path, "Signal", SIGTERM);
      case 3:
        return signal(path, "SignalTree", SIGKILL);
      case 4:
        held.reset();
        return true;
      default: {
        // By itself, as it were, while it is signalled: whoever comes first.
        const sys::Pidfd process = pidfd_of(path);
        if (!process.send_signal(SIGKILL)) return false;
        kill_unit(unit, "all", SIGUSR1);
        signal(path, "Signal", SIGUSR1);
        return true;
      }
    }
  }

  bool act_on_what_is_gone(int i, const std::string& unit, const std::string& path, sys::Fd held,
                           pid_t number) {
    auto opened = sys::Pidfd::open(number);
    if (!opened) return give_up(__LINE__);
    const sys::Pidfd bystander = *std::move(opened);
    if (lease_) refuse(signal(leased_path_, "Signal", SIGKILL));
    lease_.reset();
    refuse(signal(path, "Signal", SIGKILL));
    refuse(signal(path, "SignalTree", SIGKILL));
    refuse(static_cast<bool>(lease(path, "kill-tree")));
    kill_unit(unit, "all", SIGUSR1);
    held.reset();
    const std::string found = path_of_number(number);
    if (found == path || !is_same(pidfd_of(found), bystander)) ++tally_.wrong_answers;

    // A PIDFile that was left behind: of a start that fails, and of one that is stopped.
    const std::string stale = i % 4 < 2 ? "leaves.service" : "stays.service";
    daemon_.directory.write("stale.pid", std::to_string(number) + "\n");
    const std::string start = begin("StartUnit", stale);
    if (i % 4 < 2) {
      if (finish(start) != "failed") return give_up(__LINE__);
    } else {
      kill_unit(stale, "all", SIGUSR1);
    }
    if (found == bus::process_path(ProcessId(service_number(stale, "MainProcess")))) {
      ++tally_.wrong_answers;
    }
    if (finish(begin("StopUnit", stale)) != "done") return give_up(__LINE__);

    const auto ended = bystander.has_ended();
    if (!ended || *ended) {
      ++tally_.touched;
      return true;
    }
    // A stranger may be leased too. The lease is closed in the next round, when it is long gone.
    lease_ = lease(found, "signal USR1");
    if (!lease_) return give_up(__LINE__);
    leased_path_ = found;
    // The naive actor remembers the number of the one that ended.
    sys::raw_syscall(SYS_kill, number, kNaiveSignal);
    if (!ends_in_time(bystander)) return give_up(__LINE__);
    ++tally_.naive_hits;
    return true;
  }

  static bool is_same(const sys::Pidfd& a, const sys::Pidfd& b) {
    if (!a) return false;
    const auto pidfs = b.is_pidfs();
    if (pidfs && *pidfs) return a.inode().value_or(0) == b.inode().value_or(1);
    const auto ended = a.has_ended();
    return ended && !*ended && a.pid().value_or(0) == b.pid().value_or(1);
  }

  /// Whoever has a number just now, with nobody kept: it had the number, whoever it was.
  bool ask_in_passing(pid_t number) {
    const std::string path = path_of_number(number);
    const sys::Pidfd process = path.empty() ? sys::Pidfd() : pidfd_of(path);
    if (!process) return true;
    const auto pidfs = process.is_pidfs();
    if (!pidfs || !*pidfs) return true;
    const auto had = tally_.board.number_of(process.inode().value_or(0));
    if (had && *had != number) ++tally_.wrong_answers;  // one of the daemon's is not on the board
    return true;
  }

  Tally& tally_;
  Daemon& daemon_;
  std::optional<Client> client_;
  std::map<std::string, std::string> results_;
  std::string why_;          ///< the last job
  std::string leased_path_;  ///< a bystander that the naive actor killed
  sys::Fd lease_;
};

/// Leaves few numbers, where the limit is this namespace's own, as since Linux 6.14. Before that it
/// is the whole system's and not ours to change: numbers come round when they are asked for alone.
bool limit_numbers() {
  const std::string path = "/proc/sys/kernel/pid_max";
  const auto here = sys::read_file(path);
  // A namespace begins with the highest limit there is, whatever the one outside has.
  const auto outside = std::getenv("PIDWARD_TEST_PID_MAX");
  if (!here || outside == nullptr || *here == outside) return false;
  return sys::write_control_file_at(AT_FDCWD, path.c_str(), kHighestNumber).has_value();
}

struct Mode {
  const char* name;
  const char* disabled;
  bool groups;
};

/// A directory in memory for as long as this lives: what is written there in a round is not what is
/// tried here.
class MemoryBehind {
 public:
  explicit MemoryBehind(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"), 0);
    for (const char* name : {"units", "run"}) {
      std::filesystem::create_directory(path_ + "/" + name);
    }
  }
  ~MemoryBehind() { ::umount2(path_.c_str(), MNT_DETACH); }
  MemoryBehind(const MemoryBehind&) = delete;
  MemoryBehind& operator=(const MemoryBehind&) = delete;

 private:
  std::string path_;
};

int play_init(Tally& tally, const Mode& mode) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return 20;
  }
  const bool scarce = limit_numbers();
  Daemon daemon;
  const MemoryBehind memory(daemon.directory.path());
  const std::string child = REUSE_CHILD_PROGRAM;
  const std::string common =
      "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nGuessMainPID=no\n"
      "StandardOutput=null\n";
  const auto pid_file = [&](const char* name) {
    return "Type=forking\nPIDFile=" + daemon.directory.path(name) + "\n";
  };
  daemon.unit("idle.target", "[Unit]\nDefaultDependencies=no\n");
  daemon.unit("plain.service", common + "Type=exec\nExecStart=" + child + " sleep\n");
  daemon.unit("file.service", common + pid_file("file.pid") + "ExecStart=" + child + " fork " +
                                  daemon.directory.path("file.pid") + "\n");
  daemon.unit("leaves.service", common + pid_file("stale.pid") + "ExecStart=" + child + " leave\n");
  daemon.unit("stays.service", common + pid_file("stale.pid") + "ExecStart=" + child + " stay\n");
  DaemonOptions options;
  options.arguments = {"--bus", "off", "--unit", "idle.target", "--log-level", "warning"};
  if (!mode.groups) options.arguments.emplace_back("--no-cgroup");
  if (*mode.disabled != '\0') {
    options.arguments.insert(options.arguments.end(), {"--disable-feature", mode.disabled});
  }
  if (!daemon.start(options)) return 21;
  Board& board = tally.board;
  const LiveChild churner([&board] { return churn(board); });
  // Numbers come round once the first three hundred are used up.
  while (scarce && board.wraps == 0) ::sched_yield();
  const auto began = std::chrono::steady_clock::now();
  const bool done = Rounds(tally, daemon).run(rounds_wanted());
  tally.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const int code = daemon.stop();
  board.over = true;
  wait_for_end(churner.pidfd());
  if (!done || ::testing::Test::HasFailure()) {
    const std::string said = daemon.output();
    constexpr std::size_t kLast = 4000;
    fmt::print(stderr, "{}\n", said.substr(said.size() - std::min(said.size(), kLast)));
    return 22;
  }
  return code == 0 ? 0 : 23;
}

class NumberReuse : public ::testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Daemon, NumberReuse,
                         ::testing::Values(Mode{"Groups", "", true}, Mode{"Descendants", "", false},
                                           Mode{"WithoutInodes", "pidfs", true},
                                           Mode{"WithoutInodesAndGroups", "pidfs", false},
                                           Mode{"WithoutInfo", "pidfd-info", true}),
                         [](const auto& mode) { return mode.param.name; });

TEST_P(NumberReuse, TheDaemonNeverTouchesWhoeverHasTheNumberNow) {
  ASSERT_EQ(::geteuid(), 0U) << "pid namespaces are made by root";
  void* const shared =
      ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* const tally = new (shared) Tally();
  const auto limit = sys::read_file("/proc/sys/kernel/pid_max");
  ASSERT_TRUE(limit);
  ::setenv("PIDWARD_TEST_PID_MAX", limit->c_str(), 1);
  sys::CloneRequest request;
  request.extra_flags = CLONE_NEWPID | CLONE_NEWNS;
  const Mode mode = GetParam();
  const LiveChild init([tally, mode] { return play_init(*tally, mode); }, request);
  wait_for_end(init.pidfd());
  const auto ended = init.pidfd().reap();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->status, (ExitStatus{ExitStatus::Kind::exited, 0}))
      << (*ended)->status.to_string() << ", lines " << tally->failed_at << " and "
      << tally->board.failed_at << ": " << tally->why.data();
  EXPECT_EQ(tally->rounds, rounds_wanted());
  EXPECT_EQ(tally->touched, 0);
  EXPECT_EQ(tally->board.wrong, 0U) << "signal " << tally->board.wrong_signal;
  EXPECT_EQ(tally->wrong_answers, 0);
  EXPECT_EQ(tally->believed, 0);
  // The harness can tell: by number every round goes wrong.
  EXPECT_GT(tally->reused, tally->rounds * 9 / 10);
  EXPECT_EQ(tally->naive_hits, tally->reused);
  EXPECT_EQ(tally->board.naive, static_cast<std::uint64_t>(tally->naive_hits));
  RecordProperty("rounds", tally->rounds);
  RecordProperty("naive_hits", tally->naive_hits);
  fmt::print(
      "{} rounds in {:.1f} s, {:.0f} bystanders a second; wrong hits: {} by pidfd, {} by "
      "number\n",
      tally->rounds, tally->seconds, static_cast<double>(tally->board.made) / tally->seconds,
      tally->touched + static_cast<int>(tally->board.wrong), tally->naive_hits);
  ::munmap(shared, sizeof(Tally));
}

}  // namespace
}  // namespace pidward::test
