#include "process/process_table.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/contract.hpp"
#include "base/log.hpp"
#include "sys/proc.hpp"

namespace pidward::process {
namespace {

static_assert(sizeof(ProcessState) <= 128, "an entry is to stay small: there may be thousands");

constexpr bool by_serial_first(std::uint64_t a, std::uint64_t b) {
  return a < b;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::main:
      return "main";
    case Role::control:
      return "control";
    case Role::other:
      return "other";
    case Role::foreign:
      return "foreign";
  }
  return "foreign";
}

ProcessTable::ProcessTable(const sys::KernelFeatures& features) : features_(features) {}

ProcessTable::~ProcessTable() {
  shutdown(Leftovers::run_policies);
}

Result<ProcessHandle> ProcessTable::open(sys::Pidfd pidfd) {
  PIDWARD_TRY(sys::Pidfd checked, sys::Pidfd::from_untrusted(std::move(pidfd).release()));
  PIDWARD_TRY(const Identity identity, identify(checked));
  PIDWARD_TRY(ProcessState * state, find_or_add(std::move(checked), identity));
  return ProcessHandle(state);
}

Result<ProcessHandle> ProcessTable::reopen(sys::Pidfd pidfd, ProcessId id, pid_t pid) {
  if (features_.has(sys::Feature::pidfs)) {
    PIDWARD_TRY(const std::uint64_t inode, inode_on_pidfs(pidfd));
    if (ProcessId(inode) == id) {
      PIDWARD_TRY(ProcessState * state, find_or_add(std::move(pidfd), {id, pid}));
      return ProcessHandle(state);
    }
  }
  return open(std::move(pidfd));
}

Result<ProcessHandle> ProcessTable::adopt_child(sys::Pidfd pidfd, UnitId unit, Role role,
                                                Collected collected, pid_t pid) {
  Identity identity;
  if (pid > 0 && features_.has(sys::Feature::pidfs)) {
    PIDWARD_TRY(const std::uint64_t inode, pidfd.inode());
    identity = {ProcessId(inode), pid};
  } else {
    PIDWARD_TRY(identity, identify(pidfd));
  }
  PIDWARD_TRY(ProcessState * state, find_or_add(std::move(pidfd), identity));
  ProcessHandle handle(state);
  state->is_child_ = collected == Collected::by_us;
  state->is_autokilled_ = collected == Collected::by_kernel;
  state->role_ = role;
  handle.set_unit(unit);
  return handle;
}

/// Of one file system, known by its first descriptor, as its device number says.
Result<std::uint64_t> ProcessTable::inode_on_pidfs(const sys::Pidfd& pidfd) const {
  PIDWARD_TRY(const sys::FileIdentity file, sys::identity_of(pidfd.get()));
  if (file.device == pidfs_device_) return file.inode;
  PIDWARD_TRY(const bool is_pidfs, pidfd.is_pidfs());
  if (!is_pidfs) return Error(Errc::invalid_argument, "The descriptor is not a pidfd");
  pidfs_device_ = file.device;
  return file.inode;
}

// Which process is behind a pidfd. On pidfs its inode says so. Without, a number is an identity as
// long as the process that we know under it is unreaped: the number was read first, so if that
// process is unreaped afterwards, the number was its own at the moment of reading.
Result<ProcessTable::Identity> ProcessTable::identify(const sys::Pidfd& pidfd) const {
  Identity identity;
  if (features_.has(sys::Feature::pidfs)) {
    PIDWARD_TRY(const std::uint64_t inode, inode_on_pidfs(pidfd));
    identity.id = ProcessId(inode);
    return identity;
  }
  PIDWARD_TRY(identity.pid, pidfd.pid());
  const auto known = by_number_.find(identity.pid);
  if (known != by_number_.end()) {
    PIDWARD_TRY(const bool still_there, states_.at(known->second)->pidfd_.exists());
    if (still_there) {
      identity.id = known->second;
      return identity;
    }
  }
  // The known one is reaped. If this one is not, they differ; if it is, nobody can tell any more.
  PIDWARD_TRY(const bool exists, pidfd.exists());
  if (!exists) return Error(Errc::no_such_process, "The process is gone");
  return identity;
}

Result<ProcessState*> ProcessTable::find_or_add(sys::Pidfd pidfd, Identity identity) {
  if (is_shut_down_) {
    return Error(Errc::shutting_down, "No process is taken in any more: pidward is stopping");
  }
  if (const auto found = states_.find(identity.id); found != states_.end()) {
    return found->second.get();
  }
  const bool by_number = !identity.id;
  if (by_number) {
    // Serial above, number below: never given out again, and readable in a log.
    identity.id = ProcessId(next_serial_ << 32U | static_cast<std::uint64_t>(identity.pid));
  } else if (identity.pid != 0) {
    // clone3 said so, or the last daemon
  } else if (auto info = pidfd.info(sys::uapi::kPidfdInfoPid);
             info && features_.has(sys::Feature::pidfd_info)) {
    identity.pid = static_cast<pid_t>(info->pid);
  } else {
    identity.pid = pidfd.pid().value_or(0);
  }
  auto state = std::make_unique<ProcessState>();
  state->id_ = identity.id;
  state->table_ = this;
  state->serial_ = next_serial_++;
  state->pidfd_ = std::move(pidfd);
  state->pid_ = identity.pid;
  ProcessState* added = state.get();
  states_.emplace(identity.id, std::move(state));
  if (by_number) by_number_[added->pid_] = added->id_;
  link(*added);
  if (newcomer_) newcomer_(added->id_);
  return added;
}

void ProcessTable::link(ProcessState& state) {
  if (!state.unit_) return;
  ProcessState*& head = by_unit_[state.unit_];
  state.next_of_unit_ = head;
  if (head != nullptr) head->previous_of_unit_ = &state;
  head = &state;
}

void ProcessTable::unlink(ProcessState& state) noexcept {
  if (!state.unit_) return;
  if (state.next_of_unit_ != nullptr) {
    state.next_of_unit_->previous_of_unit_ = state.previous_of_unit_;
  }
  if (state.previous_of_unit_ != nullptr) {
    state.previous_of_unit_->next_of_unit_ = state.next_of_unit_;
  } else if (state.next_of_unit_ != nullptr) {
    by_unit_.find(state.unit_)->second = state.next_of_unit_;
  } else {
    by_unit_.erase(state.unit_);
  }
  state.next_of_unit_ = state.previous_of_unit_ = nullptr;
}

ProcessHandle ProcessTable::find(ProcessId id) {
  const auto found = states_.find(id);
  return found != states_.end() ? ProcessHandle(found->second.get()) : ProcessHandle();
}

Result<ProcessHandle> ProcessTable::find(const sys::Pidfd& pidfd) {
  PIDWARD_TRY(const Identity identity, identify(pidfd));
  return find(identity.id);
}

std::vector<ProcessHandle> ProcessTable::processes_of(UnitId unit) {
  std::vector<ProcessHandle> handles;
  const auto head = by_unit_.find(unit);
  if (head == by_unit_.end()) return handles;
  for (ProcessState* state = head->second; state != nullptr; state = state->next_of_unit_) {
    handles.push_back(ProcessHandle(state));
  }
  std::sort(handles.begin(), handles.end(), [](const auto& a, const auto& b) {
    return by_serial_first(a.state_->serial_, b.state_->serial_);
  });
  return handles;
}

std::vector<ProcessHandle> ProcessTable::all() {
  std::vector<ProcessHandle> handles;
  handles.reserve(states_.size());
  for (auto& [id, state] : states_) handles.push_back(ProcessHandle(state.get()));
  std::sort(handles.begin(), handles.end(), [](const auto& a, const auto& b) {
    return by_serial_first(a.state_->serial_, b.state_->serial_);
  });
  return handles;
}

void ProcessTable::mark_exited(ProcessId id, ExitStatus status) {
  const auto found = states_.find(id);
  if (found == states_.end()) return;
  ProcessState& state = *found->second;
  if (!state.has_ended_ || state.exit_status_.kind == ExitStatus::Kind::unknown) {
    state.exit_status_ = status;
  }
  state.has_ended_ = true;
}

Result<std::optional<ExitStatus>> ProcessTable::collect(const ProcessHandle& handle) {
  PIDWARD_EXPECT(handle);
  const ProcessState& state = *handle;
  if (state.has_ended_ && state.exit_status_.kind != ExitStatus::Kind::unknown) {
    return state.exit_status();
  }
  if (state.is_child_) {
    auto end = state.pidfd_.reap();
    if (end && !*end) return std::optional<ExitStatus>();
    if (end) {
      mark_exited(state.id_, (*end)->status);
      return std::optional((*end)->status);
    }
    if (end.error().sys_errno() != ECHILD) return std::move(end).error();
  }
  PIDWARD_TRY(const bool ended, state.pidfd_.has_ended());
  if (!ended) return std::optional<ExitStatus>();
  ExitStatus status;
  if (features_.has(sys::Feature::pidfd_exit_info)) {
    auto told = state.pidfd_.exit_status();
    if (told && *told) status = **told;
  }
  mark_exited(state.id_, status);
  return std::optional(status);
}

// The entry leaves the table before its policy runs: whoever meets the process again meanwhile gets
// an entry of its own, and the policy cannot run twice.
std::unique_ptr<ProcessState> ProcessTable::take_out(ProcessState& state) noexcept {
  unlink(state);
  if (const auto number = by_number_.find(state.pid_);
      number != by_number_.end() && number->second == state.id_) {
    by_number_.erase(number);
  }
  const auto entry = states_.find(state.id_);
  PIDWARD_EXPECT(entry != states_.end());
  std::unique_ptr<ProcessState> taken = std::move(entry->second);
  states_.erase(entry);
  return taken;
}

void ProcessTable::last_handle_closed(ProcessState* state) noexcept {
  const std::unique_ptr<ProcessState> taken = take_out(*state);
  run_policy(*taken, taken->last_close_);
  if (observer_) observer_(*taken);
}

void ProcessTable::run_policy(const ProcessState& state, LastClose policy) noexcept {
  Status done;
  switch (policy.action) {
    case LastClose::Action::none:
      return;
    case LastClose::Action::signal:
      if (!state.has_ended_) done = state.pidfd_.send_signal(policy.signal);
      break;
    case LastClose::Action::kill_tree:
      if (tree_killer_) {
        tree_killer_(state);
      } else if (auto killed = sys::kill_tree(state.pidfd_, features_); !killed) {
        done = std::move(killed).error();
      }
      break;
  }
  if (done || done.error().code() == Errc::no_such_process) return;
  LogRecord record;
  record.level = LogLevel::warning;
  record.message =
      fmt::format("Process {} outlives its last holder: {}", state.pid_, done.error().to_string());
  record.process = state.id_;
  record.id = "last-close-failed";
  log(record);
}

void ProcessTable::shutdown(Leftovers leftovers) {
  if (std::exchange(is_shut_down_, true)) return;
  std::vector<ProcessState*> order;
  order.reserve(states_.size());
  for (auto& [id, state] : states_) order.push_back(state.get());
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return by_serial_first(b->serial_, a->serial_); });
  // Every entry is held while the policies run: a policy may close handles, and an entry must not
  // go under our feet.
  for (ProcessState* state : order) ++state->handles_;
  for (ProcessState* state : order) {
    std::unique_ptr<ProcessState> taken = take_out(*state);
    taken->table_ = nullptr;
    if (leftovers == Leftovers::run_policies) run_policy(*taken, taken->last_close_);
    if (observer_) observer_(*taken);
    if (--taken->handles_ == 0) continue;
    // The handles that are still out own it from here on.
    [[maybe_unused]] const ProcessState* left = taken.release();
  }
}

}  // namespace pidward::process
