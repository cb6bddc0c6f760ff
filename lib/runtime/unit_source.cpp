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

UnitSource::Reader::Reader(unit::LoaderContext the_context)
    : context([&] {
        the_context.files = &files;
        return std::move(the_context);
      }()) {}

unit::UnitLoader& UnitSource::Reader::fresh_loader(bool force) {
  constexpr std::chrono::seconds kOldest(1);
  std::vector<WallTime> now;
  for (const std::string& directory : context.path.directories) {
    const auto info = files.info(directory);
    now.push_back(info ? info->modified : WallTime{});
  }
  const bool is_old = force || now != stamps || mono_now() - indexed > kOldest;
  if (loader && !is_old) return *loader;
  if (loader) {
    loader->refresh();
  } else {
    loader.emplace(context);
  }
  stamps = std::move(now);
  indexed = mono_now();
  return *loader;
}

void UnitSource::look_around() {
  const std::lock_guard lock(reader_->mutex);
  reader_->fresh_loader(true).look_around();
}

void UnitSource::load_each(const std::vector<unit::UnitName>& names,
                           const std::function<void(unit::UnitSpecPtr)>& loaded) {
  Reader& reader = *reader_;
  const std::lock_guard lock(reader.mutex);
  reader.rest_after(reader.fresh_loader(false).load_closure(
      names, [&reader](const unit::UnitName& name) { return reader.known.contains(name); },
      loaded));
}

/// What the loader keeps for the next load weighs as much as the units do. Given back before the
/// units start, its memory is theirs.
void UnitSource::Reader::rest_after(std::size_t units) {
  constexpr std::size_t kMany = 64;
  if (units >= kMany) loader.reset();
}

UnitSource::Specs UnitSource::Reader::load(const std::vector<unit::UnitName>& names, bool force) {
  const std::lock_guard lock(mutex);
  Specs specs = fresh_loader(force).load_closure(
      names, [this](const unit::UnitName& name) { return known.contains(name); });
  rest_after(specs.size());
  return specs;
}

UnitSource::Specs UnitSource::Reader::reload(const std::vector<unit::UnitName>& names) {
  const std::lock_guard lock(mutex);
  Specs specs = fresh_loader(true).load_closure(names, [](const unit::UnitName&) { return false; });
  rest_after(specs.size());
  return specs;
}

Result<unit::UnitSpecPtr> UnitSource::Reader::make_one(const UnitText& unit) {
  PIDWARD_TRY(const unit::UnitName name, unit::UnitName::parse(unit.name));
  const unit::UnitSpecPtr there = fresh_loader(false).load(name);
  const bool has_file = there->fragment && !there->transient;
  if (has_file || there->load_state == unit::LoadState::masked) {
    return Error(Errc::unit_exists,
                 fmt::format("Unit {} has a file of its own, {}", unit.name,
                             there->fragment ? there->fragment->path : std::string()));
  }
  const std::string path = context.path.transient_dir + "/" + unit.name;
  PIDWARD_CHECK(PosixFileSink().write(path, unit.text));
  PIDWARD_TRY(const unit::FileInfo written, files.info(path));
  // Not through the index, which would list every directory again.
  unit::UnitSpecPtr made = loader->load_transient(name, {path, written.modified}, unit.text);
  if (made->load_state == unit::LoadState::loaded) return made;
  static_cast<void>(PosixFileSink().remove(path));
  Error why = made->load_error().value_or(Error(Errc::failed, "it cannot be loaded"));
  return std::move(why).with_code(Errc::unit_load_failed).within(unit.name);
}

Result<UnitSource::Specs> UnitSource::Reader::make(const std::vector<UnitText>& units) {
  const std::lock_guard lock(mutex);
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
    for (const unit::DependencyEdge& edge : (*spec)->dependencies) names.push_back(edge.other);
    made.push_back(*std::move(spec));
  }
  const auto is_known = [this, &made](const unit::UnitName& name) {
    return known.contains(name) ||
           std::ranges::any_of(made, [&](const auto& spec) { return spec->name == name; });
  };
  unit::UnitLoader& reading = loader ? *loader : fresh_loader(true);
  const Specs others = reading.load_closure(names, is_known);
  made.insert(made.end(), others.begin(), others.end());
  return made;
}

Result<unit::UnitSpecPtr> UnitSource::Reader::write_drop_ins(
    const unit::UnitName& name, const std::string& directory,
    const std::vector<DropInText>& files_of_it) {
  const std::lock_guard lock(mutex);
  for (const DropInText& each : files_of_it) {
    const std::string path = fmt::format("{}/{}.d/{}", directory, name.str(), each.name);
    PIDWARD_CHECK(PosixFileSink().write(path, each.text));
  }
  return fresh_loader(true).load(name);
}

UnitSource::UnitSource(WorkerPool& pool, unit::LoaderContext context)
    : pool_(pool), reader_(std::make_shared<Reader>(std::move(context))) {}

void UnitSource::load(std::vector<unit::UnitName> names, std::function<void(Specs)> done,
                      bool afresh) {
  pool_.run(
      [reader = reader_, names = std::move(names), afresh] { return reader->load(names, afresh); },
      std::move(done));
}

UnitSource::Specs UnitSource::load_now(const std::vector<unit::UnitName>& names) {
  return reader_->load(names, true);
}

void UnitSource::reload(std::vector<unit::UnitName> names, std::function<void(Specs)> done) {
  pool_.run([reader = reader_, names = std::move(names)] { return reader->reload(names); },
            std::move(done));
}

void UnitSource::check_changed(unit::UnitSpecPtr spec, std::function<void(bool)> done) {
  pool_.run(
      [reader = reader_, spec = std::move(spec)] {
        const std::lock_guard lock(reader->mutex);
        return reader->fresh_loader(true).needs_reload(*spec);
      },
      std::move(done));
}

void UnitSource::make_transient(std::vector<UnitText> units,
                                std::function<void(Result<Specs>)> done) {
  pool_.run([reader = reader_, units = std::move(units)] { return reader->make(units); },
            std::move(done));
}

void UnitSource::write_drop_ins(const unit::UnitName& name, std::string directory,
                                std::vector<DropInText> files,
                                std::function<void(Result<unit::UnitSpecPtr>)> done) {
  pool_.run([reader = reader_, name, directory = std::move(directory),
             files = std::move(files)] { return reader->write_drop_ins(name, directory, files); },
            std::move(done));
}

}  // namespace pidward::runtime
