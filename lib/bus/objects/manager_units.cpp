// Manager: finding and listing units.
#include <algorithm>

#include <fmt/core.h>
#include <fnmatch.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

void answer_path(const CallPtr& call, UnitId unit) {
  call->reply([&](Writer& out) { out.o(path_of(call->services(), unit)); });
}

void get_unit_by_number(const CallPtr& call, std::uint32_t pid) {
  const auto unit = call->services().manager.unit_by_pid(pid);
  if (unit) return answer_path(call, *unit);
  if (unit.error().code() == Errc::no_such_process) {
    return call->fail("org.pidward1.NoSuchProcess", unit.error().to_string());
  }
  call->fail("org.pidward1.NoUnitForPID",
             fmt::format("PID {} does not belong to any loaded unit.", pid));
}

void get_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) answer_path(call, *unit);
}

void load_unit(const CallPtr& call) {
  load_named(call, call->in().s(), [call](UnitId unit) { answer_path(call, unit); });
}

void get_unit_by_pid(const CallPtr& call) {
  std::uint32_t pid = call->in().u();
  if (pid == 0 && !call->connection().is_broker()) {
    pid = static_cast<std::uint32_t>(call->connection().peer().pid);
  }
  get_unit_by_number(call, pid);
}

void get_unit_by_invocation(const CallPtr& call) {
  const std::vector<std::uint8_t> bytes = call->in().ay();
  InvocationId wanted;
  if (bytes.size() != wanted.bytes.size()) {
    return call->fail(Error(Errc::invalid_argument, "Invalid invocation ID"));
  }
  std::copy(bytes.begin(), bytes.end(), wanted.bytes.begin());
  const engine::Engine& engine = call->services().manager.engine();
  for (const UnitId unit : engine.units()) {
    if (engine.status(unit).invocation == wanted) return answer_path(call, unit);
  }
  call->fail("org.pidward1.NoUnitForInvocationID",
             fmt::format("No unit with the specified invocation ID {} known.", wanted.to_string()));
}

void get_unit_by_control_group(const CallPtr& call) {
  const std::string wanted = call->in().s();
  const runtime::Manager& manager = call->services().manager;
  UnitId best;
  std::size_t length = 0;
  for (const UnitId unit : manager.engine().units()) {
    const std::string group = manager.control_group(unit);
    const bool inside = !group.empty() && wanted.substr(0, group.size()) == group &&
                        (wanted.size() == group.size() || wanted[group.size()] == '/');
    if (inside && group.size() > length) {
      best = unit;
      length = group.size();
    }
  }
  if (!best) {
    return call->fail(Error(Errc::no_such_unit,
                            fmt::format("Control group '{}' is not valid or not managed by this "
                                        "instance",
                                        wanted)));
  }
  answer_path(call, best);
}

/// Whether one of `words` is a state of the unit; no words take every unit.
bool has_state(const engine::UnitStatus& status, const std::vector<std::string>& words) {
  return words.empty() || std::any_of(words.begin(), words.end(), [&](const std::string& word) {
           return word == unit::to_string(status.spec->load_state) ||
                  word == engine::to_string(status.active) || word == status.sub;
         });
}

bool matches_name(const engine::UnitStatus& status, const std::vector<std::string>& patterns) {
  const auto matches = [&](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
    });
  };
  return patterns.empty() || matches(status.spec->name.str()) ||
         std::any_of(status.spec->aliases.begin(), status.spec->aliases.end(),
                     [&](const unit::UnitName& alias) { return matches(alias.str()); });
}

void reply_units(const CallPtr& call, const std::vector<std::string>& states,
                 const std::vector<std::string>& patterns) {
  const Services& services = call->services();
  const engine::Engine& engine = services.manager.engine();
  call->reply([&](Writer& out) {
    out.open_array("(ssssssouso)");
    for (const UnitId unit : engine.units()) {
      const engine::UnitStatus status = engine.status(unit);
      if (has_state(status, states) && matches_name(status, patterns)) {
        write_unit_row(out, services, unit);
      }
    }
    out.close();
  });
}

