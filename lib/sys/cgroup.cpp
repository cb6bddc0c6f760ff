#include "sys/cgroup.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <unordered_set>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/check.hpp"
#include "sys/directory.hpp"
#include "sys/proc.hpp"

namespace pidward::sys {
namespace {

// Kernels end the life of a group's files with ENODEV, and of its directory with ENOENT.
bool is_gone(const Error& error) {
  return error.sys_errno() == ENOENT || error.sys_errno() == ENODEV;
}

std::string joined(const std::string& path, std::string_view name) {
  std::string whole = path == "/" ? std::string() : path;
  whole.append(1, '/').append(name);
  return whole;
}

Status check_component(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return Error(Errc::invalid_argument, fmt::format("'{}' cannot be the name of a cgroup", name));
  }
  return {};
}

// Where a group of the hierarchy is found in the file system; the mount may show only part of the
// hierarchy.
Result<std::string> file_path_of(const CgroupMount& mount, const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return Error(Errc::invalid_argument, fmt::format("'{}' is not the path of a cgroup", path));
  }
  if (!cgroup_is_within(path, mount.root)) {
    return Error(Errc::not_found, fmt::format("The cgroup {} is outside of what is mounted at {}",
                                              path, mount.path));
  }
  const std::string below = mount.root == "/" ? path : path.substr(mount.root.size());
  return below == "/" ? mount.path : mount.path + below;
}

Result<Fd> open_directory(int directory, const std::string& path) {
  return open_at(directory, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/// Whether a flag of a cgroup.events file is set. The file is a few lines, and one read gets it.
Result<bool> flag_in_events(int directory, const std::string& path, std::string_view key) {
  constexpr std::size_t kLongest = 512;
  PIDWARD_TRY(const Fd file, open_at(directory, path, O_RDONLY));
  PIDWARD_TRY(const std::string text, read_some(file.get(), kLongest));
  const std::string line = fmt::format("{} 1\n", key);
  return text.starts_with(line) || text.find("\n" + line) != std::string::npos;
}

void append_numbers(std::string_view text, std::vector<pid_t>& numbers) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    pid_t number = 0;
    const auto parsed = std::from_chars(at, end, number);
    if (parsed.ec == std::errc() && number > 0) numbers.push_back(number);
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
}

// A directory of cgroup2 has one link for each sub-directory, besides its own two.
bool has_no_groups_below(int directory) {
  struct stat status {};
  return ::fstat(directory, &status) == 0 && status.st_nlink == 2;
}

Status append_pids(int directory, bool recursive, std::vector<pid_t>& numbers) {
  auto text = read_file_at(directory, "cgroup.procs", 16 << 20);
  if (!text) {
    // A threaded group does not list processes; its domain ancestor does.
    if (text.error().sys_errno() != EOPNOTSUPP) return std::move(text).error();
  } else {
    append_numbers(*text, numbers);
  }
  if (!recursive || has_no_groups_below(directory)) return {};
  PIDWARD_TRY(const auto entries, list_directory_at(directory, "."));
  for (const DirectoryEntry& entry : entries) {
    if (entry.type != DT_DIR) continue;
    auto child = open_directory(directory, entry.name);
    if (!child) {
      if (is_gone(child.error())) continue;
      return std::move(child).error();
    }
    if (auto status = append_pids(child->get(), true, numbers); !status) {
      if (!is_gone(status.error())) return status;
    }
  }
  return {};
}

Status remove_below(int directory) {
  PIDWARD_TRY(const auto entries, list_directory_at(directory, "."));
  for (const DirectoryEntry& entry : entries) {
    if (entry.type != DT_DIR) continue;
    auto child = open_directory(directory, entry.name);
    if (!child) continue;
    if (auto status = remove_below(child->get()); !status && !is_gone(status.error())) {
      return status;
    }
    const long result = call(SYS_unlinkat, directory, entry.name.c_str(), AT_REMOVEDIR);
    if (is_error(result) && result != -ENOENT) {
      return Error::from_errno(static_cast<int>(-result),
                               fmt::format("Cannot remove the cgroup {}", entry.name));
    }
  }
  return {};
}

}  // namespace

Result<CgroupDir> CgroupDir::open(const CgroupMount& mount, const std::string& path) {
  PIDWARD_TRY(const std::string file_path, file_path_of(mount, path));
  PIDWARD_TRY(Fd fd, open_at(AT_FDCWD, file_path, O_PATH | O_DIRECTORY));
  PIDWARD_TRY(const std::uint64_t magic, filesystem_magic_of(fd.get()));
  if (magic != uapi::kCgroup2Magic) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a version 2 cgroup", file_path));
  }
  return CgroupDir(std::move(fd), path, file_path);
}

