// The control groups of all units, below one base group, with one inotify descriptor telling when a
// group has become empty. Where no cgroup v2 can be written to there is no tree, and everybody asks
// is_available() first.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "runtime/core.hpp"
#include "runtime/loop_timer.hpp"
#include "runtime/resource_control.hpp"
#include "sys/cgroup.hpp"

namespace pidward::runtime {

/// Where the units' groups are and where ours is, decided once. Pure, for tests.
struct BaseGroup {
  std::string path;        ///< in the hierarchy
  bool move_self = false;  ///< we must leave it for a leaf of our own
};
struct BaseGroupFacts {
  std::string own;     ///< the group we are in
  bool alone = false;  ///< no other process is in it: somebody made it for us
  bool unified = true;
  bool is_init = false;      ///< PID 1
  std::string configured;    ///< control-group: of the configuration
  std::string default_name;  ///< of a child group when we are not alone
};
BaseGroup choose_base_group(const BaseGroupFacts& facts);

/// How many processes the kernel killed for lack of memory, in the text of a memory.events file.
std::uint64_t parse_oom_kills(std::string_view memory_events);

/// "system.slice/foo.service" of a unit: its slice spelled out, then its name escaped as systemd
/// does.
std::string group_path_of(const unit::UnitSpec& spec, bool user_manager);

class CgroupTree final : private DescriptorHandler {
 public:
  using EmptyCallback = std::function<void(UnitId)>;

  explicit CgroupTree(Core& core);
  ~CgroupTree() override;
  CgroupTree(const CgroupTree&) = delete;
  CgroupTree& operator=(const CgroupTree&) = delete;

  /// Finds or makes the base group. Without a writable hierarchy that is no error: is_available()
  /// is false then and why_not() says why.
  void open();
  /// Ends what an earlier daemon was not to be outlived by, and was: the trees of its units with
  /// KillOnManagerExit=, but for those that have been taken over by now.
  void kill_marked();
  [[nodiscard]] bool is_available() const { return static_cast<bool>(base_); }
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  [[nodiscard]] const sys::CgroupDir& base() const { return base_; }
  [[nodiscard]] const std::optional<sys::CgroupMount>& mount() const { return mount_; }
  /// Called when the kernel has killed a process of a unit's group for lack of memory.
  void set_out_of_memory_callback(EmptyCallback callback) { on_oom_ = std::move(callback); }
  /// Looks whether that happened since the last look; the callback comes before this returns.
  void look_for_out_of_memory(UnitId unit);
  /// Kills so far, by the ids of the groups; groups without any are left out.
  using OomKills = std::unordered_map<std::uint64_t, std::uint64_t>;
  /// Called with a group's id and its kills whenever there are more, and with none when it goes.
  void set_oom_kills_callback(std::function<void(std::uint64_t, std::uint64_t)> callback) {
    on_oom_kills_ = std::move(callback);
  }
  /// What the last daemon knew: take_over() tells of those since. Without it they count from then.
  void set_known_oom_kills(std::optional<OomKills> known) { known_oom_kills_ = std::move(known); }
  /// Called when the last process of a watched group has left it.
  void set_empty_callback(EmptyCallback callback) { on_empty_ = std::move(callback); }

  /// Called when the kernel changed cgroup.events of a watched group: populated, frozen.
  void set_change_callback(EmptyCallback callback) { on_change_ = std::move(callback); }
  /// Watches the unit's group from here on, for as long as it has it. Most need no watch: the end
  /// of the main process says all there is to say. True: it was not watched before, and what
  /// happened before this call comes in no callback. Where the kernel has no watch left, the group
  /// is looked at several times a second instead.
  bool watch_events(UnitId unit);

