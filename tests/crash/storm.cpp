// crash_storm: many services, of which some are started, stopped and restarted all the time, some
// crash, and some just run, while the daemon is killed at random moments, or reads all unit files
// again and again. At the end the processes that are there are compared with those it knows.
//
//   crash_storm [--services N] [--kills N] [--reloads N] [--seed N] [--without-keeper]
//               [--disable-feature NAME]
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bus/client/client.hpp"
#include "bus/object_path.hpp"
#include "crash/keeper.hpp"
#include "support/temporary_directory.hpp"
#include "sys/clone.hpp"

namespace pidward::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Options {
  int services = 2000;
  int kills = 1000;
  int reloads = 0;
  std::uint32_t seed = std::random_device()();
  bool keeps = true;
  std::vector<std::string> disabled;
};

constexpr std::chrono::seconds kPatience(120);
constexpr int kBystanders = 20;

/// Of five services two just run, one crashes now and then, two are started and stopped.
enum class Kind { steady, crashing, churned };
Kind kind_of(int number) {
  constexpr std::array kKinds{Kind::steady, Kind::churned, Kind::steady, Kind::crashing,
                              Kind::churned};
  return kKinds[static_cast<std::size_t>(number) % kKinds.size()];
}

/// A process as the daemon tells of it.
struct Known {
  pid_t pid = 0;
  std::string unit;
  std::string role;
};

class Storm {
 public:
  explicit Storm(Options options)
      : options_(std::move(options)), random_(options_.seed), keeper_(make_keeper()) {}

  int run();

 private:
  Keeper::Options make_keeper();
  [[nodiscard]] std::string name_of(int number) const;
  [[nodiscard]] std::optional<bus::Client> client() const;
  void start_bystanders();
  void churn();
  bool churn_once(bus::Client& bus, std::mt19937& random);
  bool kill_and_restart();
  bool kill_all_the_time();
  bool reload_all_the_time();
  bool come_to_rest();
  bool all_run(bus::Client& bus);
  [[nodiscard]] bool all_have_noted_their_start() const;
  bool remember_steady_ones();
  void start(bus::Client& bus, const std::string& unit);
  void start_again(bus::Client& bus);
  bool compare();
  bool complain(const std::string& what);

  [[nodiscard]] std::vector<Known> known(bus::Client& bus) const;
  [[nodiscard]] std::vector<pid_t> starts_of(int number) const;
  [[nodiscard]] std::map<pid_t, std::string> running() const;

  Options options_;
  std::mt19937 random_;
  TemporaryDirectory directory_;
  Keeper keeper_;
  std::vector<sys::Pidfd> bystanders_;
  std::set<pid_t> bystander_numbers_;
  std::map<int, pid_t> steady_;
  std::atomic<bool> over_ = false;
  std::atomic<int> requests_ = 0, unanswered_ = 0, reloads_ = 0;
  std::atomic<int> troubles_ = 0;
};

std::string Storm::name_of(int number) const {
  return fmt::format("storm-{}", number);
}

Keeper::Options Storm::make_keeper() {
  std::string wants;
  for (int number = 0; number < options_.services; ++number) {
    const std::string name = name_of(number);
    wants += (wants.empty() ? "" : " ") + name + ".service";
    directory_.write(
        "units/" + name + ".service",
        fmt::format("[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n"
                    "{}Restart={}\nRestartSec=20ms\nTimeoutStartSec={}\nTimeoutStopSec=60s\n"
                    "ExecStart={} {} {}{}\n",
                    number % 3 == 0 ? "Type=notify\n" : "",
                    kind_of(number) == Kind::crashing ? "always" : "no",
                    options_.keeps ? "90s" : "5s", CRASH_SERVICE, directory_.path(), name,
                    std::string(number % 3 == 0 ? " notify" : "") +
                        (kind_of(number) == Kind::crashing ? " crashing" : "")));
  }
  directory_.write("units/default.target", "[Unit]\nDefaultDependencies=no\nWants=" + wants + "\n");
  directory_.write("units/shutdown.target", "[Unit]\nDefaultDependencies=no\n");
  Keeper::Options keeper;
  keeper.directory = directory_.path();
  keeper.keeps_descriptors = options_.keeps;
  keeper.command = {PIDWARD_PROGRAM, "--system",
                    "--runtime-dir", directory_.path("run"),
                    "--unit-path",   directory_.path("units"),
                    "--log-dir",     directory_.path("log"),
                    "--state-dir",   directory_.path("state"),
                    "--bus",         "off",
                    "--log-level",   "warning",
                    "--config",      directory_.write("pidward.yaml", "{}\n")};
  for (const std::string& feature : options_.disabled) {
    keeper.command.insert(keeper.command.end(), {"--disable-feature", feature});
  }
  return keeper;
}

