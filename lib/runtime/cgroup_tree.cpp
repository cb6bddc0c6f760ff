#include "runtime/cgroup_tree.hpp"

#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "runtime/resource_control.hpp"

namespace pidward::runtime {
namespace {

// The name of our group when we share our own with others: stable for one runtime directory, so
// that the next daemon finds what this one left.
std::string default_base_name(const Config& config) {
  const bool usual = config.runtime_directory == "/run/pidward";
  if (usual) return "pidward";
  return fmt::format("pidward-{:08x}", static_cast<std::uint32_t>(
                                           std::hash<std::string>{}(config.runtime_directory)));
}

// On the group of a unit with KillOnManagerExit=: whoever finds it after us ends what is in it.
constexpr std::string_view kDiesWithManager = "dies-with-manager";

bool is_alone_in(const sys::CgroupMount& mount, const std::string& path) {
  const auto group = sys::CgroupDir::open(mount, path);
  if (!group) return false;
  const auto members = group->pids(false);
  return members && members->size() == 1;
}

}  // namespace

CgroupTree::CgroupTree(Core& core) : core_(core), again_(core.io) {}
CgroupTree::~CgroupTree() = default;

void CgroupTree::open() {
  if (!core_.config.use_control_groups) {
    why_not_ = "switched off by the configuration";
    return;
  }
  if (!core_.features.has(sys::Feature::cgroup)) {
    why_not_ = "no cgroup v2 hierarchy can be written to";
    return;
  }
  auto mount = sys::find_cgroup_mount();
  auto own = sys::own_cgroup_path();
  if (!mount || !*mount || !own) {
    why_not_ = "cgroup v2 is not mounted";
    return;
  }
  mount_ = **mount;
  BaseGroupFacts facts;
  facts.own = *own;
  facts.unified = mount_->unified;
  facts.is_init = ::getpid() == 1;
  facts.configured = core_.config.control_group;
  facts.default_name = default_base_name(core_.config);
  facts.alone = is_alone_in(*mount_, *own);
  const BaseGroup base = choose_base_group(facts);
  auto group = sys::CgroupDir::create(*mount_, base.path);
  if (group && base.move_self) {
    const auto leaf = group->create_child("supervisor");
    if (Status moved = leaf ? leaf->attach_self() : Status(leaf.error()); !moved) {
      log(LogLevel::warning, fmt::format("Cannot move into a control group of our own: {}",
                                         moved.error().to_string()));
    }
  }
  const int inotify = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  inotify_ = sys::Fd(sys::adopt_fd, inotify);
  if (!group || !inotify_) {
    why_not_ = group ? "no inotify instance is left" : group.error().to_string();
    return;
  }
  auto watch = Watch::start(core_.watcher, inotify_.get(), EPOLLIN, *this);
  if (!watch) {
    why_not_ = watch.error().to_string();
    return;
  }
  inotify_watch_ = *std::move(watch);
  base_is_ours_ = base.path != *own;
  base_ = *std::move(group);
  if (auto controllers = base_.read("cgroup.controllers")) controllers_ = *std::move(controllers);
}

void CgroupTree::kill_marked() {
  if (is_available()) kill_marked_below(base_, {});
}

void CgroupTree::kill_marked_below(const sys::CgroupDir& group, const std::string& path) {
  const auto children = group.children();
  for (const std::string& name : children ? *children : std::vector<std::string>{}) {
    const std::string below = path.empty() ? name : path + "/" + name;
    if (owner_of(below)) continue;
    const auto child = group.open_child(name);
    if (!child) continue;
    // Below the group of a unit are its own, if any.
    if (name.ends_with(".slice")) kill_marked_below(*child, below);
    if (!child->has_mark(kDiesWithManager)) continue;
    const auto populated = child->populated();
    if (!populated || !*populated) continue;
    log(LogLevel::notice, fmt::format("Killing what an earlier pidward left in {}", child->path()));
    if (Status killed = child->kill(core_.features); !killed) {
      log(LogLevel::warning,
          fmt::format("Cannot kill {}: {}", child->path(), killed.error().to_string()));
    }
  }
}

std::string CgroupTree::full_path(const Group& group) const {
  return base_.path() == "/" ? "/" + group.path : base_.path() + "/" + group.path;
}

Result<sys::CgroupDir> CgroupTree::ensure(UnitId unit, const unit::UnitSpec& spec) {
  if (const auto known = groups_.find(unit); known != groups_.end()) {
    known->second.leaving = false;
    const bool anew = known->second.killed && try_remove(unit, known->second);
    if (!anew) {
      if (auto there = this->group(unit)) return there;
    }
    forget(unit);  // somebody removed it
  }
  Group group;
  group.path = group_path_of(spec, core_.config.scope == unit::Scope::user);
  if (!controllers_.empty()) prepare_parents(group.path, spec);
  auto directory = make(group);
  if (!directory) return std::move(directory).error().within("Cannot make the control group");
  return keep(unit, std::move(group), *std::move(directory), spec, false);
}

Result<sys::CgroupDir> CgroupTree::take_over(UnitId unit, const unit::UnitSpec& spec) {
  if (groups_.contains(unit)) return group(unit);
  Group group;
  group.path = group_path_of(spec, core_.config.scope == unit::Scope::user);
  auto directory = base_.open_below(group.path);
  if (!directory) return ensure(unit, spec);
  // Made anew before anything is started in it, as soon as it is empty.
  group.killed = true;
  return keep(unit, std::move(group), *std::move(directory), spec, true);
}

Result<sys::CgroupDir> CgroupTree::keep(UnitId unit, Group group, sys::CgroupDir directory,
                                        const unit::UnitSpec& spec, bool is_taken_over) {
  PIDWARD_TRY(group.id, directory.id());
  if (spec.settings.boolean(unit::Directive::KillOnManagerExit)) {
    if (Status marked = directory.set_mark(kDiesWithManager); !marked) {
      log_about(LogLevel::warning, spec, "no-mark",
                fmt::format("Only the main process is sure to die with pidward: {}",
                            marked.error().to_string()));
    }
  }
  by_id_[group.id] = unit;
  group.known_empty = !group.killed;
  if (group.known_empty) seen_empty_.push_back(unit);
  write_limits(directory, group.path, !group.killed, spec);
  watch_memory(unit, group, directory, spec, is_taken_over);
  groups_.emplace(unit, std::move(group));
  return directory;
}

Result<sys::CgroupDir> CgroupTree::make(Group& group) {
  // Its slice is there already, but for the first in it.
  auto made = base_.make_below(group.path);
  if (made) return made;
  if (made.error().sys_errno() == EEXIST) {
    // Of an earlier daemon; what still lives there keeps it.
    auto left = base_.open_below(group.path);
    group.killed = left && !left->remove();
  }
  return sys::CgroupDir::create(*mount_, full_path(group));
}

void CgroupTree::note_joined(UnitId unit) {
  if (const auto found = groups_.find(unit); found != groups_.end()) {
    found->second.known_empty = false;
  }
}

void CgroupTree::watch_memory(UnitId unit, Group& group, const sys::CgroupDir& directory,
                              const unit::UnitSpec& spec, bool is_taken_over) {
  const auto policy = spec.settings.choice<unit::OomPolicy>(unit::Directive::OOMPolicy);
  // To go on is what happens where nobody is told.
  const bool asked =
      spec.settings.is_set(unit::Directive::OOMPolicy) && policy != unit::OomPolicy::go_on;
  const std::string events = directory.file_path() + "/memory.events";
  if (has_word(controllers_, "memory")) {
    group.memory_watch = ::inotify_add_watch(inotify_.get(), events.c_str(), IN_MODIFY);
  }
  if (group.memory_watch < 0) {
    // The controller is off, or belongs to a v1 hierarchy.
    if (asked) {
      log_about(LogLevel::warning, spec, "no-memory-controller",
                "OOMPolicy= has no effect: there is no memory controller in cgroup v2 here");
    }
    return;
  }
  watches_[group.memory_watch] = unit;
  if (const auto text = sys::read_file(events)) {
    const std::uint64_t kills = parse_oom_kills(*text);
    std::uint64_t known = kills;
    if (is_taken_over && known_oom_kills_) {
      const auto found = known_oom_kills_->find(group.id);
      known = found == known_oom_kills_->end() ? 0 : found->second;
    }
    count_oom_kills(unit, group, kills, known);
  }
  const bool all_at_once = policy == unit::OomPolicy::kill;
  if (Status set =
          sys::write_control_file_at(directory.get(), "memory.oom.group", all_at_once ? "1" : "0");
      !set && all_at_once) {
    log_about(LogLevel::warning, spec, "oom-group", set.error().to_string());
  }
}

void CgroupTree::look_for_out_of_memory(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end() || found->second.memory_watch < 0) return;
  const auto directory = group(unit);
  const auto text = directory ? sys::read_file(directory->file_path() + "/memory.events")
                              : Result<std::string>(directory.error());
  if (!text) return;
  count_oom_kills(unit, found->second, parse_oom_kills(*text), found->second.oom_kills);
}

