// crash_test: kills the daemon at system call number 1, 2, 3 … of everything that a scripted day
// has it do, lets the next daemon take over, and compares the world with the one that was not
// killed.
//
//   crash_test [--first N] [--every N] [--at-most N] [--without-keeper] [--disable-feature NAME]
//              [--only NAME]
//
// Without options every boundary of every deed is tried. A boundary is the entry or the exit of one
// system call of the daemon's main thread.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/client/client.hpp"
#include "bus/object_path.hpp"
#include "crash/keeper.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::test {
namespace {

struct Options {
  std::size_t first = 0;
  std::size_t every = 1;
  std::size_t at_most = SIZE_MAX;
  bool keeps = true;
  std::string only;
  std::vector<std::string> disabled;
};

constexpr std::chrono::seconds kLong(15);

/// What a unit must look like when the deed is done.
struct Expected {
  std::string unit;
  std::string state;
  int starts = -1;  ///< how often it was started by the deed; -1: does not matter
};

struct Deed {
  std::string name;
  std::function<void()> prepare;  ///< brings the world to where the deed begins
  std::function<void()> act;      ///< asks for it; safe to repeat when nothing came of it
  std::vector<Expected> expected;
};

class Day {
 public:
  explicit Day(Options options) : options_(std::move(options)), keeper_(make_keeper()) {}

  int run();

 private:
  Keeper::Options make_keeper();
  void write_units();
  void make_deeds();
  void make_deeds_of_leases();
  enum class Outcome { killed, over, broken };
  Outcome try_boundary(const Deed& deed, std::size_t at);
  bool settle(const Deed& deed);
  bool compare(const Deed& deed);
  bool fail(const std::string& what);

  std::optional<bus::Client> client();
  bool call(const char* method, const std::string& unit);
  void take_lease(const std::string& unit);
  void job(const char* method, const std::string& unit) { wait_for_jobs(call(method, unit)); }
  void wait_for_jobs(bool any);
  bus::Properties properties(const std::string& unit);
  int starts_of(const std::string& unit);
  bool is_locked(const std::string& unit);

