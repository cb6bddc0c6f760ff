#include "runtime/state_keeper.hpp"

#include <algorithm>
#include <functional>

#include <fmt/core.h>
#include <unistd.h>

#include "base/number.hpp"
#include "engine/record.hpp"
#include "runtime/reopen.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kUnitPrefix = "unit ";
constexpr std::string_view kProcess = "process ";
// How far the journal may outgrow what it says before it is begun anew: while much happens, and
// when nothing does.
constexpr std::uint64_t kSlack = 8U << 20U;
constexpr std::uint64_t kSlackAtRest = 64U << 10U;

std::string unit_key(std::string_view name) {
  return std::string(kUnitPrefix).append(name);
}

/// Whether what is written of a process may say which spawn it came of.
bool has_spawn(std::string_view text) {
  return text.find("spawn=") != std::string_view::npos;
}

std::size_t hash_of(const std::string& text) {
  return std::hash<std::string>{}(text);
}

/// Whether carrying the effect out leaves a trace that outlives us. What does not is undone with
/// us, or done again by whoever reads the state that was before: a timer, a control group.
bool acts(const engine::Effect& effect) {
  return std::visit(
      []<typename T>(const T& what) {
        if constexpr (std::is_same_v<T, engine::CleanUp>) {
          return !what.restarting;
        } else {
          return !(std::is_same_v<T, engine::PrepareStart> ||
                   std::is_same_v<T, engine::WatchEmpty> || std::is_same_v<T, engine::ArmTimer> ||
                   std::is_same_v<T, engine::DisarmTimer> || std::is_same_v<T, engine::Log> ||
                   std::is_same_v<T, engine::UnitAdded> || std::is_same_v<T, engine::UnitChanged> ||
                   std::is_same_v<T, engine::JobAdded> || std::is_same_v<T, engine::JobChanged> ||
                   std::is_same_v<T, engine::JobRemoved>);
        }
      },
      effect);
}

}  // namespace

std::string process_key(ProcessId id) {
  return fmt::format("{}{}", kProcess, id.number());
}

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

bool StateKeeper::is_there_any() const {
  return ::access(file_.path().c_str(), R_OK) == 0;
}

