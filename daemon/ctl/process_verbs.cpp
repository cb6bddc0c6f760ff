// What is done to single processes and to units' processes: kill, wait, bind; and who holds what.
#include <charconv>

#include <fmt/core.h>
#include <sys/wait.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"
#include "unit/value_names.hpp"

namespace pidward::ctl {
namespace {

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

/// One line of JSON for each name: what became of it.
void print_outcomes(const std::vector<std::pair<std::string, std::string>>& outcomes) {
  bus::Data list{.type = 'a', .contents = "a{ss}"};
  for (const auto& [name, outcome] : outcomes) {
    bus::Data object{.type = 'a', .contents = "{ss}"};
    const auto add = [&object](const char* key, const std::string& value) {
      object.items.push_back(
          {.type = 'e', .items = {{.type = 's', .text = key}, {.type = 's', .text = value}}});
    };
    add("name", name);
    add("result", outcome);
    list.items.push_back(std::move(object));
  }
  fmt::print("{}\n", to_json(list));
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

/// Names as typed: processes stay, units are made whole.
std::vector<std::string> units_and_processes(Session& session, int& status) {
  std::vector<std::string> out;
  std::vector<std::string> units;
  for (const std::string& name : session.options().names) {
    (names_process(name) ? out : units).push_back(name);
  }
  for (std::string& unit : session.unit_names(units, status)) out.push_back(std::move(unit));
  return out;
}

/// Until the unit is down. The words of its end; the exit code is in `status`.
Result<std::string> wait_for_unit(Session& session, const std::string& unit, int& status) {
  for (;;) {
    PIDWARD_TRY(const bus::Properties all,
                session.client().properties(bus::unit_path(unit), bus::kUnitInterface));
    const std::string& state = all.text("ActiveState");
    const bool has_job = !all.data("Job").items.empty() && all.data("Job").items[0].number != 0;
    if (!has_job && (state == "inactive" || state == "failed")) {
      status = state == "failed" ? kFailure : kSuccess;
      return state;
    }
    // PropertiesChanged of the unit wakes us.
    PIDWARD_TRY(const bool came, session.client().process(kWake));
    static_cast<void>(came);
  }
}

Result<std::string> wait_for_process(Session& session, const std::string& name, int& status) {
  PIDWARD_TRY(const std::string path, find_process(session, name));
  PIDWARD_TRY(const bus::MessageRef answer,
              session.client().call(path, bus::kProcessInterface, "Wait", {}, UINT64_MAX));
  bus::Reader in(answer.get());
  const auto code = static_cast<std::uint64_t>(in.i());
  const int number = in.i();
  status = exit_code_of_process(code, number);
  return code == 0 ? std::string("ended, and nobody knows how") : exit_text(code, number);
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
  PIDWARD_TRY(std::string path, path_by_pid(session, *name->pid));
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
  const auto signal = unit::signal_from_text(session.options().signal);
  if (!signal) {
    complain(fmt::format("there is no signal '{}'; see signal(7) for their names",
                         session.options().signal));
    return kFailure;
  }
  int status = kSuccess;
  std::vector<std::pair<std::string, std::string>> outcomes;
  for (const std::string& name : units_and_processes(session, status)) {
    const auto answer = kill_one(session, name, *signal);
    if (!answer) status = report(answer.error());
    outcomes.emplace_back(name, answer ? "signalled" : answer.error().message());
  }
  if (session.options().json) print_outcomes(outcomes);
  return status;
}

int run_wait(Session& session) {
  int status = kSuccess;
  std::vector<std::pair<std::string, std::string>> outcomes;
  const std::vector<std::string> names = units_and_processes(session, status);
  if (names.empty()) {
    complain("wait takes units or processes (INODE or PID:INODE)");
    return kFailure;
  }
  const Status watching = session.client().subscribe([](sd_bus_message*) {});
  if (!watching) return report(watching.error());
  for (const std::string& name : names) {
    int code = kSuccess;
    const auto ended = names_process(name) ? wait_for_process(session, name, code)
                                           : wait_for_unit(session, name, code);
    if (!ended) {
      status = report(ended.error());
      outcomes.emplace_back(name, ended.error().message());
      continue;
    }
    if (code != kSuccess) status = code;
    outcomes.emplace_back(name, *ended);
    if (!session.options().json && !session.options().quiet) fmt::print("{}: {}\n", name, *ended);
  }
  if (session.options().json) print_outcomes(outcomes);
  return status;
}

int run_bind(Session& session) {
  const std::vector<std::string>& names = session.options().names;
  if (names.size() != 2) {
    complain("bind takes a unit and a process: pidwardctl bind UNIT PID[:INODE]");
    return kFailure;
  }
  const auto unit = unit::UnitName::mangle(names[0]);
  if (!unit) return report(unit.error());
  const bool is_pid = names[1].find(':') == std::string::npos;
  const auto pid = number_of(names[1]);
  if (is_pid && !pid) {
    complain(fmt::format("'{}' is not PID or PID:INODE", names[1]));
    return kFailure;
  }
  const auto path = is_pid ? path_by_pid(session, *pid) : find_process(session, names[1]);
  if (!path) return report(path.error());
  const auto got = session.client().call(*path, bus::kProcessInterface, "GetPidfd");
  if (!got) return report(got.error());
  const sys::Fd pidfd = bus::Reader(got->get()).h();
  const auto answer = session.client().manager(
      "BindToProcess", [&](bus::Writer& out) { out.s(unit->str()).h(pidfd.get()); });
  if (!answer) return report(answer.error());
  if (session.options().json) print_outcomes({{unit->str(), "bound"}});
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
