// Reading units off the loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "runtime/posix_files.hpp"
#include "runtime/transient_units.hpp"
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
  /// The same, at once: for the time before the loop runs.
  [[nodiscard]] Specs load_now(const std::vector<unit::UnitName>& names);
  /// Looks at the directories already, for load_each() within the next second.
  void look_around();
  /// The same; each is given to `loaded` as soon as it is read.
  void load_each(const std::vector<unit::UnitName>& names,
                 const std::function<void(unit::UnitSpecPtr)>& loaded);
  /// The same, reading everything anew.
  void reload(std::vector<unit::UnitName> names, std::function<void(Specs)> done);
  /// Whether files of the unit changed since they were read.
  void check_changed(unit::UnitSpecPtr spec, std::function<void(bool)> done);
  /// Writes the files of transient units and reads them, with all they lead to that is not known
  /// yet. Errors: a unit of that name has a file of its own or is masked, what is wrong with the
  /// text, the file cannot be written; nothing is left behind then.
  void make_transient(std::vector<UnitText> units, std::function<void(Result<Specs>)> done);
  /// Writes drop-ins of a unit into `directory` and reads the unit again. After an error what
  /// could be written stays.
  void write_drop_ins(const unit::UnitName& name, std::string directory,
                      std::vector<DropInText> files,
                      std::function<void(Result<unit::UnitSpecPtr>)> done);
  KnownUnits& known() { return known_; }
  [[nodiscard]] const unit::LoaderContext& context() const { return context_; }
  WorkerPool& pool() { return pool_; }

 private:
  /// A loader whose index is at most a second old.
  unit::UnitLoader& fresh_loader(bool force);
  void rest_after(std::size_t units);
  Result<unit::UnitSpecPtr> make_one(const UnitText& unit);

  WorkerPool& pool_;
  PosixFileSource files_;
  unit::LoaderContext context_;
  KnownUnits known_;
  std::mutex mutex_;                        ///< guards the loader
  std::optional<unit::UnitLoader> loader_;  ///< none while it rests
  std::vector<WallTime> stamps_;
  MonoTime indexed_{};
};

}  // namespace pidward::runtime