StateEntries StateKeeper::take_over(bool& whole, const KeyListener& keys) {
  auto contents = read_state(file_.path(), file_.boot_id(), keys);
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

void StateKeeper::expect_process(ProcessId process, SpawnId spawn) {
  processes_.insert_or_assign(process, spawn);
}

void StateKeeper::prepare(const StateEntries& was) {
  // Without it all is said again.
  static_cast<void>(file_.prepare(was));
}

void StateKeeper::begin(const StateEntries& other, const StateEntries& was,
                        const engine::Effects& effects) {
  for (const auto& [key, text] : other) others_.insert_or_assign(key, text);
  batch_ = {};
  open_ = true;
  Status made = was.empty() ? make_anew() : go_on(was, effects);
  if (!made && !was.empty()) made = make_anew();
  if (!made) {
    behind_ = true;
    log(LogLevel::error,
        fmt::format("The state is not kept: {}; should pidward die now, what it supervises is "
                    "found again by control group and file handle only",
                    made.error().to_string()));
  }
}

Status StateKeeper::make_anew() {
  changed_.clear();
  batch_ = {};
  const StateEntries now = everything();
  Status made = file_.rewrite(now);
  if (made) return made;
  // Without room for another file the old one does, with what has changed since.
  const auto was = read_state(file_.path(), file_.boot_id());
  if (!was || !was->damage.empty() || !file_.resume(was->entries)) return made;
  StateBatch difference;
  difference.set_difference(was->entries, now);
  return difference.empty() ? Status() : file_.append(difference);
}

/// To say again what every unit is would take longer than to find out.
Status StateKeeper::go_on(const StateEntries& was, const engine::Effects& effects) {
  StateEntries others = others_;
  for (const Source& source : sources_) source(others);
  std::size_t known_processes = 0;
  // Both are sorted.
  auto other = others.cbegin();
  const auto say_new = [&](const std::string* until) {
    for (; other != others.cend() && (until == nullptr || other->first < *until); ++other) {
      batch_.set(other->first, other->second);
    }
  };
  for (const auto& [key, text] : was) {
    const std::string_view rest(key);
    say_new(&key);
    const bool is_other = other != others.cend() && other->first == key;
    const auto here = other;
    if (is_other) ++other;
    if (rest.starts_with(kUnitPrefix)) {
      const auto name = unit::UnitName::parse(rest.substr(kUnitPrefix.size()));
      const auto unit = name ? core_.engine.find(*name) : std::nullopt;
      if (unit && core_.engine.spec(*unit)->name == *name) {
        units_.insert_or_assign(*unit, hash_of(text));
      } else {
        batch_.remove(key);
      }
    } else if (rest.starts_with(kProcess)) {
      const ProcessId id(parse_number<std::uint64_t>(rest.substr(kProcess.size())).value_or(0));
      const auto known = processes_.find(id);
      if (known != processes_.end()) {
        ++known_processes;
        if (known->second || has_spawn(text)) set_process(known->first, known->second);
      } else if (!is_other) {
        batch_.remove(key);
      }
    } else if (!is_other) {
      batch_.remove(key);
    } else if (here->second != text) {
      batch_.set(key, here->second);
    }
  }
  say_new(nullptr);
  for (const auto& [id, spawn] : processes_) {
    if (known_processes == processes_.size()) break;
    if (!was.contains(process_key(id))) set_process(id, spawn);
  }
  for (const UnitId unit : core_.engine.units()) {
    if (!units_.contains(unit)) mark(unit);
  }
  for (const engine::Effect& effect : effects) {
    if (!acts(effect)) continue;
    std::visit(
        [this]<typename T>(const T& what) {
          if constexpr (requires { what.unit; }) mark(what.unit);
        },
        effect);
  }
  note_changed();
  return file_.go_on(std::exchange(batch_, {}));
}

void StateKeeper::set_process(ProcessId id, SpawnId spawn) {
  const process::ProcessHandle handle = core_.table.find(id);
  if (!handle) return;
  batch_.set(process_key(id),
             format_process(describe(handle, handle->unit(), handle->role(), spawn)));
}

void StateKeeper::remove() {
  open_ = false;
  ::unlink(file_.path().c_str());
}

StateEntries StateKeeper::everything() {
  StateEntries entries = others_;
  for (const Source& source : sources_) source(entries);
  for (const auto& [id, spawn] : processes_) {
    const process::ProcessHandle handle = core_.table.find(id);
    if (!handle) continue;
    entries.insert_or_assign(
        process_key(id), format_process(describe(handle, handle->unit(), handle->role(), spawn)));
  }
  for (const UnitId unit : core_.engine.units()) {
    std::string text = core_.engine.record(unit);
    if (text.empty()) continue;
    units_.insert_or_assign(unit, hash_of(text));
    entries.insert_or_assign(unit_key(core_.engine.spec(unit)->name.str()), std::move(text));
  }
  return entries;
}

void StateKeeper::note_unit(UnitId unit) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;  // engine_changed() has heard of it
  std::string text = core_.engine.record(unit);
  const std::size_t hash = hash_of(text);
  const auto known = units_.find(unit);
  if (known == units_.end() ? text.empty() : known->second == hash) return;
  const std::string key = unit_key(spec->name.str());
  units_.insert_or_assign(unit, hash);
  text.empty() ? batch_.remove(key) : batch_.set(key, text);
}

void StateKeeper::unit_removed(UnitId unit, const std::string& name) {
  if (units_.erase(unit) > 0) batch_.remove(unit_key(name));
}

void StateKeeper::engine_changed(const engine::Effects& effects, const engine::Event* event) {
  if (!open_) return;
  const auto about = [this]<typename T>(const T& what) {
    if constexpr (std::is_same_v<T, engine::UnitRemoved>) {
      unit_removed(what.unit, what.name.str());
    } else if constexpr (requires { what.unit; }) {
      changed_.insert(what.unit);
    } else if constexpr (requires { what.job; }) {
      if (const auto job = core_.engine.job(what.job)) changed_.insert(job->unit);
    }
  };
  if (event != nullptr) std::visit(about, *event);
  for (const engine::Effect& effect : effects) std::visit(about, effect);
  if (event == nullptr || std::ranges::any_of(effects, acts)) flush();
}

