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

  /// `names` and all they lead to that is not known yet; `done` on the loop. What was read within
  /// the last second is taken as it was then, unless `afresh`.
  void load(std::vector<unit::UnitName> names, std::function<void(Specs)> done,
            bool afresh = false);
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
  KnownUnits& known() { return reader_->known; }
  [[nodiscard]] const unit::LoaderContext& context() const { return reader_->context; }
  /// The same for a task, which owns what it works with.
  [[nodiscard]] std::shared_ptr<const unit::LoaderContext> shared_context() const {
    return {reader_, &reader_->context};
  }

 private:
  /// What tasks work with.
  struct Reader {
    explicit Reader(unit::LoaderContext the_context);
    Specs load(const std::vector<unit::UnitName>& names, bool force);
    Specs reload(const std::vector<unit::UnitName>& names);
    Result<Specs> make(const std::vector<UnitText>& units);
    Result<unit::UnitSpecPtr> make_one(const UnitText& unit);
    Result<unit::UnitSpecPtr> write_drop_ins(const unit::UnitName& name,
                                             const std::string& directory,
                                             const std::vector<DropInText>& files_of_it);
    /// A loader whose index is at most a second old.
    unit::UnitLoader& fresh_loader(bool force);
    void rest_after(std::size_t units);

    PosixFileSource files;
    unit::LoaderContext context;
    KnownUnits known;
    std::mutex mutex;                        ///< guards the loader
    std::optional<unit::UnitLoader> loader;  ///< none while it rests
    std::vector<WallTime> stamps;
    MonoTime indexed{};
  };
  WorkerPool& pool_;
  std::shared_ptr<Reader> reader_;
};

}  // namespace pidward::runtime
