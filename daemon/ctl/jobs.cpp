// Verbs that queue jobs, and waiting for them: shows what is waited for, and why something failed.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"
#include "unit/value_names.hpp"

namespace pidward::ctl {
namespace {

using std::chrono::milliseconds;
constexpr auto kPatience = milliseconds(3000);
constexpr auto kRepeat = milliseconds(15000);

struct VerbMethod {
  const char* verb;
  const char* method;
  const char* noun;  ///< in "A … job is running"
};
constexpr VerbMethod kMethods[] = {
    {"start", "StartUnit", "start"},
    {"stop", "StopUnit", "stop"},
    {"restart", "RestartUnit", "restart"},
    {"try-restart", "TryRestartUnit", "restart"},
    {"reload", "ReloadUnit", "reload"},
    {"reload-or-restart", "ReloadOrRestartUnit", "restart"},
    {"try-reload-or-restart", "ReloadOrTryRestartUnit", "restart"},
    {"isolate", "StartUnit", "start"},
};

const VerbMethod& method_of(const std::string& verb) {
  for (const VerbMethod& method : kMethods) {
    if (verb == method.verb) return method;
  }
  return kMethods[0];
}

/// Jobs that were asked for, and how those ended that did.
struct Pending {
  std::map<std::string, std::string> waiting;              ///< job path → unit
  std::vector<std::pair<std::string, std::string>> ended;  ///< unit, result
  std::map<std::string, std::string> early;  ///< ended before the reply that named them
};

void job_removed(Pending& pending, sd_bus_message* message) {
  if (sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") <= 0) return;
  bus::Reader in(message);
  in.u();
  const std::string path = in.o();
  const std::string unit = in.s();
  const std::string result = in.s();
  const auto found = pending.waiting.find(path);
  if (found == pending.waiting.end()) {
    pending.early[path] = result;
    return;
  }
  pending.ended.emplace_back(found->second, result);
  pending.waiting.erase(found);
}

std::string process_line(Session& session, const std::string& unit) {
  const auto answer = session.client().manager(
      "ListProcesses", [&](bus::Writer& out) { out.as(std::vector<std::string>{unit}); });
  if (!answer) return {};
  bus::Reader in(answer->get());
  const bus::Data rows = bus::read_data(in);
  std::string text;
  for (const bus::Data& row : rows.items) {
    if (text.size() > 200) return text + ", \u2026";
    text +=
        fmt::format("{}{} ({})", text.empty() ? "" : ", ", row.items[1].number, row.items[5].text);
  }
  return text;
}

/// "waiting for web.service: start job, activating (start-pre), processes 4711 (sleep 60)".
void show_what_is_waited_for(Session& session, const Pending& pending) {
  const auto answer = session.client().manager("ListJobs");
  if (!answer) return;
  bus::Reader in(answer->get());
  const bus::Data jobs = bus::read_data(in);
  for (const bus::Data& job : jobs.items) {
    const bool ours = pending.waiting.count(job.items[4].text) > 0;
    const bool running = job.items[3].text == "running";
    // Ours may be waiting for others, which are then what everybody waits for.
    if (!ours && !running) continue;
    const std::string& unit = job.items[1].text;
    const std::string path = job.items[5].text;
    const auto state = session.client().property(path, bus::kUnitInterface, "SubState");
    const std::string processes = process_line(session, unit);
    fmt::print(stderr, "Waiting for {}: {} job is {}, {}{}{}\n", unit, job.items[2].text,
               job.items[3].text, state ? state->text : "unknown",
               processes.empty() ? "" : ", processes ", processes);
  }
}

std::string_view sentence_of(const std::string& result) {
  if (result == "canceled") return "was canceled.";
  if (result == "timeout") return "timed out.";
  if (result == "dependency") return "failed because a dependency failed.";
  if (result == "invalid") return "is not possible: the unit is not active, cannot reload.";
  if (result == "assert") return "failed: an assertion of the unit does not hold.";
  if (result == "unsupported") return "is not possible for this kind of unit on this system.";
  if (result == "collected") return "was dropped: the unit is needed no more.";
  if (result == "once") return "is not possible: the unit was started once already.";
  return "failed.";
}

int wait_for_jobs(Session& session, Pending& pending, const VerbMethod& method) {
  milliseconds patience = session.options().quiet ? kRepeat * 1000 : kPatience;
  auto deadline = std::chrono::steady_clock::now() + patience;
  while (!pending.waiting.empty()) {
    const auto left = std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(
                                                    deadline - std::chrono::steady_clock::now()));
    const auto came = session.client().process(left);
    if (!came) return report(came.error());
    if (std::chrono::steady_clock::now() < deadline) continue;
    show_what_is_waited_for(session, pending);
    deadline = std::chrono::steady_clock::now() + kRepeat;
  }
  int status = kSuccess;
  for (const auto& [unit, result] : pending.ended) {
    if (result == "done" || result == "skipped") continue;
    status = kFailure;
    if (session.options().quiet) continue;
    complain(fmt::format("The {} job for {} {}", method.noun, unit, sentence_of(result)));
    if (result == "failed" || result == "timeout") explain_failure(session, unit);
  }
  return status;
}

/// After the job: what the loader said about the file, and whether the file has changed since.
void show_file_news(Session& session, const std::string& unit) {
  const std::string path = bus::unit_path(unit);
  if (const auto found = session.client().property(path, bus::kUnitInterface, "Diagnostics")) {
    print_diagnostics(*found, Told::problems);
  }
  const auto stale = session.client().property(path, bus::kUnitInterface, "NeedDaemonReload");
  if (stale && stale->number != 0) {
    fmt::print(stderr,
               "Warning: the unit file, source configuration file or drop-ins of {} changed on "
               "disk. Run 'pidwardctl daemon-reload' to load them.\n",
               unit);
  }
}

/// --wait: until the units are inactive again.
int wait_until_inactive(Session& session, const std::vector<std::string>& units) {
  int status = kSuccess;
  for (const std::string& unit : units) {
    for (;;) {
      const auto all = session.client().properties(bus::unit_path(unit), bus::kUnitInterface);
      if (!all) return report(all.error());
      const std::string& state = all->text("ActiveState");
      const bool has_job = !all->data("Job").items.empty() && all->data("Job").items[0].number != 0;
      if (!has_job && (state == "inactive" || state == "failed")) {
        if (state == "failed") status = kFailure;
        break;
      }
      // PropertiesChanged of the unit wakes us.
      const auto came = session.client().process(kRepeat);
      if (!came) return report(came.error());
    }
  }
  return status;
}

std::optional<int> queue(Session& session, Pending& pending, const VerbMethod& method,
                         const std::string& unit) {
  const std::string mode =
      session.options().verb == "isolate" ? "isolate" : session.options().job_mode;
  const auto answer =
      session.client().manager(method.method, [&](bus::Writer& out) { out.s(unit).s(mode); });
  if (!answer) {
    const int code = exit_code_of(answer.error());
    if (!session.options().quiet) {
      complain(fmt::format("Failed to {} {}: {}", session.options().verb, unit,
                           answer.error().to_string()));
    }
    return code;
  }
  const std::string path = bus::Reader(answer->get()).o();
  const auto early = pending.early.find(path);
  if (early != pending.early.end()) {
    pending.ended.emplace_back(unit, early->second);
  } else {
    pending.waiting[path] = unit;
  }
  return std::nullopt;
}

}  // namespace

int change_units(Session& session, const std::string& verb, const std::vector<std::string>& names) {
  const VerbMethod& method = method_of(verb);
  Pending pending;
  if (!session.options().no_block) {
    const Status watching = session.client().subscribe(
        [&pending](sd_bus_message* message) { job_removed(pending, message); });
    if (!watching) return report(watching.error());
  }
  int status = kSuccess;
  std::vector<std::string> accepted;
  for (const std::string& unit : names) {
    if (const auto failed = queue(session, pending, method, unit)) {
      status = *failed;
    } else {
      accepted.push_back(unit);
    }
  }
  if (!session.options().no_block) {
    const int waited = wait_for_jobs(session, pending, method);
    if (waited != kSuccess) status = waited;
  }
  if (!session.options().quiet && verb != "stop") {
    for (const std::string& unit : accepted) show_file_news(session, unit);
  }
  if (session.options().wait && !session.options().no_block && status == kSuccess) {
    status = wait_until_inactive(session, accepted);
  }
  return status;
}

int run_jobs(Session& session) {
  int status = kSuccess;
  std::vector<std::string> names = session.unit_names(status);
  if (session.options().verb == "isolate") {
    // A name without suffix is a target here, as with systemctl.
    names.clear();
    for (const std::string& typed : session.options().names) {
      const auto name = unit::UnitName::mangle(typed, unit::UnitType::target);
      if (!name) return report(name.error());
      names.push_back(name->str());
    }
    if (names.size() != 1) {
      complain("isolate takes exactly one unit");
      return kFailure;
    }
  }
  if (names.empty()) return status == kSuccess ? kFailure : status;
  const int changed = change_units(session, session.options().verb, names);
  return changed != kSuccess ? changed : status;
}

int run_kill(Session& session) {
  const auto signal = unit::signal_from_text(session.options().signal);
  if (!signal) {
    complain(fmt::format("there is no signal '{}'; see signal(7) for their names",
                         session.options().signal));
    return kFailure;
  }
  int status = kSuccess;
  for (const std::string& unit : session.unit_names(status)) {
    const auto answer = session.client().manager("KillUnit", [&](bus::Writer& out) {
      out.s(unit).s(session.options().kill_whom).i(*signal);
    });
    if (!answer) status = report(answer.error());
  }
  return status;
}

int run_reset_failed(Session& session) {
  if (session.options().names.empty()) {
    const auto answer = session.client().manager("ResetFailed");
    return answer ? kSuccess : report(answer.error());
  }
  int status = kSuccess;
  for (const std::string& unit : session.unit_names(status)) {
    const auto answer =
        session.client().manager("ResetFailedUnit", [&](bus::Writer& out) { out.s(unit); });
    if (!answer) status = report(answer.error());
  }
  return status;
}

int run_cancel(Session& session) {
  if (session.options().names.empty()) {
    const auto answer = session.client().manager("ClearJobs");
    return answer ? kSuccess : report(answer.error());
  }
  int status = kSuccess;
  for (const std::string& text : session.options().names) {
    const bool is_number = !text.empty() && text.size() < 10 &&
                           text.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number) {
      complain(fmt::format("'{}' is not the number of a job; list-jobs shows them", text));
      status = kFailure;
      continue;
    }
    const auto answer = session.client().manager("CancelJob", [&](bus::Writer& out) {
      out.u(static_cast<std::uint32_t>(std::stoul(text)));
    });
    if (!answer) status = report(answer.error());
  }
  return status;
}

}  // namespace pidward::ctl