void CgroupTree::count_oom_kills(UnitId unit, Group& group, std::uint64_t kills,
                                 std::uint64_t known) {
  const bool is_news = std::exchange(group.oom_kills, kills) != kills;
  if (is_news && on_oom_kills_) on_oom_kills_(group.id, kills);
  if (kills > known && on_oom_) on_oom_(unit);
}

void CgroupTree::note_killed(UnitId unit) {
  if (const auto found = groups_.find(unit); found != groups_.end()) found->second.killed = true;
}

bool CgroupTree::watch_events(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end() || found->second.watch >= 0) return false;
  Group& group = found->second;
  const std::string events = fmt::format("{}/{}/cgroup.events", base_.file_path(), group.path);
  group.watch = ::inotify_add_watch(inotify_.get(), events.c_str(), IN_MODIFY);
  if (group.watch >= 0) {
    watches_[group.watch] = unit;
    unwatched_.erase(unit);
    return true;
  }
  if (errno == ENOENT) return true;  // somebody removed it
  if (!unwatched_.insert(unit).second) return false;
  if (unwatched_.size() == 1) {
    log(LogLevel::warning,
        "No further control group can be watched, so some are looked at five times a second until "
        "they are empty; raise fs.inotify.max_user_watches");
    look_again();
  }
  return true;
}

