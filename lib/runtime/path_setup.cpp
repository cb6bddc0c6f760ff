// Off the loop: inotify watches for a path and all directories on the way to it, and a look at
// whether it is there already.
#include <cerrno>

#include <fmt/core.h>
#include <glob.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "runtime/path_watcher.hpp"
#include "runtime/posix_files.hpp"
#include "sys/directory.hpp"

namespace pidward::runtime {
namespace {

using Kind = WatchedPath::Kind;

constexpr std::uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;

std::uint32_t target_mask(Kind kind) {
  constexpr std::uint32_t kChanged =
      kGone | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
  switch (kind) {
    case Kind::exists:
    case Kind::exists_glob:
      return kGone;
    case Kind::changed:
      return kChanged;
    case Kind::modified:
      return kChanged | IN_MODIFY;
    case Kind::not_empty:
      return kGone | IN_CREATE | IN_MOVED_TO;
  }
  return kGone;
}

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[{") != std::string_view::npos;
}

bool matches_glob(const std::string& pattern) {
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_BRACE, nullptr, &found);
  ::globfree(&found);
  return result == 0;
}

/// Hidden files do not count.
bool has_entries(const std::string& directory) {
  const PosixFileSource files;
  const auto names = files.list(directory);
  return names && std::any_of(names->begin(), names->end(),
                              [](const std::string& name) { return !name.starts_with('.'); });
}

/// Whether the path is as it is wanted; notes whether it is there.
bool is_good(WatchedPath& path) {
  switch (path.kind) {
    case Kind::exists:
      return ::access(path.path.c_str(), F_OK) == 0;
    case Kind::exists_glob:
      return matches_glob(path.path);
    case Kind::not_empty:
      return has_entries(path.path);
    case Kind::changed:
    case Kind::modified: {
      const bool exists = ::access(path.path.c_str(), F_OK) == 0;
      const std::optional<bool> before = std::exchange(path.existed, exists);
      return before && *before != exists;
    }
  }
  return false;
}

class Watches {
 public:
  explicit Watches(PathSetup& setup) : setup_(setup) {}

  Status add(std::size_t index) {
    const WatchedPath& watched = setup_.paths[index];
    const std::string& path = watched.path;
    bool any = false;
    for (std::size_t slash = 0; slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string directory = slash == 0 ? "/" : path.substr(0, slash);
      if (directory == path) break;
      std::string next = path.substr(slash + 1, path.find('/', slash + 1) - slash - 1);
      if (has_wildcard(next)) next.clear();
      // Only what is made or put in a directory can be the next part of the way.
      const int number = watch(directory, kGone | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
      if (number < 0) break;
      setup_.watches.push_back({number, index, false, std::move(next)});
      any = true;
    }
    const int number = watch(path, target_mask(watched.kind));
    if (number >= 0) setup_.watches.push_back({number, index, true, {}});
    // A link may go while what it leads to stays.
    const int link = watch(path, target_mask(watched.kind) | IN_DONT_FOLLOW);
    if (link >= 0 && link != number) setup_.watches.push_back({link, index, true, {}});
    if (any || number >= 0 || link >= 0) return {};
    return Error::from_errno(error_, fmt::format("Cannot watch {}", path));
  }

 private:
  int watch(const std::string& path, std::uint32_t mask) {
    // Several paths may lead through one directory: what they want of it adds up.
    const int number = ::inotify_add_watch(setup_.inotify.get(), path.c_str(), mask | IN_MASK_ADD);
    if (number < 0) error_ = errno;
    return number;
  }

  PathSetup& setup_;
  int error_ = 0;
};

}  // namespace

Result<PathSetup> set_up_paths(std::vector<WatchedPath> paths) {
  PathSetup setup;
  setup.paths = std::move(paths);
  setup.inotify = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!setup.inotify) {
    return Error::from_errno(errno, "Cannot watch paths")
        .advise("fs.inotify.max_user_instances bounds the number of path units");
  }
  Watches watches(setup);
  for (std::size_t i = 0; i < setup.paths.size(); ++i) PIDWARD_CHECK(watches.add(i));
  for (WatchedPath& path : setup.paths) {
    if (is_good(path) && !setup.hit) setup.hit = path.path;
  }
  return setup;
}

Status make_watched_directories(const std::vector<WatchedPath>& paths, unsigned mode) {
  for (const WatchedPath& path : paths) {
    if (path.kind == Kind::exists || path.kind == Kind::exists_glob) continue;
    PIDWARD_CHECK(make_directories(path.path, mode));
  }
  return {};
}

std::vector<WatchedPath> watched_paths(const unit::Settings& settings) {
  std::vector<WatchedPath> paths;
  const unit::Value* value = settings.find(unit::kPathStore);
  const auto* triggers =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::Trigger>>(value);
  if (triggers == nullptr) return paths;
  for (const unit::Trigger& trigger : *triggers) {
    const Kind kind = trigger.base == "PathExistsGlob"      ? Kind::exists_glob
                      : trigger.base == "PathChanged"       ? Kind::changed
                      : trigger.base == "PathModified"      ? Kind::modified
                      : trigger.base == "DirectoryNotEmpty" ? Kind::not_empty
                                                            : Kind::exists;
    paths.push_back({kind, trigger.expression, {}});
  }
  return paths;
}

}  // namespace pidward::runtime
