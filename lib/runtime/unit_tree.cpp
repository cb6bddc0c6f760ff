#include "runtime/unit_tree.hpp"

#include <algorithm>
#include <csignal>
#include <unordered_set>

#include <fmt/core.h>

#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

void send(const sys::Pidfd& process, const engine::KillProcesses& effect) {
  // A process that is gone meanwhile is what was wanted; anything else is worth a line.
  const auto deliver = [&process](int signal) {
    const Status sent = process.send_signal(signal);
    if (!sent && sent.error().code() != Errc::no_such_process) {
      log(LogLevel::warning,
          fmt::format("Cannot send signal {}: {}", signal, sent.error().to_string()));
    }
  };
  deliver(effect.signal);
  if (effect.also_continue && effect.signal != SIGKILL && effect.signal != SIGCONT) {
    deliver(SIGCONT);
  }
  if (effect.also_hangup && effect.signal != SIGKILL && effect.signal != SIGHUP) deliver(SIGHUP);
}

/// What tells processes apart for as long as nobody collects one of them. 0: it is nobody's any
/// more.
std::uint64_t key_of(const sys::Pidfd& process, const sys::KernelFeatures& features) {
  if (features.has(sys::Feature::pidfs)) return process.inode().value_or(0);
  const auto number = process.pid();
  return number ? static_cast<std::uint64_t>(*number) : 0;
}

}  // namespace

UnitTree::UnitTree(Core& core, CgroupTree& groups, ProcessTracker& tracker)
    : core_(core), groups_(groups), tracker_(tracker) {}

bool UnitTree::is_main_or_control(UnitId unit, ProcessId process, engine::KillWhom whom) const {
  const engine::UnitStatus status = core_.engine.status(unit);
  const bool wants_main = whom != engine::KillWhom::control;
  const bool wants_control = whom != engine::KillWhom::main;
  if (status.service != nullptr) {
    if (wants_main && process == status.service->main) return true;
    if (wants_control && process == status.service->control) return true;
  }
  return wants_control && status.socket != nullptr && process == status.socket->control;
}

bool UnitTree::is_its_group(UnitId unit) const {
  const auto spec = core_.engine.spec(unit);
  return spec && spec->name.type() == unit::UnitType::scope && groups_.has(unit);
}

std::vector<process::ProcessHandle> UnitTree::tracked(UnitId unit) const {
  std::vector<process::ProcessHandle> processes = tracker_.living(unit);
  if (!processes.empty() && is_its_group(unit)) {
    // One that is about to end is in its group to the last.
    std::erase_if(processes, [&](const process::ProcessHandle& handle) {
      const auto path = sys::cgroup_path_of(handle->pidfd());
      return path && groups_.unit_at(*path) != unit;
    });
  }
  return processes;
}

std::vector<sys::Pidfd> UnitTree::members(UnitId unit) {
  std::vector<sys::Pidfd> result;
  if (groups_.has(unit)) {
    if (groups_.is_populated(unit)) {
      const auto group = groups_.group(unit);
      auto processes = group ? group->processes() : Result<std::vector<sys::Pidfd>>(group.error());
      if (processes) result = *std::move(processes);
    }
    std::unordered_set<ProcessId> listed;
    for (const sys::Pidfd& process : result) {
      const auto known = core_.table.find(process);
      if (known && *known) listed.insert((*known)->id());
    }
    // One that was announced may live elsewhere, and a list that cannot be read leaves nobody out.
    for (const process::ProcessHandle& handle : tracked(unit)) {
      if (listed.contains(handle->id())) continue;
      if (auto copy = handle->pidfd().duplicate()) result.push_back(*std::move(copy));
    }
    return result;
  }
  if (!groups_.is_available()) adopt_orphans({});
  for (const process::ProcessHandle& handle : tracker_.living(unit)) {
    if (auto below = sys::descendants_of(handle->pidfd(), core_.features)) {
      for (sys::Pidfd& process : *below) result.push_back(std::move(process));
    }
    if (auto copy = handle->pidfd().duplicate()) result.push_back(*std::move(copy));
  }
  return result;
}

std::vector<sys::Pidfd> UnitTree::chosen(const engine::KillProcesses& effect) {
  std::vector<sys::Pidfd> result;
  if (effect.whom == engine::KillWhom::all || effect.whom == engine::KillWhom::all_but_main) {
    result = members(effect.unit);
    const auto leads = [&](const sys::Pidfd& process) {
      const auto known = core_.table.find(process);
      return known && *known &&
             is_main_or_control(effect.unit, (*known)->id(), engine::KillWhom::main_and_control);
    };
    if (effect.whom == engine::KillWhom::all) {
      // First who leads, or a shell would see its command killed and end with a status of its own.
      std::stable_partition(result.begin(), result.end(), leads);
    } else {
      std::erase_if(result, leads);
    }
    return result;
  }
  for (const process::ProcessHandle& handle : tracker_.living(effect.unit)) {
    if (!is_main_or_control(effect.unit, handle->id(), effect.whom)) continue;
    if (auto copy = handle->pidfd().duplicate()) result.push_back(*std::move(copy));
  }
  return result;
}

