// Service, Socket, Timer, Path: what they are doing, as opposed to what their files say.
#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

const engine::ServiceStatus& service_of(const Subject& subject) {
  static const engine::ServiceStatus kNone{};
  return subject.unit->service == nullptr ? kNone : *subject.unit->service;
}

const engine::SocketStatus& socket_of(const Subject& subject) {
  static const engine::SocketStatus kNone{};
  return subject.unit->socket == nullptr ? kNone : *subject.unit->socket;
}

std::uint32_t pid_of(const Subject& subject, ProcessId process) {
  return process ? subject.manager.pid_of(process) : 0;
}

/// Effective user and group of a process; UINT32_MAX while there is none.
std::pair<std::uint32_t, std::uint32_t> credentials(const Subject& subject, ProcessId process) {
  const auto found = process ? subject.manager.credentials_of(process) : std::nullopt;
  return found.value_or(std::pair(UINT32_MAX, UINT32_MAX));
}

/// The last run of a command: the main process' for ExecStart, one of the others.
const engine::CommandStatus* find_run(const engine::ServiceStatus& service, unit::Directive list,
                                      std::uint32_t index) {
  const engine::CommandStatus* found = nullptr;
  for (const engine::CommandStatus& run : service.commands) {
    if (run.list == list && run.index == index) found = &run;
  }
  const engine::CommandStatus& main = service.main_status;
  if (found == nullptr && list == unit::Directive::ExecStart && main.list == list &&
      main.index == index && main.started.mono != MonoTime()) {
    found = &main;
  }
  return found;
}

void write_run(Writer& out, const Subject& subject, const engine::CommandStatus* run) {
  const engine::CommandStatus none{};
  const engine::CommandStatus& shown = run == nullptr ? none : *run;
  out.time(shown.started.wall)
      .time(shown.started.mono)
      .time(shown.exited.wall)
      .time(shown.exited.mono)
      .u(pid_of(subject, shown.process))
      .i(cld_code(shown.status))
      .i(shown.status.code);
}

}  // namespace

void write_commands(Writer& out, const Subject& subject, const unit::Row* row) {
  const engine::ServiceStatus& service = service_of(subject);
  std::uint32_t index = 0;
  out.open_array("(sasbttttuii)");
  for (const unit::ExecCommand& command : subject.settings().commands(row->id)) {
    out.open_struct("sasbttttuii").s(command.path).as(command.argv).b(command.ignore_failure);
    write_run(out, subject, find_run(service, row->id, index++));
    out.close();
  }
  out.close();
}

void write_commands_ex(Writer& out, const Subject& subject, const unit::Row* row) {
  const engine::ServiceStatus& service = service_of(subject);
  std::uint32_t index = 0;
  out.open_array("(sasasttttuii)");
  for (const unit::ExecCommand& command : subject.settings().commands(row->id)) {
    out.open_struct("sasasttttuii").s(command.path).as(command.argv).open_array("s");
    if (command.no_env_expand) out.s("no-env-expand");
    if (command.ignore_failure) out.s("ignore-failure");
    if (command.full_privileges) out.s("privileged");
    if (command.no_setuid) out.s("no-setuid");
    if (command.ambient_magic) out.s("ambient");
    out.close();
    write_run(out, subject, find_run(service, row->id, index++));
    out.close();
  }
  out.close();
}

namespace {

constexpr Property kService[] = {
    {"MainPID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.u(pid_of(s, service_of(s).main)); }},
    {"MainProcess", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.t(service_of(s).main.number()); }},
    {"ControlPID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.u(pid_of(s, service_of(s).control)); }},
    {"StatusText", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(service_of(s).status_text); }},
    {"StatusErrno", "i", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.i(service_of(s).status_errno); }},
    {"Result", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(engine::to_string(service_of(s).result)); }},
    {"ReloadResult", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(engine::to_string(service_of(s).reload_result));
     }},
    {"CleanResult", "s", kEmits, [](Writer& out, const Subject&, RowPtr) { out.s("success"); }},
    {"UID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(credentials(s, service_of(s).main).first);
     }},
    {"GID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(credentials(s, service_of(s).main).second);
     }},
    {"NRestarts", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.u(service_of(s).restarts); }},
    {"NextRestartUSecMonotonic", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.time(service_of(s).restart_at); }},
    {"WatchdogUSec", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       const Duration own = service_of(s).watchdog_interval;
       out.span(own != Duration() ? own : s.settings().span(unit::Directive::WatchdogSec));
     }},
    {"WatchdogTimestamp", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.time(service_of(s).watchdog_last.wall); }},
    {"WatchdogTimestampMonotonic", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.time(service_of(s).watchdog_last.mono); }},
    {"NFileDescriptorStore", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.u(service_of(s).stored_descriptors); }},
    {"ExecMainStartTimestamp", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.time(service_of(s).main_status.started.wall);
     }},
    {"ExecMainStartTimestampMonotonic", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.time(service_of(s).main_status.started.mono);
     }},
    {"ExecMainExitTimestamp", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.time(service_of(s).main_status.exited.wall);
     }},
    {"ExecMainExitTimestampMonotonic", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.time(service_of(s).main_status.exited.mono);
     }},
    {"ExecMainPID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(pid_of(s, service_of(s).main_status.process));
     }},
    {"ExecMainCode", "i", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.i(cld_code(service_of(s).main_status.status));
     }},
    {"ExecMainStatus", "i", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.i(service_of(s).main_status.status.code); }},
};

