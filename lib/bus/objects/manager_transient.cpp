// Manager: units made on request, and settings changed while a unit is loaded.
#include <fmt/core.h>
#include <unistd.h>

#include "bus/objects/common.hpp"
#include "bus/objects/job_words.hpp"
#include "bus/objects/tables.hpp"
#include "bus/properties/property_set.hpp"
#include "sys/proc.hpp"

namespace pidward::bus {
namespace {

Result<unit::UnitName> read_name(Reader& in) {
  const std::string text = in.s();
  auto name = unit::UnitName::parse(text);
  if (name && !unit::is_managed(name->type())) {
    return Error(
        Errc::not_supported,
        fmt::format("{} cannot be made: pidward does not manage units of its type.", text));
  }
  if (name) return name;
  return Error(Errc::invalid_argument, fmt::format("Unit name {} is not valid.", text));
}

/// The caller of a private connection, for certain where the kernel can say so.
Result<sys::Pidfd> open_caller(const CallPtr& call) {
  if (call->connection().is_broker()) {
    return Error(Errc::invalid_argument, "PIDs: 0 does not say who on this bus is meant.")
        .advise("Pass the process as a pidfd with PIDFDs");
  }
  return sys::peer_pidfd(sd_bus_get_fd(call->connection().get()),
                         call->services().manager.features());
}

/// A caller moves what is its own; root and our own user move anything but ourselves.
Status check_process(const CallPtr& call, const sys::Pidfd& process) {
  PIDWARD_TRY(const sys::ProcessInfo facts,
              sys::inspect(process, call->services().manager.features()));
  if (facts.pid == ::getpid()) {
    return Error(Errc::invalid_argument, "pidward itself cannot be put into a scope.");
  }
  // Who stops the scope would signal it.
  if (facts.pid == 1) {
    return Error(Errc::invalid_argument, "Process 1 is the system's, and cannot be moved.");
  }
  PIDWARD_TRY(const bool kernel_thread, sys::is_kernel_thread(process));
  if (kernel_thread) {
    return Error(Errc::invalid_argument,
                 fmt::format("Process {} is a kernel thread, and cannot be moved.", facts.pid));
  }
  const uid_t uid = call->uid.value_or(facts.uid);
  if (uid == 0 || uid == ::geteuid() || uid == facts.uid) return {};
  return Error(Errc::access_denied, fmt::format("Process {} belongs to user {}, not to user {}.",
                                                facts.pid, facts.uid, uid));
}

/// Processes by their numbers, 0 the caller; whether the caller may move them is not looked at.
Result<std::vector<sys::Pidfd>> open_numbers(const CallPtr& call,
                                             const std::vector<std::uint32_t>& numbers) {
  std::vector<sys::Pidfd> processes;
  for (const std::uint32_t number : numbers) {
    if (number > static_cast<std::uint32_t>(INT32_MAX)) {
      return Error(Errc::invalid_argument, fmt::format("{} is not a process number", number));
    }
    PIDWARD_TRY(sys::Pidfd process,
                number == 0 ? open_caller(call) : sys::Pidfd::open(static_cast<pid_t>(number)));
    processes.push_back(std::move(process));
  }
  return processes;
}

Result<std::vector<sys::Pidfd>> open_processes(const CallPtr& call, PropertySet& properties) {
  PIDWARD_TRY(std::vector<sys::Pidfd> processes, open_numbers(call, properties.numbers()));
  for (sys::Fd& descriptor : properties.descriptors()) {
    PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::from_untrusted(std::move(descriptor)));
    processes.push_back(std::move(process));
  }
  for (const sys::Pidfd& process : processes) PIDWARD_CHECK(check_process(call, process));
  return processes;
}

struct Made {
  runtime::TransientRequest request;
  std::vector<unit::UnitName> referenced;  ///< by the caller, from now on
};

/// The properties of one unit, its name having been read.
Result<runtime::TransientUnit> read_unit(const CallPtr& call, const unit::UnitName& name,
                                         PropertySet& properties) {
  PIDWARD_CHECK(properties.read(call->in()));
  runtime::TransientUnit made;
  PIDWARD_TRY(std::string text, properties.unit_text());
  made.text = {name.str(), std::move(text)};
  if (properties.controller()) {
    // A private connection has no name, and nobody can be found by one there.
    if (!call->connection().is_broker()) {
      return Error(Errc::not_supported, "Controller is only supported on the message bus.");
    }
    made.controller = *properties.controller();
  }
  made.streams = std::move(properties.streams());
  PIDWARD_TRY(made.processes, open_processes(call, properties));
  if (name.type() == unit::UnitType::scope && made.processes.empty()) {
    return Error(Errc::invalid_argument,
                 "A scope is made of processes: PIDs or PIDFDs is missing.");
  }
  return made;
}

Result<Made> read_request(const CallPtr& call) {
  Reader& in = call->in();
  Made made;
  PIDWARD_TRY(const unit::UnitName name, read_name(in));
  const std::string mode_text = in.s();
  const auto mode = parse_job_mode(mode_text);
  if (!mode) return Error(Errc::invalid_argument, fmt::format("Job mode {} invalid", mode_text));
  made.request.mode = *mode;
  PropertySet properties(name.type(), false);
  PIDWARD_TRY(made.request.unit, read_unit(call, name, properties));
  if (properties.add_reference()) made.referenced.push_back(name);
  in.enter('a', "(sa(sv))");
  while (in.more() && in.enter('r', "sa(sv)")) {
    PIDWARD_TRY(const unit::UnitName other, read_name(in));
    PropertySet auxiliary(other.type(), false);
    PIDWARD_TRY(runtime::TransientUnit beside, read_unit(call, other, auxiliary));
    made.request.auxiliary.push_back(std::move(beside));
    if (auxiliary.add_reference()) made.referenced.push_back(other);
    in.exit();
  }
  in.exit();
  if (in.error() != 0) return Error::from_errno(in.error(), "reading the request");
  return made;
}

void start_transient(const CallPtr& call) {
  auto made = read_request(call);
  if (!made) return call->fail(made.error());
  begin_request(call);
  call->services().manager.start_transient(
      std::move(made->request),
      [call, referenced = made->referenced](const Result<engine::RequestOutcome>& outcome) {
        end_request(call, outcome);
        if (!outcome) return call->fail(outcome.error());
        Services& services = call->services();
        for (const unit::UnitName& name : referenced) {
          const auto unit = services.manager.engine().find(name);
          if (unit) services.clients.add_reference(call->client(), *unit);
        }
        call->reply([&](Writer& out) { out.o(job_path(outcome->job)); });
      });
}

void hold_transient(const CallPtr& call) {
  auto made = read_request(call);
  if (!made) return call->fail(made.error());
  call->services().manager.hold_transient(
      std::move(made->request), taker_of(call),
      [call](const Result<runtime::UnitLease>& lease) { reply_lease(call, lease); });
}

void set_properties(const CallPtr& call) {
  const std::string name = call->in().s();
  const bool runtime = call->in().b();
  set_unit_properties(call, name, runtime);
}

void attach_processes(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) attach_processes_to(call, *unit);
}