std::optional<bus::Client> Storm::client() const {
  auto connected = bus::Client::connect({.socket = directory_.path("run/private")});
  if (!connected) return std::nullopt;
  return *std::move(connected);
}

bool Storm::complain(const std::string& what) {
  constexpr int kMost = 20;
  if (++troubles_ <= kMost) fmt::print(stderr, "{}\n", what);
  return false;
}

/// Processes of the same program that are nobody's to touch.
void Storm::start_bystanders() {
  for (int i = 0; i < kBystanders; ++i) {
    auto stack = sys::ChildStack::create(1 << 20);
    sys::CloneRequest request;
    request.share_memory = false;
    auto child = sys::spawn_on_stack(
        request, *stack,
        [](void*) {
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          for (;;) ::pause();
          return 0;
        },
        nullptr);
    if (!child) continue;
    bystander_numbers_.insert(child->pid);
    bystanders_.push_back(std::move(child->pidfd));
  }
}

/// The numbers that a service had, start by start.
std::vector<pid_t> Storm::starts_of(int number) const {
  std::ifstream file(directory_.path(name_of(number) + ".starts"));
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

/// Every process of ours that is there, and the service it says it is.
std::map<pid_t, std::string> Storm::running() const {
  std::map<pid_t, std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string number = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), pid).ec != std::errc()) {
      continue;
    }
    std::ifstream file(entry.path() / "cmdline");
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
    if (words.size() < 3 || words[0] != CRASH_SERVICE || words[1] != directory_.path()) continue;
    found.emplace(pid, words[2]);
  }
  return found;
}

std::vector<Known> Storm::known(bus::Client& bus) const {
  std::vector<Known> found;
  const auto answer =
      bus.manager("ListProcesses", [](bus::Writer& out) { out.open_array("s").close(); });
  if (!answer) return found;
  bus::Reader in(answer->get());
  for (in.enter('a', "(tuusss)"); in.enter('r', "tuusss"); in.exit()) {
    Known process;
    in.skip("t");
    process.pid = static_cast<pid_t>(in.u());
    in.skip("u");
    process.unit = in.s();
    process.role = in.s();
    in.skip("s");
    found.push_back(std::move(process));
  }
  return found;
}

/// False when the daemon is gone.
bool Storm::churn_once(bus::Client& bus, std::mt19937& random) {
  int number = 0;
  do {
    number = static_cast<int>(random() % static_cast<std::uint32_t>(options_.services));
  } while (kind_of(number) != Kind::churned);
  constexpr std::array kMethods{"StartUnit", "StopUnit", "RestartUnit", "StartUnit", "KillUnit"};
  const char* const method = kMethods[random() % kMethods.size()];
  const auto answer = bus.manager(method, [&](bus::Writer& out) {
    out.s(name_of(number) + ".service");
    if (std::string_view(method) == "KillUnit") {
      out.s("main").i(SIGKILL);
    } else {
      out.s("replace");
    }
  });
  ++requests_;
  // KillUnit of what does not run is an error, and so is whatever is asked of a daemon that dies.
  if (answer) return true;
  ++unanswered_;
  return answer.error().code() == Errc::unit_inactive;
}

void Storm::churn() {
  std::mt19937 random(options_.seed + 1);
  while (!over_) {
    auto bus = client();
    if (!bus) {
      ::usleep(2000);
      continue;
    }
    for (int i = 0; i < 50 && !over_; ++i) {
      if (!churn_once(*bus, random)) break;
      ::usleep(static_cast<useconds_t>(random() % 4000));
    }
  }
}

