#include "runtime/external_units.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/conditions/words.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
  return fields;
}

}  // namespace

std::unordered_set<std::string> parse_mount_points(std::string_view mountinfo) {
  std::unordered_set<std::string> points;
  for (const std::string& line : conditions::split_lines(mountinfo)) {
    const auto fields = fields_of(line);
    if (fields.size() > 4) points.insert(sys::unescape_octal(fields[4]));
  }
  return points;
}

std::unordered_set<std::string> parse_swaps(std::string_view swaps) {
  std::unordered_set<std::string> paths;
  for (const std::string& line : conditions::split_lines(swaps)) {
    const auto fields = fields_of(line);
    if (fields.size() > 1 && fields[0].starts_with('/'))
      paths.insert(sys::unescape_octal(fields[0]));
  }
  return paths;
}

ExternalUnits::~ExternalUnits() = default;

void ExternalUnits::open(Table& table) {
  if (table.fd) return;
  auto fd = sys::open_path(table.path, O_RDONLY);
  if (!fd) return;
  table.fd = *std::move(fd);
  read(table);
  if (auto watch = Watch::start(core_.watcher, table.fd.get(), EPOLLPRI, *this)) {
    table.watch = *std::move(watch);
  }
}

void ExternalUnits::read(Table& table) {
  ::lseek(table.fd.get(), 0, SEEK_SET);
  const auto text = sys::read_all(table.fd.get(), std::size_t{16} << 20U);
  if (!text) return;
  table.entries = &table == &mounts_ ? parse_mount_points(*text) : parse_swaps(*text);
}

bool ExternalUnits::is_present(const Observed& observed) {
  switch (observed.type) {
    case unit::UnitType::mount:
    case unit::UnitType::automount:
      return mounts_.entries.contains(observed.path);
    case unit::UnitType::swap:
      return swaps_.entries.contains(observed.path);
    case unit::UnitType::device:
      return ::access(observed.path.c_str(), F_OK) == 0;
    case unit::UnitType::service:
    case unit::UnitType::socket:
    case unit::UnitType::target:
    case unit::UnitType::timer:
    case unit::UnitType::path:
    case unit::UnitType::slice:
    case unit::UnitType::scope:
      return false;
  }
  return false;
}

void ExternalUnits::observe(UnitId unit, bool observe) {
  if (!observe) {
    const auto gone = observed_.extract(unit);
    if (!gone.empty() && gone.mapped().type == unit::UnitType::device) watch_devices();
    close_unused();
    return;
  }
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  const auto path = unit::unescape_path(spec->name.stem());
  Observed entry{spec->name.type(), path ? *path : std::string(), false};
  if (entry.type == unit::UnitType::mount || entry.type == unit::UnitType::automount) open(mounts_);
  if (entry.type == unit::UnitType::swap) open(swaps_);
  const auto place = observed_.insert_or_assign(unit, std::move(entry)).first;
  if (place->second.type == unit::UnitType::device) watch_devices();
  place->second.present = is_present(place->second);
  core_.events.post(engine::ExternalState{unit, place->second.present});
}

void ExternalUnits::watch_devices() {
  std::vector<std::string> paths;
  for (const auto& [unit, entry] : observed_) {
    if (entry.type == unit::UnitType::device) paths.push_back(entry.path);
  }
  if (Status watched = devices_.watch(std::move(paths)); !watched) {
    log(LogLevel::warning,
        "Changes of device nodes are not noticed: " + watched.error().to_string());
  }
}

void ExternalUnits::close_unused() {
  const auto uses = [this](bool swap) {
    return std::ranges::any_of(observed_, [swap](const auto& item) {
      const unit::UnitType type = item.second.type;
      return swap ? type == unit::UnitType::swap
                  : type == unit::UnitType::mount || type == unit::UnitType::automount;
    });
  };
  for (Table* table : {&mounts_, &swaps_}) {
    if (!table->fd || uses(table == &swaps_)) continue;
    table->watch.stop();
    table->fd.reset();
    table->entries.clear();
  }
}

void ExternalUnits::descriptor_ready(int fd, std::uint32_t /*events*/) {
  read(mounts_.fd && fd == mounts_.fd.get() ? mounts_ : swaps_);
  look_again();
}

void ExternalUnits::look_again() {
  for (auto& [unit, entry] : observed_) {
    const bool present = is_present(entry);
    if (present == entry.present) continue;
    entry.present = present;
    core_.events.post(engine::ExternalState{unit, present});
  }
}

}  // namespace pidward::runtime