void UnitTree::kill(const engine::KillProcesses& effect) {
  if (effect.whom == engine::KillWhom::all && effect.signal == SIGKILL) {
    if (const auto group = groups_.group(effect.unit)) {
      groups_.note_killed(effect.unit);
      if (Status killed = group->kill(core_.features); !killed) {
        log(LogLevel::warning, fmt::format("Cannot kill the control group {}: {}", group->path(),
                                           killed.error().to_string()));
      }
    } else if (!groups_.is_available()) {
      adopt_orphans({});
      for (const process::ProcessHandle& handle : tracker_.living(effect.unit)) {
        const auto killed = sys::kill_tree(handle->pidfd(), core_.features);
        if (killed || killed.error().code() == Errc::no_such_process) continue;
        log(LogLevel::warning, fmt::format("Cannot kill the tree of process {}: {}", handle->pid(),
                                           killed.error().to_string()));
      }
    }
  }
  const bool everybody =
      effect.whom == engine::KillWhom::all || effect.whom == engine::KillWhom::all_but_main;
  // Who was forked while the others got their signal has none: look again until nobody is new.
  constexpr int kRounds = 16;
  std::unordered_set<std::uint64_t> signalled;
  for (int round = 0; round < kRounds; ++round) {
    bool is_new = false;
    for (const sys::Pidfd& process : chosen(effect)) {
      const bool first = signalled.insert(key_of(process, core_.features)).second;
      if (first) send(process, effect);
      is_new = is_new || first;
    }
    if (!is_new || !everybody || effect.signal == SIGKILL) break;
  }
  if (everybody) awaited_.insert_or_assign(effect.unit, Awaited{effect, std::move(signalled)});
  watch_empty(effect.unit);
}

bool UnitTree::is_empty(UnitId unit) {
  if (!groups_.is_available()) adopt_orphans({});
  return tracked(unit).empty() && !groups_.is_populated(unit);
}

void UnitTree::watch_empty(UnitId unit) {
  awaited_.try_emplace(unit);
  settle(unit);
}

void UnitTree::spawn_answered(UnitId unit) {
  if (awaited_.contains(unit)) settle(unit);
}

void UnitTree::settle(UnitId unit) {
  if (spawning_ && spawning_(unit)) return;
  if (!is_empty(unit)) {
    // Whose end is told leads here again; who else is there shows in the group alone, which is
    // watched from before the look that counts.
    const bool end_is_told = tracker_.has_living(unit) && !is_its_group(unit);
    if (end_is_told || !groups_.watch_events(unit) || !is_empty(unit)) return;
  }
  if (is_its_group(unit)) tracker_.forget(unit);
  awaited_.erase(unit);
  core_.events.post(engine::UnitEmpty{unit});
}

void UnitTree::group_empty(UnitId unit) {
  // The group lets go of a process a moment before its pidfd tells the end; the end comes first.
  awaited_.try_emplace(unit);
  settle(unit);
}

void UnitTree::signal_latecomer(UnitId unit, const sys::Pidfd& process) {
  const auto found = awaited_.find(unit);
  if (found == awaited_.end() || !found->second.signal) return;
  // Only a stop means everybody; a signal that an administrator sent meant those there were.
  if (core_.engine.status(unit).active == engine::ActiveState::deactivating &&
      found->second.signalled.insert(key_of(process, core_.features)).second) {
    send(process, *found->second.signal);
  }
}

/// A new process is seen in its group a moment after its parent is through with making it, and a
/// signal to the parent may fall between. When the parent has ended, it is there.
void UnitTree::signal_latecomers(UnitId unit) {
  const auto found = awaited_.find(unit);
  if (found == awaited_.end() || !found->second.signal) return;
  const engine::KillProcesses effect = *found->second.signal;
  // Who is killed cannot make anybody.
  if (effect.signal == SIGKILL) return;
  for (const sys::Pidfd& process : chosen(effect)) signal_latecomer(unit, process);
}

void UnitTree::process_ended(UnitId unit) {
  if (!groups_.is_available()) {
    adopt_orphans(unit);
    if (unit) awaited_.try_emplace(unit);
    std::vector<UnitId> all;
    for (const auto& [waiting, signalled] : awaited_) all.push_back(waiting);
    for (const UnitId waiting : all) settle(waiting);
    return;
  }
  if (!unit || !awaited_.contains(unit)) return;
  signal_latecomers(unit);
  settle(unit);
}

void UnitTree::forget(UnitId unit) {
  awaited_.erase(unit);
}

std::optional<UnitId> UnitTree::unit_of(const sys::Pidfd& process) const {
  if (const auto known = core_.table.find(process); known && *known && (*known)->unit()) {
    return (*known)->unit();
  }
  if (groups_.is_available()) {
    if (core_.features.has(sys::Feature::pidfd_info)) {
      const auto info = process.info(sys::uapi::kPidfdInfoCgroupId);
      if (info && (info->mask & sys::uapi::kPidfdInfoCgroupId) != 0) {
        if (const auto unit = groups_.unit_by_id(info->cgroup_id)) return unit;
      }
    }
    const auto path = sys::cgroup_path_of(process);
    return path ? groups_.unit_at(*path) : std::nullopt;
  }
  // Up the chain of parents, each opened while its child still names it.
  auto current = process.duplicate();
  constexpr int kDeepest = 64;
  for (int depth = 0; current && depth < kDeepest; ++depth) {
    if (const auto owner = owner_of_orphan(*current)) return owner;
    const auto stat = sys::stat_of(*current);
    if (!stat || stat->ppid <= 1) return std::nullopt;
    auto parent = sys::Pidfd::open(stat->ppid);
    const auto again = sys::stat_of(*current);
    if (!parent || !again || again->ppid != stat->ppid) return std::nullopt;
    const auto known = core_.table.find(*parent);
    if (known && *known && (*known)->unit()) return (*known)->unit();
    current = std::move(parent);
  }
  return std::nullopt;
}

process::Expectation UnitTree::expectation(UnitId unit) const {
  process::Expectation expected;
  if (groups_.has(unit)) {
    expected.cgroup = groups_.path(unit);
  } else {
    expected.descendant_of_us = true;
  }
  return expected;
}

}  // namespace pidward::runtime
