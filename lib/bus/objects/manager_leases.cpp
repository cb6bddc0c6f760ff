// Manager: leases, descriptors that hold a unit or a process for as long as a copy of them is open.
#include <fmt/core.h>

#include "bus/objects/common.hpp"
#include "bus/objects/job_words.hpp"
#include "bus/objects/tables.hpp"
#include "unit/value_names.hpp"

namespace pidward::bus {
namespace {

/// "none", "kill-tree", "signal 15" or "signal TERM".
Result<process::LastClose> parse_policy(const std::string& text) {
  using Action = process::LastClose::Action;
  if (text == "none") return process::LastClose{Action::none, 0};
  if (text == "kill-tree") return process::LastClose{Action::kill_tree, 0};
  constexpr std::string_view kSignal = "signal ";
  if (text.starts_with(kSignal)) {
    const auto number = unit::signal_from_text(text.substr(kSignal.size()));
    if (number) return process::LastClose{Action::signal, *number};
  }
  return Error(Errc::invalid_argument,
               fmt::format("'{}' is no policy; expecting none, kill-tree or signal N", text));
}

void lease_unit(const CallPtr& call) {
  runtime::LeaseRequest request;
  request.unit = call->in().s();
  const std::string mode_text = call->in().s();
  const auto mode = parse_job_mode(mode_text);
  if (!mode) {
    return call->fail(Error(Errc::invalid_argument, fmt::format("Job mode {} invalid", mode_text)));
  }
  if (!unit::UnitName::parse(request.unit)) {
    return call->fail(
        Error(Errc::invalid_argument, fmt::format("Unit name {} is not valid.", request.unit)));
  }
  request.mode = *mode;
  request.taker = taker_of(call);
  call->services().manager.lease_unit(
      request, [call](const Result<runtime::UnitLease>& lease) { reply_lease(call, lease); });
}

void lease_process(const CallPtr& call) {
  const ProcessId id(call->in().t());
  const auto policy = parse_policy(call->in().s());
  if (!policy) return call->fail(policy.error());
  runtime::Manager& manager = call->services().manager;
  const auto process = manager.find_process(id);
  if (!process) return call->fail(process.error());
  const auto lease = manager.lease_process(*process, *policy, taker_of(call));
  if (!lease) return call->fail(lease.error());
  call->reply([&](Writer& out) { out.h(lease->descriptor.get()); });
}

void bind_to_process(const CallPtr& call) {
  const std::string name = call->in().s();
  sys::Fd pidfd = call->in().h();
  const auto unit = loaded_unit(call, name);
  if (!unit) return;
  reply_status(call, call->services().manager.bind_to_process(*unit, std::move(pidfd)));
}

/// a(tstsuut): lease, unit, inode or 0 for a lease on the unit, policy, uid and pid of who took it,
/// when.
void list_leases(const CallPtr& call) {
  const Services& services = call->services();
  call->reply([&](Writer& out) {
    out.open_array("(tstsuut)");
    for (const runtime::LeaseInfo& lease : services.manager.list_leases()) {
      out.open_struct("tstsuut")
          .t(lease.id.number())
          .s(name_of(services, lease.unit))
          .t(lease.process.number())
          .s(lease.process ? policy_text(lease.last_close) : std::string())
          .u(lease.taker.uid)
          .u(lease.taker.pid)
          .time(lease.since.wall)
          .close();
    }
    out.close();
  });
}

constexpr Method kLeaseMethods[] = {
    {"LeaseUnit", "ss", "unit,mode", "oh", "job,lease", kChange, lease_unit},
    {"LeaseProcess", "ts", "inode,policy", "h", "lease", kChange, lease_process},
    {"BindToProcess", "sh", "unit,pidfd", "", "", kChange, bind_to_process},
    {"ListLeases", "", "", "a(tstsuut)", "leases", Access::read, list_leases},
};

}  // namespace

runtime::LeaseTaker taker_of(const CallPtr& call) {
  runtime::LeaseTaker taker;
  taker.uid = call->uid.value_or(0);
  if (!call->connection().is_broker()) {
    taker.pid = static_cast<std::uint32_t>(call->connection().peer().pid);
  }
  return taker;
}

void reply_lease(const CallPtr& call, const Result<runtime::UnitLease>& lease) {
  if (!lease) return call->fail(lease.error());
  call->reply([&](Writer& out) { out.o(job_path(lease->job)).h(lease->descriptor.get()); });
}

std::string policy_text(const process::LastClose& policy) {
  using Action = process::LastClose::Action;
  switch (policy.action) {
    case Action::none:
      return "none";
    case Action::signal:
      return fmt::format("signal {}", policy.signal);
    case Action::kill_tree:
      return "kill-tree";
  }
  return "none";
}

void add_leases(Interface& manager) {
  manager.add(kLeaseMethods);
}

}  // namespace pidward::bus