Result<CgroupDir> CgroupDir::create(const CgroupMount& mount, const std::string& path) {
  PIDWARD_TRY(CgroupDir group, open(mount, mount.root));
  if (!cgroup_is_within(path, mount.root)) return file_path_of(mount, path).error();
  std::string_view rest(path);
  rest.remove_prefix(mount.root == "/" ? 0 : mount.root.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    if (end > 0) {
      PIDWARD_TRY(group, group.create_child(std::string(rest.substr(0, end))));
    }
    rest.remove_prefix(end);
  }
  return group;
}

Result<CgroupDir> CgroupDir::open_child(const std::string& name) const {
  PIDWARD_CHECK(check_component(name));
  PIDWARD_TRY(Fd fd, open_directory(get(), name));
  return CgroupDir(std::move(fd), joined(path_, name), joined(file_path_, name));
}

Result<CgroupDir> CgroupDir::open_below(const std::string& below) const {
  PIDWARD_TRY(Fd fd, open_directory(get(), below));
  return CgroupDir(std::move(fd), joined(path_, below), joined(file_path_, below));
}

Result<CgroupDir> CgroupDir::make_below(const std::string& below) const {
  const long made = call(SYS_mkdirat, get(), below.c_str(), 0755);
  if (is_error(made)) {
    return Error::from_errno(static_cast<int>(-made),
                             fmt::format("Cannot make the cgroup {}", joined(path_, below)));
  }
  return open_below(below);
}

bool CgroupDir::has_below(const std::string& below) const {
  return call(SYS_faccessat, get(), below.c_str(), F_OK) == 0;
}

Result<bool> CgroupDir::populated_below(const std::string& below) const {
  return flag_in_events(get(), below + "/cgroup.events", "populated");
}

Result<CgroupDir> CgroupDir::create_child(const std::string& name) const {
  PIDWARD_CHECK(check_component(name));
  const long made = call(SYS_mkdirat, get(), name.c_str(), 0755);
  if (is_error(made) && made != -EEXIST) {
    return Error::from_errno(static_cast<int>(-made),
                             fmt::format("Cannot make the cgroup {}", joined(path_, name)));
  }
  return open_child(name);
}

Result<std::vector<std::string>> CgroupDir::children() const {
  PIDWARD_TRY(const auto entries, list_directory_at(get(), "."));
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries) {
    if (entry.type == DT_DIR) names.push_back(entry.name);
  }
  return names;
}

