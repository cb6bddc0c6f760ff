#include "runtime/unit_source.hpp"

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
    : pool_(pool),
      context_([&] {
        context.files = &files_;
        return std::move(context);
      }()),
      loader_(context_) {}

unit::UnitLoader& UnitSource::fresh_loader(bool force) {
  constexpr std::chrono::seconds kOldest(1);
  std::vector<WallTime> stamps;
  for (const std::string& directory : context_.path.directories) {
    const auto info = files_.info(directory);
    stamps.push_back(info ? info->modified : WallTime{});
  }
  if (force || stamps != stamps_ || mono_now() - indexed_ > kOldest) {
    loader_.refresh();
    stamps_ = std::move(stamps);
    indexed_ = mono_now();
  }
  return loader_;
}

void UnitSource::load(std::vector<unit::UnitName> names, std::function<void(Specs)> done) {
  pool_.run(
      [this, names = std::move(names)] {
        const std::lock_guard lock(mutex_);
        return fresh_loader(false).load_closure(
            names, [this](const unit::UnitName& name) { return known_.contains(name); });
      },
      [done = std::move(done)](Specs specs) { done(std::move(specs)); });
}

void UnitSource::reload(std::vector<unit::UnitName> names, std::function<void(Specs)> done) {
  pool_.run(
      [this, names = std::move(names)] {
        const std::lock_guard lock(mutex_);
        return fresh_loader(true).load_closure(names, [](const unit::UnitName&) { return false; });
      },
      [done = std::move(done)](Specs specs) { done(std::move(specs)); });
}

void UnitSource::check_changed(std::vector<std::pair<UnitId, unit::UnitSpecPtr>> units,
                               std::function<void(std::vector<UnitId>)> done) {
  pool_.run(
      [this, units = std::move(units)] {
        const std::lock_guard lock(mutex_);
        unit::UnitLoader& loader = fresh_loader(true);
        std::vector<UnitId> changed;
        for (const auto& [id, spec] : units) {
          if (loader.needs_reload(*spec)) changed.push_back(id);
        }
        return changed;
      },
      [done = std::move(done)](std::vector<UnitId> changed) { done(std::move(changed)); });
}

}  // namespace pidward::runtime
