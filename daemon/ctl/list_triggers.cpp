// Listings of what starts other units: timers and paths.
#include <algorithm>
#include <ctime>

#include <fmt/core.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

#include "base/time.hpp"
#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

using nlohmann::json;

std::uint64_t clock_usec(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000U;
}

/// Loaded units of one type (".timer") that match the names on the command line; inactive ones only
/// with --all or when they are asked for.
std::vector<std::string> units_of_type(Session& session, const std::string& suffix, int& status) {
  const auto answer =
      session.client().manager("ListUnitsFiltered", [](bus::Writer& out) { out.as({}); });
  std::vector<std::string> names;
  if (!answer) {
    status = report(answer.error());
    return names;
  }
  const Options& options = session.options();
  bus::Reader in(answer->get());
  for (const bus::Data& row : bus::read_data(in).items) {
    const std::string& name = row.items[0].text;
    const bool named =
        std::any_of(options.names.begin(), options.names.end(), [&](const std::string& pattern) {
          return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0 ||
                 ::fnmatch((pattern + suffix).c_str(), name.c_str(), 0) == 0;
        });
    const bool wanted =
        options.names.empty() ? options.all || row.items[3].text != "inactive" : named;
    if (name.ends_with(suffix) && wanted) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct TimerRow {
  std::string unit, activates;
  std::uint64_t next = 0, last = 0;  ///< on the wall clock, 0: never
};

std::string span_text(std::uint64_t usec) {
  constexpr Duration kSecond = std::chrono::seconds(1);
  return format_span(Duration(static_cast<Duration::rep>(usec)), kSecond);
}

void print_json(const std::vector<TimerRow>& rows, std::uint64_t now) {
  json list = json::array();
  for (const TimerRow& row : rows) {
    json object{{"unit", row.unit}, {"activates", row.activates}};
    object["next"] = row.next == 0 ? json() : json(row.next);
    object["left"] = row.next == 0 ? json() : json(row.next > now ? row.next - now : 0);
    object["last"] = row.last == 0 ? json() : json(row.last);
    object["passed"] = row.last == 0 ? json() : json(now > row.last ? now - row.last : 0);
    list.push_back(std::move(object));
  }
  fmt::print("{}\n", list.dump(-1, ' ', false, json::error_handler_t::replace));
}

TimerRow timer_row(const std::string& name, const bus::Properties& timer, std::uint64_t offset) {
  TimerRow row{name, timer.text("Unit"), timer.number("NextElapseUSecRealtime"),
               timer.number("LastTriggerUSec")};
  const std::uint64_t monotonic = timer.number("NextElapseUSecMonotonic");
  if (monotonic != 0 && monotonic != UINT64_MAX) {
    const std::uint64_t at = monotonic + offset;
    row.next = row.next == 0 ? at : std::min(row.next, at);
  }
  return row;
}

}  // namespace

int run_list_timers(Session& session) {
  int status = kSuccess;
  const std::vector<std::string> names = units_of_type(session, ".timer", status);
  if (status != kSuccess) return status;
  const std::uint64_t now = clock_usec(CLOCK_REALTIME);
  const std::uint64_t offset = now - clock_usec(CLOCK_MONOTONIC);
  std::vector<TimerRow> rows;
  for (const std::string& name : names) {
    const auto timer = session.client().properties(bus::unit_path(name), "org.pidward1.Timer");
    if (timer) rows.push_back(timer_row(name, *timer, offset));
  }
  // Those that never elapse come last.
  std::stable_sort(rows.begin(), rows.end(),
                   [](const TimerRow& a, const TimerRow& b) { return a.next - 1 < b.next - 1; });
  if (session.options().json) {
    print_json(rows, now);
    return kSuccess;
  }
  Table table(session, {"NEXT", "LEFT", "LAST", "PASSED", "UNIT", "ACTIVATES"});
  for (const TimerRow& row : rows) {
    table.add({{row.next == 0 ? "-" : local_time(row.next)},
               {row.next == 0 ? "-" : span_text(row.next > now ? row.next - now : 0)},
               {row.last == 0 ? "-" : local_time(row.last)},
               {row.last == 0 ? "-" : ago(row.last)},
               {row.unit},
               {row.activates}});
  }
  table.print();
  if (!session.options().no_legend) fmt::print("\n{} timers listed.\n", rows.size());
  return kSuccess;
}

int run_list_paths(Session& session) {
  int status = kSuccess;
  const std::vector<std::string> names = units_of_type(session, ".path", status);
  if (status != kSuccess) return status;
  json list = json::array();
  Table table(session, {"PATH", "CONDITION", "UNIT", "ACTIVATES"});
  for (const std::string& name : names) {
    const auto unit = session.client().properties(bus::unit_path(name), "org.pidward1.Path");
    if (!unit) continue;
    for (const bus::Data& watched : unit->data("Paths").items) {
      const std::string& condition = watched.items[0].text;
      const std::string& path = watched.items[1].text;
      const std::string& activates = unit->text("Unit");
      table.add({{path}, {condition}, {name}, {activates}});
      list.push_back(
          {{"path", path}, {"condition", condition}, {"unit", name}, {"activates", activates}});
    }
  }
  if (session.options().json) {
    fmt::print("{}\n", list.dump(-1, ' ', false, json::error_handler_t::replace));
    return kSuccess;
  }
  table.print();
  if (!session.options().no_legend) fmt::print("\n{} paths listed.\n", table.size());
  return kSuccess;
}

}  // namespace pidward::ctl