void CgroupTree::look_again() {
  constexpr std::chrono::milliseconds kPause(200);
  again_.expires_after(kPause);
  again_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (const UnitId unit : std::vector<UnitId>(unwatched_.begin(), unwatched_.end())) {
      const auto found = groups_.find(unit);
      if (found == groups_.end()) {
        unwatched_.erase(unit);
        continue;
      }
      watch_events(unit);
      group_changed(unit, found->second);
      if (groups_.contains(unit) && !is_populated(unit)) unwatched_.erase(unit);  // told already
    }
    if (!unwatched_.empty()) look_again();
    core_.events.drain();
  });
}

bool CgroupTree::hold(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end()) return false;
  found->second.leaving = false;
  return true;
}

bool CgroupTree::is_left(const unit::UnitSpec& spec) const {
  return base_.has_below(group_path_of(spec, core_.config.scope == unit::Scope::user));
}

bool CgroupTree::may_clone_into(UnitId unit) const {
  const auto found = groups_.find(unit);
  return found != groups_.end() && !found->second.killed &&
         core_.features.has(sys::Feature::clone_into_cgroup);
}

Result<sys::CgroupDir> CgroupTree::group(UnitId unit) const {
  const auto found = groups_.find(unit);
  if (found == groups_.end()) return Error(Errc::not_found, "The unit has no control group");
  if (auto quick = base_.open_below(found->second.path)) return quick;
  return sys::CgroupDir::open(*mount_, full_path(found->second));
}

std::string CgroupTree::path(UnitId unit) const {
  const auto found = groups_.find(unit);
  return found == groups_.end() ? std::string() : full_path(found->second);
}

void CgroupTree::forget_looks() {
  for (const UnitId unit : seen_empty_) note_joined(unit);
  seen_empty_.clear();
}

bool CgroupTree::is_populated(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end() || found->second.known_empty) return false;
  auto populated = base_.populated_below(found->second.path);
  if (!populated) {
    const auto directory = group(unit);
    if (!directory) return false;
    populated = directory->populated();
  }
  found->second.known_empty = populated && !*populated;
  if (found->second.known_empty && found->second.watch < 0) seen_empty_.push_back(unit);
  return populated && *populated;
}

std::optional<UnitId> CgroupTree::unit_at(const std::string& path) const {
  if (!is_available() || !sys::cgroup_is_within(path, base_.path())) return std::nullopt;
  const std::size_t skipped = base_.path() == "/" ? 1 : base_.path().size() + 1;
  std::string inner = path.size() > skipped ? path.substr(skipped) : std::string();
  while (!inner.empty()) {
    if (const auto unit = owner_of(inner)) return unit;
    const std::size_t slash = inner.rfind('/');
    inner.resize(slash == std::string::npos ? 0 : slash);
  }
  return std::nullopt;
}

