#include "runtime/state_keeper.hpp"

#include <functional>

#include <fmt/core.h>
#include <unistd.h>

#include "base/number.hpp"
#include "engine/record.hpp"
#include "runtime/reopen.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kProcess = "process ";
constexpr std::uint64_t kSlack = 256U << 10U;  ///< a journal up to this size is left as it is

std::string unit_key(std::string_view name) {
  return fmt::format("unit {}", name);
}

std::string process_key(ProcessId id) {
  return fmt::format("{}{}", kProcess, id.number());
}

}  // namespace

std::string pidfd_name(ProcessId process) {
  return fmt::format("pid-{}", process.number());
}

template <typename Archive, typename Self>
void ProcessRecord::each_field(Archive& a, Self& self) {
  a.text("unit", self.unit);
  a.choice("role", self.role, process::Role::foreign, process::Role::other);
  a.spawn("spawn", self.spawn);
  a.text("handle", self.handle);
  a.number("pid", self.pid);
  a.number("start", self.start_ticks);
  a.flag("autokilled", self.autokilled);
}

std::string format_process(const ProcessRecord& record) {
  engine::Saver to;
  ProcessRecord::each_field(to, record);
  return to.take();
}

std::optional<ProcessRecord> parse_process(std::string_view key, std::string_view text) {
  ProcessRecord record;
  std::uint64_t id = 0;
  if (!key.starts_with(kProcess) || !read_number(key.substr(kProcess.size()), id) || id == 0) {
    return std::nullopt;
  }
  record.id = ProcessId(id);
  engine::Loader from(text);
  ProcessRecord::each_field(from, record);
  if (!from.is_good()) return std::nullopt;
  return record;
}

StateKeeper::StateKeeper(Core& core, KeptDescriptors& kept, std::string boot_id)
    : core_(core),
      kept_(kept),
      file_(core.config.runtime_directory + "/state", std::move(boot_id)) {}

StateEntries StateKeeper::take_over(bool& whole) {
  auto contents = read_state(file_.path(), file_.boot_id());
  whole = contents && contents->damage.empty();
  if (whole) return std::move(contents->entries);
  if (!contents && contents.error().sys_errno() == ENOENT) return {};
  const std::string why = contents ? contents->damage : contents.error().to_string();
  const std::string aside = file_.path() + ".bad";
  const bool kept = ::rename(file_.path().c_str(), aside.c_str()) == 0;
  log(LogLevel::warning,
      fmt::format("The state of the last pidward, {}, cannot be used{}: {}; {}", file_.path(),
                  contents ? " as a whole" : "", why,
                  kept ? "set aside as " + aside : "and cannot be set aside either"));
  if (!contents) return {};
  // What was written before the damage is true still, only not the latest.
  return std::move(contents->entries);
}

void StateKeeper::begin(const StateEntries& other) {
  for (const auto& [key, text] : other) others_.insert_or_assign(key, text);
  batch_ = {};
  open_ = true;
  Status made = file_.rewrite(everything());
  if (!made) {
    // Without room for another file the old one does, with what has changed since.
    const auto was = read_state(file_.path(), file_.boot_id());
    if (was && was->damage.empty() && file_.resume(was->entries, everything())) made = {};
  }
  if (!made) {
    behind_ = true;
    log(LogLevel::error,
        fmt::format("The state is not kept: {}; should pidward die now, what it supervises is "
                    "found again by control group and file handle only",
                    made.error().to_string()));
  }
}

void StateKeeper::remove() {
  open_ = false;
  ::unlink(file_.path().c_str());
}

StateEntries StateKeeper::everything() const {
  StateEntries entries = others_;
  for (const UnitId unit : core_.engine.units()) {
    std::string text = core_.engine.record(unit);
    if (text.empty()) continue;
    entries.insert_or_assign(unit_key(core_.engine.spec(unit)->name.str()), std::move(text));
  }
  return entries;
}

void StateKeeper::note_unit(UnitId unit) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return unit_removed(unit);
  std::string text = core_.engine.record(unit);
  const std::size_t hash = std::hash<std::string>{}(text);
  const auto known = units_.find(unit);
  if (known == units_.end() ? text.empty() : known->second.second == hash) return;
  const std::string key = unit_key(spec->name.str());
  units_.insert_or_assign(unit, std::pair(spec->name.str(), hash));
  text.empty() ? batch_.remove(key) : batch_.set(key, text);
}

void StateKeeper::unit_removed(UnitId unit) {
  const auto known = units_.extract(unit);
  if (!known.empty()) batch_.remove(unit_key(known.mapped().first));
}

void StateKeeper::engine_changed(const engine::Effects& effects, const engine::Event* event) {
  if (!open_) return;
  const auto about = [this](const auto& what) {
    if constexpr (requires { what.unit; }) {
      changed_.insert(what.unit);
    } else if constexpr (requires { what.job; }) {
      if (const auto job = core_.engine.job(what.job)) changed_.insert(job->unit);
    }
  };
  if (event != nullptr) std::visit(about, *event);
  for (const engine::Effect& effect : effects) std::visit(about, effect);
  for (const UnitId unit : changed_) note_unit(unit);
  changed_.clear();
  flush();
}

