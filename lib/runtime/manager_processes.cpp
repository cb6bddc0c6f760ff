// Processes by inode and leases, as clients ask for them.
#include <algorithm>
#include <csignal>

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include "process/process_name.hpp"
#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "sys/descriptor_reserve.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

WallTime started_at(std::uint64_t ticks_since_boot) {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const Duration uptime = std::chrono::seconds(since_boot.tv_sec) +
                          std::chrono::microseconds(since_boot.tv_nsec / 1000);
  const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const Duration start(static_cast<std::int64_t>(ticks_since_boot * 1'000'000 / per_second));
  return now().wall - (uptime - start);
}

// What the kernel tells of a living process; what it does not stays empty.
void read_facts(const sys::Pidfd& process, const sys::KernelFeatures& features,
                ProcessDetails& details) {
  const auto facts = sys::inspect(process, features);
  if (!facts) return;
  details.pid = static_cast<std::uint32_t>(facts->pid);
  details.parent_pid = static_cast<std::uint32_t>(facts->ppid);
  details.uid = facts->uid;
  details.gid = facts->gid;
  if (const auto stat = sys::stat_of(process)) details.started = started_at(stat->start_ticks);
  details.control_group = sys::cgroup_path_of(process).value_or("");
  details.arguments = sys::cmdline_of(process).value_or({});
  details.command = command_text(process, details.arguments);
  if (!features.has(sys::Feature::pidfs) || facts->ppid <= 0) return;
  // The number was the parent's if the process still names it after it was opened.
  const auto parent = sys::Pidfd::open(facts->ppid);
  const auto again = sys::inspect(process, features);
  const auto inode = parent ? parent->inode() : Result<std::uint64_t>(parent.error());
  if (inode && again && again->ppid == facts->ppid) details.parent = ProcessId(*inode);
}

Status check_signal(int signal) {
  if (signal >= 0 && signal <= SIGRTMAX) return {};
  return Error(Errc::invalid_argument, fmt::format("{} is not a signal", signal));
}

Error unknown(ProcessId process) {
  return {Errc::no_such_process,
          fmt::format("No process with inode {} is known here", process.number())};
}

}  // namespace

process::Role role_in(const engine::UnitStatus& status, ProcessId process, process::Role noted) {
  if (status.service != nullptr && process) {
    if (process == status.service->main) return process::Role::main;
    if (process == status.service->control) return process::Role::control;
  }
  if (status.socket != nullptr && process && process == status.socket->control) {
    return process::Role::control;
  }
  return noted == process::Role::foreign ? process::Role::other : noted;
}

std::string command_text(const sys::Pidfd& process, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return sys::comm_of(process).value_or("");
  return fmt::format("{}", fmt::join(arguments, " "));
}

Result<process::ProcessHandle> Manager::find_process(ProcessId process) {
  Impl& impl = *impl_;
  if (!process) return unknown(process);
  if (auto known = impl.table.find(process)) return known;
  if (!impl.features.has(sys::Feature::pidfs)) return unknown(process);
  Result<sys::Pidfd> found = unknown(process);
  if (impl.features.has(sys::Feature::pidfs_handles)) {
    found = process::open_by_inode(process);
  }
  for (const UnitId unit : found ? std::vector<UnitId>{} : impl.engine.units()) {
    for (sys::Pidfd& member : impl.tree.members(unit)) {
      const auto inode = member.inode();
      if (inode && ProcessId(*inode) == process) found = std::move(member);
    }
    if (found) break;
  }
  // Strangers are taken in by open_process() alone, from somebody who could get hold of them.
  const auto unit = found ? impl.tree.unit_of(*found) : std::nullopt;
  if (!unit) return unknown(process);
  PIDWARD_TRY(process::ProcessHandle handle, impl.table.open(*std::move(found)));
  handle.set_unit(*unit);
  handle.set_role(process::Role::other);
  PIDWARD_CHECK(impl.tracker.observe(handle));
  return handle;
}

Result<process::ProcessHandle> Manager::open_process(sys::Fd pidfd) {
  Impl& impl = *impl_;
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::from_untrusted(std::move(pidfd)));
  PIDWARD_CHECK(sys::check_reserve(process.get(), sys::DescriptorUse::client));
  const auto unit = impl.tree.unit_of(process);
  PIDWARD_TRY(process::ProcessHandle handle, impl.table.open(std::move(process)));
  if (unit && !handle->unit()) {
    handle.set_unit(*unit);
    handle.set_role(process::Role::other);
  }
  PIDWARD_CHECK(impl.tracker.observe(handle));
  return handle;
}

Result<process::ProcessHandle> Manager::open_process_by_pid(std::uint32_t pid) {
  if (pid > static_cast<std::uint32_t>(INT32_MAX)) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a process number", pid));
  }
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::open(static_cast<pid_t>(pid)));
  const auto number = process.pid();
  if (!number || *number != static_cast<pid_t>(pid)) {
    return Error(Errc::no_such_process, fmt::format("There is no process {}", pid));
  }
  return open_process(std::move(process).release());
}