void abandon_scope(const CallPtr& call) {
  const std::string name = call->in().s();
  if (const auto unit = loaded_unit(call, name)) abandon(call, *unit);
}

constexpr Method kTransientMethods[] = {
    {"StartTransientUnit", "ssa(sv)a(sa(sv))", "name,mode,properties,aux", "o", "job",
     Access::change, start_transient},
    {"HoldTransientUnit", "ssa(sv)a(sa(sv))", "name,mode,properties,aux", "oh", "job,lease",
     Access::change, hold_transient},
    {"SetUnitProperties", "sba(sv)", "name,runtime,properties", "", "", Access::change,
     set_properties},
    {"AttachProcessesToUnit", "ssau", "unit_name,subcgroup,pids", "", "", Access::change,
     attach_processes},
    {"AbandonScope", "s", "name", "", "", Access::change, abandon_scope},
};

}  // namespace

void set_unit_properties(const CallPtr& call, const std::string& name, bool runtime) {
  const auto parsed = unit::UnitName::parse(name);
  if (!parsed) {
    return call->fail(
        Error(Errc::invalid_argument, fmt::format("Unit name {} is not valid.", name)));
  }
  PropertySet properties(parsed->type(), true);
  if (Status read = properties.read(call->in()); !read) return call->fail(read.error());
  auto files = properties.drop_ins();
  if (!files) return call->fail(files.error());
  call->services().manager.set_properties(name, runtime, *std::move(files),
                                          [call](const Result<UnitId>& unit) {
                                            if (!unit) return call->fail(unit.error());
                                            call->reply();
                                          });
}

void attach_processes_to(const CallPtr& call, UnitId unit) {
  const std::string subgroup = call->in().s();
  std::vector<std::uint32_t> numbers;
  call->in().enter('a', "u");
  while (call->in().more()) numbers.push_back(call->in().u());
  call->in().exit();
  if (!subgroup.empty() && subgroup.front() != '/') {
    return call->fail(Error(Errc::invalid_argument,
                            fmt::format("Control group path is not absolute: {}", subgroup)));
  }
  auto processes = open_numbers(call, numbers);
  if (!processes) return call->fail(processes.error());
  for (const sys::Pidfd& process : *processes) {
    if (Status allowed = check_process(call, process); !allowed) return call->fail(allowed.error());
  }
  reply_status(call,
               call->services().manager.attach_processes(unit, subgroup, *std::move(processes)));
}

void abandon(const CallPtr& call, UnitId unit) {
  const Status abandoned = call->services().manager.abandon_scope(unit);
  if (!abandoned && abandoned.error().code() == Errc::unit_inactive) {
    return call->fail("org.pidward1.ScopeNotRunning", abandoned.error().to_string());
  }
  reply_status(call, abandoned);
}

void add_transient_units(Interface& manager) {
  manager.add(kTransientMethods);
}

}  // namespace pidward::bus
