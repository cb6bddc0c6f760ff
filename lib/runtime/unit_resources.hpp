// What a unit uses, read from its control group when somebody asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sys/cgroup.hpp"

namespace pidward::runtime {

/// Nothing where the kernel does not count it for this group: the controller is not there or not
/// switched on.
struct ResourceCounters {
  std::optional<std::uint64_t> memory;    ///< bytes
  std::optional<std::uint64_t> tasks;     ///< processes and threads
  std::optional<std::uint64_t> cpu_nsec;  ///< since the group was made
  std::optional<std::uint64_t> io_read_bytes, io_write_bytes;
  std::optional<std::uint64_t> io_reads, io_writes;
};

/// Never waits: these files are made by the kernel as they are read.
ResourceCounters read_counters(const sys::CgroupDir& group);

/// The number behind `key` in the text of cpu.stat and its like.
std::optional<std::uint64_t> flat_value(std::string_view text, std::string_view key);
/// The sum over all devices of `key` in the text of io.stat; nothing without a line.
std::optional<std::uint64_t> io_value(std::string_view text, std::string_view key);

/// systemd's FreezerState.
enum class FreezerState : std::uint8_t { running, freezing, frozen, thawing };
std::string_view to_string(FreezerState state);

}  // namespace pidward::runtime
