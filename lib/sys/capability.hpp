// Capability names and sets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace pidward::sys {

/// Bit N is capability N of <linux/capability.h>.
using CapabilitySet = std::uint64_t;

/// "CAP_KILL" in any case, or a number up to the last known one.
std::optional<int> capability_number(std::string_view name);
/// "cap_kill", as libcap and systemd write it; "cap_N" for one that has no name here.
std::string capability_name(int number);
/// The highest capability this kernel has.
int last_capability();
/// All the kernel has.
CapabilitySet all_capabilities();

/// Our bounding set: what no program that we execute can have more than.
CapabilitySet own_bounding_set();

/// A thread's three classic sets.
struct Capabilities {
  CapabilitySet effective = 0;
  CapabilitySet permitted = 0;
  CapabilitySet inheritable = 0;
};
/// Ours.
Result<Capabilities> own_capabilities();

/// Arguments of capset(2), version 3, laid out for a raw call in a child.
struct RawCapabilities {
  struct Header {
    std::uint32_t version;
    std::int32_t pid;
  } header;
  struct Data {
    std::uint32_t effective;
    std::uint32_t permitted;
    std::uint32_t inheritable;
  } data[2];
};
RawCapabilities to_raw(const Capabilities& sets);
Capabilities from_raw(const RawCapabilities& raw);

}  // namespace pidward::sys
