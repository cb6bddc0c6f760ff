#include "runtime/process_tracker.hpp"

#include <csignal>

#include <fmt/core.h>
#include <sys/epoll.h>

#include "runtime/loop_timer.hpp"
#include "runtime/state_keeper.hpp"
#include "sys/reaper.hpp"

namespace pidward::runtime {
namespace {

// How long the parent of a process that is not our child may take to collect it before its exit
// status counts as unknown. The kernel tells the status from then on only.
constexpr std::chrono::milliseconds kParentGrace(500);

}  // namespace

/// A process that has ended and that its parent, or its tracer, has not collected yet.
struct ProcessTracker::Late {
  explicit Late(boost::asio::io_context& io) : timer(io) {}
  LoopTimer timer;
};

ProcessTracker::ProcessTracker(Core& core) : core_(core) {
  core_.table.set_observer([this](const process::ProcessState& state) { entry_gone(state); });
}

ProcessTracker::~ProcessTracker() {
  core_.table.set_observer({});
  for (const auto& [fd, tracked] : by_fd_) core_.watcher.remove(fd);
}

Result<ProcessId> ProcessTracker::add_child(Child child, UnitId unit, process::Role role,
                                            SpawnId spawn) {
  PIDWARD_TRY(
      const process::ProcessHandle handle,
      core_.table.adopt_child(std::move(child.pidfd), unit, role, child.collected, child.pid));
  if (Status watched = watch(handle, true, spawn, child.gate); !watched) {
    // A process that nobody can watch, or nobody will know of, must not run.
    static_cast<void>(handle.send_signal(SIGKILL));
    handle.set_unit({});
    drop(handle->pidfd().get());
    return std::move(watched).error();
  }
  return handle->id();
}

void ProcessTracker::gate_opened(ProcessId process) {
  if (keeper_ == nullptr) return;
  if (const process::ProcessHandle handle = core_.table.find(process)) keeper_->label(handle);
}

Status ProcessTracker::add(const process::ProcessHandle& handle, UnitId unit, process::Role role) {
  if (is_tracked(handle->id())) return {};
  handle.set_unit(unit);
  handle.set_role(role);
  return watch(handle, true);
}

void ProcessTracker::keep_all(KeptDescriptors& kept) const {
  for (const auto& [fd, tracked] : by_fd_) {
    if (!tracked.hold) continue;
    const process::ProcessState& state = *tracked.hold;
    if (state.is_autokilled() || state.role() != process::Role::other) {
      kept.keep_here(pidfd_name(state.id()), fd);
    }
  }
}

Status ProcessTracker::observe(const process::ProcessHandle& handle) {
  return handle->has_ended() ? Status() : watch(handle, false);
}

void ProcessTracker::entry_gone(const process::ProcessState& state) {
  const auto found = by_process_.find(state.id());
  if (found != by_process_.end()) drop(found->second);
}

bool ProcessTracker::is_tracked(ProcessId process) const {
  const auto found = by_process_.find(process);
  return found != by_process_.end() && by_fd_.at(found->second).hold;
}

Status ProcessTracker::watch(const process::ProcessHandle& handle, bool hold, SpawnId spawn,
                             exec::Gate* gate) {
  const int fd = handle->pidfd().get();
  if (by_process_.contains(handle->id())) {
    if (hold) by_fd_.at(fd).hold = handle;
  } else {
    PIDWARD_CHECK(core_.watcher.add(fd, EPOLLIN, *this));
    by_fd_.emplace(fd, Tracked{handle->id(), hold ? handle : process::ProcessHandle()});
    by_process_.emplace(handle->id(), fd);
  }
  if (hold && keeper_ != nullptr) {
    return keeper_->process_added(handle, handle->unit(), handle->role(), spawn, gate);
  }
  return {};
}

void ProcessTracker::drop(int fd) {
  const auto found = by_fd_.find(fd);
  if (found == by_fd_.end()) return;
  core_.watcher.remove(fd);
  late_.erase(fd);
  by_process_.erase(found->second.process);
  // The handle may be the last one: its entry goes when nothing here names it any more.
  const Tracked dropped = std::move(found->second);
  by_fd_.erase(found);
}

std::vector<process::ProcessHandle> ProcessTracker::living(UnitId unit) const {
  std::vector<process::ProcessHandle> result;
  for (process::ProcessHandle& handle : core_.table.processes_of(unit)) {
    if (is_tracked(handle->id()) && !handle->has_ended()) result.push_back(std::move(handle));
  }
  return result;
}

bool ProcessTracker::has_living(UnitId unit) const {
  return !living(unit).empty();
}

void ProcessTracker::forget(UnitId unit) {
  for (const process::ProcessHandle& handle : core_.table.processes_of(unit)) {
    const auto found = by_process_.find(handle->id());
    if (found == by_process_.end()) continue;
    if (keeper_ != nullptr) keeper_->process_gone(handle->id());
    // Somebody else may hold it: then it stays, as a process of nobody's, and is waited on.
    handle.set_unit({});
    handle.set_role(process::Role::foreign);
    const process::ProcessHandle let_go = std::move(by_fd_.at(found->second).hold);
  }
}

void ProcessTracker::descriptor_ready(int fd, std::uint32_t events) {
  look(fd, (events & EPOLLHUP) != 0);
}

void ProcessTracker::look(int fd, bool parent_is_done) {
  const auto found = by_fd_.find(fd);
  if (found == by_fd_.end()) return;
  const process::ProcessHandle handle = core_.table.find(found->second.process);
  if (!handle) return;
  if (!handle->is_child()) {
    // It may have become ours since: an orphan's next parent is its subreaper.
    const auto end = handle->pidfd().reap();
    if (end && *end) {
      core_.table.mark_exited(handle->id(), (*end)->status);
      finish(fd, (*end)->status);
      return;
    }
  }
  const auto status = core_.table.collect(handle);
  if (!status) {
    finish(fd, {});
    return;
  }
  if (!*status) {
    // Dead, and yet not to be collected by its parent: a tracer has to look first. It may take its
    // time, and nothing hangs on that but how the process ended.
    const auto ended = handle->pidfd().has_ended();
    if (!ended || !*ended) return;
    if (!parent_is_done) return wait_for_parent(fd);
    core_.table.mark_exited(handle->id(), {});
    finish(fd, {});
    return;
  }
  const bool can_still_be_told =
      !parent_is_done && core_.features.has(sys::Feature::pidfd_exit_info);
  if ((*status)->kind == ExitStatus::Kind::unknown && can_still_be_told) {
    wait_for_parent(fd);
    return;
  }
  finish(fd, **status);
}

void ProcessTracker::wait_for_parent(int fd) {
  if (late_.contains(fd)) return;
  // From here on only the hang-up counts: the parent has collected it.
  core_.watcher.remove(fd);
  if (!core_.watcher.add(fd, 0, *this)) {
    by_process_.erase(by_fd_.at(fd).process);
    by_fd_.erase(fd);
    return;
  }
  auto late = std::make_unique<Late>(core_.io);
  late->timer.expires_after(kParentGrace);
  late->timer.async_wait([this, fd](const boost::system::error_code& error) {
    if (error) return;
    look(fd, true);
    core_.events.drain();
  });
  late_.emplace(fd, std::move(late));
}

void ProcessTracker::finish(int fd, ExitStatus status) {
  const auto found = by_fd_.find(fd);
  if (found == by_fd_.end()) return;
  const process::ProcessHandle handle = core_.table.find(found->second.process);
  drop(fd);
  if (keeper_ != nullptr) keeper_->process_gone(handle->id());
  const bool report = !before_end_ || before_end_(handle->id());
  if (report && handle->unit()) {
    core_.events.post(engine::ProcessExited{handle->unit(), handle->id(), status});
  }
  if (after_end_) after_end_(handle->unit(), handle->id());
}

void ProcessTracker::reap() {
  while (true) {
    auto ended = sys::next_ended_child();
    if (!ended || !*ended) return;
    const auto handle = core_.table.find((*ended)->pidfd);
    const auto end = (*ended)->pidfd.reap();
    if (!end || !*end) {
      log(LogLevel::warning, "A child that ended cannot be collected");
      return;
    }
    if (!handle || !*handle) {
      if (after_end_) after_end_({}, {});
      continue;
    }
    core_.table.mark_exited((*handle)->id(), (*end)->status);
    const auto tracked = by_process_.find((*handle)->id());
    if (tracked != by_process_.end()) finish(tracked->second, (*end)->status);
  }
}

}  // namespace pidward::runtime