Status CgroupDir::remove() {
  if (!fd_) return {};
  PIDWARD_TRY(const std::uint64_t ours, inode_of(get()));
  if (auto status = remove_below(get()); !status && !is_gone(status.error())) return status;
  // Only if the name still means this group: somebody may have removed it and made another.
  const std::string name = path_.substr(path_.rfind('/') + 1);
  const std::string parent_path = file_path_.substr(0, file_path_.rfind('/'));
  auto parent = open_at(AT_FDCWD, parent_path, O_PATH | O_DIRECTORY);
  if (!parent) {
    if (!is_gone(parent.error())) return std::move(parent).error();
    fd_.reset();
    return {};
  }
  struct stat now {};
  const long found = call(SYS_newfstatat, parent->get(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW);
  if (!is_error(found) && now.st_ino == ours) {
    const long result = call(SYS_unlinkat, parent->get(), name.c_str(), AT_REMOVEDIR);
    if (is_error(result) && result != -ENOENT) {
      return Error::from_errno(static_cast<int>(-result),
                               fmt::format("Cannot remove the cgroup {}", path_));
    }
  }
  fd_.reset();
  return {};
}

Result<std::uint64_t> CgroupDir::id() const {
  return inode_of(get());
}

Result<bool> CgroupDir::event_flag(std::string_view key) const {
  return flag_in_events(get(), "cgroup.events", key);
}

Result<bool> CgroupDir::populated() const {
  auto flag = event_flag("populated");
  if (!flag && is_gone(flag.error())) return path_ == "/";
  return flag;
}

Result<Fd> CgroupDir::open_events() const {
  return open_at(get(), "cgroup.events", O_RDONLY);
}

Result<std::vector<pid_t>> CgroupDir::pids(bool recursive) const {
  std::vector<pid_t> numbers;
  if (auto status = append_pids(get(), recursive, numbers); !status && !is_gone(status.error())) {
    return std::move(status).error();
  }
  return numbers;
}

Result<bool> CgroupDir::contains(const Pidfd& process) const {
  PIDWARD_TRY(const std::string where, cgroup_path_of(process));
  return cgroup_is_within(where, path_);
}

Result<std::vector<Pidfd>> CgroupDir::processes(bool recursive) const {
  PIDWARD_TRY(const std::vector<pid_t> numbers, pids(recursive));
  std::vector<Pidfd> members;
  // Most are in this very group, which the kernel tells in one call.
  const auto here = id();
  const auto is_right_here = [&here](const Pidfd& process) {
    const auto info = process.info(uapi::kPidfdInfoCgroupId);
    return here && info && (info->mask & uapi::kPidfdInfoCgroupId) != 0 && info->cgroup_id == *here;
  };
  for (const pid_t number : numbers) {
    auto process = Pidfd::open(number);
    if (!process) {
      if (process.error().code() == Errc::limit_exceeded) return std::move(process).error();
      continue;  // ended since it was listed
    }
    const auto inside = is_right_here(*process) ? Result<bool>(true) : contains(*process);
    if (inside && *inside) members.push_back(*std::move(process));
  }
  return members;
}

Status CgroupDir::attach(const Pidfd& process) const {
  PIDWARD_TRY(const pid_t pid, process.pid());
  auto moved = write("cgroup.procs", std::to_string(pid));
  // If it was reaped meanwhile, the number may have been another's: say so, whatever the write
  // said.
  PIDWARD_TRY(const bool exists, process.exists());
  if (!exists) {
    return Error(Errc::no_such_process,
                 fmt::format("The process ended before it was moved to the cgroup {}", path_));
  }
  return moved;
}

Status CgroupDir::attach_self() const {
  return write("cgroup.procs", "0");
}

Result<std::size_t> CgroupDir::signal_all(int signal) const {
  PIDWARD_TRY(const std::vector<Pidfd> members, processes());
  std::size_t count = 0;
  for (const Pidfd& member : members) count += member.send_signal(signal).has_value() ? 1 : 0;
  return count;
}

Status CgroupDir::kill(const KernelFeatures& features) const {
  if (!features.has(Feature::cgroup_kill)) return kill_each();
  auto killed = write("cgroup.kill", "1");
  if (!killed && is_gone(killed.error())) return {};
  return killed;
}

Status CgroupDir::kill_each() const {
  // Frozen members do not fork, but the freezer works in its own time: go round until a listing has
  // nobody new. The bound leaves the rest to the caller's next call instead of holding up the loop.
  constexpr int kPasses = 32;
  auto stopped = freeze();
  if (!stopped && is_gone(stopped.error())) return {};
  std::unordered_set<std::uint64_t> signalled;
  Status result;
  for (int pass = 0; pass < kPasses; ++pass) {
    auto numbers = pids(true);
    if (!numbers) {
      result = std::move(numbers).error();
      break;
    }
    bool found_new = false;
    for (const pid_t number : *numbers) {
      // One at a time: there may be more members than descriptors.
      auto opened = Pidfd::open(number);
      if (!opened) {
        // Any other has ended since it was listed.
        if (opened.error().code() == Errc::limit_exceeded) result = std::move(opened).error();
        continue;
      }
      const Pidfd& member = *opened;
      if (auto inside = contains(member); !inside || !*inside) continue;
      // Start time and number together name a process well enough to tell "seen" from "new" within
      // one call.
      auto stat = stat_of(member);
      if (!stat) continue;
      const auto key = stat->start_ticks * 4194304U + static_cast<std::uint64_t>(stat->pid);
      if (!signalled.insert(key).second) continue;
      found_new = true;
      if (auto sent = member.send_signal(SIGKILL); !sent && sent.error().sys_errno() != ESRCH) {
        result = std::move(sent).error();
      }
    }
    if (!found_new) break;
  }
  if (auto thawed = thaw(); !thawed && !is_gone(thawed.error()) && result) return thawed;
  return result;
}

Status CgroupDir::freeze() const {
  return write("cgroup.freeze", "1");
}
Status CgroupDir::thaw() const {
  return write("cgroup.freeze", "0");
}
Result<bool> CgroupDir::frozen() const {
  return event_flag("frozen");
}

Result<std::string> CgroupDir::read(const std::string& file) const {
  return read_file_at(get(), file);
}

Status CgroupDir::write(const std::string& file, std::string_view text) const {
  auto written = write_control_file_at(get(), file, text);
  if (!written) return std::move(written).error().within(fmt::format("cgroup {}", path_));
  return written;
}

// By path: the descriptor is O_PATH, which attributes are refused through.
Status CgroupDir::set_mark(std::string_view name) const {
  const std::string attribute = fmt::format("user.pidward.{}", name);
  return checked_status(call(SYS_setxattr, file_path_.c_str(), attribute.c_str(), "1", 1, 0),
                        "Cannot mark a cgroup");
}

bool CgroupDir::has_mark(std::string_view name) const {
  const std::string attribute = fmt::format("user.pidward.{}", name);
  return call(SYS_getxattr, file_path_.c_str(), attribute.c_str(), nullptr, 0) >= 0;
}

bool CgroupDir::is_writable() const {
  return call(SYS_faccessat, get(), ".", W_OK) == 0 &&
         call(SYS_faccessat, get(), "cgroup.procs", W_OK) == 0;
}

}  // namespace pidward::sys
