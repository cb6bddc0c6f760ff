// The kernel without one of its features at a time, for tests that must hold on each.
#pragma once

#include <algorithm>
#include <array>
#include <string>

namespace pidward::test {

/// As $PIDWARD_DISABLE_FEATURES has them; the first one is the kernel as it is.
inline constexpr std::array kTiers{"",
                                   "pidfs",
                                   "pidfd-info",
                                   "pidfd-exit-info",
                                   "pidfs-handles",
                                   "pidfs-xattrs",
                                   "cgroup-kill",
                                   "cgroup",
                                   "proc-children"};

/// The name of a test's parameter.
inline std::string tier_name(const std::string& disabled) {
  if (disabled.empty()) return "Everything";
  std::string name = "Without_" + disabled;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == ','; }, '_');
  return name;
}

}  // namespace pidward::test
