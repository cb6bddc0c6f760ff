#include "runtime/pid_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::size_t kLongestPidFile = 64;

}  // namespace

Result<pid_t> parse_pid_file(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return Error(Errc::invalid_argument, "The file is empty");
  text = text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
  pid_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error(Errc::invalid_argument, "The file holds something that is not a number");
  }
  if (number <= 0) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a process number", number));
  }
  return number;
}

Result<pid_t> read_pid_file(const std::string& path) {
  PIDWARD_TRY(const sys::Fd file, sys::open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  PIDWARD_TRY(const std::string text, sys::read_all(file.get(), kLongestPidFile));
  return parse_pid_file(text);
}

PidFiles::PidFiles(Core& core, UnitTree& tree, ProcessTracker& tracker)
    : core_(core), tree_(tree), tracker_(tracker) {}
PidFiles::~PidFiles() = default;

void PidFiles::find(const engine::FindMainProcess& effect) {
  if (!effect.from_pid_file) {
    guess(effect.unit);
    return;
  }
  const auto spec = core_.engine.spec(effect.unit);
  if (!spec) return;
  const std::string path = spec->settings.string(unit::Directive::PIDFile);
  if (effect.wait) watch(effect.unit, path);
  read(effect.unit, path, effect.wait);
}

void PidFiles::found(UnitId unit, const process::ProcessHandle& handle) {
  core_.events.post(engine::MainProcessFound{unit, handle->id(), !handle->is_child()});
}

// As systemd guesses: a daemon's first process has lost its parent and come to us; its workers,
// which may be there already, have not.
void PidFiles::guess(UnitId unit) {
  std::vector<sys::Pidfd> members = tree_.members(unit);
  std::erase_if(members, [this, unit](const sys::Pidfd& process) {
    const auto known = core_.table.find(process);
    const engine::UnitStatus status = core_.engine.status(unit);
    const auto ended = process.has_ended();
    const auto stat = sys::stat_of(process);
    return (ended && *ended) || !stat || stat->ppid != ::getpid() ||
           (known && *known && status.service != nullptr &&
            (*known)->id() == status.service->control);
  });
  if (members.size() != 1) {
    core_.events.post(engine::MainProcessMissing{
        unit, Error(Errc::not_found,
                    fmt::format("{} processes are left, so none is the main one for certain",
                                members.size()))});
    return;
  }
  auto handle = core_.table.open(std::move(members.front()));
  const Status tracked =
      handle ? tracker_.add(*handle, unit, process::Role::main) : Status(handle.error());
  if (!tracked) {
    core_.events.post(engine::MainProcessMissing{unit, tracked.error()});
    return;
  }
  found(unit, *handle);
}

void PidFiles::watch(UnitId unit, const std::string& path) {
  if (!inotify_) {
    inotify_ = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_) return;
    if (auto started = Watch::start(core_.watcher, inotify_.get(), EPOLLIN, *this)) {
      inotify_watch_ = *std::move(started);
    }
  }
  Waiting& waiting = waiting_[unit];
  waiting.path = path;
  const int before = std::exchange(waiting.watch, -1);
  // The deepest directory that is there: the ones below it may be made later.
  std::size_t end = path.size();
  for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    waiting.watch =
        ::inotify_add_watch(inotify_.get(), path.substr(0, slash).c_str(),
                            IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB);
    waiting.next = path.substr(slash + 1, end - slash - 1);
    if (waiting.watch >= 0) break;
    end = slash;
  }
  unwatch(before);
}

// Several units may wait for files in the same directory, which is one watch.
void PidFiles::unwatch(int watch) {
  const bool used = std::ranges::any_of(
      waiting_, [watch](const auto& entry) { return entry.second.watch == watch; });
  if (watch >= 0 && !used) ::inotify_rm_watch(inotify_.get(), watch);
}

void PidFiles::forget(UnitId unit) {
  const auto found = waiting_.find(unit);
  if (found == waiting_.end()) return;
  const int watch = found->second.watch;
  waiting_.erase(found);
  unwatch(watch);
}

void PidFiles::descriptor_ready(int fd, std::uint32_t /*events*/) {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  std::vector<std::pair<UnitId, std::string>> due;
  const auto note = [this, &due](int watch, std::string_view name) {
    for (const auto& [unit, waiting] : waiting_) {
      // Other files in the directory are not our business; what was lost may have been ours.
      const bool hit =
          watch < 0 || (watch == waiting.watch && (name == waiting.next || name.empty()));
      const std::pair entry(unit, waiting.path);
      if (hit && std::ranges::find(due, entry) == due.end()) due.push_back(entry);
    }
  };
  for (ssize_t length = 0; (length = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);  // NOLINT
      at += sizeof(inotify_event) + event->len;
      note(event->wd, event->len > 0 ? event->name : "");
    }
  }
  for (const auto& [unit, path] : due) {
    watch(unit, path);
    read(unit, path, true);
  }
}

void PidFiles::read(UnitId unit, const std::string& path, bool wait) {
  if (wait) {
    Waiting& waiting = waiting_[unit];
    if (std::exchange(waiting.reading, true)) {
      waiting.again = true;
      return;
    }
  }
  core_.pool.run([path] { return read_pid_file(path); },
                 [this, unit, path, wait](Result<pid_t> number) {
                   if (wait) {
                     const auto waiting = waiting_.find(unit);
                     if (waiting == waiting_.end()) return;
                     waiting->second.reading = false;
                     if (std::exchange(waiting->second.again, false)) {
                       read(unit, path, true);
                       return;
                     }
                   }
                   decide(unit, wait, number);
                   core_.events.drain();
                 });
}

Result<ProcessId> PidFiles::believe(UnitId unit, pid_t number) {
  PIDWARD_TRY(const process::ProcessHandle handle,
              process::open_pid_verified(core_.table, number, tree_.expectation(unit)));
  PIDWARD_CHECK(tracker_.add(handle, unit, process::Role::main));
  found(unit, handle);
  return handle->id();
}

void PidFiles::decide(UnitId unit, bool wait, const Result<pid_t>& number) {
  const Result<ProcessId> main =
      number ? believe(unit, *number) : Result<ProcessId>(number.error());
  if (main) return forget(unit);
  const auto spec = core_.engine.spec(unit);
  const std::string path = spec ? spec->settings.string(unit::Directive::PIDFile) : std::string();
  if (wait) {
    // It may be written yet; what is in it already and will not do is said once.
    const auto waiting = waiting_.find(unit);
    const std::string why = main.error().to_string();
    if (waiting == waiting_.end() || !spec || main.error().sys_errno() == ENOENT) return;
    if (std::exchange(waiting->second.said, why) == why) return;
    log_about(LogLevel::warning, *spec, "pid-file",
              fmt::format("PIDFile={} does not name the main process: {}", path, why));
    return;
  }
  core_.events.post(engine::MainProcessMissing{unit, Error(main.error()).within(path)});
}

}  // namespace pidward::runtime