constexpr Property kSocket[] = {
    {"Result", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(socket_of(s).result); }},
    {"ControlPID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.u(pid_of(s, socket_of(s).control)); }},
    {"UID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(credentials(s, socket_of(s).control).first);
     }},
    {"GID", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(credentials(s, socket_of(s).control).second);
     }},
    {"NConnections", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.u(socket_of(s).connections); }},
    {"NAccepted", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(static_cast<std::uint32_t>(socket_of(s).accepted));
     }},
    {"NRefused", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(static_cast<std::uint32_t>(socket_of(s).refused));
     }},
    {"Listen", "a(ss)", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       write_setting(out, s, &unit::row(unit::Directive::ListenStream));
     }},
};

/// "OnBootSec" is "OnBootUSec" on the bus.
std::string usec_name(const std::string& base) {
  constexpr std::string_view kSec = "Sec";
  if (base.size() <= kSec.size()) return base;
  return base.substr(0, base.size() - kSec.size()) + "USec";
}

const engine::TimerStatus& timer_status(const Subject& subject) {
  static const engine::TimerStatus kNone;
  return subject.unit->timer == nullptr ? kNone : *subject.unit->timer;
}

void write_triggers(Writer& out, const Subject& subject, bool calendar) {
  const unit::Value* value = subject.settings().find(unit::kTimerStore);
  const auto* triggers =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::Trigger>>(value);
  const auto next_of = [&](std::size_t index) {
    const auto& all = timer_status(subject).next_of_each;
    return index < all.size() ? to_bus_usec(all[index]) : 0;
  };
  out.open_array(calendar ? "(sst)" : "(stt)");
  if (triggers != nullptr) {
    for (std::size_t i = 0; i < triggers->size(); ++i) {
      const unit::Trigger& trigger = (*triggers)[i];
      if ((trigger.base == "OnCalendar") != calendar) continue;
      out.open_struct(calendar ? "sst" : "stt");
      if (calendar) {
        out.s(trigger.base).s(trigger.expression).t(next_of(i));
      } else {
        out.s(usec_name(trigger.base)).span(trigger.span).t(next_of(i));
      }
      out.close();
    }
  }
  out.close();
}

/// Unit= of a timer or path: the service of the same name unless it says otherwise.
void write_triggered(Writer& out, const Subject& subject, RowPtr /*row*/) {
  const std::string& named = subject.settings().string(unit::Directive::Unit);
  out.s(named.empty() ? subject.spec().name.with_type(unit::UnitType::service).str() : named);
}

constexpr Property kTimer[] = {
    {"Unit", "s", kConst, write_triggered},
    {"TimersMonotonic", "a(stt)", kInvalidates,
     [](Writer& out, const Subject& s, RowPtr) { write_triggers(out, s, false); }},
    {"TimersCalendar", "a(sst)", kInvalidates,
     [](Writer& out, const Subject& s, RowPtr) { write_triggers(out, s, true); }},
    {"NextElapseUSecRealtime", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.t(to_bus_usec(timer_status(s).next_calendar.time_since_epoch()));
     }},
    {"NextElapseUSecMonotonic", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       const MonoTime next = timer_status(s).next_monotonic;
       out.t(next == MonoTime{} ? UINT64_MAX : to_bus_usec(next.time_since_epoch()));
     }},
    {"LastTriggerUSec", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.t(to_bus_usec(timer_status(s).last_trigger.wall.time_since_epoch()));
     }},
    {"LastTriggerUSecMonotonic", "t", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.t(to_bus_usec(timer_status(s).last_trigger.mono.time_since_epoch()));
     }},
    {"Result", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(timer_status(s).result); }},
};

