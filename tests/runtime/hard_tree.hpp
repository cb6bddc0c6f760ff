// The trees that are hardest to catch, as a unit's command.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "support/temporary_directory.hpp"
#include "sys/cgroup.hpp"

namespace pidward::runtime {

// Forked twice, a session of its own, deaf to SIGTERM and SIGHUP, stopped, and, given the mount
// point of control groups, in a group that it made for itself: all under one shell.
inline constexpr const char* kHardTree = R"((setsid sleep 2001 &)
(trap '' TERM HUP INT; sleep 2002 & while :; do wait; done) &
sh -c 'kill -STOP $$; sleep 2003' &
if [ -n "$1" ]; then
  group=$1$(sed -n 's/^0:://p' /proc/self/cgroup)/sub/group
  mkdir -p "$group"
  sh -c 'echo $$ > "$1/cgroup.procs"; exec sleep 2004' sh "$group" &
fi
echo here
sleep 2000
)";

/// The command of the one that was forked twice.
inline constexpr const char* kForkedTwice = "sleep 2001";

/// How many processes it has at the least.
inline std::size_t hard_tree_size(bool grouped) {
  return grouped ? 7 : 6;
}

/// ExecStart= of such a tree, with its script in `directory`.
inline std::string hard_tree(const test::TemporaryDirectory& directory, bool grouped) {
  std::string mount_point;
  if (grouped) {
    const auto mount = sys::find_cgroup_mount();
    EXPECT_TRUE(mount && *mount);
    if (mount && *mount) mount_point = (*mount)->path;
  }
  return "ExecStart=/bin/sh " + directory.write("tree", kHardTree) + " " + mount_point + "\n";
}

}  // namespace pidward::runtime
