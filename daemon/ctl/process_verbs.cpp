// What is done to single processes and to units' processes: kill, wait, bind; and who holds what.
#include <charconv>
#include <csignal>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "bus/object_path.hpp"
#include "ctl/outcome.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"
#include "unit/value_names.hpp"

namespace pidward::ctl {
namespace {

using nlohmann::json;

constexpr auto kWake = std::chrono::milliseconds(15000);
constexpr int kSignalBase = 128;  // as shells report a death by signal

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

struct ProcessName {
  std::optional<std::uint64_t> pid;
  std::uint64_t inode = 0;
};

std::optional<ProcessName> parse_process(const std::string& text) {
  const std::size_t colon = text.find(':');
  const auto last = number_of(colon == std::string::npos ? text : text.substr(colon + 1));
  if (!last) return std::nullopt;
  if (colon == std::string::npos) return ProcessName{{}, *last};
  const auto pid = number_of(text.substr(0, colon));
  if (!pid) return std::nullopt;
  return ProcessName{pid, *last};
}

Result<std::string> path_by_pid(Session& session, std::uint64_t pid) {
  if (pid > UINT32_MAX) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a process number", pid));
  }
  PIDWARD_TRY(const bus::MessageRef answer,
              session.client().manager("GetProcessByPID", [&](bus::Writer& out) {
                out.u(static_cast<std::uint32_t>(pid));
              }));
  return bus::Reader(answer.get()).o();
}

Result<bus::MessageRef> kill_one(Session& session, const std::string& name, int signal) {
  if (names_process(name)) {
    PIDWARD_TRY(const std::string path, find_process(session, name));
    return session.client().call(path, bus::kProcessInterface,
                                 session.options().tree ? "SignalTree" : "Signal",
                                 [&](bus::Writer& out) { out.i(signal); });
  }
  return session.client().manager(
      "KillUnit", [&](bus::Writer& out) { out.s(name).s(session.options().kill_whom).i(signal); });
}

/// A name as typed, made whole, or why it cannot be.
struct Named {
  std::string text;
  Status is_good;
};

/// Processes stay as they are, units are made whole, patterns become the loaded units that match.
std::vector<Named> units_and_processes(Session& session, int& status) {
  std::vector<Named> out;
  for (const std::string& name : session.options().names) {
    if (names_process(name)) {
      out.push_back({name, {}});
    } else if (name.find_first_of("*?[") != std::string::npos) {
      for (std::string& unit : session.unit_names({name}, status)) {
        out.push_back({std::move(unit), {}});
      }
    } else if (const auto unit = unit::UnitName::mangle(name)) {
      out.push_back({unit->str(), {}});
    } else {
      out.push_back({name, unit.error()});
    }
  }
  return out;
}

/// How something that was waited for ended: in words, for programs, and as an exit code.
struct End {
  std::string words;
  json facts;
  int exit = kSuccess;
};

/// Until the unit is down.
Result<End> wait_for_unit(Session& session, const std::string& unit) {
  bool went = false;
  for (;;) {
    auto read = session.client().properties(bus::unit_path(unit), bus::kUnitInterface);
    if (!read && read.error().code() == Errc::not_found && !std::exchange(went, true)) {
      continue;  // forgotten while it was looked at; asked again it is what there is now
    }
    PIDWARD_TRY(const bus::Properties all, std::move(read));
    const std::string& state = all.text("ActiveState");
    const bool has_job = !all.data("Job").items.empty() && all.data("Job").items[0].number != 0;
    if (!has_job && (state == "inactive" || state == "failed")) {
      const int exit = state == "failed" ? kFailure : kSuccess;
      return End{state, {{"result", state}, {"exit", exit}}, exit};
    }
    // PropertiesChanged of the unit wakes us.
    PIDWARD_TRY(const bool came, session.client().process(kWake));
    static_cast<void>(came);
  }
}

Result<End> wait_for_process(Session& session, const std::string& name) {
  PIDWARD_TRY(const std::string path, find_process(session, name));
  PIDWARD_TRY(const bus::MessageRef answer,
              session.client().call(path, bus::kProcessInterface, "Wait", {}, UINT64_MAX));
  bus::Reader in(answer.get());
  const auto code = static_cast<std::uint64_t>(in.i());
  const int number = in.i();
  End end;
  end.exit = exit_code_of_process(code, number);
  end.words = code == 0 ? std::string("ended, and nobody knows how") : exit_text(code, number);
  end.facts = {{"result", "ended"}, {"process", bus::parse_object_path(path).process.number()}};
  add_process_end(end.facts, code, number);
  return end;
}

}  // namespace

bool names_process(const std::string& text) {
  return parse_process(text).has_value();
}

Result<std::string> find_process(Session& session, const std::string& text) {
  const auto name = parse_process(text);
  if (!name) {
    return Error(Errc::invalid_argument, fmt::format("'{}' is not INODE or PID:INODE", text));
  }
  if (!name->pid) {
    PIDWARD_TRY(
        const bus::MessageRef answer,
        session.client().manager("GetProcess", [&](bus::Writer& out) { out.t(name->inode); }));
    return bus::Reader(answer.get()).o();
  }
  auto by_pid = path_by_pid(session, *name->pid);
  if (!by_pid && by_pid.error().code() == Errc::no_such_process) {
    return Error(Errc::no_such_process, fmt::format("there is no process {}, with inode {} or any "
                                                    "other",
                                                    *name->pid, name->inode));
  }
  PIDWARD_TRY(std::string path, std::move(by_pid));
  const bus::ObjectName found = bus::parse_object_path(path);
  if (found.process.number() == name->inode) return path;
  return Error(Errc::process_mismatch,
               fmt::format("process {} is the one with inode {} and not {}: the number was given "
                           "to another process",
                           *name->pid, found.process.number(), name->inode));
}

