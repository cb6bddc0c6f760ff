// What each feature is called, is for, and is replaced by.
#include "base/contract.hpp"
#include "sys/features.hpp"

namespace pidward::sys {
namespace {

constexpr std::array<FeatureText, kFeatureCount> kTexts{{
    {Feature::pidfd, "pidfd", "5.4", "Processes are opened, signalled and collected by descriptor.",
     "Nothing: pidward needs it.", true},
    {Feature::clone3, "clone3", "5.5",
     "A child is born with its pidfd, with default signal handlers and without stopping pidward.",
     "Nothing: pidward needs it.", true},
    {Feature::cgroup, "cgroup", "4.5",
     "Each unit has a cgroup v2 of its own, which holds on to every process it starts.",
     "Descendants are followed by pidfd, and orphans come to pidward as their subreaper.", false},
    {Feature::clone_into_cgroup, "clone-into-cgroup", "5.7",
     "A child is born in its unit's cgroup.",
     "The child is moved there before it runs the unit's program.", false},
    {Feature::cgroup_kill, "cgroup-kill", "5.14", "A whole cgroup is killed in one motion.",
     "The cgroup is frozen, each member is killed by pidfd, and it is thawed, until it is empty.",
     false},
    {Feature::pidfs, "pidfs", "6.9", "A process has an inode number that is never used again.",
     "A process is known by its number while a pidfd of it is held and it is unreaped.", false},
    {Feature::pidfd_info, "pidfd-info", "6.13",
     "Owner, parent and cgroup of a process are asked of its pidfd.",
     "They are read from /proc between two looks at the pidfd.", false},
    {Feature::pidfd_exit_info, "pidfd-exit-info", "6.15",
     "How a process ended is known even if it was not pidward's child.",
     "The exit status of a process that is not pidward's child is unknown.", false},
    {Feature::pidfs_handles, "pidfs-handles", "6.14",
     "After a crash of pidward each process is re-opened by its file handle.",
     "After a crash a process must have the number, start time and cgroup written down for it.",
     false},
    {Feature::pidfs_xattrs, "pidfs-xattrs", "6.17",
     "The kernel keeps a label on each process that says which unit it is of.",
     "Only the state file says which unit a process is of.", false},
    {Feature::pass_pidfd, "pass-pidfd", "6.5",
     "The sender of a notification is known by pidfd, even if it ended meanwhile.",
     "The sender's number is opened and must be found in the unit's cgroup.", false},
    {Feature::peer_pidfd, "peer-pidfd", "6.5",
     "The process at the other end of a connection is known by pidfd.",
     "The number noted when it connected is opened.", false},
    {Feature::proc_children, "proc-children", "3.5",
     "The children of a process are listed by the kernel.",
     "All of /proc is searched for processes with that parent.", false},
    {Feature::psi, "psi", "4.20", "The kernel reports how long processes wait for memory.",
     "Memory pressure is not watched.", false},
    {Feature::autokill, "autokill", "7.1, or pidward's patches on 6.1",
     "The kernel kills a process when the last descriptor it was started with closes.",
     "pidward does it when the last handle closes; with KillOnManagerExit= the parent-death signal "
     "and "
     "the next pidward do it when pidward is gone.",
     false},
}};

constexpr bool texts_are_in_order() {
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    if (static_cast<std::size_t>(kTexts[i].feature) != i) return false;
  }
  return true;
}
static_assert(texts_are_in_order());

}  // namespace

const std::array<FeatureText, kFeatureCount>& feature_texts() {
  return kTexts;
}

const FeatureText& feature_text(Feature feature) {
  const auto index = static_cast<std::size_t>(feature);
  PIDWARD_EXPECT(index < kTexts.size());
  return kTexts[index];
}

std::string_view to_string(FeatureState state) {
  switch (state) {
    case FeatureState::missing:
      return "missing";
    case FeatureState::available:
      return "available";
    case FeatureState::disabled:
      return "disabled";
  }
  return "missing";
}

}  // namespace pidward::sys
