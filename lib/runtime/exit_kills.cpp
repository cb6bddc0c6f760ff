#include "runtime/exit_kills.hpp"

#include <fcntl.h>
#include <fmt/core.h>

namespace pidward::runtime {
namespace {

// What pidward-init looks for at the start of a name.
constexpr const char* kPrefix = "kill-on-exit";

}  // namespace

void ExitKills::started(UnitId unit, const unit::UnitSpec& spec, ProcessId process) {
  if (!kept_.has_keeper() || !spec.settings.boolean(unit::Directive::KillOnManagerExit)) return;
  if (groups_.is_available() && core_.features.has(sys::Feature::cgroup_kill)) {
    return give_group(unit);
  }
  const process::ProcessHandle handle = core_.table.find(process);
  // The kernel kills it itself, as long as nobody else has its descriptor.
  if (!handle || handle->is_autokilled() || processes_.contains(process)) return;
  std::string name = fmt::format("{}-pid-{}", kPrefix, process.number());
  give(name, handle->pidfd().get());
  processes_.emplace(process, std::move(name));
}

void ExitKills::give_group(UnitId unit) {
  const auto group = groups_.group(unit);
  const auto id = group ? group->id() : Result<std::uint64_t>(group.error());
  if (!id) return;
  std::string name = fmt::format("{}-{}", kPrefix, *id);
  const auto known = units_.find(unit);
  if (known != units_.end() && known->second == name) return;
  // The group may have been made anew.
  forget(unit);
  const auto file = sys::open_path(group->file_path() + "/cgroup.kill", O_WRONLY);
  if (!file) return;
  give(name, file->get());
  units_.emplace(unit, std::move(name));
}

void ExitKills::give(const std::string& name, int fd) {
  // An earlier one of ours may have come back from whoever kept it without using it.
  if (kept_.take(name)) kept_.drop(name);
  kept_.give(name, fd);
}

void ExitKills::ended(ProcessId process) {
  const auto found = processes_.extract(process);
  if (!found.empty()) kept_.drop(found.mapped());
}

void ExitKills::forget(UnitId unit) {
  const auto found = units_.extract(unit);
  if (!found.empty()) kept_.drop(found.mapped());
}

}  // namespace pidward::runtime
