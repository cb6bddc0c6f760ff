// What happens in the course of the day.
#include <csignal>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "crash/day.hpp"

namespace pidward::test {
namespace {

constexpr int kPatienceMs = 20000;

/// What has come so far, once there is anything or the other end is closed.
std::string text_from(const sys::Fd& fd) {
  pollfd wait{fd.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) return "nothing";
  char bytes[256];
  const ssize_t length = ::read(fd.get(), bytes, sizeof bytes);
  return {bytes, static_cast<std::size_t>(length > 0 ? length : 0)};
}

int sleep_on(void* /*argument*/) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) ::pause();
  return 0;
}

}  // namespace

sys::Fd Day::connect_to(const std::string& socket) {
  sys::Fd made(sys::adopt_fd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory_.path(socket).copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    made.reset();
  }
  return made;
}

void Day::start_transient(const std::string& unit,
                          const std::function<void(bus::Writer&)>& settings) {
  auto bus = client();
  if (!bus) return;
  static_cast<void>(bus->manager("StartTransientUnit", [&](bus::Writer& out) {
    out.s(unit).s("replace").open_array("(sv)");
    out.open_struct("sv").s("DefaultDependencies").open_variant("b").b(false).close().close();
    settings(out);
    out.close().open_array("(sa(sv))").close();
  }));
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
  deeds_.push_back({"traffic on a socket",
                    [this] {
                      // With the connections that nobody accepted.
                      job("StopUnit", "lazy.socket");
                      job("StopUnit", "lazy.service");
                      job("StartUnit", "lazy.socket");
                    },
                    [this] {
                      static_cast<void>(connect_to("lazy.sock"));
                      ::usleep(30000);
                    },
                    {{"lazy.service", "active", 1}, {"lazy.socket", "active", -1}}});
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

/// What the next daemon can only have because somebody kept it.
void Day::make_deeds_of_descriptors() {
  deeds_.push_back({"a connection that a service is made for",
                    [this] {
                      connection_.reset();
                      job("StopUnit", "each.socket");
                      job("StartUnit", "each.socket");
                    },
                    [this] {
                      if (!connection_) connection_ = connect_to("each.sock");
                      ::usleep(30000);
                    },
                    {{"each.socket", "active", -1}},
                    [this]() -> std::string {
                      if (!connection_) return "the socket does not listen";
                      const std::string answer = text_from(connection_);
                      // One that is accepted as the daemon dies is closed, unless it was kept.
                      ++connections_;
                      lost_connections_ += answer.empty() ? 1 : 0;
                      if (answer.empty() && left_connection_) return "a kept connection is lost";
                      if (answer.empty() || answer == "hello\n") return {};
                      return fmt::format("the connection is answered '{}'", answer);
                    }});
  deeds_.push_back(
      {"a unit on request with a stream of its own",
       [this] {
         job("StopUnit", "piped.service");
         if (auto made = sys::make_pipe()) stream_ = *std::move(made);
       },
       [this] {
         start_transient("piped.service", [this](bus::Writer& out) {
           out.open_struct("sv").s("ExecStart").open_variant("a(sasb)").open_array("(sasb)");
           const std::vector<std::string> words{CRASH_SERVICE, directory_.path(""), "piped",
                                                "hello"};
           out.open_struct("sasb").s(CRASH_SERVICE).as(words).b(false).close();
           out.close().close().close();
           out.open_struct("sv").s("StandardOutputFileDescriptor").open_variant("h");
           out.h(stream_.write_end.get()).close().close();
         });
       },
       {{"piped.service", "active", 1}},
       [this]() -> std::string {
         job("RestartUnit", "piped.service");
         std::string all;
         while (all != "hello\nhello\n") {
           const std::string more = text_from(stream_.read_end);
           if (more.empty() || more == "nothing") return fmt::format("its stream has '{}'", all);
           all += more;
         }
         return {};
       }});
  deeds_.push_back({"a scope",
                    [this] {
                      job("StopUnit", "crash.scope");
                      auto stack = sys::ChildStack::create(1 << 20);
                      sys::CloneRequest request;
                      request.share_memory = false;
                      auto made = sys::spawn_on_stack(request, *stack, sleep_on, nullptr);
                      if (made) stranger_ = *std::move(made);
                    },
                    [this] {
                      start_transient("crash.scope", [this](bus::Writer& out) {
                        out.open_struct("sv").s("PIDFDs").open_variant("ah").open_array("h");
                        out.h(stranger_.pidfd.get()).close().close().close();
                      });
                    },
                    {{"crash.scope", "active", -1}},
                    [this]() -> std::string {
                      const auto ended = stranger_.pidfd.has_ended();
                      if (!ended || *ended) return "the process of the scope is dead";
                      return is_in(stranger_.pid, "crash.scope") ? "" : "the scope has it not";
                    }});
}

}  // namespace pidward::test
