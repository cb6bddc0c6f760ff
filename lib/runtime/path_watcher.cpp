#include "runtime/path_watcher.hpp"

#include <sys/epoll.h>

namespace pidward::runtime {
PathWatcher::~PathWatcher() = default;

void PathWatcher::watch(const engine::WatchPaths& effect) {
  const auto spec = core_.engine.spec(effect.unit);
  if (!spec) return;
  unwatch(effect.unit);
  auto& unit = units_[effect.unit];
  unit = std::make_unique<Unit>();
  unit->generation = effect.generation;
  std::optional<unsigned> make;
  if (effect.initial && spec->settings.boolean(unit::Directive::MakeDirectory)) {
    make = static_cast<unsigned>(spec->settings.integer(unit::Directive::DirectoryMode));
  }
  set_up(effect.unit, watched_paths(spec->settings), make);
}

void PathWatcher::unwatch(UnitId unit) {
  const auto found = units_.find(unit);
  if (found == units_.end()) return;
  by_descriptor_.erase(found->second->setup.inotify.get());
  found->second->watch.stop();
  core_.pool.close(std::move(found->second->setup.inotify));
  units_.erase(found);
}

void PathWatcher::set_up(UnitId id, std::vector<WatchedPath> paths, std::optional<unsigned> make) {
  Unit& unit = *units_.at(id);
  unit.busy = true;
  core_.pool.run(
      [paths = std::move(paths), make]() mutable -> Result<PathSetup> {
        if (make) PIDWARD_CHECK(make_watched_directories(paths, *make));
        return set_up_paths(std::move(paths));
      },
      [this, id, generation = unit.generation](Result<PathSetup> setup) {
        finish(id, generation, std::move(setup));
        core_.events.drain();
      });
}

void PathWatcher::finish(UnitId id, std::uint64_t generation, Result<PathSetup> setup) {
  const auto found = units_.find(id);
  if (found == units_.end() || found->second->generation != generation) {
    if (setup) core_.pool.close(std::move(setup->inotify));
    return;
  }
  Unit& unit = *found->second;
  unit.busy = false;
  by_descriptor_.erase(unit.setup.inotify.get());
  unit.watch.stop();
  std::optional<Error> failure;
  if (setup) {
    core_.pool.close(std::move(unit.setup.inotify));
    unit.setup = *std::move(setup);
    auto watch = Watch::start(core_.watcher, unit.setup.inotify.get(), EPOLLIN, *this);
    if (watch) {
      unit.watch = *std::move(watch);
      by_descriptor_[unit.setup.inotify.get()] = id;
    } else {
      failure = watch.error();
    }
  } else {
    failure = setup.error();
  }
  if (!unit.answered || failure) {
    unit.answered = true;
    core_.events.post(engine::PathsWatched{id, generation, failure});
  }
  if (failure) return;
  if (unit.setup.hit) return trigger(id, unit, *unit.setup.hit);
  if (std::exchange(unit.again, false)) set_up(id, unit.setup.paths, {});
}

void PathWatcher::trigger(UnitId id, Unit& unit, const std::string& path) {
  core_.events.post(engine::PathTriggered{id, unit.generation, path});
}

void PathWatcher::descriptor_ready(int fd, std::uint32_t /*events*/) {
  const auto found = by_descriptor_.find(fd);
  if (found == by_descriptor_.end()) return;
  const UnitId id = found->second;
  Unit& unit = *units_.at(id);
  const PathFindings findings = read_path_events(unit.setup);
  if (findings.hit) {
    trigger(id, unit, *findings.hit);
  } else if (findings.look_again) {
    if (unit.busy) {
      unit.again = true;
    } else {
      set_up(id, unit.setup.paths, {});
    }
  }
  core_.events.drain();
}

}  // namespace pidward::runtime
