// Zone files for tests, made of what a test says of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unit/memory_source.hpp"

namespace pidward::unit {

/// A file in format 2: UTC first, then the offsets (in seconds) from their moments on, then `rule`.
inline std::string zone_file(const std::string& rule,
                             const std::vector<std::pair<std::int64_t, std::int32_t>>& changes) {
  const auto big_endian = [](std::uint64_t value, int width) {
    std::string bytes;
    for (int i = width - 1; i >= 0; --i) {
      bytes += static_cast<char>((value >> (8 * static_cast<unsigned>(i))) & 0xFFU);
    }
    return bytes;
  };
  const auto header = [&](std::size_t times, std::size_t types, std::size_t names) {
    return "TZif2" + std::string(15 + 12, '\0') + big_endian(times, 4) + big_endian(types, 4) +
           big_endian(names, 4);
  };
  std::string file = header(0, 1, 1) + std::string(6, '\0') + std::string(1, '\0');
  file += header(changes.size(), changes.size() + 1, 1);
  for (const auto& change : changes) {
    file += big_endian(static_cast<std::uint64_t>(change.first), 8);
  }
  for (std::size_t i = 0; i < changes.size(); ++i) file += static_cast<char>(i + 1);
  file += std::string(6, '\0');
  for (const auto& change : changes) {
    file += big_endian(static_cast<std::uint64_t>(change.second), 4) + std::string(2, '\0');
  }
  return file + std::string(1, '\0') + "\n" + rule + "\n";
}

/// A few zones as their rules are today.
inline void add_zone_files(MemorySource& files) {
  const auto add = [&files](const std::string& name, const std::string& rule) {
    files.add_file("/usr/share/zoneinfo/" + name, zone_file(rule, {}));
  };
  add("Etc/UTC", "UTC0");
  add("CET", "CET-1CEST,M3.5.0,M10.5.0/3");
  add("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
  add("Pacific/Auckland", "NZST-12NZDT,M9.5.0,M4.1.0/3");
}

}  // namespace pidward::unit