ProcessDetails Manager::details(const process::ProcessHandle& process) const {
  Impl& impl = *impl_;
  ProcessDetails details;
  details.id = process->id();
  details.unit = process->unit();
  details.role = process->role();
  if (!process->has_ended()) {
    read_facts(process->pidfd(), impl.features, details);
    if (details.unit) {
      details.role = role_in(impl.engine.status(details.unit), details.id, details.role);
    }
  }
  details.pid = static_cast<std::uint32_t>(process->pid());
  details.leases = impl.leases.count(details.id);
  details.last_close = process->last_close();
  details.ended = process->has_ended();
  details.exit_status = process->exit_status();
  return details;
}

std::vector<ProcessDetails> Manager::list_process_details(std::optional<UnitId> unit) {
  Impl& impl = *impl_;
  std::vector<ProcessDetails> list;
  const auto in_table = unit ? impl.table.processes_of(*unit) : impl.table.all();
  for (const process::ProcessHandle& handle : in_table) list.push_back(details(handle));
  for (const UnitId each : unit ? std::vector<UnitId>{*unit} : impl.engine.units()) {
    for (const sys::Pidfd& member : impl.tree.members(each)) {
      const auto known = impl.table.find(member);
      if (known && *known) continue;
      ProcessDetails other;
      read_facts(member, impl.features, other);
      if (other.pid == 0) continue;  // it ended
      other.unit = each;
      other.role = process::Role::other;
      const auto inode = member.inode();
      if (inode && impl.features.has(sys::Feature::pidfs)) other.id = ProcessId(*inode);
      list.push_back(std::move(other));
    }
  }
  std::ranges::sort(list, {}, &ProcessDetails::pid);
  return list;
}

Status Manager::signal_process(const process::ProcessHandle& process, int signal) {
  PIDWARD_CHECK(check_signal(signal));
  PIDWARD_CHECK(may_act_on(process->pidfd()));
  return process.send_signal(signal);
}

Status Manager::signal_tree(const process::ProcessHandle& process, int signal) {
  Impl& impl = *impl_;
  PIDWARD_CHECK(check_signal(signal));
  PIDWARD_CHECK(may_act_on(process->pidfd(), Extent::tree));
  if (signal == SIGKILL) return impl.kill_tree_of(*process);
  const engine::UnitStatus status = impl.engine.status(process->unit());
  std::vector<sys::Pidfd> tree;
  if (status.service != nullptr && status.service->main == process->id()) {
    tree = impl.tree.members(process->unit());
  } else {
    PIDWARD_TRY(tree, sys::descendants_of(process->pidfd(), impl.features));
  }
  PIDWARD_CHECK(process.send_signal(signal));
  for (const sys::Pidfd& member : tree) {
    const auto known = impl.table.find(member);
    if (known && *known == process) continue;
    // One that is gone meanwhile needs none.
    static_cast<void>(member.send_signal(signal));
  }
  return {};
}

WaitTicket Manager::wait_for_end(const process::ProcessHandle& process,
                                 std::function<void(ExitStatus)> done) {
  return impl_->waits.add(process, std::move(done));
}

void Manager::lease_unit(const LeaseRequest& request, Reply<UnitLease> reply) {
  Impl& impl = *impl_;
  load(request.unit, [this, &impl, request, reply = std::move(reply)](Result<UnitId> unit) {
    if (!unit) return reply(std::move(unit).error());
    const engine::ActiveState active = impl.engine.status(*unit).active;
    const bool is_up = active == engine::ActiveState::active ||
                       active == engine::ActiveState::reloading ||
                       active == engine::ActiveState::activating;
    auto lease = impl.leases.on_unit(*unit, !is_up, request.taker);
    if (!lease) return reply(std::move(lease).error());
    impl.update_reference(*unit);
    JobSubmission job;
    job.unit = request.unit;
    job.mode = request.mode;
    const auto kept = std::make_shared<UnitLease>(*std::move(lease));
    submit(job, [&impl, unit = *unit, kept, reply](Result<engine::RequestOutcome> outcome) {
      if (!outcome) {
        impl.leases.cancel(kept->lease);
        impl.update_reference(unit);
        return reply(std::move(outcome).error());
      }
      kept->job = outcome->job;
      reply(std::move(*kept));
    });
  });
}

Result<ProcessLease> Manager::lease_process(const process::ProcessHandle& process,
                                            process::LastClose last_close, LeaseTaker taker) {
  return impl_->leases.on_process(process, last_close, taker);
}

std::vector<LeaseInfo> Manager::list_leases() const {
  return impl_->leases.list();
}
std::size_t Manager::lease_count(UnitId unit) const {
  return impl_->leases.count(unit);
}
std::vector<ProcessId> Manager::bound_to(UnitId unit) const {
  return impl_->bindings.of(unit);
}

