// Reading units off the loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "runtime/posix_files.hpp"
#include "runtime/worker_pool.hpp"
#include "unit/install.hpp"
#include "unit/loader.hpp"

namespace pidward::runtime {

/// Names of loaded units, asked by the loader from the pool. Hashes, to be small: 64 bits of a name
/// are as good as it.
class KnownUnits {
 public:
  void add(const unit::UnitSpec& spec);
  void remove(const unit::UnitName& name);
  void clear();
  [[nodiscard]] bool contains(const unit::UnitName& name) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_set<std::uint64_t> names_;
};

class UnitSource {
 public:
  using Specs = std::vector<unit::UnitSpecPtr>;
  UnitSource(WorkerPool& pool, unit::LoaderContext context);

  /// `names` and all they lead to that is not known yet; `done` on the loop.
  void load(std::vector<unit::UnitName> names, std::function<void(Specs)> done);
  /// The same, reading everything anew.
  void reload(std::vector<unit::UnitName> names, std::function<void(Specs)> done);
  /// Whether files of these units changed since they were read.
  void check_changed(std::vector<std::pair<UnitId, unit::UnitSpecPtr>> units,
                     std::function<void(std::vector<UnitId>)> done);
  KnownUnits& known() { return known_; }
  [[nodiscard]] const unit::LoaderContext& context() const { return context_; }
  WorkerPool& pool() { return pool_; }

 private:
  /// A loader whose index is at most a second old.
  unit::UnitLoader& fresh_loader(bool force);

  WorkerPool& pool_;
  PosixFileSource files_;
  unit::LoaderContext context_;
  KnownUnits known_;
  std::mutex mutex_;  ///< guards the loader
  unit::UnitLoader loader_;
  std::vector<WallTime> stamps_;
  MonoTime indexed_{};
};

}  // namespace pidward::runtime
