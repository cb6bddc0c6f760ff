// What is asked of the manager and answered at once.
#include <algorithm>

#include <fmt/core.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "runtime/process_details.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

bool is_variable_name(std::string_view name) {
  const auto valid = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !name.empty() && (name.front() < '0' || name.front() > '9') &&
         std::ranges::all_of(name, valid);
}

}  // namespace

Status Manager::cancel(JobId job) {
  return impl_->with_engine([job](engine::Engine& engine, engine::Effects& effects) {
    return engine.cancel(job, now(), effects);
  });
}

void Manager::cancel_all_jobs() {
  impl_->with_engine([](engine::Engine& engine, engine::Effects& effects) {
    engine.cancel_all(now(), effects);
    return 0;
  });
}

Status Manager::reset_failed(UnitId unit) {
  return impl_->with_engine([unit](engine::Engine& engine, engine::Effects& effects) {
    return engine.reset_failed(unit, now(), effects);
  });
}

void Manager::reset_failed_all() {
  impl_->boot_failed = false;
  for (const UnitId unit : impl_->engine.units()) static_cast<void>(reset_failed(unit));
}

Status Manager::kill(UnitId unit, engine::KillWhom whom, int signal) {
  return impl_->with_engine([&](engine::Engine& engine, engine::Effects& effects) {
    return engine.kill(unit, whom, signal, now(), effects);
  });
}

void Manager::set_referenced(UnitId unit, bool referenced) {
  if (referenced) {
    impl_->named_on_bus.insert(unit);
  } else {
    impl_->named_on_bus.erase(unit);
    // It may have been the last thing that kept a transient unit.
    const auto spec = impl_->engine.spec(unit);
    impl_->collect_soon = impl_->collect_soon || (spec && spec->transient);
  }
  impl_->update_reference(unit);
  if (!referenced) impl_->drain();
}

const engine::Engine& Manager::engine() const {
  return impl_->engine;
}
const process::ProcessTable& Manager::processes() const {
  return impl_->table;
}
const sys::KernelFeatures& Manager::features() const {
  return impl_->features;
}
const Config& Manager::config() const {
  return impl_->config;
}
const unit::SearchPath& Manager::search_path() const {
  return impl_->source.context().path;
}
SystemState Manager::system_state() const {
  return impl_->state();
}
std::string Manager::log_directory() const {
  return impl_->config.log_directory;
}
Now Manager::startup_time() const {
  return impl_->started_at;
}
Now Manager::finished_time() const {
  return impl_->finished_at;
}
std::optional<int> Manager::exit_code() const {
  return impl_->exit_code;
}
void Manager::request_exit(int exit_code) {
  impl_->request_exit(exit_code);
}
void Manager::add_observer(ManagerObserver* observer) {
  impl_->observers.add(observer);
  for (const auto& [name, units] : impl_->bus_names) observer->watch_bus_name(name, true);
}
void Manager::remove_observer(ManagerObserver* observer) {
  impl_->observers.remove(observer);
}

std::vector<ProcessInfo> Manager::list_processes(std::optional<UnitId> unit) const {
  Impl& impl = *impl_;
  std::vector<ProcessInfo> list;
  for (const UnitId each : unit ? std::vector<UnitId>{*unit} : impl.engine.units()) {
    const engine::UnitStatus status = impl.engine.status(each);
    for (const sys::Pidfd& process : impl.tree.members(each)) {
      ProcessInfo info;
      const auto known = impl.table.find(process);
      if (known && *known) {
        info.id = (*known)->id();
      } else if (const auto inode = process.inode();
                 inode && impl.features.has(sys::Feature::pidfs)) {
        info.id = ProcessId(*inode);
      }
      const auto facts = sys::inspect(process, impl.features);
      if (!facts) continue;  // it ended
      info.pid = static_cast<std::uint32_t>(facts->pid);
      info.parent = static_cast<std::uint32_t>(facts->ppid);
      info.unit = each;
      info.role = role_in(status, info.id, process::Role::other);
      info.control_group = sys::cgroup_path_of(process).value_or("");
      info.command = command_text(process, sys::cmdline_of(process).value_or({}));
      list.push_back(std::move(info));
    }
  }
  return list;
}

std::vector<std::string> Manager::complaints(UnitId unit) const {
  const auto found = impl_->complaints_of.find(unit);
  if (found == impl_->complaints_of.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::string Manager::control_group(UnitId unit) const {
  return impl_->groups.path(unit);
}

std::optional<UnitId> Manager::unit_of_process(ProcessId process) const {
  const auto handle = impl_->table.find(process);
  if (!handle || !handle->unit()) return std::nullopt;
  return handle->unit();
}

Result<UnitId> Manager::unit_by_pid(std::uint32_t pid) {
  PIDWARD_TRY(const sys::Pidfd process, sys::Pidfd::open(static_cast<pid_t>(pid)));
  const auto unit = impl_->tree.unit_of(process);
  PIDWARD_TRY(const bool exists, process.exists());
  if (!exists) return Error(Errc::no_such_process, fmt::format("There is no process {}", pid));
  if (!unit) return Error(Errc::no_such_unit, fmt::format("Process {} is in no unit", pid));
  return *unit;
}

std::uint32_t Manager::pid_of(ProcessId process) const {
  const auto handle = impl_->table.find(process);
  return handle && !handle->has_ended() ? static_cast<std::uint32_t>(handle->pid()) : 0;
}

std::vector<std::string> Manager::environment() const {
  std::vector<std::string> block;
  for (const auto& [key, value] : impl_->environment) {
    block.push_back(fmt::format("{}={}", key, value));
  }
  return block;
}

Status Manager::set_environment(const std::vector<std::string>& assignments) {
  for (const std::string& entry : assignments) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || !is_variable_name(entry.substr(0, equals)) ||
        entry.find('\0') != std::string::npos) {
      return Error(Errc::invalid_argument, fmt::format("\"{}\" is not NAME=VALUE", entry));
    }
  }
  for (const std::string& entry : assignments) {
    const std::size_t equals = entry.find('=');
    impl_->environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  impl_->keep_manager_entry();
  return {};
}

void Manager::unset_environment(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::size_t equals = name.find('=');
    const auto found = impl_->environment.find(name.substr(0, equals));
    if (found == impl_->environment.end()) continue;
    // "NAME=VALUE" removes the variable only while it has that value.
    if (equals != std::string::npos && found->second != name.substr(equals + 1)) continue;
    impl_->environment.erase(found);
  }
  impl_->keep_manager_entry();
}

void Manager::bus_name_changed(const std::string& name, bool owned,
                               std::optional<std::uint32_t> owner_pid) {
  Impl& impl = *impl_;
  const auto found = impl.bus_names.find(name);
  if (found == impl.bus_names.end()) return;
  for (const UnitId unit : std::set<UnitId>(found->second)) {
    engine::BusNameChanged event{unit, owned, {}};
    if (owner_pid) {
      const auto owner = process::open_pid_verified(impl.table, static_cast<pid_t>(*owner_pid),
                                                    impl.tree.expectation(unit));
      if (owner && impl.tracker.add(*owner, unit, process::Role::other))
        event.owner = (*owner)->id();
    }
    impl.post(event);
  }
  impl.drain();
}

}  // namespace pidward::runtime