Status Manager::bind_to_process(UnitId unit, sys::Fd pidfd) {
  Impl& impl = *impl_;
  const engine::UnitStatus status = impl.engine.status(unit);
  if (status.spec == nullptr) return Error(Errc::no_such_unit, "There is no such unit");
  if (status.active == engine::ActiveState::inactive ||
      status.active == engine::ActiveState::failed ||
      status.active == engine::ActiveState::deactivating) {
    return Error(Errc::unit_inactive, fmt::format("{} is not up", status.spec->name.str()))
        .advise("Start it first: a binding lasts until the unit is down");
  }
  PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::from_untrusted(std::move(pidfd)));
  PIDWARD_CHECK(may_act_on(process));
  if (impl.tree.unit_of(process) == unit) {
    return Error(Errc::invalid_argument,
                 fmt::format("The process is one of {}'s own", status.spec->name.str()));
  }
  PIDWARD_TRY(const process::ProcessHandle handle, open_process(std::move(process).release()));
  impl.bindings.bind(unit, handle);
  return {};
}

UnitMeans Manager::means(UnitId unit) const {
  Impl& impl = *impl_;
  UnitMeans means;
  if (impl.groups.has(unit) || impl.groups.is_available()) {
    means.tree = impl.features.has(sys::Feature::cgroup_kill) ? "cgroup.kill" : "cgroup-freeze";
  } else {
    means.tree = "descendants";
  }
  means.manager_exit = "survive";
  const auto spec = impl.engine.spec(unit);
  if (!spec) return means;
  const bool grouped = impl.groups.is_available();
  if (!grouped && spec->settings.boolean(unit::Directive::PrivatePIDs)) {
    means.tree = "pid-namespace";
  }
  if (spec->settings.boolean(unit::Directive::KillOnManagerExit)) {
    means.manager_exit =
        impl.features.has(sys::Feature::autokill) ? "autokill" : "parent-death-signal";
    if (grouped) means.manager_exit += "+cgroup";
  }
  return means;
}

void Manager::Impl::process_ended(UnitId unit, ProcessId process) {
  tree.process_ended(unit);
  if (!process) return;
  waits.ended(process);
  exit_kills.ended(process);
  if (!observers.empty()) {
    if (auto handle = table.find(process)) {
      observers.process_exited(std::move(handle));
      tell_soon();
    }
  }
}

Status Manager::Impl::kill_tree_of(const process::ProcessState& state) {
  const engine::UnitStatus status = engine.status(state.unit());
  if (status.service != nullptr && status.service->main == state.id()) {
    tree.kill({state.unit(), engine::KillWhom::all, SIGKILL});
    return {};
  }
  const auto killed = sys::kill_tree(state.pidfd(), features);
  if (killed || killed.error().code() == Errc::no_such_process) return {};
  return killed.error();
}

void Manager::Impl::update_reference(UnitId unit) {
  engine.set_referenced(unit, named_on_bus.contains(unit) || leases.count(unit) > 0);
}

void Manager::Impl::stop_unit(UnitId unit, std::string_view kind, const std::string& why) {
  const auto spec = engine.spec(unit);
  if (!spec) return;
  log_about(LogLevel::notice, *spec, kind, why);
  engine::JobRequest wanted{spec->name};
  wanted.type = engine::JobType::stop;
  wanted.manual = false;
  request(wanted, [&spec](const Result<engine::RequestOutcome>& outcome) {
    if (outcome) return;
    log_about(LogLevel::error, *spec, "stop-failed",
              fmt::format("Cannot stop: {}", outcome.error().to_string()));
  });
}

void Manager::Impl::bound_process_ended(UnitId unit, pid_t pid) {
  stop_unit(unit, "bound-process-ended",
            fmt::format("Process {} ended, which the unit is bound to", pid));
}

void Manager::Impl::last_lease_ended(UnitId unit, bool started) {
  update_reference(unit);
  const engine::UnitStatus status = engine.status(unit);
  if (status.spec == nullptr) return;
  const bool lives_by_lease = status.spec->settings.choice<unit::KillOnLastClose>(
                                  unit::Directive::KillOnLastClose) != unit::KillOnLastClose::no;
  const bool is_down = status.active == engine::ActiveState::inactive ||
                       status.active == engine::ActiveState::failed;
  // A start that has not begun is taken back; one that was not leased for is somebody else's.
  if (lives_by_lease ? is_down && status.job && started : started) {
    stop_unit(unit, "last-lease-ended", "The last lease on the unit ended");
  } else if (lives_by_lease) {
    post(engine::HoldersGone{unit});
    drain();
  }
}

Result<sys::Fd> Manager::pidfd_for_client(const process::ProcessHandle& process) const {
  const sys::Pidfd& own = process->pidfd();
  if (!process->is_autokilled()) {
    PIDWARD_TRY(sys::Pidfd copy, own.duplicate());
    PIDWARD_CHECK(sys::check_reserve(copy.get(), sys::DescriptorUse::client));
    return std::move(copy).release();
  }
  // A copy of the descriptor that keeps it alive would keep it alive beyond us.
  PIDWARD_TRY(const pid_t pid, own.pid());
  PIDWARD_TRY(sys::Pidfd other, sys::Pidfd::open(pid));
  PIDWARD_CHECK(sys::check_reserve(other.get(), sys::DescriptorUse::client));
  PIDWARD_TRY(const bool exists, own.exists());
  if (!exists) return Error(Errc::no_such_process, "The process is gone");
  return std::move(other).release();
}

}  // namespace pidward::runtime