  Options options_;
  TemporaryDirectory directory_;
  Keeper keeper_;
  std::vector<Deed> deeds_;
  std::map<std::string, int> starts_before_;
  std::uint64_t steady_ = 0;
  sys::Fd lease_;
  std::size_t tried_ = 0;
  std::string now_;
};

Keeper::Options Day::make_keeper() {
  write_units();
  Keeper::Options keeper;
  keeper.directory = directory_.path("");
  keeper.keeps_descriptors = options_.keeps;
  keeper.command = {PIDWARD_PROGRAM, "--system",
                    "--runtime-dir", directory_.path("run"),
                    "--unit-path",   directory_.path("units"),
                    "--log-dir",     directory_.path("log"),
                    "--bus",         "off",
                    "--log-level",   "notice",
                    "--config",      directory_.write("pidward.yaml", "{}\n")};
  for (const std::string& feature : options_.disabled) {
    keeper.command.insert(keeper.command.end(), {"--disable-feature", feature});
  }
  return keeper;
}

void Day::write_units() {
  const std::string head = "[Unit]\nDefaultDependencies=no\n";
  const auto service = [&](const std::string& name, const std::string& words,
                           const std::string& lines) {
    directory_.write("units/" + name + ".service", head + "StartLimitIntervalSec=0\n[Service]\n" +
                                                       lines + "ExecStart=" + CRASH_SERVICE + " " +
                                                       directory_.path("") + " " + name + " " +
                                                       words + "\n");
  };
  for (const char* name : {"default", "basic", "sysinit", "shutdown", "sockets", "multi-user"}) {
    directory_.write(std::string("units/") + name + ".target", head);
  }
  service("steady", "", "");
  service("simple", "", "");
  service("notify", "notify", "Type=notify\n");
  service("stubborn", "stubborn notify", "Type=notify\nTimeoutStopSec=50ms\n");
  service("steps", "", "ExecStartPre=/bin/true\nExecStartPost=/bin/true\nExecStop=/bin/true\n");
  service("once", "once", "Type=oneshot\nRemainAfterExit=yes\n");
  service("again", "", "Restart=always\nRestartSec=20ms\n");
  service("reload", "", "ExecReload=/bin/true\n");
  service("lazy", "", "");
  service("leased", "", "KillOnLastClose=control-group\n");
  directory_.write("units/lazy.socket", head + "StartLimitIntervalSec=0\n[Socket]\nListenStream=" +
                                            directory_.path("lazy.sock") + "\n");
}

std::optional<bus::Client> Day::client() {
  auto connected = bus::Client::connect({.socket = directory_.path("run/private")});
  if (!connected) return std::nullopt;
  return *std::move(connected);
}

bool Day::call(const char* method, const std::string& unit) {
  auto bus = client();
  if (!bus) return false;
  const auto answer = bus->manager(method, [&](bus::Writer& out) {
    if (unit.empty()) return;
    out.s(unit);
    out.s("replace");
  });
  return static_cast<bool>(answer);
}

/// Once: it is held from then on.
void Day::take_lease(const std::string& unit) {
  auto bus = lease_ ? std::nullopt : client();
  if (!bus) return;
  const auto answer =
      bus->manager("LeaseUnit", [&](bus::Writer& out) { out.s(unit).s("replace"); });
  if (!answer) return;
  bus::Reader in(answer->get());
  static_cast<void>(in.o());
  lease_ = in.h();
}

void Day::wait_for_jobs(bool any) {
  for (int i = 0; any && i < 6000; ++i) {
    auto bus = client();
    if (!bus) return;
    const auto jobs = bus->property(bus::kManagerPath, bus::kManagerInterface, "NJobs");
    if (!jobs || jobs->number == 0) return;
    ::usleep(3000);
  }
}

bus::Properties Day::properties(const std::string& name) {
  auto bus = client();
  if (!bus) return {};
  auto found = bus->properties(bus::unit_path(name));
  return found ? *std::move(found) : bus::Properties{};
}

int Day::starts_of(const std::string& unit) {
  std::ifstream file(directory_.path(unit.substr(0, unit.find('.')) + ".starts"));
  int count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

bool Day::is_locked(const std::string& unit) {
  const sys::Fd lock(sys::adopt_fd,
                     ::open(directory_.path(unit.substr(0, unit.find('.')) + ".lock").c_str(),
                            O_RDWR | O_CLOEXEC));
  // Asked, not tried: a service that takes it at this moment must not find us there.
  struct flock whole {};
  whole.l_type = F_WRLCK;
  return lock && ::fcntl(lock.get(), F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

void Day::make_deeds() {
  const auto start = [this](const char* unit) { return [=, this] { job("StartUnit", unit); }; };
  const auto stop = [this](const char* unit) { return [=, this] { job("StopUnit", unit); }; };
  const auto ask = [this](const char* method, const char* unit) {
    return [=, this] { call(method, unit); };
  };
  for (const char* unit : {"simple.service", "notify.service", "steps.service", "once.service"}) {
    // A notification that was sent and not read dies with the socket, if nobody keeps that.
    if (!options_.keeps && std::string_view(unit) == "notify.service") continue;
    deeds_.push_back(
        {fmt::format("start {}", unit), stop(unit), ask("StartUnit", unit), {{unit, "active", 1}}});
  }
  for (const char* unit : {"simple.service", "stubborn.service", "steps.service"}) {
    const bool stubborn = std::string_view(unit) == "stubborn.service";
    deeds_.push_back({fmt::format("stop {}", unit),
                      start(unit),
                      ask("StopUnit", unit),
                      {{unit, stubborn ? "failed" : "inactive", 0}}});
  }
  deeds_.push_back({"restart simple.service",
                    start("simple.service"),
                    ask("RestartUnit", "simple.service"),
                    {{"simple.service", "active", -1}}});
  deeds_.push_back({"reload reload.service",
                    start("reload.service"),
                    ask("ReloadUnit", "reload.service"),
                    {{"reload.service", "active", 0}}});
  deeds_.push_back({"daemon-reload",
                    start("simple.service"),
                    ask("Reload", ""),
                    {{"simple.service", "active", 0}}});
  deeds_.push_back({"main process killed",
                    start("again.service"),
                    [this] {
                      const auto pid = properties("again.service").number("MainPID");
                      const auto main = sys::Pidfd::open(static_cast<pid_t>(pid));
                      if (main) static_cast<void>(main->send_signal(SIGKILL));
                      ::usleep(60000);
                    },
                    {{"again.service", "active", -1}}});
  deeds_.push_back(
      {"traffic on a socket",
       [this] {
         // With the connections that nobody accepted.
         job("StopUnit", "lazy.socket");
         job("StopUnit", "lazy.service");
         job("StartUnit", "lazy.socket");
       },
       [this] {
         const sys::Fd socket(sys::adopt_fd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
         sockaddr_un address{};
         address.sun_family = AF_UNIX;
         directory_.path("lazy.sock").copy(address.sun_path, sizeof address.sun_path - 1);
         static_cast<void>(
             ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
         ::usleep(30000);
       },
       {{"lazy.service", "active", 1}, {"lazy.socket", "active", -1}}});
}

bool Day::fail(const std::string& what) {
  std::ifstream log(directory_.path("daemon.log"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(log, line);) lines.push_back(line);
  for (std::size_t i = lines.size() > 25 ? lines.size() - 25 : 0; i < lines.size(); ++i) {
    fmt::print(stderr, "  daemon: {}\n", lines[i]);
  }
  fmt::print(stderr, "{}: {}\n", now_, what);
  return false;
}

bool Day::settle(const Deed& deed) {
  // Whoever asked and got no answer asks again; what was done is not done twice.
  constexpr int kPatience = 2000;
  for (int i = 0; i < kPatience; ++i) {
    wait_for_jobs(true);
    bool there = true;
    for (const Expected& want : deed.expected) {
      there = there && properties(want.unit).text("ActiveState") == want.state;
    }
    if (there) return true;
    // Long after nothing has moved by itself.
    if (i % 20 == 19) deed.act();
    ::usleep(5000);
  }
  return false;
}

bool Day::compare(const Deed& deed) {
  for (const Expected& want : deed.expected) {
    const auto found = properties(want.unit);
    if (found.text("ActiveState") != want.state) {
      return fail(fmt::format("{} is {} ({}) and not {}", want.unit, found.text("ActiveState"),
                              found.text("SubState"), want.state));
    }
    if (!want.unit.ends_with(".service")) continue;
    const bool runs = found.text("SubState") == "running";
    // A program that was just started takes its time to say so.
    for (int i = 0; i < 1000 && is_locked(want.unit) != runs; ++i) ::usleep(5000);
    int starts = starts_of(want.unit) - starts_before_[want.unit];
    for (int i = 0; i < 200 && starts < want.starts; ++i) {
      ::usleep(5000);
      starts = starts_of(want.unit) - starts_before_[want.unit];
    }
    if (want.starts >= 0 && starts != want.starts) {
      return fail(
          fmt::format("{} was started {} times and not {}", want.unit, starts, want.starts));
    }
    if (is_locked(want.unit) != runs) {
      return fail(fmt::format("{} is {}, its process is {}", want.unit, found.text("SubState"),
                              runs ? "gone" : "there"));
    }
  }
  if (properties("steady.service").number("MainPID") != steady_ || !is_locked("steady.service")) {
    return fail("steady.service is not what it was");
  }
  std::ifstream trouble(directory_.path("trouble"));
  std::string line;
  return !std::getline(trouble, line) || fail(line);
}

Day::Outcome Day::try_boundary(const Deed& deed, std::size_t at) {
  now_ = fmt::format("{}, boundary {}", deed.name, at);
  deed.prepare();
  for (const Expected& want : deed.expected) {
    const bool runs = properties(want.unit).text("SubState") == "running";
    for (int i = 0; runs && i < 1000 && !is_locked(want.unit); ++i) ::usleep(5000);
    starts_before_[want.unit] = starts_of(want.unit);
  }
  std::size_t seen = 0;
  const bool killed = keeper_.kill_at(at, deed.act, seen);
  if (killed) {
    ++tried_;
    if (!keeper_.start()) {
      fail("the next daemon does not come up");
      return Outcome::broken;
    }
  }
  const bool settled = settle(deed);
  if (!compare(deed) || !settled) return Outcome::broken;
  return killed ? Outcome::killed : Outcome::over;
}

/// What needs whoever started us to keep descriptors for us.
void Day::make_deeds_of_leases() {
  deeds_.push_back({"take a lease",
                    [this] {
                      lease_.reset();
                      job("StopUnit", "leased.service");
                    },
                    [this] { take_lease("leased.service"); },
                    // A lease that never reached its client ends the unit again.
                    {{"leased.service", "active", -1}}});
  deeds_.push_back({"let go of a lease",
                    [this] {
                      take_lease("leased.service");
                      wait_for_jobs(true);
                    },
                    [this] {
                      lease_.reset();
                      ::usleep(20000);
                    },
                    {{"leased.service", "inactive", -1}}});
}

int Day::run() {
  make_deeds();
  if (options_.keeps) make_deeds_of_leases();
  if (!keeper_.start()) return fail("the daemon does not come up"), 1;
  job("StartUnit", "steady.service");
  steady_ = properties("steady.service").number("MainPID");
  if (steady_ == 0) return fail("steady.service does not run"), 1;
  for (const Deed& deed : deeds_) {
    if (!options_.only.empty() && deed.name.find(options_.only) == std::string::npos) continue;
    std::size_t at = options_.first;
    const std::size_t before = tried_;
    Outcome outcome = Outcome::killed;
    for (; outcome == Outcome::killed && tried_ < options_.at_most; at += options_.every) {
      const auto begun = std::chrono::steady_clock::now();
      outcome = try_boundary(deed, at);
      const auto took = std::chrono::steady_clock::now() - begun;
      // What comes right only when a time limit has passed was lost on the way.
      if (took > kLong) {
        fail(fmt::format("took {} s",
                         std::chrono::duration_cast<std::chrono::seconds>(took).count()));
      }
    }
    if (outcome == Outcome::broken) {
      // Nothing of the day is to stay behind.
      static_cast<void>(keeper_.stop());
      return 1;
    }
    fmt::print("{}: {} boundaries\n", deed.name, tried_ - before);
    std::fflush(stdout);
  }
  const auto code = keeper_.stop();
  fmt::print("{} kills; ended with {}\n", tried_, code ? std::to_string(*code) : "a signal");
  return code == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pidward::test

int main(int argc, char** argv) {
  pidward::test::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (word == "--first") {
      options.first = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--every") {
      options.every = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--at-most") {
      options.at_most = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--without-keeper") {
      options.keeps = false;
    } else if (word == "--only") {
      options.only = value();
    } else if (word == "--disable-feature") {
      options.disabled.push_back(value());
    } else {
      fmt::print(stderr, "crash_test: unknown option {}\n", word);
      return 2;
    }
  }
  return pidward::test::Day(std::move(options)).run();
}
