#include "crash/day.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/object_path.hpp"

namespace pidward::test {
namespace {

using std::chrono::milliseconds;
constexpr std::chrono::seconds kLong(15);

}  // namespace

Keeper::Options Day::make_keeper() {
  write_units();
  Keeper::Options keeper;
  keeper.directory = directory_.path("");
  keeper.keeps_descriptors = options_.keeps;
  if (options_.memory) keeper.preload = FAIL_ALLOCATION;
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
  service("each@", "hello once", "StandardInput=socket\nStandardOutput=inherit\n");
  directory_.write("units/each.socket",
                   head + "StartLimitIntervalSec=0\n[Socket]\nAccept=yes\nListenStream=" +
                       directory_.path("each.sock") + "\n");
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

/// Waits, and is the daemon's parent meanwhile: what it is sent is taken, and orphans are reaped.
/// False: the daemon has ended.
bool Day::pause(milliseconds time) {
  waited_ += time;
  if (keeper_.look_after(time)) return true;
  ::usleep(static_cast<useconds_t>(time / std::chrono::microseconds(1)));
  return false;
}

void Day::wait_for_jobs(bool any) {
  for (int i = 0; any && i < 6000; ++i) {
    auto bus = client();
    if (!bus) return;
    const auto jobs = bus->property(bus::kManagerPath, bus::kManagerInterface, "NJobs");
    if (!jobs || jobs->number == 0) return;
    pause(milliseconds(3));
  }
}

bus::Properties Day::properties(const std::string& name) {
  auto bus = client();
  if (!bus) return {};
  auto found = bus->properties(bus::unit_path(name));
  return found ? *std::move(found) : bus::Properties{};
}

/// Whether the daemon has the process in the unit.
bool Day::is_in(pid_t pid, const std::string& unit) {
  auto bus = client();
  if (!bus) return false;
  const auto answer = bus->manager(
      "ListProcesses", [&](bus::Writer& out) { out.as(std::vector<std::string>{unit}); });
  if (!answer) return false;
  bool found = false;
  bus::Reader in(answer->get());
  for (in.enter('a', "(tuusss)"); in.enter('r', "tuusss"); in.exit()) {
    in.skip("t");
    found = static_cast<pid_t>(in.u()) == pid || found;
    in.skip("usss");
  }
  return found;
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

/// Whether the daemon that is dead left a connection: kept for it, and on record.
bool Day::left_connection() {
  for (const std::string& name : keeper_.kept("connection-")) {
    const std::string entry = "fd " + name + "\t";
    std::ifstream state(directory_.path("run/state"));
    bool is_there = false;
    // The last word on it counts.
    for (std::string line; std::getline(state, line);) {
      if (line.starts_with(entry)) is_there = line.substr(entry.size()) != "-";
    }
    if (is_there) return true;
  }
  return false;
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
    if (!pause(milliseconds(5))) return fail("the daemon ended by itself");
  }
  return fail("does not settle");
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
    for (int i = 0; i < 1000 && is_locked(want.unit) != runs; ++i) pause(milliseconds(5));
    int starts = starts_of(want.unit) - starts_before_[want.unit];
    for (int i = 0; i < 200 && starts < want.starts; ++i) {
      pause(milliseconds(5));
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
  if (std::getline(trouble, line)) return fail(line);
  if (!deed.check) return true;
  const std::string wrong = deed.check();
  return wrong.empty() || fail(wrong);
}

Day::Outcome Day::try_boundary(const Deed& deed, std::size_t at) {
  now_ = fmt::format("{}, boundary {}", deed.name, at);
  waited_ = {};
  deed.prepare();
  for (const Expected& want : deed.expected) {
    const bool runs = properties(want.unit).text("SubState") == "running";
    for (int i = 0; runs && i < 1000 && !is_locked(want.unit); ++i) pause(milliseconds(5));
    starts_before_[want.unit] = starts_of(want.unit);
  }
  const Outcome outcome = break_at(deed, at);
  if (outcome == Outcome::broken) return outcome;
  if (outcome == Outcome::killed) ++tried_;
  left_connection_ = !keeper_.is_running() && left_connection();
  if (!keeper_.is_running() && !keeper_.start()) {
    fail("the next daemon does not come up");
    return Outcome::broken;
  }
  const bool settled = settle(deed);
  if (!compare(deed) || !settled) return Outcome::broken;
  if (waited_ <= kLong) return outcome;
  // What comes right only when a time limit has passed was lost on the way.
  fail(fmt::format("waited for {} ms", waited_.count()));
  return Outcome::broken;
}

/// Over: the deed has no such boundary.
Day::Outcome Day::break_at(const Deed& deed, std::size_t at) {
  if (!options_.memory) {
    std::size_t seen = 0;
    return keeper_.kill_at(at, deed.act, seen) ? Outcome::killed : Outcome::over;
  }
  switch (keeper_.fail_at(at, deed.act)) {
    case Keeper::Failure::not_reached:
      return Outcome::over;
    case Keeper::Failure::survived:
      ++survived_;
      return Outcome::killed;
    case Keeper::Failure::ended:
      return Outcome::killed;
    case Keeper::Failure::crashed:
      break;
  }
  fail("the daemon crashed, instead of ending with a message");
  return Outcome::broken;
}

int Day::run() {
  make_deeds();
  if (options_.keeps) {
    make_deeds_of_leases();
    make_deeds_of_descriptors();
  }
  if (!keeper_.start()) return fail("the daemon does not come up"), 1;
  job("StartUnit", "steady.service");
  steady_ = properties("steady.service").number("MainPID");
  if (steady_ == 0) return fail("steady.service does not run"), 1;
  for (const Deed& deed : deeds_) {
    if (!options_.only.empty() && deed.name.find(options_.only) == std::string::npos) continue;
    std::size_t at = options_.first;
    const std::size_t before = tried_;
    // How many allocations there are depends on what the daemon did before, and on who is faster:
    // one number that is not reached is not the end yet.
    const int most_missed = options_.memory ? 3 : 1;
    Outcome outcome = Outcome::killed;
    for (int missed = 0; missed < most_missed && tried_ < options_.at_most;) {
      const auto begun = std::chrono::steady_clock::now();
      outcome = try_boundary(deed, at);
      const auto took = std::chrono::steady_clock::now() - begun;
      // Not wrong by itself: a busy machine may have stood still for us.
      if (took > kLong) {
        fail(fmt::format("took {} s, {} ms of them waiting",
                         std::chrono::duration_cast<std::chrono::seconds>(took).count(),
                         waited_.count()));
      }
      if (outcome == Outcome::broken) break;
      if (outcome == Outcome::over) {
        ++missed;
        continue;
      }
      missed = 0;
      at += options_.every;
    }
    if (outcome == Outcome::broken) {
      // Nothing of the day is to stay behind.
      if (!keeper_.is_running()) static_cast<void>(keeper_.start());
      static_cast<void>(keeper_.stop());
      return 1;
    }
    fmt::print("{}: {} boundaries\n", deed.name, tried_ - before);
    std::fflush(stdout);
  }
  const auto code = keeper_.stop();
  if (connections_ > 0) {
    fmt::print("{} of {} connections were lost\n", lost_connections_, connections_);
    std::fflush(stdout);
  }
  // Of the system calls for one connection there are few between its being accepted and its being
  // kept. Each makes several allocations: those are judged one by one.
  constexpr std::size_t kMostLost = 8;
  if (!options_.memory && lost_connections_ > kMostLost) {
    return fail(fmt::format("{} connections were lost", lost_connections_)), 1;
  }
  if (options_.memory) {
    fmt::print("{} allocations failed, {} of them were survived; ", tried_, survived_);
  } else {
    fmt::print("{} kills; ", tried_);
  }
  fmt::print("ended with {}\n", code ? std::to_string(*code) : "a signal");
  return code == 0 ? 0 : 1;
}

}  // namespace pidward::test
