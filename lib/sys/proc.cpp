#include "sys/proc.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <ctime>
#include <functional>
#include <unordered_map>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/syscall.h>

#include "sys/cgroup.hpp"
#include "sys/check.hpp"
#include "sys/directory.hpp"

namespace pidward::sys {
namespace {

Error gone() {
  return {Errc::no_such_process, "The process is gone"};
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Runs `read` with the process's number and believes it only if the number was the process's own
// throughout: it was before, says fdinfo, and the process is unreaped after.
template <typename T>
Result<T> while_it_exists(const Pidfd& process, const std::function<Result<T>(pid_t)>& read) {
  PIDWARD_TRY(const pid_t pid, process.pid());
  Result<T> answer = read(pid);
  PIDWARD_TRY(const bool exists, process.exists());
  if (!exists) return gone();
  if (!answer && answer.error().sys_errno() == ESRCH) return gone();
  return answer;
}

std::vector<std::string> split_at_nul(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string_view> split_at_spaces(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t\n", at)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// The words after "KEY:" in /proc/PID/status.
std::vector<std::string_view> status_words(std::string_view status, std::string_view key) {
  std::size_t at = status.find(fmt::format("\n{}:", key));
  if (at == std::string_view::npos) return {};
  at += key.size() + 2;
  return split_at_spaces(status.substr(at, status.find('\n', at) - at));
}

// An answer that is missing for want of descriptors says nothing about a process.
bool is_for_want_of_descriptors(const Error& error) {
  return error.code() == Errc::limit_exceeded;
}

// Numbers of processes that may be children of `parent`: hints, to be checked one by one.
Result<std::vector<pid_t>> child_numbers(pid_t parent, bool by_children_files) {
  std::vector<pid_t> found;
  if (by_children_files) {
    const std::string tasks = fmt::format("/proc/{}/task", parent);
    PIDWARD_TRY(const std::vector<DirectoryEntry> threads, list_directory(tasks));
    for (const DirectoryEntry& thread : threads) {
      auto text = read_file(fmt::format("{}/{}/children", tasks, thread.name));
      if (!text && is_for_want_of_descriptors(text.error())) return std::move(text).error();
      if (!text) continue;  // that thread ended
      for (const std::string_view word : split_at_spaces(*text)) {
        if (const auto number = parse_number<pid_t>(word)) found.push_back(*number);
      }
    }
    return found;
  }
  PIDWARD_TRY(const std::vector<DirectoryEntry> entries, list_directory("/proc"));
  for (const DirectoryEntry& entry : entries) {
    const auto number = parse_number<pid_t>(entry.name);
    if (!number) continue;
    auto line = read_file(fmt::format("/proc/{}/stat", *number));
    if (!line && is_for_want_of_descriptors(line.error())) return std::move(line).error();
    if (!line) continue;  // that process ended
    if (auto stat = parse_stat(*line); stat && stat->ppid == parent) found.push_back(*number);
  }
  return found;
}

// Whether a process that was sent SIGSTOP may be at work still, such as on a fork: it stops when it
// leaves the kernel. One that waits there undisturbed, as for a child of vfork(2), counts as
// stopped.
bool may_be_at_work(const Pidfd& process) {
  const auto number = process.pid();
  if (!number) return false;
  const std::string tasks = fmt::format("/proc/{}/task", *number);
  const auto threads = list_directory(tasks);
  if (!threads) return false;
  return std::ranges::any_of(*threads, [&tasks](const DirectoryEntry& thread) {
    const auto line = read_file(fmt::format("{}/{}/stat", tasks, thread.name));
    const auto stat = line ? parse_stat(*line) : Result<ProcStat>(line.error());
    return stat && (stat->state == 'R' || stat->state == 'S');
  });
}

void give_time_to_stop() {
  constexpr timespec kMoment{0, 100'000};
  static_cast<void>(call(SYS_nanosleep, &kMoment, nullptr));
}

// A tree that is being killed without a cgroup. A stopped process forks no more, so the set of
// those found grows only until all of it is stopped; then all are killed.
class TreeKill {
 public:
  explicit TreeKill(const KernelFeatures& features)
      : features_(features), self_(static_cast<pid_t>(call(SYS_getpid))) {}

  Result<std::size_t> run(Pidfd root) {
    const auto number = root.pid();
    const bool is_self = number && *number == self_;
    PIDWARD_CHECK(add(std::move(root)));
    for (int pass = 0; pass < kPasses; ++pass) {
      const bool all_stopped = is_all_stopped();
      const auto grew = look_for_more();
      if (!grew) {
        // Held all at once they are more than there are descriptors for.
        found_.resize(1);
        Status below = kill_below(found_[0], kDeepest);
        kill_found(is_self);
        if (!below) return std::move(below).error();
        return killed_;
      }
      if (!*grew && all_stopped) break;
      if (!*grew) give_time_to_stop();
    }
    kill_found(is_self);
    return killed_;
  }

 private:
  // The bound is for a tree whose members may not be stopped by us: some milliseconds.
  static constexpr int kPasses = 64;
  static constexpr int kDeepest = 256;

  // False for one that was found before. Those that are held and unreaped keep their numbers.
  Result<bool> add(Pidfd process) {
    const auto number = process.pid();
    if (!number && is_for_want_of_descriptors(number.error())) return number.error();
    if (!number) return false;
    const auto known = by_number_.find(*number);
    if (known != by_number_.end() && found_[known->second].exists().value_or(false)) return false;
    if (*number != self_) static_cast<void>(process.send_signal(SIGSTOP));
    by_number_[*number] = found_.size();
    found_.push_back(std::move(process));
    return true;
  }

  // Those who have stopped are not asked again.
  bool is_all_stopped() {
    while (stopped_ < found_.size()) {
      const auto number = found_[stopped_].pid();
      if (number && *number != self_ && may_be_at_work(found_[stopped_])) return false;
      ++stopped_;
    }
    return true;
  }

  // One look at everybody's children; whether anybody was new. Errors: too few descriptors.
  Result<bool> look_for_more() {
    bool grew = false;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      auto children = children_of(found_[i], features_);
      if (!children) {
        if (is_for_want_of_descriptors(children.error())) return std::move(children).error();
        continue;  // it ended meanwhile
      }
      for (Pidfd& child : *children) {
        const auto number = child.pid();
        if (!number && is_for_want_of_descriptors(number.error())) return number.error();
        if (!number || *number == self_) continue;  // and nobody whom we look after
        PIDWARD_TRY(const bool is_new, add(std::move(child)));
        grew = is_new || grew;
      }
    }
    return grew;
  }

  void kill_found(bool but_the_first) {
    for (std::size_t i = but_the_first ? 1 : 0; i < found_.size(); ++i) {
      killed_ += found_[i].send_signal(SIGKILL).has_value() ? 1 : 0;
    }
  }

  // With one descriptor for each level: what is below goes first, since nobody finds the orphans of
  // a dead process.
  Status kill_below(const Pidfd& parent, int levels) {
    if (levels == 0) return Error(Errc::limit_exceeded, "The tree of processes is too deep");
    Status worst;
    for (int pass = 0; pass < kPasses; ++pass) {
      const auto number = parent.pid();
      if (!number && is_for_want_of_descriptors(number.error())) return number.error();
      if (!number) break;
      const bool is_stopped = *number == self_ || !may_be_at_work(parent);
      PIDWARD_TRY(const std::vector<pid_t> numbers,
                  child_numbers(*number, features_.has(Feature::proc_children)));
      bool met = false;
      for (const pid_t each : numbers) {
        if (each == self_) continue;
        auto child = Pidfd::open(each);
        if (!child) {
          if (is_for_want_of_descriptors(child.error())) return std::move(child).error();
          continue;
        }
        const auto stat = stat_of(*child);
        if (!stat && is_for_want_of_descriptors(stat.error())) return stat.error();
        if (!stat || stat->ppid != *number || child->has_ended().value_or(true)) continue;
        met = true;
        static_cast<void>(child->send_signal(SIGSTOP));
        if (Status below = kill_below(*child, levels - 1); !below) worst = std::move(below);
        killed_ += child->send_signal(SIGKILL).has_value() ? 1 : 0;
      }
      if (!met && is_stopped) break;
      if (!met) give_time_to_stop();
    }
    return worst;
  }

  const KernelFeatures& features_;
  pid_t self_;
  std::vector<Pidfd> found_;
  std::unordered_map<pid_t, std::size_t> by_number_;
  std::size_t stopped_ = 0;  // of those found, from the first
  std::size_t killed_ = 0;
};

}  // namespace

Result<std::string> read_proc(const Pidfd& process, const std::string& name) {
  return while_it_exists<std::string>(
      process, [&](pid_t pid) { return read_file(fmt::format("/proc/{}/{}", pid, name)); });
}

Result<std::string> comm_of(const Pidfd& process) {
  PIDWARD_TRY(std::string text, read_proc(process, "comm"));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<std::vector<std::string>> cmdline_of(const Pidfd& process) {
  PIDWARD_TRY(const std::string text, read_proc(process, "cmdline"));
  return split_at_nul(text);
}

Result<std::vector<std::string>> environ_of(const Pidfd& process) {
  PIDWARD_TRY(const std::string text, read_proc(process, "environ"));
  return split_at_nul(text);
}

Result<std::string> cgroup_path_of(const Pidfd& process) {
  PIDWARD_TRY(const std::string text, read_proc(process, "cgroup"));
  return parse_cgroup_path(text).value_or("/");
}

Result<std::string> executable_of(const Pidfd& process) {
  return while_it_exists<std::string>(process, [](pid_t pid) -> Result<std::string> {
    std::string target(4096, '\0');
    const std::string link = fmt::format("/proc/{}/exe", pid);
    PIDWARD_TRY(const long length,
                checked(call(SYS_readlinkat, AT_FDCWD, link.c_str(), target.data(), target.size()),
                        "Cannot find the executable of a process"));
    target.resize(static_cast<std::size_t>(length));
    return target;
  });
}

Result<ProcStat> parse_stat(std::string_view line) {
  const Error bad(Errc::syntax, "Not a line of /proc/PID/stat");
  const std::size_t open = line.find(" (");
  const std::size_t close = line.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return bad;
  }
  const auto pid = parse_number<pid_t>(line.substr(0, open));
  // Words after the name: state is field 3, ppid 4, session 6, start time 22.
  const auto words = split_at_spaces(line.substr(close + 1));
  if (!pid || words.size() < 20 || words[0].size() != 1) return bad;
  const auto ppid = parse_number<pid_t>(words[1]);
  const auto session = parse_number<pid_t>(words[3]);
  const auto start = parse_number<std::uint64_t>(words[19]);
  if (!ppid || !session || !start) return bad;
  ProcStat stat;
  stat.pid = *pid;
  stat.comm = line.substr(open + 2, close - open - 2);
  stat.state = words[0][0];
  stat.ppid = *ppid;
  stat.session = *session;
  stat.start_ticks = *start;
  return stat;
}

Result<ProcStat> stat_of(const Pidfd& process) {
  PIDWARD_TRY(const std::string line, read_proc(process, "stat"));
  return parse_stat(line);
}

Result<ProcessInfo> inspect(const Pidfd& process, const KernelFeatures& features) {
  ProcessInfo info;
  if (features.has(Feature::pidfd_info)) {
    PIDWARD_TRY(
        const uapi::PidfdInfo answer,
        process.info(uapi::kPidfdInfoPid | uapi::kPidfdInfoCreds | uapi::kPidfdInfoCgroupId));
    info.pid = static_cast<pid_t>(answer.pid);
    info.ppid = static_cast<pid_t>(answer.ppid);
    info.uid = answer.euid;
    info.gid = answer.egid;
    if ((answer.mask & uapi::kPidfdInfoCgroupId) != 0) info.cgroup_id = answer.cgroup_id;
    return info;
  }
  PIDWARD_TRY(info.pid, process.pid());
  PIDWARD_TRY(const std::string status, read_proc(process, "status"));
  const auto parent = status_words(status, "PPid");
  const auto uids = status_words(status, "Uid");
  const auto gids = status_words(status, "Gid");
  if (parent.empty() || uids.size() < 2 || gids.size() < 2) {
    return Error(Errc::failed, "The status file of a process lacks its parent or its ids");
  }
  info.ppid = parse_number<pid_t>(parent[0]).value_or(0);
  info.uid = parse_number<uid_t>(uids[1]).value_or(static_cast<uid_t>(-1));
  info.gid = parse_number<gid_t>(gids[1]).value_or(static_cast<gid_t>(-1));
  return info;
}

Result<bool> is_kernel_thread(const Pidfd& process) {
  PIDWARD_TRY(const std::string status, read_proc(process, "status"));
  return status.find("\nKthread:\t1\n") != std::string::npos ||
         (status.find("\nVmSize:") == std::string::npos &&
          status.find("\nState:\tZ") == std::string::npos);
}

Result<std::vector<Pidfd>> children_of(const Pidfd& process, const KernelFeatures& features) {
  PIDWARD_TRY(const pid_t parent, process.pid());
  PIDWARD_TRY(const std::vector<pid_t> numbers,
              child_numbers(parent, features.has(Feature::proc_children)));
  std::vector<Pidfd> children;
  for (const pid_t number : numbers) {
    auto child = Pidfd::open(number);
    if (!child) {
      if (is_for_want_of_descriptors(child.error())) return std::move(child).error();
      continue;
    }
    auto stat = stat_of(*child);
    if (!stat && is_for_want_of_descriptors(stat.error())) return std::move(stat).error();
    // X is who is being collected right now: its number is not its own any more.
    if (stat && stat->ppid == parent && stat->state != 'X') children.push_back(*std::move(child));
  }
  PIDWARD_TRY(const bool exists, process.exists());
  if (!exists) return gone();
  return children;
}

Result<std::vector<Pidfd>> descendants_of(const Pidfd& process, const KernelFeatures& features) {
  PIDWARD_TRY(std::vector<Pidfd> found, children_of(process, features));
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto more = children_of(found[i], features);
    if (!more) {
      if (is_for_want_of_descriptors(more.error())) return std::move(more).error();
      continue;  // it ended between the listing and now
    }
    for (Pidfd& child : *more) found.push_back(std::move(child));
  }
  return found;
}

Result<std::size_t> kill_tree(const Pidfd& process, const KernelFeatures& features) {
  PIDWARD_TRY(Pidfd root, process.duplicate());
  return TreeKill(features).run(std::move(root));
}

Result<std::string> boot_id() {
  PIDWARD_TRY(std::string text, read_file("/proc/sys/kernel/random/boot_id"));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string unescape_octal(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && digit(text[i + 1]) && digit(text[i + 2]) &&
        digit(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace pidward::sys
