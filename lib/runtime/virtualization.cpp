// What we run in, from the same places systemd-detect-virt(1) looks at.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/system_facts.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {
namespace {

using Names = std::pair<std::string_view, std::string_view>;

std::string vm_from_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  static constexpr std::array<Names, 9> kSignatures{{{"XenVMMXenVMM", "xen"},
                                                     {"KVMKVMKVM", "kvm"},
                                                     {"Linux KVM Hv", "kvm"},
                                                     {"TCGTCGTCGTCG", "qemu"},
                                                     {"VMwareVMware", "vmware"},
                                                     {"Microsoft Hv", "microsoft"},
                                                     {"bhyve bhyve ", "bhyve"},
                                                     {"QNXQVMBSQG", "qnx"},
                                                     {"ACRNACRNACRN", "acrn"}}};
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kHypervisorBit = 1U << 31U;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kHypervisorBit) == 0) return {};
  __cpuid(0x40000000U, a, b, c, d);
  std::array<char, 13> signature{};
  std::memcpy(signature.data(), &b, 4);
  std::memcpy(signature.data() + 4, &c, 4);
  std::memcpy(signature.data() + 8, &d, 4);
  const std::string_view text(signature.data());
  for (const auto& [begin, name] : kSignatures) {
    if (text == begin) return std::string(name);
  }
  return "vm-other";
#else
  return {};
#endif
}

std::string vm_from_dmi() {
  static constexpr std::array<Names, 11> kVendors{{{"KVM", "kvm"},
                                                   {"OpenStack", "kvm"},
                                                   {"Amazon EC2", "amazon"},
                                                   {"QEMU", "qemu"},
                                                   {"VMware", "vmware"},
                                                   {"innotek GmbH", "oracle"},
                                                   {"VirtualBox", "oracle"},
                                                   {"Xen", "xen"},
                                                   {"Bochs", "bochs"},
                                                   {"Parallels", "parallels"},
                                                   {"Google Compute Engine", "google"}}};
  for (const char* file : {"product_name", "sys_vendor", "board_vendor", "bios_vendor"}) {
    const auto text = sys::read_file(std::string("/sys/class/dmi/id/") + file);
    if (!text) continue;
    for (const auto& [begin, name] : kVendors) {
      if (text->starts_with(begin)) return std::string(name);
    }
  }
  return {};
}

std::string find_vm() {
  std::string dmi = vm_from_dmi();
  // These two say more than the processor, which names the hypervisor they are built on.
  if (dmi == "oracle" || dmi == "xen" || dmi == "amazon") return dmi;
  std::string cpu = vm_from_cpu();
  if (!cpu.empty() && cpu != "vm-other") return cpu;
  if (!dmi.empty()) return dmi;
  if (exists("/proc/xen")) return "xen";
  return cpu;
}

std::string container_variable(const std::string& block) {
  std::size_t at = 0;
  while (at < block.size()) {
    const std::size_t end = std::min(block.find('\0', at), block.size());
    const std::string_view entry(block.data() + at, end - at);
    if (entry.starts_with("container=")) return std::string(entry.substr(10));
    at = end + 1;
  }
  return {};
}

std::string find_container() {
  if (exists("/proc/vz") && !exists("/proc/bc")) return "openvz";
  utsname names{};
  if (::uname(&names) == 0) {
    const std::string_view release(names.release);
    if (release.find("Microsoft") != std::string_view::npos ||
        release.find("WSL") != std::string_view::npos) {
      return "wsl";
    }
  }
  std::string name = container_variable(sys::read_file("/proc/1/environ").value_or(""));
  if (name.empty()) name = sys::read_file("/run/systemd/container").value_or("");
  if (name.empty()) name = sys::read_file("/run/host/container-manager").value_or("");
  while (name.ends_with('\n')) name.pop_back();
  if (name == "oci" || name.empty()) {
    if (exists("/run/.containerenv")) return "podman";
    if (exists("/.dockerenv")) return "docker";
  }
  return name;
}

bool has_private_users() {
  const auto map = sys::read_file("/proc/self/uid_map");
  if (!map) return false;
  unsigned long inside = 0;
  unsigned long outside = 0;
  unsigned long count = 0;
  constexpr unsigned long kAll = 4294967295UL;
  if (std::sscanf(map->c_str(), "%lu %lu %lu", &inside, &outside, &count) != 3) return true;
  return inside != 0 || outside != 0 || count != kAll;
}

}  // namespace

const Virtualization& virtualization() {
  static const Virtualization found{find_vm(), find_container(), has_private_users()};
  return found;
}

}  // namespace pidward::runtime
