// The daemon itself: environment, reload, state, exit.
#include <ctime>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"

namespace pidward::ctl {

int run_environment(Session& session) {
  const Options& options = session.options();
  if (options.verb == "show-environment") {
    const auto block =
        session.client().property(bus::kManagerPath, bus::kManagerInterface, "Environment");
    if (!block) return report(block.error());
    if (options.json) {
      fmt::print("{}\n", to_json(*block));
      return kSuccess;
    }
    for (const std::string& line : block->strings()) fmt::print("{}\n", line);
    return kSuccess;
  }
  if (options.names.empty()) {
    complain(fmt::format("{} needs at least one {}", options.verb,
                         options.verb == "set-environment" ? "NAME=VALUE" : "name"));
    return kFailure;
  }
  const char* method = options.verb == "set-environment" ? "SetEnvironment" : "UnsetEnvironment";
  const auto answer =
      session.client().manager(method, [&](bus::Writer& out) { out.as(options.names); });
  return answer ? kSuccess : report(answer.error());
}

int run_daemon_reload(Session& session) {
  const auto answer = session.client().manager("ReloadAndReport");
  if (!answer) return report(answer.error());
  bus::Reader in(answer->get());
  const bus::Data found = bus::read_data(in);
  if (!session.options().quiet) print_diagnostics(found, Told::all);
  return kSuccess;
}

int run_daemon_reexec(Session& session) {
  const auto answer = session.client().manager("Reexecute");
  if (answer) return kSuccess;
  if (sd_bus_is_open(session.client().get()) > 0) return report(answer.error());
  // It is there again as soon as it answers: who is about to execute itself can still be reached.
  constexpr int kPatience = 600;
  for (int i = 0; i < kPatience; ++i) {
    auto again = bus::Client::connect(session.options().place);
    if (again && again->property(bus::kManagerPath, bus::kManagerInterface, "Version")) {
      return kSuccess;
    }
    const timespec nap{0, 100'000'000};
    ::nanosleep(&nap, nullptr);
  }
  complain("pidward did not come back; see its log");
  return kFailure;
}

int run_is_system_running(Session& session) {
  // Who asks this is to have a word also where there is nobody to ask.
  if (const auto reached = bus::Client::connect(session.options().place); !reached) {
    if (session.options().quiet) return kFailure;
    fmt::print("offline\n");
    return report(reached.error());
  }
  const auto state =
      session.client().property(bus::kManagerPath, bus::kManagerInterface, "SystemState");
  const std::string word = state ? state->text : "unknown";
  if (!session.options().quiet) fmt::print("{}\n", word);
  return word == "running" ? kSuccess : kFailure;
}

int run_exit(Session& session) {
  const std::vector<std::string>& names = session.options().names;
  if (!names.empty()) {
    const bool is_number = names[0].size() < 4 && !names[0].empty() &&
                           names[0].find_first_not_of("0123456789") == std::string::npos;
    if (names.size() > 1 || !is_number || std::stoul(names[0]) > 255) {
      complain("exit takes one exit code from 0 to 255");
      return kFailure;
    }
    const auto set = session.client().manager("SetExitCode", [&](bus::Writer& out) {
      out.y(static_cast<std::uint8_t>(std::stoul(names[0])));
    });
    if (!set) return report(set.error());
  }
  const auto answer = session.client().manager("Exit");
  return answer ? kSuccess : report(answer.error());
}

}  // namespace pidward::ctl
