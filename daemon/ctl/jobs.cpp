// Verbs that queue jobs, and waiting for them: shows what is waited for, and why something failed.
#include <algorithm>
#include <chrono>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/job_waiter.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

using std::chrono::milliseconds;
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

/// The exit code of a job that is not to be waited for; nothing for one that was queued.
std::optional<int> queue(Session& session, JobWaiter& waiter, const VerbMethod& method,
                         const std::string& unit) {
  const std::string mode =
      session.options().verb == "isolate" ? "isolate" : session.options().job_mode;
  const auto answer =
      session.client().manager(method.method, [&](bus::Writer& out) { out.s(unit).s(mode); });
  if (!answer) {
    // What is masked does not run, so that there is nothing to try.
    const bool tries = session.options().verb.starts_with("try-");
    if (tries && answer.error().code() == Errc::unit_masked) return kSuccess;
    const int code = exit_code_of(answer.error());
    if (!session.options().quiet) {
      complain(fmt::format("Failed to {} {}: {}", session.options().verb, unit,
                           answer.error().to_string()));
      if (code != kNotInstalled) show_file_news(session, unit);
    }
    return code;
  }
  waiter.add(bus::Reader(answer->get()).o(), unit);
  return std::nullopt;
}

}  // namespace

int change_units(Session& session, const std::string& verb, const std::vector<std::string>& names) {
  const VerbMethod& method = method_of(verb);
  JobWaiter waiter(session);
  if (!session.options().no_block) {
    if (const Status watching = waiter.watch(); !watching) return report(watching.error());
  }
  int status = kSuccess;
  std::vector<std::string> accepted;
  for (const std::string& unit : names) {
    if (const auto failed = queue(session, waiter, method, unit)) {
      if (*failed != kSuccess) status = *failed;
    } else {
      accepted.push_back(unit);
    }
  }
  if (!session.options().no_block) {
    const int waited = waiter.wait(method.noun);
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
  if (session.lacks_names()) return kFailure;
  int status = kSuccess;
  // A name without suffix is a target for isolate, as with systemctl.
  const bool isolates = session.options().verb == "isolate";
  const std::vector<std::string> names = session.unit_names(
      session.options().names, status, isolates ? unit::UnitType::target : unit::UnitType::service);
  if (isolates && (names.size() > 1 || session.options().names.size() > 1)) {
    complain("isolate takes exactly one unit");
    return kFailure;
  }
  if (names.empty()) return status;
  const int changed = change_units(session, session.options().verb, names);
  return changed != kSuccess ? changed : status;
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
