#include "runtime/transient_units.hpp"

#include <utility>

#include "base/log.hpp"
#include "engine/record.hpp"
#include "runtime/posix_files.hpp"

namespace pidward::runtime {

bool TransientUnits::begin(const TransientRequest& request) {
  std::vector<std::string> names{request.unit.text.name};
  for (const TransientUnit& each : request.auxiliary) names.push_back(each.text.name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (under_way_.insert(names[i]).second) continue;
    for (std::size_t k = 0; k < i; ++k) under_way_.erase(names[k]);
    return false;
  }
  return true;
}

void TransientUnits::end(const TransientRequest& request) {
  under_way_.erase(request.unit.text.name);
  for (const TransientUnit& each : request.auxiliary) under_way_.erase(each.text.name);
}

void TransientUnits::note(const unit::UnitSpec& spec) {
  if (spec.transient && spec.fragment) names_.insert(spec.name.str());
}

void TransientUnits::removed(UnitId unit, const unit::UnitName& name) {
  processes_.erase(unit);
  forget_processes(unit);
  close_streams(unit);
  if (names_.erase(name.str()) == 0) return;
  // Done at once and not on the pool, where it could meet the next unit of the same name; the
  // directory is the runtime's, in memory.
  PosixFileSink files;
  const std::string path = directory_ + "/" + name.str();
  for (const Status& done : {files.remove(path), files.remove_tree(path + ".d")}) {
    if (!done) log(LogLevel::warning, done.error().to_string());
  }
}

void TransientUnits::expect(UnitId unit, const std::string& name,
                            std::vector<sys::Pidfd> processes) {
  for (const sys::Pidfd& process : processes) {
    engine::Saver purpose;
    purpose.text("unit", name);
    if (const auto handle = process.handle()) purpose.text("name", handle->to_string());
    kept_processes_[unit].push_back(keeper_.new_descriptor_name("scope"));
    keeper_.keep_descriptor(kept_processes_[unit].back(), process.get(), purpose.take());
  }
  processes_[unit] = std::move(processes);
}

bool TransientUnits::restore_process(UnitId unit, sys::Fd fd, const std::string& handle,
                                     std::string kept) {
  sys::Pidfd process(std::move(fd));
  if (!process) {
    const auto parsed = sys::PidfsHandle::parse(handle);
    auto opened = parsed ? sys::Pidfd::from_handle(*parsed) : Result<sys::Pidfd>(parsed.error());
    if (!opened) return false;
    process = *std::move(opened);
  }
  processes_[unit].push_back(std::move(process));
  kept_processes_[unit].push_back(std::move(kept));
  return true;
}

void TransientUnits::drop(KeptNames& names, UnitId unit) {
  const auto found = names.extract(unit);
  if (found.empty()) return;
  for (const std::string& name : found.mapped()) keeper_.drop_descriptor(name);
}

void TransientUnits::forget_processes(UnitId unit) {
  drop(kept_processes_, unit);
}

std::vector<sys::Pidfd> TransientUnits::take_processes(UnitId unit) {
  auto found = processes_.extract(unit);
  return found.empty() ? std::vector<sys::Pidfd>() : std::move(found.mapped());
}

void TransientUnits::set_streams(UnitId unit, const std::string& name, UnitStreams streams) {
  if (!streams[0] && !streams[1] && !streams[2]) return;
  close_streams(unit);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (!streams[i]) continue;
    engine::Saver purpose;
    purpose.text("unit", name);
    purpose.number("index", i);
    kept_streams_[unit].push_back(keeper_.new_descriptor_name("stream"));
    keeper_.keep_descriptor(kept_streams_[unit].back(), streams[i].get(), purpose.take());
  }
  streams_[unit] = std::move(streams);
}

void TransientUnits::restore_stream(UnitId unit, std::uint64_t index, sys::Fd fd,
                                    std::string kept) {
  UnitStreams& streams = streams_[unit];
  if (index < streams.size()) streams[index] = std::move(fd);
  kept_streams_[unit].push_back(std::move(kept));
}

void TransientUnits::close_streams(UnitId unit) {
  drop(kept_streams_, unit);
  streams_.erase(unit);
}

const UnitStreams* TransientUnits::streams(UnitId unit) const {
  const auto found = streams_.find(unit);
  return found == streams_.end() ? nullptr : &found->second;
}

}  // namespace pidward::runtime
