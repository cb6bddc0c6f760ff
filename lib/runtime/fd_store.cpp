#include "runtime/fd_store.hpp"

#include <algorithm>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/kcmp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/record.hpp"
#include "sys/kernel.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;

// Two descriptors of one open file. Kernels without kcmp(2) are asked for file and mode, which two
// openings of one file share as well; storing one of those is enough.
bool is_same_file(int a, int b) {
  const long self = sys::call(SYS_getpid);
  const long order = sys::call(SYS_kcmp, self, self, KCMP_FILE, a, b);
  if (order >= 0) return order == 0;
  struct stat first {};
  struct stat second {};
  if (::fstat(a, &first) != 0 || ::fstat(b, &second) != 0) return false;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino &&
         ::fcntl(a, F_GETFL) == ::fcntl(b, F_GETFL);
}

}  // namespace

FdStore::~FdStore() = default;

std::uint64_t FdStore::hold(std::vector<sys::Fd> arrived) {
  held_.emplace(next_held_, std::move(arrived));
  return next_held_++;
}

void FdStore::store(const engine::StoreDescriptors& effect) {
  const auto held = held_.extract(effect.descriptors);
  const auto spec = core_.engine.spec(effect.unit);
  if (held.empty() || !spec) return;
  const std::uint64_t most = spec->settings.number(Directive::FileDescriptorStoreMax);
  for (sys::Fd& fd : held.mapped()) {
    const std::list<Entry>& entries = stores_[effect.unit];
    const bool known = std::ranges::any_of(
        entries, [&](const Entry& entry) { return is_same_file(entry.fd.get(), fd.get()); });
    if (known) continue;
    if (entries.size() >= most) {
      log_about(LogLevel::warning, *spec, "descriptor-store-full",
                fmt::format("A descriptor named '{}' is not stored: there are {} already "
                            "(FileDescriptorStoreMax=)",
                            effect.name, most));
      continue;
    }
    Entry entry{std::move(fd), effect.name, effect.poll, keeper_.new_descriptor_name("stored"),
                Watch()};
    engine::Saver purpose;
    purpose.text("unit", spec->name.str());
    purpose.text("name", entry.name);
    purpose.flag("poll", entry.poll);
    keeper_.keep_descriptor(entry.kept, entry.fd.get(), purpose.take());
    add(effect.unit, std::move(entry));
  }
  tell(effect.unit);
}

void FdStore::add(UnitId unit, Entry fresh) {
  Entry& entry = stores_[unit].emplace_back(std::move(fresh));
  if (!entry.poll) return;
  // Only for errors and hang-ups. A file that cannot be waited on (a memfd, say) stays until asked.
  if (auto watch = Watch::start(core_.watcher, entry.fd.get(), 0, *this)) {
    entry.watch = *std::move(watch);
    watched_[entry.fd.get()] = unit;
  }
}

void FdStore::restore(UnitId unit, sys::Fd fd, std::string name, bool poll, std::string kept) {
  add(unit, {std::move(fd), std::move(name), poll, std::move(kept), Watch()});
  tell(unit);
}

void FdStore::remove(const engine::RemoveDescriptors& effect) {
  const auto found = stores_.find(effect.unit);
  if (found == stores_.end()) return;
  const auto gone = found->second.remove_if([&](Entry& entry) {
    if (entry.name != effect.name) return false;
    watched_.erase(entry.fd.get());
    keeper_.drop_descriptor(entry.kept);
    return true;
  });
  if (gone > 0) tell(effect.unit);
}

void FdStore::descriptor_ready(int fd, std::uint32_t /*events*/) {
  const auto found = watched_.extract(fd);
  if (found.empty()) return;
  stores_[found.mapped()].remove_if([&](const Entry& entry) {
    if (entry.fd.get() != fd) return false;
    keeper_.drop_descriptor(entry.kept);
    return true;
  });
  tell(found.mapped());
}

void FdStore::clean_up(UnitId unit, bool restarting) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  if (spec->settings.preserves(Directive::FileDescriptorStorePreserve, restarting)) return;
  if (!stores_.contains(unit)) return;
  forget(unit);
  core_.events.post(engine::DescriptorsStored{unit, 0});
}

void FdStore::forget(UnitId unit) {
  const auto found = stores_.extract(unit);
  if (found.empty()) return;
  for (const Entry& entry : found.mapped()) {
    watched_.erase(entry.fd.get());
    keeper_.drop_descriptor(entry.kept);
  }
}

void FdStore::tell(UnitId unit) {
  const auto found = stores_.find(unit);
  const std::size_t count = found == stores_.end() ? 0 : found->second.size();
  if (count == 0 && found != stores_.end()) stores_.erase(found);
  core_.events.post(engine::DescriptorsStored{unit, static_cast<std::uint32_t>(count)});
}

std::vector<FdStore::Stored> FdStore::descriptors(UnitId unit) const {
  std::vector<Stored> result;
  const auto found = stores_.find(unit);
  if (found == stores_.end()) return result;
  for (const Entry& entry : found->second) {
    result.push_back({&entry.fd, entry.name, entry.poll});
  }
  return result;
}

}  // namespace pidward::runtime
