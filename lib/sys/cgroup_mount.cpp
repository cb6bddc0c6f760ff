// Finding the version 2 hierarchy and our place in it.
#include <algorithm>
#include <string_view>

#include "sys/cgroup.hpp"
#include "sys/proc.hpp"

namespace pidward::sys {
namespace {

// The next word of `line`, taken off its front.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

std::optional<CgroupMount> parse_cgroup_mount(std::string_view mountinfo) {
  std::optional<CgroupMount> found;
  bool has_version_1 = false;
  while (!mountinfo.empty()) {
    const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    std::string_view source = line.substr(separator + 3);
    const std::string_view type = take_word(source);
    has_version_1 = has_version_1 || type == "cgroup";
    if (type != "cgroup2" || found) continue;
    take_word(line);  // mount id
    take_word(line);  // parent id
    take_word(line);  // device
    CgroupMount mount;
    mount.root = unescape_octal(take_word(line));
    mount.path = unescape_octal(take_word(line));
    found = std::move(mount);
  }
  if (found) found->unified = !has_version_1;
  return found;
}

std::optional<std::string> parse_cgroup_path(std::string_view proc_cgroup) {
  constexpr std::string_view kDeleted = " (deleted)";
  while (!proc_cgroup.empty()) {
    const std::size_t end = std::min(proc_cgroup.find('\n'), proc_cgroup.size());
    std::string_view line = proc_cgroup.substr(0, end);
    proc_cgroup.remove_prefix(std::min(end + 1, proc_cgroup.size()));
    if (!line.starts_with("0::")) continue;
    line.remove_prefix(3);
    if (line.ends_with(kDeleted)) line.remove_suffix(kDeleted.size());
    return std::string(line);
  }
  return std::nullopt;
}

Result<std::optional<CgroupMount>> find_cgroup_mount() {
  PIDWARD_TRY(const std::string text, read_file("/proc/self/mountinfo", 64 << 20));
  return parse_cgroup_mount(text);
}

Result<std::string> own_cgroup_path() {
  PIDWARD_TRY(const std::string text, read_file("/proc/self/cgroup"));
  return parse_cgroup_path(text).value_or("/");
}

bool cgroup_is_within(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/") return path.starts_with('/');
  return path.starts_with(ancestor) &&
         (path.size() == ancestor.size() || path[ancestor.size()] == '/');
}

}  // namespace pidward::sys