std::optional<UnitId> CgroupTree::owner_of(std::string_view path) const {
  // The name of a group is that of its unit, perhaps with something in front.
  std::string_view name = path.substr(path.rfind('/') + 1);
  for (;;) {
    const auto parsed = unit::UnitName::parse(name);
    const auto unit = parsed ? core_.engine.find(*parsed) : std::nullopt;
    const auto found = unit ? groups_.find(*unit) : groups_.end();
    if (found != groups_.end() && found->second.path == path) return unit;
    if (!name.starts_with('_')) return std::nullopt;
    name.remove_prefix(1);
  }
}

std::optional<UnitId> CgroupTree::unit_by_id(std::uint64_t cgroup_id) const {
  const auto found = by_id_.find(cgroup_id);
  return found == by_id_.end() ? std::nullopt : std::optional(found->second);
}

void CgroupTree::descriptor_ready(int fd, std::uint32_t /*events*/) {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t length = ::read(fd, buffer.data(), buffer.size());
    if (length <= 0) return;
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);  // NOLINT
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_MODIFY) != 0) watch_changed(event->wd);
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        std::vector<int> all;
        for (const auto& [watch, unit] : watches_) all.push_back(watch);
        for (const int watch : all) watch_changed(watch);
      }
    }
    // There was room for more, had there been more.
    if (static_cast<std::size_t>(length) <= buffer.size() / 2) return;
  }
}

void CgroupTree::watch_changed(int watch) {
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  const UnitId unit = found->second;
  Group& group = groups_.at(unit);
  if (watch == group.memory_watch) return look_for_out_of_memory(unit);
  group_changed(unit, group);
}

void CgroupTree::group_changed(UnitId unit, Group& group) {
  if (on_change_) on_change_(unit);
  group.known_empty = false;
  if (is_populated(unit)) return;
  look_for_out_of_memory(unit);  // why it is empty, before that it is
  if (group.leaving && try_remove(unit, group)) return;
  if (on_empty_) on_empty_(unit);
}

bool CgroupTree::try_remove(UnitId unit, Group& group) {
  auto directory = sys::CgroupDir::open(*mount_, full_path(group));
  if (directory) {
    if (Status removed = directory->remove(); !removed) {
      if (removed.error().sys_errno() == EBUSY) return false;
      log(LogLevel::warning, fmt::format("Cannot remove the control group {}: {}", full_path(group),
                                         removed.error().to_string()));
    }
  }
  forget(unit);
  return true;
}

void CgroupTree::forget(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end()) return;
  unwatched_.erase(unit);
  if (found->second.watch >= 0) {
    ::inotify_rm_watch(inotify_.get(), found->second.watch);
    watches_.erase(found->second.watch);
  }
  if (const auto entry = by_id_.find(found->second.id);
      entry != by_id_.end() && entry->second == unit) {
    by_id_.erase(entry);
  }
  limits_.erase(found->second.path);
  if (found->second.oom_kills > 0 && on_oom_kills_) on_oom_kills_(found->second.id, 0);
  if (found->second.memory_watch >= 0) {
    ::inotify_rm_watch(inotify_.get(), found->second.memory_watch);
    watches_.erase(found->second.memory_watch);
  }
  groups_.erase(found);
}

void CgroupTree::remove(UnitId unit) {
  const auto found = groups_.find(unit);
  if (found == groups_.end()) return;
  found->second.leaving = true;
  if (try_remove(unit, found->second)) return;
  // From before the try that counts.
  if (watch_events(unit)) try_remove(unit, found->second);
}

void CgroupTree::close() {
  if (!is_available()) return;
  for (auto it = groups_.begin(); it != groups_.end();) {
    const UnitId unit = it->first;
    ++it;
    remove(unit);
  }
  // Slices and, if we made it, the base itself; whatever still holds processes stays.
  const auto children = base_.children();
  for (const std::string& name : children ? *children : std::vector<std::string>{}) {
    if (!name.ends_with(".slice")) continue;
    if (auto slice = base_.open_child(name)) static_cast<void>(slice->remove());
  }
  if (base_is_ours_) static_cast<void>(base_.remove());
}

}  // namespace pidward::runtime
