// status, and the short questions is-active, is-failed, is-enabled.
#include <algorithm>
#include <ctime>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

Color color_of(const std::string& state) {
  if (state == "active" || state == "reloading") return Color::green;
  if (state == "failed") return Color::red;
  if (state == "activating" || state == "deactivating") return Color::yellow;
  return Color::none;
}

std::uint64_t since(const bus::Properties& all) {
  const std::string& state = all.text("ActiveState");
  if (state == "active" || state == "reloading") return all.number("ActiveEnterTimestamp");
  if (state == "inactive" || state == "failed") return all.number("InactiveEnterTimestamp");
  if (state == "activating") return all.number("InactiveExitTimestamp");
  return all.number("ActiveExitTimestamp");
}

void field(const char* name, const std::string& text) {
  fmt::print("{:>12}: {}\n", name, text);
}

void print_loaded(const bus::Properties& all) {
  std::string text = all.text("LoadState");
  if (!all.text("FragmentPath").empty()) {
    text += " (" + all.text("FragmentPath");
    if (!all.text("UnitFileState").empty()) text += "; " + all.text("UnitFileState");
    if (!all.text("UnitFilePreset").empty() && has_preset(all.text("UnitFileState"))) {
      text += "; preset: " + all.text("UnitFilePreset");
    }
    text += ")";
  }
  field("Loaded", text);
  for (const std::string& path : all.strings("DropInPaths")) field("Drop-In", path);
  const auto& error = all.data("LoadError").items;
  if (error.size() == 2 && !error[1].text.empty()) field("Error", error[1].text);
}

void print_active(Session& session, const bus::Properties& all) {
  const std::string& state = all.text("ActiveState");
  std::string text =
      session.paint(color_of(state), fmt::format("{} ({})", state, all.text("SubState")));
  if (state == "failed" && all.has("Result")) text += " (Result: " + all.text("Result") + ")";
  const std::uint64_t when = since(all);
  if (when != 0) text += fmt::format(" since {}; {}", local_time(when), ago(when));
  field("Active", text);
  if (all.text("SubState") == "auto-restart") {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t left =
        static_cast<std::int64_t>(all.number("NextRestartUSecMonotonic")) -
        (static_cast<std::int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
    field("Next try",
          fmt::format(
              "in {}; {}, {} restarts so far",
              format_span(Duration(std::max<std::int64_t>(left, 0)), std::chrono::milliseconds(1)),
              tries_text(all.number("StartTriesLeft")), all.number("NRestarts")));
  } else if (all.number("NRestarts") > 0) {
    field("Restarts", std::to_string(all.number("NRestarts")));
  }
}

void print_processes(Session& session, const bus::Properties& all) {
  const std::string& id = all.text("Id");
  const auto answer = session.client().manager(
      "ListProcesses", [&](bus::Writer& out) { out.as(std::vector<std::string>{id}); });
  if (!answer) return;
  bus::Reader in(answer->get());
  const bus::Data rows = bus::read_data(in);
  if (!all.text("ControlGroup").empty()) field("CGroup", all.text("ControlGroup"));
  for (const bus::Data& row : rows.items) {
    fmt::print("{:>14}{:>7} {} {}\n", "", row.items[1].number,
               session.paint(Color::grey,
                             fmt::format("[{} inode {}]", row.items[4].text, row.items[0].number)),
               printable(row.items[5].text));
  }
}

void print_main(const bus::Properties& all) {
  if (all.number("MainPID") != 0) {
    field("Main PID",
          fmt::format("{} (process {})", all.number("MainPID"), all.number("MainProcess")));
  } else if (all.number("ExecMainCode") != 0) {
    field("Process", exit_text(all.number("ExecMainCode"), all.data("ExecMainStatus").integer()));
  }
  if (!all.text("StatusText").empty())
    field("Status", "\"" + printable(all.text("StatusText")) + "\"");
  if (all.data("StatusErrno").integer() != 0) {
    field("Error", std::to_string(all.data("StatusErrno").integer()));
  }
}

int exit_code(const bus::Properties& all) {
  if (all.text("LoadState") == "not-found" && all.text("ActiveState") == "inactive")
    return kUnknown;
  const std::string& state = all.text("ActiveState");
  return state == "active" || state == "reloading" ? kSuccess : kNotRunning;
}

void print_status(Session& session, const bus::Properties& all) {
  const std::string& id = all.text("Id");
  const Color color = color_of(all.text("ActiveState"));
  const bool missing = all.text("LoadState") == "not-found";
  const std::string dot = session.paint(color, color == Color::none ? "\u25cb" : "\u25cf");
  const std::string& title = all.text("Description");
  fmt::print("{} {}{}\n", dot, id, title.empty() || title == id ? "" : " - " + title);
  print_loaded(all);
  if (missing) return;
  print_active(session, all);
  if (all.flag("NeedDaemonReload")) {
    field("Warning",
          session.paint(Color::yellow,
                        "the file changed since it was loaded; run 'pidwardctl daemon-reload'"));
  }
  const auto docs = all.strings("Documentation");
  for (const std::string& doc : docs) field("Docs", doc);
  for (const std::string& unit : all.strings("TriggeredBy")) field("TriggeredBy", unit);
  const auto& job = all.data("Job").items;
  if (!job.empty() && job[0].number != 0) field("Job", std::to_string(job[0].number));
  print_main(all);
  if (all.has("ControlGroup")) print_processes(session, all);
  print_diagnostics(all.data("Diagnostics"), Told::problems);
  if (session.options().lines > 0) {
    fmt::print("\n");
    std::fflush(stdout);
    print_log_tail(session, id, session.options().lines, "", stdout);
  }
}

int status_of_manager(Session& session) {
  const auto all = session.client().properties(bus::kManagerPath);
  if (!all) return report(all.error());
  if (session.options().json) {
    fmt::print("{}\n", to_json(*all));
    return kSuccess;
  }
  const std::string& state = all->text("SystemState");
  const Color color = state == "running"    ? Color::green
                      : state == "degraded" ? Color::red
                                            : Color::yellow;
  fmt::print("{} pidward {}\n", session.paint(color, "\u25cf"), all->text("Version"));
  field("State", session.paint(color, state));
  field("Units", std::to_string(all->number("NNames")) + " names loaded");
  field("Jobs", std::to_string(all->number("NJobs")) + " queued");
  field("Failed", std::to_string(all->number("NFailedUnits")) + " units");
  const std::uint64_t when = all->number("UserspaceTimestamp");
  if (when != 0) field("Since", fmt::format("{}; {}", local_time(when), ago(when)));
  const auto answer = session.client().manager("ListUnits");
  if (!answer) return report(answer.error());
  bus::Reader in(answer->get());
  const bus::Data rows = bus::read_data(in);
  for (const bus::Data& row : rows.items) {
    const std::string& active = row.items[3].text;
    if (active == "inactive") continue;
    const std::string& name = row.items[0].text;
    const bool is_service = name.size() > 8 && name.substr(name.size() - 8) == ".service";
    if (!is_service && active != "failed") continue;
    fmt::print("  {} {} {}\n", session.paint(color_of(active), "\u25cf"), name,
               session.paint(Color::grey, fmt::format("{} ({})", active, row.items[4].text)));
  }
  return kSuccess;
}

std::string name_of_pid(Session& session, const std::string& text) {
  const auto answer = session.client().manager("GetUnitByPID", [&](bus::Writer& out) {
    out.u(static_cast<std::uint32_t>(std::stoul(text)));
  });
  if (!answer) {
    report(answer.error());
    return {};
  }
  const auto id =
      session.client().property(bus::Reader(answer->get()).o(), bus::kUnitInterface, "Id");
  return id ? id->text : std::string();
}

/// The unit of PID:INODE, if the two belong together.
std::string name_of_process(Session& session, const std::string& text) {
  const auto path = find_process(session, text);
  if (!path) {
    report(path.error());
    return {};
  }
  const auto unit = session.client().property(*path, bus::kProcessInterface, "Unit");
  if (!unit) {
    report(unit.error());
    return {};
  }
  if (unit->items[0].text.empty()) complain(fmt::format("process {} is in no unit", text));
  return unit->items[0].text;
}

}  // namespace