int exit_code_of_process(std::uint64_t code, int status) {
  if (code == CLD_EXITED) return status;
  if (code == CLD_KILLED || code == CLD_DUMPED) return kSignalBase + status;
  return kFailure;
}

int run_kill(Session& session) {
  if (session.options().signal == "help" || session.options().signal == "list") {
    for (int number = 1; number <= SIGRTMAX; ++number) {
      const std::string name = unit::signal_name(number);
      if (name.starts_with("SIG")) fmt::print("{:<7}{}\n", number, name);
    }
    return kSuccess;
  }
  const auto signal = unit::signal_from_text(session.options().signal);
  if (!signal) {
    return session.fail(fmt::format("there is no signal '{}'; see signal(7) for their names",
                                    session.options().signal));
  }
  if (session.options().names.empty()) {
    return session.fail("kill takes units or processes (INODE or PID:INODE)");
  }
  int status = kSuccess;
  json outcomes = json::array();
  for (const auto& [name, is_good] : units_and_processes(session, status)) {
    const auto answer = is_good ? kill_one(session, name, *signal) : is_good.error();
    if (!answer) status = report(answer.error());
    outcomes.push_back(answer ? json{{"name", name}, {"result", "signalled"}, {"signal", *signal}}
                              : failed_outcome(name, answer.error()));
  }
  if (session.options().json) say_json(outcomes);
  return status;
}

int run_wait(Session& session) {
  if (session.options().names.empty()) {
    return session.fail("wait takes units or processes (INODE or PID:INODE)");
  }
  int status = kSuccess;
  json outcomes = json::array();
  const Status watching = session.client().subscribe([](sd_bus_message*) {});
  if (!watching) return session.fail(watching.error());
  for (const auto& [name, is_good] : units_and_processes(session, status)) {
    auto end = !is_good              ? Result<End>(is_good.error())
               : names_process(name) ? wait_for_process(session, name)
                                     : wait_for_unit(session, name);
    if (!end) {
      status = report(end.error());
      outcomes.push_back(failed_outcome(name, end.error()));
      continue;
    }
    if (end->exit != kSuccess) status = end->exit;
    end->facts["name"] = name;
    outcomes.push_back(std::move(end->facts));
    if (!session.options().json && !session.options().quiet) {
      fmt::print("{}: {}\n", name, end->words);
    }
  }
  if (session.options().json) say_json(outcomes);
  return status;
}

int run_bind(Session& session) {
  const std::vector<std::string>& names = session.options().names;
  if (names.size() != 2) {
    return session.fail("bind takes a unit and a process: pidwardctl bind UNIT PID[:INODE]");
  }
  const auto unit = unit::UnitName::mangle(names[0]);
  if (!unit) return session.fail(unit.error());
  const bool is_pid = names[1].find(':') == std::string::npos;
  const auto pid = number_of(names[1]);
  if (is_pid && !pid) return session.fail(fmt::format("'{}' is not PID or PID:INODE", names[1]));
  const auto path = is_pid ? path_by_pid(session, *pid) : find_process(session, names[1]);
  if (!path) return session.fail(path.error());
  const auto got = session.client().call(*path, bus::kProcessInterface, "GetPidfd");
  if (!got) return session.fail(got.error());
  const sys::Fd pidfd = bus::Reader(got->get()).h();
  const auto answer = session.client().manager(
      "BindToProcess", [&](bus::Writer& out) { out.s(unit->str()).h(pidfd.get()); });
  if (!answer) return session.fail(answer.error());
  if (session.options().json) {
    say_json({{"unit", unit->str()},
              {"process", bus::parse_object_path(*path).process.number()},
              {"result", "bound"}});
  }
  return kSuccess;
}

int run_leases(Session& session) {
  int status = kSuccess;
  const auto answer = ask(session, "ListLeases", status);
  if (!answer) return status;
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : answer->items) rows.push_back(&row);
  if (session.options().json) {
    print_rows({"lease", "unit", "process", "policy", "uid", "pid", "since"}, rows);
    return kSuccess;
  }
  Table table(session, {"LEASE", "UNIT", "PROCESS", "POLICY", "UID", "PID", "SINCE"});
  for (const bus::Data* row : rows) {
    const std::uint64_t process = row->items[2].number;
    table.add({{std::to_string(row->items[0].number)},
               {row->items[1].text},
               {process == 0 ? "-" : std::to_string(process)},
               {row->items[3].text.empty() ? "-" : row->items[3].text},
               {std::to_string(row->items[4].number)},
               {std::to_string(row->items[5].number)},
               {ago(row->items[6].number)}});
  }
  table.print();
  legend(session, rows.size(), "leases");
  return kSuccess;
}

}  // namespace pidward::ctl
