// What path units watch: inotify on the loop, looking at the file system off it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/core.hpp"

namespace pidward::runtime {

/// One PathExists=-like line and what was last seen of it.
struct WatchedPath {
  enum class Kind : std::uint8_t { exists, exists_glob, changed, modified, not_empty };
  Kind kind = Kind::exists;
  std::string path;
  std::optional<bool> existed;
};

/// What one inotify watch is for.
struct PathWatch {
  int number = -1;
  std::size_t path = 0;    ///< index of the WatchedPath
  bool is_target = false;  ///< the path itself, not a directory on the way
  std::string next;        ///< of a directory on the way: the name looked for; empty: any
};

/// The watches of one unit, and whether one of its paths is as it is wanted already.
struct PathSetup {
  sys::Fd inotify;
  std::vector<PathWatch> watches;
  std::vector<WatchedPath> paths;
  std::optional<std::string> hit;  ///< the first that is
};
/// Watches first and looks then, so that nothing is missed between. May block. Errors: no inotify
/// instance, or no watch at all for a path.
Result<PathSetup> set_up_paths(std::vector<WatchedPath> paths);

/// What happened to watched paths.
struct PathFindings {
  std::optional<std::string> hit;  ///< a path that changed
  bool look_again = false;         ///< something on the way to a path did
};
/// Takes all that is there to read; does not block.
PathFindings read_path_events(const PathSetup& setup);

/// MakeDirectory=: makes those that are to change or fill. May block.
Status make_watched_directories(const std::vector<WatchedPath>& paths, unsigned mode);

/// What a unit's settings say.
std::vector<WatchedPath> watched_paths(const unit::Settings& settings);

class PathWatcher final : private DescriptorHandler {
 public:
  explicit PathWatcher(Core& core) : core_(core) {}
  ~PathWatcher() override;
  PathWatcher(const PathWatcher&) = delete;
  PathWatcher& operator=(const PathWatcher&) = delete;

  /// Answers with PathsWatched, and with PathTriggered once it is time.
  void watch(const engine::WatchPaths& effect);
  void unwatch(UnitId unit);

 private:
  struct Unit {
    std::uint64_t generation = 0;
    bool answered = false;  ///< PathsWatched was sent
    bool busy = false;      ///< being set up on the pool
    bool again = false;     ///< something happened meanwhile
    PathSetup setup;
    Watch watch;
  };

  void descriptor_ready(int fd, std::uint32_t events) override;
  void set_up(UnitId id, std::vector<WatchedPath> paths, std::optional<unsigned> make);
  void finish(UnitId id, std::uint64_t generation, Result<PathSetup> setup);
  void trigger(UnitId id, Unit& unit, const std::string& path);

  Core& core_;
  std::unordered_map<UnitId, std::unique_ptr<Unit>> units_;
  std::unordered_map<int, UnitId> by_descriptor_;
};

}  // namespace pidward::runtime