int run_status(Session& session) {
  const bool is_narrowed = !session.options().states.empty() || !session.options().types.empty();
  if (session.options().names.empty() && !is_narrowed) return status_of_manager(session);
  int status = kSuccess;
  std::vector<std::string> names;
  Options numbers_out = session.options();
  numbers_out.names.clear();
  for (const std::string& text : session.options().names) {
    const bool is_pid = !text.empty() && text.size() < 10 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    const bool has_inode = text.find(':') != std::string::npos && names_process(text);
    if (!is_pid && !has_inode) {
      numbers_out.names.push_back(text);
      continue;
    }
    const std::string name =
        has_inode ? name_of_process(session, text) : name_of_pid(session, text);
    if (name.empty()) return kUnknown;
    names.push_back(name);
  }
  Session by_name(numbers_out);
  if (session.options().names.empty()) names = session.matching_units("*", status);
  for (std::string& name : by_name.unit_names(status)) names.push_back(std::move(name));
  bool first = true;
  if (session.options().json) fmt::print("[");
  for (const std::string& name : names) {
    const auto all = session.client().properties(bus::unit_path(name));
    if (!all) {
      status = report(all.error());
      continue;
    }
    if (session.options().json) {
      fmt::print("{}{}", first ? "" : ",\n", to_json(*all));
    } else {
      if (!first) fmt::print("\n");
      if (exit_code(*all) == kUnknown) complain(fmt::format("Unit {} could not be found.", name));
      print_status(session, *all);
    }
    first = false;
    status = std::max(status, exit_code(*all));
  }
  if (session.options().json) fmt::print("]\n");
  return status;
}

int run_is_active(Session& session) {
  if (session.lacks_names()) return kFailure;
  const bool failed = session.options().verb == "is-failed";
  int status = kSuccess;
  bool any = false;
  for (const std::string& name : session.unit_names(status)) {
    const auto state =
        session.client().property(bus::unit_path(name), bus::kUnitInterface, "ActiveState");
    const std::string text = state ? state->text : "unknown";
    if (!session.options().quiet) fmt::print("{}\n", text);
    any = any || (failed ? text == "failed" : text == "active" || text == "reloading");
  }
  if (any) return kSuccess;
  return failed ? kFailure : kNotRunning;
}

int run_is_enabled(Session& session) {
  if (session.lacks_names()) return kFailure;
  int status = kSuccess;
  bool any = false;
  for (const std::string& name : session.unit_names(status)) {
    const auto answer =
        session.client().manager("GetUnitFileState", [&](bus::Writer& out) { out.s(name); });
    if (!answer) {
      status = kFailure;
      if (!session.options().quiet) report(answer.error());
      continue;
    }
    const std::string state = bus::Reader(answer->get()).s();
    if (!session.options().quiet) fmt::print("{}\n", state);
    any = any || state == "enabled" || state == "enabled-runtime" || state == "static" ||
          state == "alias" || state == "indirect" || state == "generated" || state == "transient";
  }
  return any ? status : kFailure;
}

}  // namespace pidward::ctl