void StateKeeper::note_changed() {
  for (const UnitId unit : changed_) note_unit(unit);
  changed_.clear();
}

void StateKeeper::all_changed() {
  if (!open_) return;
  note_changed();
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
  processes_.insert_or_assign(record.id, spawn);
  batch_.set(process_key(record.id), format_process(record));
  if (Status written = write(gate); !written && gate != nullptr) {
    processes_.erase(record.id);
    batch_.remove(process_key(record.id));
    return std::move(written).error().within("What is started cannot be written down");
  }
  if (gate == nullptr) label(handle);
  const int fd = handle->pidfd().get();
  // A copy of an autokilled one elsewhere would keep it alive without us.
  if (!record.autokilled && role != process::Role::other) {
    kept_.keep_elsewhere(pidfd_name(record.id), fd);
  }
  return {};
}

void StateKeeper::label(const process::ProcessHandle& handle) const {
  if (!open_ || !core_.features.has(sys::Feature::pidfs_xattrs)) return;
  const engine::UnitStatus status = core_.engine.status(handle->unit());
  const std::string unit = status.spec == nullptr ? std::string() : status.spec->name.str();
  write_label(handle->pidfd(), {unit, handle->role(), status.invocation});
}

void StateKeeper::process_gone(ProcessId process) {
  if (!open_) return;
  if (processes_.erase(process) > 0) batch_.remove(process_key(process));
  const process::ProcessHandle handle = core_.table.find(process);
  const bool is_ours_alone =
      handle && (handle->is_autokilled() || handle->role() == process::Role::other);
  kept_.drop_elsewhere(pidfd_name(process), !is_ours_alone);
}

void StateKeeper::keep_descriptor(const std::string& name, int fd, std::string purpose) {
  kept_.keep(name, fd);
  describe_descriptor(name, std::move(purpose));
}

void StateKeeper::describe_descriptor(const std::string& name, std::string purpose) {
  set("fd " + name, std::move(purpose));
}

void StateKeeper::drop_descriptor(const std::string& name) {
  kept_.drop(name);
  remove_entry("fd " + name);
}

void StateKeeper::keep_one_of_many(const std::string& name, int fd, const std::string& purpose) {
  kept_.keep_elsewhere(name, fd);
  batch_.set("fd " + name, purpose);
}

void StateKeeper::drop_one_of_many(const std::string& name) {
  kept_.drop_elsewhere(name, true);
  batch_.remove("fd " + name);
}

void StateKeeper::set(const std::string& key, std::string text) {
  batch_.set(key, text);
  others_.insert_or_assign(key, std::move(text));
}

void StateKeeper::remove_entry(const std::string& key) {
  if (others_.erase(key) > 0) batch_.remove(key);
}

void StateKeeper::flush() {
  if (!open_) return;
  note_changed();
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

/// That takes room, which may be found again some other time.
void StateKeeper::shorten(std::uint64_t longest) {
  if (file_.size() > longest) static_cast<void>(rewrite());
}

void StateKeeper::at_rest() {
  flush();
  if (open_ && !behind_) shorten(kSlackAtRest + 2 * file_.size_when_made());
}

Status StateKeeper::write(exec::Gate* gate) {
  if (!open_ || (batch_.empty() && !behind_)) return {};
  if (behind_) {
    batch_ = {};
    return rewrite();
  }
  const StateBatch batch = std::exchange(batch_, {});
  Status written = file_.append(batch, gate);
  // Not while a child at its gate looks for its record in it.
  constexpr std::uint64_t kTimes = 4;
  if (written && gate == nullptr) shorten(kSlack + kTimes * file_.size_when_made());
  if (!written) {
    behind_ = true;
    log(LogLevel::error, fmt::format("The state is not kept: {}", written.error().to_string()));
  }
  return written;
}

}  // namespace pidward::runtime