bool Storm::kill_and_restart() {
  // Some at rest, some in the middle of taking over.
  const bool early = random_() % 3 == 0;
  if (early) {
    if (!keeper_.launch()) return false;
    if (!keeper_.look_after(microseconds(random_() % 300'000))) {
      return complain("the daemon ended by itself while it took over");
    }
  } else {
    if (!keeper_.start()) return complain("the daemon does not come up");
    if (!keeper_.look_after(microseconds(random_() % 300'000))) {
      return complain("the daemon ended by itself");
    }
  }
  keeper_.kill();
  return true;
}

bool Storm::kill_all_the_time() {
  keeper_.kill();
  for (int kills = 1; kills < options_.kills; ++kills) {
    if (!kill_and_restart()) return complain(fmt::format("after {} kills", kills));
    if (kills % 100 == 0) {
      fmt::print("{} kills, {} requests, {} descriptors kept\n", kills, requests_.load(),
                 keeper_.kept());
      std::fflush(stdout);
    }
  }
  return keeper_.start() || complain("the last daemon does not come up");
}

bool Storm::reload_all_the_time() {
  std::thread asks([this] {
    for (int i = 0; i < options_.reloads && !over_; ++i) {
      auto bus = client();
      const auto answer = bus ? bus->manager("Reload")
                              : Result<bus::MessageRef>(Error(Errc::failed, "nobody is there"));
      if (!answer) complain("a reload fails: " + answer.error().to_string());
      ++reloads_;
    }
  });
  bool runs = true;
  while (runs && reloads_ < options_.reloads) runs = keeper_.look_after(milliseconds(100));
  asks.join();
  return runs || complain("the daemon ended by itself");
}

bool Storm::all_run(bus::Client& bus) {
  const auto units = bus.manager("ListUnitsByPatterns", [](bus::Writer& out) {
    out.open_array("s").s("active").close().open_array("s").s("storm-*.service").close();
  });
  if (!units) return false;
  int running = 0;
  bus::Reader in(units->get());
  for (in.enter('a', "(ssssssouso)"); in.enter('r', "ssssssouso"); in.exit()) {
    in.skip("ssss");
    running += in.s() == "running" ? 1 : 0;
    in.skip("souso");
  }
  return running == options_.services;
}

/// A service counts as running before its program has come to its first line. False while one has
/// not.
bool Storm::remember_steady_ones() {
  for (int number = 0; number < options_.services; ++number) {
    if (kind_of(number) != Kind::steady) continue;
    const std::vector<pid_t> starts = starts_of(number);
    if (starts.empty()) return false;
    steady_[number] = starts.back();
  }
  return true;
}

bool Storm::all_have_noted_their_start() const {
  std::set<std::pair<std::string, pid_t>> noted;
  for (int number = 0; number < options_.services; ++number) {
    for (const pid_t pid : starts_of(number)) noted.emplace(name_of(number), pid);
  }
  const std::map<pid_t, std::string> there = running();
  return there.size() == static_cast<std::size_t>(options_.services) &&
         std::ranges::all_of(there, [&](const auto& process) {
           return noted.contains({process.second, process.first});
         });
}

void Storm::start(bus::Client& bus, const std::string& unit) {
  const auto answer = bus.manager("StartUnit", [&](bus::Writer& out) { out.s(unit).s("replace"); });
  if (!answer) complain(answer.error().to_string());
}

/// Two things may end a service that counted as running, or as starting, when it was asked for:
/// that it had been killed a moment before; and, with no keeper, that it had told a daemon that is
/// gone that it was ready, which nobody has read. Its start then runs out of time.
void Storm::start_again(bus::Client& bus) {
  for (int number = 0; number < options_.services; ++number) {
    const std::string unit = name_of(number) + ".service";
    const auto result = bus.property(bus::unit_path(unit), "org.pidward1.Service", "Result");
    if (!result) continue;
    const bool was_killed = kind_of(number) == Kind::churned && result->text == "signal";
    const bool was_unheard = !options_.keeps && number % 3 == 0 && result->text == "timeout";
    if (was_killed || was_unheard) start(bus, unit);
  }
}

/// From here on nothing crashes and nobody asks; all are asked for, and come up.
bool Storm::come_to_rest() {
  directory_.write("calm", "");
  const auto end = Clock::now() + kPatience;
  auto bus = client();
  if (!bus) return complain("the daemon does not answer");
  for (int number = 0; number < options_.services; ++number) {
    start(*bus, name_of(number) + ".service");
  }
  while (Clock::now() < end) {
    if (!keeper_.look_after(milliseconds(50))) return complain("the daemon ended by itself");
    const auto jobs = bus->property(bus::kManagerPath, bus::kManagerInterface, "NJobs");
    if (jobs && jobs->number == 0 && all_run(*bus) && all_have_noted_their_start()) return true;
    if (jobs && jobs->number == 0) start_again(*bus);
  }
  return complain("not all services come to run");
}

bool Storm::compare() {
  auto bus = client();
  if (!bus) return complain("the daemon does not answer");
  std::map<std::string, std::vector<pid_t>> mains;
  std::map<pid_t, std::string> there = running();
  for (const Known& process : known(*bus)) {
    if (process.unit.empty()) continue;
    if (process.role == "main") mains[process.unit].push_back(process.pid);
    if (bystander_numbers_.contains(process.pid)) complain("a bystander was taken for a service");
    if (there.erase(process.pid) == 0) {
      complain(
          fmt::format("{} has a process that is none of its own: {}", process.unit, process.pid));
    }
  }
  for (const auto& [pid, name] : there) {
    complain(fmt::format("{} runs as {}, and the daemon does not know it", name, pid));
  }
  for (int number = 0; number < options_.services; ++number) {
    const std::string name = name_of(number);
    const std::vector<pid_t>& found = mains[name + ".service"];
    const std::vector<pid_t> starts = starts_of(number);
    if (found.size() != 1 || starts.empty() || found[0] != starts.back()) {
      complain(fmt::format("{}: {} main processes, the first {}; its last start was {}", name,
                           found.size(), found.empty() ? 0 : found[0],
                           starts.empty() ? 0 : starts.back()));
    }
    if (kind_of(number) == Kind::steady && (starts.size() != 1 || starts[0] != steady_[number])) {
      complain(fmt::format("{} was started {} times", name, starts.size()));
    }
  }
  for (const sys::Pidfd& bystander : bystanders_) {
    const auto ended = bystander.has_ended();
    if (!ended || *ended) complain("a bystander is dead");
  }
  std::ifstream trouble(directory_.path("trouble"));
  for (std::string line; std::getline(trouble, line);) complain(line);
  return troubles_ == 0;
}

int Storm::run() {
  fmt::print("{} services, {} kills, {} reloads, seed {}\n", options_.services, options_.kills,
             options_.reloads, options_.seed);
  std::fflush(stdout);
  start_bystanders();
  if (!keeper_.start()) return complain("the daemon does not come up"), 1;
  for (auto end = Clock::now() + kPatience; Clock::now() < end;) {
    static_cast<void>(keeper_.look_after(milliseconds(50)));
    auto bus = client();
    if (bus && all_run(*bus) && remember_steady_ones()) break;
  }
  std::thread churning([this] { churn(); });
  const auto begun = Clock::now();
  bool good = options_.reloads == 0 || reload_all_the_time();
  good = good && (options_.kills == 0 || kill_all_the_time());
  over_ = true;
  churning.join();
  good = good && come_to_rest();
  good = compare() && good;
  int starts = 0;
  for (int number = 0; number < options_.services; ++number) {
    starts += static_cast<int>(starts_of(number).size());
  }
  fmt::print("{} requests ({} refused or lost), {} starts in {} s\n", requests_.load(),
             unanswered_.load(), starts,
             std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begun).count());
  const auto code = keeper_.stop();
  if (code != 0) complain("the last daemon does not end in order");
  for (const auto& [pid, name] : running()) {
    complain(fmt::format("{} runs on as {} when all is over", name, pid));
  }
  for (const sys::Pidfd& bystander : bystanders_) {
    static_cast<void>(bystander.send_signal(SIGKILL));
  }
  if (troubles_ > 0) {
    std::ifstream log(directory_.path("daemon.log"));
    fmt::print(stderr, "{} troubles; the daemon's last words:\n", troubles_.load());
    std::vector<std::string> lines;
    for (std::string line; std::getline(log, line);) lines.push_back(line);
    for (std::size_t i = lines.size() > 30 ? lines.size() - 30 : 0; i < lines.size(); ++i) {
      fmt::print(stderr, "  {}\n", lines[i]);
    }
    return 1;
  }
  fmt::print("none lost, none doubled, none foreign\n");
  return 0;
}

}  // namespace
}  // namespace pidward::test

int main(int argc, char** argv) {
  pidward::test::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    const auto number = [&] { return static_cast<int>(std::strtol(value().c_str(), nullptr, 10)); };
    if (word == "--services") {
      options.services = std::max(5, number());
    } else if (word == "--kills") {
      options.kills = number();
    } else if (word == "--reloads") {
      options.reloads = number();
    } else if (word == "--seed") {
      options.seed = static_cast<std::uint32_t>(std::strtoul(value().c_str(), nullptr, 10));
    } else if (word == "--without-keeper") {
      options.keeps = false;
    } else if (word == "--disable-feature") {
      options.disabled.push_back(value());
    } else {
      fmt::print(stderr, "crash_storm: unknown option {}\n", word);
      return 2;
    }
  }
  return pidward::test::Storm(std::move(options)).run();
}
