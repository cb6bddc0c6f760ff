#include "ctl/job_waiter.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

using std::chrono::milliseconds;
constexpr auto kPatience = milliseconds(3000);
constexpr auto kRepeat = milliseconds(15000);

/// What pidward starts by seeing that it is there already.
bool is_others_to_make(const std::string& name) {
  const auto parsed = unit::UnitName::parse(name);
  return parsed && !unit::is_managed(parsed->type());
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
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", row.items[1].number,
                        printable(row.items[5].text));
  }
  return text;
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

}  // namespace

JobWaiter::~JobWaiter() {
  if (watching_) session_.client().unsubscribe();
}

Status JobWaiter::watch() {
  bus::Client& client = session_.client();  // there is nothing to undo if this gives up
  watching_ = true;
  return client.subscribe([this](sd_bus_message* message) { job_removed(message); });
}

void JobWaiter::add(const std::string& path, const std::string& unit) {
  const auto early = early_.find(path);
  if (early != early_.end()) {
    ended_.emplace_back(unit, early->second);
  } else {
    waiting_[path] = unit;
  }
}

void JobWaiter::job_removed(sd_bus_message* message) {
  if (sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") <= 0) return;
  bus::Reader in(message);
  in.u();
  const std::string path = in.o();
  const std::string unit = in.s();
  const std::string result = in.s();
  const auto found = waiting_.find(path);
  if (found == waiting_.end()) {
    early_[path] = result;
    return;
  }
  ended_.emplace_back(found->second, result);
  waiting_.erase(found);
}

/// "waiting for web.service: start job, activating (start-pre), processes 4711 (sleep 60)".
void JobWaiter::show_what_is_waited_for() {
  const auto answer = session_.client().manager("ListJobs");
  if (!answer) return;
  bus::Reader in(answer->get());
  const bus::Data jobs = bus::read_data(in);
  for (const bus::Data& job : jobs.items) {
    const bool ours = waiting_.count(job.items[4].text) > 0;
    const bool running = job.items[3].text == "running";
    // Ours may be waiting for others, which are then what everybody waits for.
    if (!ours && !running) continue;
    const std::string& unit = job.items[1].text;
    const std::string path = job.items[5].text;
    const auto state = session_.client().property(path, bus::kUnitInterface, "SubState");
    const std::string processes = process_line(session_, unit);
    fmt::print(stderr, "Waiting for {}: {} job is {}, {}{}{}\n", unit, job.items[2].text,
               job.items[3].text, state ? state->text : "unknown",
               processes.empty() ? "" : ", processes ", processes);
  }
}

int JobWaiter::wait(const char* noun) {
  milliseconds patience = session_.options().quiet ? kRepeat * 1000 : kPatience;
  auto deadline = std::chrono::steady_clock::now() + patience;
  while (!waiting_.empty()) {
    const auto left = std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(
                                                    deadline - std::chrono::steady_clock::now()));
    const auto came = session_.client().process(left);
    if (!came) return report(came.error());
    if (std::chrono::steady_clock::now() < deadline) continue;
    show_what_is_waited_for();
    deadline = std::chrono::steady_clock::now() + kRepeat;
  }
  int status = kSuccess;
  for (const auto& [unit, result] : ended_) {
    const bool missing = result == "skipped" && is_others_to_make(unit);
    if (result == "done" || (result == "skipped" && !missing)) continue;
    status = kFailure;
    if (session_.options().quiet) continue;
    if (missing) {
      complain(
          fmt::format("{} is not there, and pidward makes no units of its type: they are as "
                      "the system has them",
                      unit));
      continue;
    }
    complain(fmt::format("The {} job for {} {}", noun, unit, sentence_of(result)));
    if (result == "failed" || result == "timeout") explain_failure(session_, unit);
  }
  return status;
}

}  // namespace pidward::ctl
