// What the kernel offers and the headers of Debian 12 (Linux 6.1) do not declare yet. Names are
// ours, values are the kernel's interface.
#pragma once

#include <cstdint>

#include <sys/ioctl.h>

namespace pidward::sys::uapi {

/// Argument of the PIDFD_GET_INFO ioctl, its first published layout (64 bytes, Linux 6.13).
struct PidfdInfo {
  std::uint64_t mask = 0;  ///< in: what is asked for; out: what is filled in
  std::uint64_t cgroup_id = 0;
  std::uint32_t pid = 0;
  std::uint32_t tgid = 0;
  std::uint32_t ppid = 0;
  std::uint32_t ruid = 0;
  std::uint32_t rgid = 0;
  std::uint32_t euid = 0;
  std::uint32_t egid = 0;
  std::uint32_t suid = 0;
  std::uint32_t sgid = 0;
  std::uint32_t fsuid = 0;
  std::uint32_t fsgid = 0;
  std::int32_t exit_code = 0;  ///< packed as in wait(2)
};
static_assert(sizeof(PidfdInfo) == 64);

inline constexpr std::uint64_t kPidfdInfoPid = 1U << 0;
inline constexpr std::uint64_t kPidfdInfoCreds = 1U << 1;
inline constexpr std::uint64_t kPidfdInfoCgroupId = 1U << 2;
inline constexpr std::uint64_t kPidfdInfoExit = 1U << 3;
inline constexpr std::uint64_t kPidfdInfoCoredump = 1U << 4;
inline constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

/// statfs(2) magic of pidfs, and of the anonymous inodes that stood in its place.
inline constexpr std::uint64_t kPidFsMagic = 0x50494446;
inline constexpr std::uint64_t kAnonInodeFsMagic = 0x09041934;
/// statfs(2) magic of cgroup v2.
inline constexpr std::uint64_t kCgroup2Magic = 0x63677270;

/// open_by_handle_at(2): "the pidfs mount" in place of a mount descriptor.
inline constexpr int kFdPidfsRoot = -10002;
/// pidfd_open(2) for a thread instead of a process.
inline constexpr unsigned kPidfdThread = 0x80;

/// clone3(2) flags.
inline constexpr std::uint64_t kCloneClearSighand = 1ULL << 32;
inline constexpr std::uint64_t kCloneIntoCgroup = 1ULL << 33;
inline constexpr std::uint64_t kCloneAutoreap = 1ULL << 34;
inline constexpr std::uint64_t kCloneNnp = 1ULL << 35;
inline constexpr std::uint64_t kClonePidfdAutokill = 1ULL << 36;

/// Socket options and control messages of AF_UNIX (asm-generic numbers, as on x86_64 and aarch64).
inline constexpr int kSoPassPidfd = 76;
inline constexpr int kSoPeerPidfd = 77;
inline constexpr int kScmPidfd = 0x04;

}  // namespace pidward::sys::uapi