constexpr Property kPath[] = {
    {"Unit", "s", kConst, write_triggered},
    {"Result", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(s.unit->path == nullptr ? "success" : s.unit->path->result);
     }},
};

void get_processes(const CallPtr& call) {
  call->reply([&](Writer& out) { write_processes(out, call->services(), call->unit); });
}

constexpr Method kProcessMethods[] = {
    {"GetProcesses", "", "", "a(sus)", "processes", Access::read, get_processes},
    {"AttachProcesses", "sau", "subcgroup,pids", "", "", Access::change,
     [](const CallPtr& call) { attach_processes_to(call, call->unit); }},
};

constexpr Method kScopeMethods[] = {
    {"Abandon", "", "", "", "", Access::change,
     [](const CallPtr& call) { abandon(call, call->unit); }},
};

constexpr Signal kScopeSignals[] = {{"RequestStop", "", ""}};

constexpr Property kScope[] = {
    {"Controller", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(s.unit->scope == nullptr ? std::string() : s.unit->scope->controller);
     }},
    {"Result", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(s.unit->scope == nullptr ? "success" : engine::to_string(s.unit->scope->result));
     }},
};

void unknown_number(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.t(UINT64_MAX);
}

/// systemd shows what is not counted as the largest number.
template <std::optional<std::uint64_t> runtime::ResourceCounters::*Member>
void counter(Writer& out, const Subject& subject, RowPtr /*row*/) {
  if (!subject.counters) subject.counters = subject.manager.resources(subject.unit->id);
  out.t((*subject.counters.*Member).value_or(UINT64_MAX));
}

constexpr Property kControlGroup[] = {
    {"Slice", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       const auto slices = s.manager.engine().related(s.unit->id, unit::Dependency::InSlice);
       out.s(slices.empty() ? std::string() : name_of(s.services, slices.front()));
     }},
    {"ControlGroup", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.control_group(s.unit->id)); }},
    {"TreeMeans", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.means(s.unit->id).tree); }},
    {"ManagerExitMeans", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(s.manager.means(s.unit->id).manager_exit);
     }},
    {"Leases", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(static_cast<std::uint32_t>(s.manager.lease_count(s.unit->id)));
     }},
    {"BoundToProcesses", "at", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.open_array("t");
       for (const ProcessId process : s.manager.bound_to(s.unit->id)) out.t(process.number());
       out.close();
     }},
    {"TasksCurrent", "t", kNever, counter<&runtime::ResourceCounters::tasks>},
    {"MemoryCurrent", "t", kNever, counter<&runtime::ResourceCounters::memory>},
    {"MemoryAvailable", "t", kNever, unknown_number},
    {"CPUUsageNSec", "t", kNever, counter<&runtime::ResourceCounters::cpu_nsec>},
    {"IPIngressBytes", "t", kNever, unknown_number},
    {"IPIngressPackets", "t", kNever, unknown_number},
    {"IPEgressBytes", "t", kNever, unknown_number},
    {"IPEgressPackets", "t", kNever, unknown_number},
    {"IOReadBytes", "t", kNever, counter<&runtime::ResourceCounters::io_read_bytes>},
    {"IOReadOperations", "t", kNever, counter<&runtime::ResourceCounters::io_reads>},
    {"IOWriteBytes", "t", kNever, counter<&runtime::ResourceCounters::io_write_bytes>},
    {"IOWriteOperations", "t", kNever, counter<&runtime::ResourceCounters::io_writes>},
    {"EffectiveCPUs", "ay", kNever, [](Writer& out, const Subject&, RowPtr) { out.empty("ay"); }},
    {"EffectiveMemoryNodes", "ay", kNever,
     [](Writer& out, const Subject&, RowPtr) { out.empty("ay"); }},
};

}  // namespace

void add_service_state(Interface& service) {
  service.add(kService);
}
void add_socket_state(Interface& socket) {
  socket.add(kSocket);
}
void add_timer_state(Interface& timer) {
  timer.add(kTimer);
}
void add_path_state(Interface& path) {
  path.add(kPath);
}
void add_process_methods(Interface& unit_type) {
  unit_type.add(kProcessMethods);
}
void add_scope_state(Interface& scope) {
  scope.add(kScopeMethods);
  scope.add(kScopeSignals);
  scope.add(kScope);
}
void add_control_group_state(Interface& unit_type) {
  unit_type.add(kControlGroup);
}

}  // namespace pidward::bus
