// Finding the version 2 hierarchy and our place in it.
#include <algorithm>
#include <string_view>

#include "sys/cgroup.hpp"

namespace pidward::sys {
namespace {

// The next word of `line`, taken off its front.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescaped(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
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
    mount.root = unescaped(take_word(line));
    mount.path = unescaped(take_word(line));
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