void StateKeeper::all_changed() {
  if (!open_) return;
  for (const UnitId unit : core_.engine.units()) note_unit(unit);
  flush();
}

ProcessRecord StateKeeper::describe(const process::ProcessHandle& handle, UnitId unit,
                                    process::Role role, SpawnId spawn) const {
  ProcessRecord record;
  record.id = handle->id();
  if (const auto spec = core_.engine.spec(unit)) record.unit = spec->name.str();
  record.role = role;
  record.spawn = spawn;
  record.pid = handle->pid();
  record.autokilled = handle->is_autokilled();
  if (core_.features.has(sys::Feature::pidfs_handles)) {
    if (const auto found = handle->pidfd().handle()) record.handle = found->to_string();
  } else if (const auto stat = sys::stat_of(handle->pidfd())) {
    record.start_ticks = stat->start_ticks;
  }
  return record;
}

Status StateKeeper::process_added(const process::ProcessHandle& handle, UnitId unit,
                                  process::Role role, SpawnId spawn, exec::Gate* gate) {
  if (!open_) return {};
  const ProcessRecord record = describe(handle, unit, role, spawn);
  // What waits at a gate is in a batch of its own, and not in a file written anew.
  if (behind_ && gate != nullptr) PIDWARD_CHECK(rewrite());
  set(process_key(record.id), format_process(record));
  if (Status written = write(gate); !written && gate != nullptr) {
    remove_entry(process_key(record.id));
    return std::move(written).error().within("What is started cannot be written down");
  }
  // Whoever has the label is on record, and waits at its gate no more but for that to be opened.
  if (core_.features.has(sys::Feature::pidfs_xattrs)) {
    write_label(handle->pidfd(), {record.unit, role, core_.engine.status(unit).invocation});
  }
  const int fd = handle->pidfd().get();
  if (record.autokilled) {
    // A copy elsewhere would keep it alive without us.
    kept_.keep_here(pidfd_name(record.id), fd);
  } else if (role != process::Role::other) {
    kept_.keep(pidfd_name(record.id), fd);
  }
  return {};
}

void StateKeeper::process_gone(ProcessId process) {
  if (!open_) return;
  remove_entry(process_key(process));
  kept_.drop(pidfd_name(process));
}

void StateKeeper::keep_descriptor(const std::string& name, int fd, std::string purpose) {
  kept_.keep(name, fd);
  set("fd " + name, std::move(purpose));
}

void StateKeeper::drop_descriptor(const std::string& name) {
  kept_.drop(name);
  remove_entry("fd " + name);
}

void StateKeeper::set(const std::string& key, std::string text) {
  batch_.set(key, text);
  others_.insert_or_assign(key, std::move(text));
}

void StateKeeper::remove_entry(const std::string& key) {
  if (others_.erase(key) > 0) batch_.remove(key);
}

void StateKeeper::flush() {
  static_cast<void>(write());
}

Status StateKeeper::is_kept() const {
  if (!behind_) return {};
  return Error(Errc::limit_exceeded,
               fmt::format("What the next pidward must know cannot be written to {}",
                           core_.config.runtime_directory))
      .advise("Make room on its file system");
}

Status StateKeeper::may_start() {
  if (!open_) return {};
  if (behind_) static_cast<void>(rewrite());
  PIDWARD_CHECK(is_kept());
  // What is held back is not for this. There may be more again.
  if (file_.has_room() || file_.find_room()) return {};
  return Error(Errc::limit_exceeded, fmt::format("There is no room left in {} to write down what "
                                                 "is started",
                                                 core_.config.runtime_directory))
      .advise("Make room on its file system; what runs goes on, and can be stopped");
}

Status StateKeeper::rewrite() {
  PIDWARD_CHECK(file_.rewrite(everything()));
  if (std::exchange(behind_, false)) log(LogLevel::notice, "The state is kept again");
  return {};
}

Status StateKeeper::write(exec::Gate* gate) {
  if (!open_ || (batch_.empty() && !behind_)) return {};
  if (behind_) {
    batch_ = {};
    return rewrite();
  }
  const StateBatch batch = std::exchange(batch_, {});
  Status written = file_.append(batch, gate);
  // The journal has outgrown what it says several times over: begin it anew. That takes room, which
  // may be found again some other time.
  constexpr std::uint64_t kPerUnit = 4096;
  const std::uint64_t enough = kSlack + kPerUnit * (units_.size() + others_.size());
  if (written && file_.size() > enough) static_cast<void>(rewrite());
  if (!written) {
    behind_ = true;
    log(LogLevel::error, fmt::format("The state is not kept: {}", written.error().to_string()));
  }
  return written;
}

}  // namespace pidward::runtime
