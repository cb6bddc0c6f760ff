// Control groups, version 2, wherever they are mounted: at /sys/fs/cgroup (unified) or beside
// version 1 (hybrid). Every operation goes through a descriptor of the directory, so a group that
// was removed and made anew by somebody else is not mistaken for ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "sys/fd.hpp"
#include "sys/features.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {

struct CgroupMount {
  std::string path;     ///< mount point, "/sys/fs/cgroup/unified"
  std::string root;     ///< which part of the hierarchy is mounted there, "/" but for containers
  bool unified = true;  ///< no version 1 hierarchy is mounted; controllers can be used
};

/// From the text of /proc/self/mountinfo. Nothing where cgroup v2 is not mounted. The first mount
/// wins.
std::optional<CgroupMount> parse_cgroup_mount(std::string_view mountinfo);
/// The version 2 path ("/a/b") in the text of /proc/PID/cgroup, without a trailing " (deleted)".
std::optional<std::string> parse_cgroup_path(std::string_view proc_cgroup);

/// Where cgroup v2 is mounted here.
Result<std::optional<CgroupMount>> find_cgroup_mount();
/// The group we are in, as /proc/self/cgroup has it; "/" at the root.
Result<std::string> own_cgroup_path();
/// Whether `path` is `ancestor` or below it.
bool cgroup_is_within(std::string_view path, std::string_view ancestor);

/// One group. Owns a descriptor of the directory; the group itself stays when this goes.
class CgroupDir {
 public:
  CgroupDir() = default;
  /// An existing group by its path in the hierarchy ("/a/b", "/" for the root).
  static Result<CgroupDir> open(const CgroupMount& mount, const std::string& path);
  /// The group and its missing parents, made.
  static Result<CgroupDir> create(const CgroupMount& mount, const std::string& path);

  [[nodiscard]] Result<CgroupDir> open_child(const std::string& name) const;
  /// A group below this one by its path from here ("system.slice/foo.service"), found through this
  /// descriptor alone: cheaper than open().
  [[nodiscard]] Result<CgroupDir> open_below(const std::string& below) const;
  /// populated() of a group below this one. Errors: there is no such group.
  [[nodiscard]] Result<bool> populated_below(const std::string& below) const;
  /// Makes a group below this one, whose parent is there already, by its path from here. Errors:
  /// it is there (errno EEXIST), or its parent is not (ENOENT).
  [[nodiscard]] Result<CgroupDir> make_below(const std::string& below) const;
  /// Whether there is a group with this path from here.
  [[nodiscard]] bool has_below(const std::string& below) const;
  /// Made if it is not there. `name` is one path component.
  [[nodiscard]] Result<CgroupDir> create_child(const std::string& name) const;
  /// Names of the sub-groups.
  [[nodiscard]] Result<std::vector<std::string>> children() const;
  /// Removes the group with all sub-groups. It must be empty of processes (errno EBUSY). The object
  /// stays usable only for path(). Gone already is success.
  Status remove();

  /// Path in the hierarchy, as /proc/PID/cgroup of its members says it.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Path in the file system.
  [[nodiscard]] const std::string& file_path() const { return file_path_; }
  /// The directory, O_PATH: for CloneRequest::cgroup and for *at() calls.
  [[nodiscard]] int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  /// The number PIDFD_GET_INFO reports as cgroup id of the members: the directory's inode.
  [[nodiscard]] Result<std::uint64_t> id() const;
  /// Whether a process lives in it or below (cgroup.events). A group that was removed is not
  /// populated; so is the root of the hierarchy said to be populated always.
  [[nodiscard]] Result<bool> populated() const;
  /// cgroup.events, open for watching: epoll's EPOLLPRI or inotify's IN_MODIFY says it changed.
  [[nodiscard]] Result<Fd> open_events() const;

  /// Numbers in cgroup.procs, here and below if `recursive`. A number is a hint, and 0 (another
  /// namespace's) is left out: turn it into a pidfd and check.
  [[nodiscard]] Result<std::vector<pid_t>> pids(bool recursive = true) const;
  /// The members as pidfds, each opened and then found to be still in this group. What left or
  /// ended meanwhile is missing from the list.
  [[nodiscard]] Result<std::vector<Pidfd>> processes(bool recursive = true) const;
  /// Whether a process is in this group or below, at a moment when it certainly existed.
  [[nodiscard]] Result<bool> contains(const Pidfd& process) const;
  /// Moves a process here. It exists before and after, or it is no_such_process.
  [[nodiscard]] Status attach(const Pidfd& process) const;
  /// Moves ourselves here.
  [[nodiscard]] Status attach_self() const;

  /// Sends `signal` by pidfd to each member, here and below. Returns how many got it.
  [[nodiscard]] Result<std::size_t> signal_all(int signal) const;
  /// SIGKILLs everything in it and below; what is forked meanwhile dies too. With cgroup.kill in
  /// one motion; otherwise freeze, signal each by pidfd until no new one is found, thaw. Does not
  /// wait for the ends: watch open_events(), and call it again if the group is still populated.
  [[nodiscard]] Status kill(const KernelFeatures& features) const;
  /// Asks for all of it to be frozen or thawed; the kernel does it in its own time ("frozen" in
  /// cgroup.events).
  [[nodiscard]] Status freeze() const;
  [[nodiscard]] Status thaw() const;
  [[nodiscard]] Result<bool> frozen() const;

  /// An interface file of this group ("memory.max").
  [[nodiscard]] Result<std::string> read(const std::string& file) const;
  [[nodiscard]] Status write(const std::string& file, std::string_view text) const;
  /// Leaves a mark on the group that lasts as long as the group: an extended attribute
  /// "user.pidward.NAME". Marking twice is once.
  [[nodiscard]] Status set_mark(std::string_view name) const;
  /// Whether it has that mark. A kernel without such attributes says no.
  [[nodiscard]] bool has_mark(std::string_view name) const;
  /// Whether we may make groups and move processes here, tried with access(2) on the directory and
  /// cgroup.procs.
  [[nodiscard]] bool is_writable() const;

 private:
  CgroupDir(Fd fd, std::string path, std::string file_path)
      : fd_(std::move(fd)), path_(std::move(path)), file_path_(std::move(file_path)) {}
  [[nodiscard]] Result<bool> event_flag(std::string_view key) const;
  [[nodiscard]] Status kill_each() const;

  Fd fd_;
  std::string path_;
  std::string file_path_;
};

}  // namespace pidward::sys
