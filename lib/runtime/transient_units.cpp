#include "runtime/transient_units.hpp"

#include <utility>

#include "base/log.hpp"
#include "runtime/posix_files.hpp"

namespace pidward::runtime {

bool TransientUnits::begin(const TransientRequest& request) {
  std::vector<std::string> names{request.unit.name};
  for (const UnitText& each : request.auxiliary) names.push_back(each.name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (under_way_.insert(names[i]).second) continue;
    for (std::size_t k = 0; k < i; ++k) under_way_.erase(names[k]);
    return false;
  }
  return true;
}

void TransientUnits::end(const TransientRequest& request) {
  under_way_.erase(request.unit.name);
  for (const UnitText& each : request.auxiliary) under_way_.erase(each.name);
}

void TransientUnits::note(const unit::UnitSpec& spec) {
  if (spec.transient && spec.fragment) names_.insert(spec.name.str());
}

void TransientUnits::removed(UnitId unit, const unit::UnitName& name) {
  processes_.erase(unit);
  streams_.erase(unit);
  if (names_.erase(name.str()) == 0) return;
  // Done at once and not on the pool, where it could meet the next unit of the same name; the
  // directory is the runtime's, in memory.
  PosixFileSink files;
  const std::string path = directory_ + "/" + name.str();
  for (const Status& done : {files.remove(path), files.remove_tree(path + ".d")}) {
    if (!done) log(LogLevel::warning, done.error().to_string());
  }
}

void TransientUnits::expect(UnitId unit, std::vector<sys::Pidfd> processes) {
  processes_[unit] = std::move(processes);
}

std::vector<sys::Pidfd> TransientUnits::take_processes(UnitId unit) {
  auto found = processes_.extract(unit);
  return found.empty() ? std::vector<sys::Pidfd>() : std::move(found.mapped());
}

void TransientUnits::set_streams(UnitId unit, UnitStreams streams) {
  if (streams[0] || streams[1] || streams[2]) streams_[unit] = std::move(streams);
}

const UnitStreams* TransientUnits::streams(UnitId unit) const {
  const auto found = streams_.find(unit);
  return found == streams_.end() ? nullptr : &found->second;
}

}  // namespace pidward::runtime
