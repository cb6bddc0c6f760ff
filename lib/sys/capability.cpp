#include "sys/capability.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <fmt/core.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sys/check.hpp"

namespace pidward::sys {
namespace {

// In the order of their numbers in <linux/capability.h>.
constexpr std::array<std::string_view, 41> kNames{"chown",
                                                  "dac_override",
                                                  "dac_read_search",
                                                  "fowner",
                                                  "fsetid",
                                                  "kill",
                                                  "setgid",
                                                  "setuid",
                                                  "setpcap",
                                                  "linux_immutable",
                                                  "net_bind_service",
                                                  "net_broadcast",
                                                  "net_admin",
                                                  "net_raw",
                                                  "ipc_lock",
                                                  "ipc_owner",
                                                  "sys_module",
                                                  "sys_rawio",
                                                  "sys_chroot",
                                                  "sys_ptrace",
                                                  "sys_pacct",
                                                  "sys_admin",
                                                  "sys_boot",
                                                  "sys_nice",
                                                  "sys_resource",
                                                  "sys_time",
                                                  "sys_tty_config",
                                                  "mknod",
                                                  "lease",
                                                  "audit_write",
                                                  "audit_control",
                                                  "setfcap",
                                                  "mac_override",
                                                  "mac_admin",
                                                  "syslog",
                                                  "wake_alarm",
                                                  "block_suspend",
                                                  "audit_read",
                                                  "perfmon",
                                                  "bpf",
                                                  "checkpoint_restore"};
static_assert(CAP_LAST_CAP + 1 <= kNames.size());

}  // namespace

CapabilitySet own_bounding_set() {
  CapabilitySet set = 0;
  for (int capability = 0; capability <= last_capability(); ++capability) {
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
      set |= CapabilitySet{1} << static_cast<unsigned>(capability);
  }
  return set;
}

std::optional<int> capability_number(std::string_view name) {
  int number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) {
    return number >= 0 && number <= last_capability() ? std::optional(number) : std::nullopt;
  }
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!lower.starts_with("cap_")) return std::nullopt;
  const auto* found = std::find(kNames.begin(), kNames.end(), std::string_view(lower).substr(4));
  if (found == kNames.end()) return std::nullopt;
  return static_cast<int>(found - kNames.begin());
}

std::string capability_name(int number) {
  if (number >= 0 && static_cast<std::size_t>(number) < kNames.size()) {
    return fmt::format("cap_{}", kNames[static_cast<std::size_t>(number)]);
  }
  return fmt::format("cap_{}", number);
}

int last_capability() {
  // The bounding set knows every capability of the kernel; asking for one beyond is an error.
  static const int last = [] {
    int number = 0;
    while (number < 63 && !is_error(call(SYS_prctl, PR_CAPBSET_READ, number + 1, 0, 0, 0))) {
      ++number;
    }
    return number;
  }();
  return last;
}

CapabilitySet all_capabilities() {
  const int count = last_capability() + 1;
  return count >= 64 ? ~CapabilitySet{0} : (CapabilitySet{1} << count) - 1;
}

Result<Capabilities> own_capabilities() {
  RawCapabilities raw{};
  raw.header.version = _LINUX_CAPABILITY_VERSION_3;
  PIDWARD_CHECK(
      checked_status(call(SYS_capget, &raw.header, &raw.data[0]), "Cannot read our capabilities"));
  return from_raw(raw);
}

RawCapabilities to_raw(const Capabilities& sets) {
  RawCapabilities raw{};
  raw.header.version = _LINUX_CAPABILITY_VERSION_3;
  for (int half = 0; half < 2; ++half) {
    const int shift = 32 * half;
    raw.data[half].effective = static_cast<std::uint32_t>(sets.effective >> shift);
    raw.data[half].permitted = static_cast<std::uint32_t>(sets.permitted >> shift);
    raw.data[half].inheritable = static_cast<std::uint32_t>(sets.inheritable >> shift);
  }
  return raw;
}

Capabilities from_raw(const RawCapabilities& raw) {
  const auto joined = [](std::uint32_t low, std::uint32_t high) {
    return CapabilitySet{low} | CapabilitySet{high} << 32;
  };
  return {joined(raw.data[0].effective, raw.data[1].effective),
          joined(raw.data[0].permitted, raw.data[1].permitted),
          joined(raw.data[0].inheritable, raw.data[1].inheritable)};
}

}  // namespace pidward::sys