  /// The unit's group was killed through cgroup.kill. Linux 6.18 kills whatever is cloned into such
  /// a group later, so it is made anew before the next start, or joined by the child itself while
  /// it is not empty.
  void note_killed(UnitId unit);
  [[nodiscard]] bool may_clone_into(UnitId unit) const;
  /// A process is about to be put into the unit's group by us.
  void note_joined(UnitId unit);
  /// The group that the unit has is not to be removed when it is empty. False: it has none.
  bool hold(UnitId unit);
  /// Whether somebody, such as an earlier daemon, left a group where the unit's is to be.
  [[nodiscard]] bool is_left(const unit::UnitSpec& spec) const;
  /// The unit's group, opened; made if it is not there.
  Result<sys::CgroupDir> ensure(UnitId unit, const unit::UnitSpec& spec);
  /// The same for a unit of an earlier daemon's, which had processes in it.
  Result<sys::CgroupDir> take_over(UnitId unit, const unit::UnitSpec& spec);
  /// Writes the limits of the unit, as its settings have become, to the group that it has. `unit`
  /// may be a slice.
  void apply_limits(UnitId unit, const unit::UnitSpec& spec);
  /// Delegate=: the group is given to the user the unit's processes run as; -1: to nobody.
  static void delegate(const sys::CgroupDir& group, const unit::UnitSpec& spec,
                       std::pair<uid_t, gid_t> owner);
  /// Says which settings of a unit have no effect because there are no groups at all.
  void deplore(const unit::UnitSpec& spec) const;
  [[nodiscard]] bool has(UnitId unit) const { return groups_.contains(unit); }
  /// The unit's group, opened. Errors: it has none, or somebody removed it.
  [[nodiscard]] Result<sys::CgroupDir> group(UnitId unit) const;
  /// Path in the hierarchy; empty when the unit has no group.
  [[nodiscard]] std::string path(UnitId unit) const;
  /// A turn begins or ends: what was seen without a watch may not be so any more.
  void forget_looks();
  /// Whether a process is in the unit's group. Without a group: no.
  [[nodiscard]] bool is_populated(UnitId unit);
  /// The unit whose group has this path, or contains it.
  [[nodiscard]] std::optional<UnitId> unit_at(const std::string& path) const;
  [[nodiscard]] std::optional<UnitId> unit_by_id(std::uint64_t cgroup_id) const;
  /// Removes the unit's group now, or as soon as it is empty.
  void remove(UnitId unit);
  /// Removes the base group as far as it is ours and empty.
  void close();

 private:
  struct Group {
    std::uint64_t id = 0;
    std::string path;      ///< below the base: "system.slice/foo.service"
    int watch = -1;        ///< of cgroup.events, once somebody has to know
    bool leaving = false;  ///< to be removed when empty
    bool killed = false;   ///< by cgroup.kill, now or, for all we know, before our time
    /// New or seen to be empty, and neither we nor cgroup.events put anything in since. Without a
    /// watch that is known for one turn.
    bool known_empty = false;
    int memory_watch = -1;  ///< of memory.events, where the memory controller is
    std::uint64_t oom_kills = 0;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  void watch_changed(int watch);
  void group_changed(UnitId unit, Group& group);
  void look_again();
  Result<sys::CgroupDir> keep(UnitId unit, Group group, sys::CgroupDir directory,
                              const unit::UnitSpec& spec, bool is_taken_over);
  void watch_memory(UnitId unit, Group& group, const sys::CgroupDir& directory,
                    const unit::UnitSpec& spec, bool is_taken_over);
  void count_oom_kills(UnitId unit, Group& group, std::uint64_t kills, std::uint64_t known);
  Result<sys::CgroupDir> make(Group& group);
  bool try_remove(UnitId unit, Group& group);
  /// What was written to a group, and is not what a new one has.
  struct Limits {
    std::uint64_t group = 0;  ///< the group's id
    std::vector<std::pair<std::string_view, std::string>> written;
  };
  /// Makes the controllers that a unit below `path` needs available there, down from the base, and
  /// writes the limits of the slices on the way.
  void prepare_parents(const std::string& path, const unit::UnitSpec& spec);
  void enable_controllers(const sys::CgroupDir& parent, const std::vector<std::string_view>& wanted,
                          const unit::UnitSpec& spec);
  void write_limits(const sys::CgroupDir& directory, const std::string& path, bool is_new,
                    const unit::UnitSpec& spec);
  void kill_marked_below(const sys::CgroupDir& group, const std::string& path);
  void forget(UnitId unit);
  [[nodiscard]] std::string full_path(const Group& group) const;
  /// The unit that has the group with exactly this path below the base.
  [[nodiscard]] std::optional<UnitId> owner_of(std::string_view path) const;

  Core& core_;
  std::optional<sys::CgroupMount> mount_;
  sys::CgroupDir base_;
  bool base_is_ours_ = false;  ///< made by us, so removed by us
  std::string why_not_;
  std::string controllers_;                         ///< of the base, as cgroup.controllers has them
  std::unordered_map<std::string, Limits> limits_;  ///< by Group::path, slices included
  sys::Fd inotify_;
  Watch inotify_watch_;
  EmptyCallback on_empty_;
  EmptyCallback on_change_;
  EmptyCallback on_oom_;
  std::function<void(std::uint64_t, std::uint64_t)> on_oom_kills_;
  std::optional<OomKills> known_oom_kills_;
  std::unordered_map<UnitId, Group> groups_;
  std::unordered_map<int, UnitId> watches_;
  std::vector<UnitId> seen_empty_;        ///< without a watch, since forget_looks()
  std::unordered_set<UnitId> unwatched_;  ///< that should be, and the kernel refused
  LoopTimer again_;
  std::unordered_map<std::uint64_t, UnitId> by_id_;
};

}  // namespace pidward::runtime
