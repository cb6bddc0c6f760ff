#include "runtime/leases.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/core.h>
#include <sys/epoll.h>

#include "runtime/clock.hpp"
#include "sys/descriptor_reserve.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kLeaseKind = "lease";

// How much an end takes with it.
int strictness(const process::LastClose& policy) {
  switch (policy.action) {
    case process::LastClose::Action::none:
      return 0;
    case process::LastClose::Action::signal:
      return policy.signal == SIGKILL ? 2 : 1;
    case process::LastClose::Action::kill_tree:
      return 3;
  }
  return 0;
}

}  // namespace

Status may_act_on(const sys::Pidfd& process, Extent extent) {
  PIDWARD_CHECK(process::verify(
      process, {.cgroup = {}, .descendant_of_us = false, .not_above_us = extent == Extent::tree}));
  PIDWARD_TRY(const bool kernel_thread, sys::is_kernel_thread(process));
  if (kernel_thread) {
    return Error(Errc::not_supported, "The process is a kernel thread, which no signal reaches");
  }
  return {};
}

struct Leases::Entry {
  LeaseInfo info;
  process::Lease lease;
  std::string name;  ///< it is kept under
  Watch watch;
};

Leases::Leases(Core& core, ProcessTracker& tracker, StateKeeper& keeper)
    : core_(core), tracker_(tracker), keeper_(keeper) {}
Leases::~Leases() = default;

Status Leases::watch(process::Lease lease, const LeaseInfo& info, std::string name) {
  const int fd = lease.watch_fd();
  // Nothing but the hang-up, which comes unasked: what a client may write is never read.
  PIDWARD_TRY(Watch watch, Watch::start(core_.watcher, fd, 0, *this));
  by_fd_.emplace(fd, std::make_unique<Entry>(
                         Entry{info, std::move(lease), std::move(name), std::move(watch)}));
  return {};
}

void Leases::count_in(const LeaseInfo& info, bool started, const process::ProcessHandle& process) {
  if (process) {
    ++processes_[info.process];
    if (strictness(info.last_close) >= strictness(process->last_close())) {
      process.set_last_close(info.last_close);
    }
    return;
  }
  Held& held = units_[info.unit];
  ++held.leases;
  held.started = held.started || started;
}

/// Written down before its client can have it.
Result<sys::Fd> Leases::keep(process::Lease::Pair pair, LeaseInfo& info, bool started) {
  info.id = process::LeaseId(next_++);
  info.since = now();
  const process::ProcessHandle process = pair.lease.process();
  // Both ends are ours until the client has its own.
  PIDWARD_CHECK(sys::check_reserve(pair.lease.watch_fd(), sys::DescriptorUse::client));
  PIDWARD_CHECK(sys::check_reserve(pair.client_end.get(), sys::DescriptorUse::client));
  std::string name = keeper_.new_descriptor_name(kLeaseKind);
  const int fd = pair.lease.watch_fd();
  PIDWARD_CHECK(watch(std::move(pair.lease), info, name));
  keeper_.keep_descriptor(name, fd, describe(info, started, process));
  keeper_.flush();
  count_in(info, started, process);
  return std::move(pair.client_end);
}

Result<UnitLease> Leases::on_unit(UnitId unit, bool starts_it, LeaseTaker taker) {
  PIDWARD_TRY(process::Lease::Pair pair, process::Lease::on_unit(unit));
  LeaseInfo info;
  info.unit = unit;
  info.taker = taker;
  PIDWARD_TRY(sys::Fd descriptor, keep(std::move(pair), info, starts_it));
  return UnitLease{{}, info.id, std::move(descriptor)};
}

Result<ProcessLease> Leases::on_process(const process::ProcessHandle& process,
                                        process::LastClose last_close, LeaseTaker taker) {
  if (last_close.action == process::LastClose::Action::signal &&
      (last_close.signal < 1 || last_close.signal > SIGRTMAX)) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a signal", last_close.signal));
  }
  const bool whole = last_close.action == process::LastClose::Action::kill_tree;
  PIDWARD_CHECK(may_act_on(process->pidfd(), whole ? Extent::tree : Extent::process));
  PIDWARD_CHECK(tracker_.observe(process));
  PIDWARD_TRY(process::Lease::Pair pair, process::Lease::on_process(process));
  LeaseInfo info;
  info.unit = process->unit();
  info.process = process->id();
  info.last_close = last_close;
  info.taker = taker;
  PIDWARD_TRY(sys::Fd descriptor, keep(std::move(pair), info, false));
  return ProcessLease{info.id, std::move(descriptor)};
}

void Leases::cancel(process::LeaseId lease) {
  const auto found = std::ranges::find_if(
      by_fd_, [lease](const auto& entry) { return entry.second->info.id == lease; });
  if (found == by_fd_.end()) return;
  const std::unique_ptr<Entry> cancelled = std::move(found->second);
  by_fd_.erase(found);
  cancelled->watch.stop();
  keeper_.drop_descriptor(cancelled->name);
  const auto held = units_.find(cancelled->info.unit);
  if (held != units_.end() && --held->second.leases == 0) units_.erase(held);
}

std::vector<LeaseInfo> Leases::list() const {
  std::vector<LeaseInfo> result;
  result.reserve(by_fd_.size());
  for (const auto& [fd, entry] : by_fd_) result.push_back(entry->info);
  std::ranges::sort(result, {}, &LeaseInfo::id);
  return result;
}

std::size_t Leases::count(UnitId unit) const {
  const auto found = units_.find(unit);
  return found == units_.end() ? 0 : found->second.leases;
}

std::size_t Leases::count(ProcessId process) const {
  const auto found = processes_.find(process);
  return found == processes_.end() ? 0 : found->second;
}

void Leases::descriptor_ready(int fd, std::uint32_t /*events*/) {
  const auto found = by_fd_.find(fd);
  if (found == by_fd_.end()) return;
  const std::unique_ptr<Entry> ended = std::move(found->second);
  by_fd_.erase(found);
  ended->watch.stop();
  keeper_.drop_descriptor(ended->name);
  release(ended->info, ended->lease);
}

void Leases::release(const LeaseInfo& info, const process::Lease& lease) {
  if (info.process) {
    const auto held = processes_.find(info.process);
    if (held == processes_.end() || --held->second > 0) return;
    processes_.erase(held);
    lease.process().run_last_close();
    return;
  }
  const auto held = units_.find(info.unit);
  if (held == units_.end() || --held->second.leases > 0) return;
  const bool started = held->second.started;
  units_.erase(held);
  if (released_) released_(info.unit, started);
}

}  // namespace pidward::runtime