void list_units(const CallPtr& call) {
  reply_units(call, {}, {});
}
void list_units_filtered(const CallPtr& call) {
  reply_units(call, call->in().as(), {});
}
void list_units_by_patterns(const CallPtr& call) {
  const std::vector<std::string> states = call->in().as();
  reply_units(call, states, call->in().as());
}

/// Loads one name after the other, so that a long list costs the others no more than a short one.
void list_next_name(const CallPtr& call, std::shared_ptr<std::vector<std::string>> names,
                    std::shared_ptr<std::vector<UnitId>> units, std::size_t at) {
  if (at == names->size()) {
    const engine::Engine& engine = call->services().manager.engine();
    return call->reply([&](Writer& out) {
      out.open_array("(ssssssouso)");
      for (const UnitId unit : *units) {
        if (engine.spec(unit)) write_unit_row(out, call->services(), unit);
      }
      out.close();
    });
  }
  call->services().manager.load((*names)[at], [=](const Result<UnitId>& unit) {
    if (unit) units->push_back(*unit);
    list_next_name(call, names, units, at + 1);
  });
}

void list_units_by_names(const CallPtr& call) {
  auto names = std::make_shared<std::vector<std::string>>();
  for (std::string& name : call->in().as()) {
    if (unit::UnitName::parse(name)) names->push_back(std::move(name));
  }
  list_next_name(call, std::move(names), std::make_shared<std::vector<UnitId>>(), 0);
}

void get_unit_processes(const CallPtr& call) {
  const std::string name = call->in().s();
  const auto unit = loaded_unit(call, name);
  if (!unit) return;
  call->reply([&](Writer& out) { write_processes(out, call->services(), *unit); });
}

void ref_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) add_reference(call, *unit);
}

void unref_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) drop_reference(call, *unit);
}

void load_diagnostics(const CallPtr& call) {
  load_named(call, call->in().s(), [call](UnitId unit) {
    const auto spec = call->services().manager.engine().spec(unit);
    call->reply([&](Writer& out) {
      write_diagnostics(out, spec ? spec->diagnostics : std::vector<unit::Diagnostic>());
    });
  });
}

void clean_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  load_named(call, name, [call, mask = call->in().as()](UnitId unit) { clean(call, unit, mask); });
}

template <bool Freeze>
void freeze_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) freeze(call, *unit, Freeze);
}

constexpr Method kUnitMethods[] = {
    {"GetUnit", "s", "name", "o", "unit", kRead, get_unit},
    {"GetUnitByPID", "u", "pid", "o", "unit", kRead, get_unit_by_pid},
    {"GetUnitByInvocationID", "ay", "invocation_id", "o", "unit", kRead, get_unit_by_invocation},
    {"GetUnitByControlGroup", "s", "cgroup", "o", "unit", kRead, get_unit_by_control_group},
    {"LoadUnit", "s", "name", "o", "unit", kRead, load_unit},
    {"ListUnits", "", "", "a(ssssssouso)", "units", kRead, list_units},
    {"ListUnitsFiltered", "as", "states", "a(ssssssouso)", "units", kRead, list_units_filtered},
    {"ListUnitsByPatterns", "asas", "states,patterns", "a(ssssssouso)", "units", kRead,
     list_units_by_patterns},
    {"ListUnitsByNames", "as", "names", "a(ssssssouso)", "units", kRead, list_units_by_names},
    {"GetUnitProcesses", "s", "name", "a(sus)", "processes", kRead, get_unit_processes},
    {"CleanUnit", "sas", "name,mask", "", "", kChange, clean_unit},
    {"FreezeUnit", "s", "name", "", "", kChange, freeze_unit<true>},
    {"ThawUnit", "s", "name", "", "", kChange, freeze_unit<false>},
    {"RefUnit", "s", "name", "", "", kChange, ref_unit},
    {"UnrefUnit", "s", "name", "", "", kChange, unref_unit},
    {"LoadDiagnostics", "s", "name", "a(ssuus)", "diagnostics", kRead, load_diagnostics},
};

constexpr Signal kUnitSignals[] = {
    {"UnitNew", "so", "id,unit"},
    {"UnitRemoved", "so", "id,unit"},
};

}  // namespace

void add_unit_queries(Interface& manager) {
  manager.add(kUnitMethods);
  manager.add(kUnitSignals);
}

}  // namespace pidward::bus
