#include "runtime/unit_source.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "runtime/clock.hpp"

namespace pidward::runtime {
namespace {

std::uint64_t hash_of(const unit::UnitName& name) {
  return std::hash<unit::UnitName>{}(name);
}

}  // namespace

void KnownUnits::add(const unit::UnitSpec& spec) {
  const std::lock_guard lock(mutex_);
  // What was not there, or could not be read, is looked for again the next time somebody names it.
  const bool settled = spec.load_state == unit::LoadState::loaded ||
                       spec.load_state == unit::LoadState::masked ||
                       !unit::is_managed(spec.name.type());
  if (!settled) return;
  names_.insert(hash_of(spec.name));
  for (const unit::UnitName& alias : spec.aliases) names_.insert(hash_of(alias));
}

void KnownUnits::remove(const unit::UnitName& name) {
  const std::lock_guard lock(mutex_);
  names_.erase(hash_of(name));
}

void KnownUnits::clear() {
  const std::lock_guard lock(mutex_);
  names_.clear();
}

bool KnownUnits::contains(const unit::UnitName& name) const {
  const std::lock_guard lock(mutex_);
  return names_.contains(hash_of(name));
}

UnitSource::UnitSource(WorkerPool& pool, unit::LoaderContext context)
    : pool_(pool), context_([&] {
        context.files = &files_;
        return std::move(context);
      }()) {}

unit::UnitLoader& UnitSource::fresh_loader(bool force) {
  constexpr std::chrono::seconds kOldest(1);
  std::vector<WallTime> stamps;
  for (const std::string& directory : context_.path.directories) {
    const auto info = files_.info(directory);
    stamps.push_back(info ? info->modified : WallTime{});
  }
  const bool is_old = force || stamps != stamps_ || mono_now() - indexed_ > kOldest;
  if (loader_ && !is_old) return *loader_;
  if (loader_) {
    loader_->refresh();
  } else {
    loader_.emplace(context_);
  }
  stamps_ = std::move(stamps);
  indexed_ = mono_now();
  return *loader_;
}

void UnitSource::load(std::vector<unit::UnitName> names, std::function<void(Specs)> done) {
  pool_.run(
      [this, names = std::move(names)] {
        const std::lock_guard lock(mutex_);
        Specs specs = fresh_loader(false).load_closure(
            names, [this](const unit::UnitName& name) { return known_.contains(name); });
        rest_after(specs.size());
        return specs;
      },
      [done = std::move(done)](Specs specs) { done(std::move(specs)); });
}

UnitSource::Specs UnitSource::load_now(const std::vector<unit::UnitName>& names) {
  Specs specs;
  look_around();
  load_each(names, [&specs](unit::UnitSpecPtr spec) { specs.push_back(std::move(spec)); });
  return specs;
}

void UnitSource::look_around() {
  const std::lock_guard lock(mutex_);
  fresh_loader(true).look_around();
}

void UnitSource::load_each(const std::vector<unit::UnitName>& names,
                           const std::function<void(unit::UnitSpecPtr)>& loaded) {
  const std::lock_guard lock(mutex_);
  rest_after(fresh_loader(false).load_closure(
      names, [this](const unit::UnitName& name) { return known_.contains(name); }, loaded));
}

/// What the loader keeps for the next load weighs as much as the units do. Given back before the
/// units start, its memory is theirs.
void UnitSource::rest_after(std::size_t units) {
  constexpr std::size_t kMany = 64;
  if (units >= kMany) loader_.reset();
}

void UnitSource::reload(std::vector<unit::UnitName> names, std::function<void(Specs)> done) {
  pool_.run(
      [this, names = std::move(names)] {
        const std::lock_guard lock(mutex_);
        Specs specs =
            fresh_loader(true).load_closure(names, [](const unit::UnitName&) { return false; });
        rest_after(specs.size());
        return specs;
      },
      [done = std::move(done)](Specs specs) { done(std::move(specs)); });
}

void UnitSource::check_changed(unit::UnitSpecPtr spec, std::function<void(bool)> done) {
  pool_.run(
      [this, spec = std::move(spec)] {
        const std::lock_guard lock(mutex_);
        return fresh_loader(true).needs_reload(*spec);
      },
      [done = std::move(done)](bool changed) { done(changed); });
}

Result<unit::UnitSpecPtr> UnitSource::make_one(const UnitText& unit) {
  PIDWARD_TRY(const unit::UnitName name, unit::UnitName::parse(unit.name));
  const unit::UnitSpecPtr there = fresh_loader(false).load(name);
  const bool has_file = there->fragment && !there->transient;
  if (has_file || there->load_state == unit::LoadState::masked) {
    return Error(Errc::unit_exists,
                 fmt::format("Unit {} has a file of its own, {}", unit.name,
                             there->fragment ? there->fragment->path : std::string()));
  }
  const std::string path = context_.path.transient_dir + "/" + unit.name;
  PIDWARD_CHECK(PosixFileSink().write(path, unit.text));
  PIDWARD_TRY(const unit::FileInfo written, files_.info(path));
  // Not through the index, which would list every directory again.
  unit::UnitSpecPtr made = loader_->load_transient(name, {path, written.modified}, unit.text);
  if (made->load_state == unit::LoadState::loaded) return made;
  static_cast<void>(PosixFileSink().remove(path));
  Error why = made->load_error().value_or(Error(Errc::failed, "it cannot be loaded"));
  return std::move(why).with_code(Errc::unit_load_failed).within(unit.name);
}

void UnitSource::make_transient(std::vector<UnitText> units,
                                std::function<void(Result<Specs>)> done) {
  pool_.run(
      [this, units = std::move(units)]() -> Result<Specs> {
        const std::lock_guard lock(mutex_);
        Specs made;
        std::vector<unit::UnitName> names;
        for (const UnitText& each : units) {
          auto spec = make_one(each);
          if (!spec) {
            for (const unit::UnitSpecPtr& earlier : made) {
              static_cast<void>(PosixFileSink().remove(earlier->fragment->path));
            }
            return std::move(spec).error();
          }
          for (const unit::DependencyEdge& edge : (*spec)->dependencies) {
            names.push_back(edge.other);
          }
          made.push_back(*std::move(spec));
        }
        const auto is_known = [this, &made](const unit::UnitName& name) {
          return known_.contains(name) ||
                 std::ranges::any_of(made, [&](const auto& spec) { return spec->name == name; });
        };
        unit::UnitLoader& loader = loader_ ? *loader_ : fresh_loader(true);
        const Specs others = loader.load_closure(names, is_known);
        made.insert(made.end(), others.begin(), others.end());
        return made;
      },
      [done = std::move(done)](Result<Specs> specs) { done(std::move(specs)); });
}

void UnitSource::write_drop_ins(const unit::UnitName& name, std::string directory,
                                std::vector<DropInText> files,
                                std::function<void(Result<unit::UnitSpecPtr>)> done) {
  pool_.run(
      [this, name, directory = std::move(directory),
       files = std::move(files)]() -> Result<unit::UnitSpecPtr> {
        const std::lock_guard lock(mutex_);
        for (const DropInText& each : files) {
          const std::string path = fmt::format("{}/{}.d/{}", directory, name.str(), each.name);
          PIDWARD_CHECK(PosixFileSink().write(path, each.text));
        }
        return fresh_loader(true).load(name);
      },
      [done = std::move(done)](Result<unit::UnitSpecPtr> spec) { done(std::move(spec)); });
}

}  // namespace pidward::runtime
