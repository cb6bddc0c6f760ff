#include "sys/descriptor_reserve.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sys/fd.hpp"
#include "sys/kernel.hpp"

namespace pidward::sys {

Status check_reserve(int fd, DescriptorUse use) {
  rlimit limit{};
  // Asked each time: others may change it while we run.
  const long asked = call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  if (is_error(asked) || limit.rlim_cur == RLIM_INFINITY) return {};
  const rlim_t kept = use == DescriptorUse::service ? std::min<rlim_t>(32, limit.rlim_cur / 4)
                                                    : std::min<rlim_t>(8, limit.rlim_cur / 16);
  if (static_cast<rlim_t>(fd) + kept < limit.rlim_cur) return {};
  return Error(Errc::limit_exceeded,
               fmt::format("No descriptors are left: {} of {} are in use, and the rest is kept for "
                           "control",
                           fd, limit.rlim_cur))
      .advise("Stop services, or raise LimitNOFILE= of pidward itself");
}

const rlimit& raise_descriptor_limit() {
  static const rlimit kGiven = [] {
    rlimit given{};
    if (::getrlimit(RLIMIT_NOFILE, &given) != 0) return rlimit{RLIM_INFINITY, RLIM_INFINITY};
    const rlimit raised{given.rlim_max, given.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &raised);
    return given;
  }();
  return kGiven;
}

void make_room_for_descriptors(int count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    count = static_cast<int>(std::min<rlim_t>(static_cast<rlim_t>(count), limit.rlim_cur));
  }
  const Fd any(adopt_fd, ::eventfd(0, EFD_CLOEXEC));
  if (any) const Fd highest(adopt_fd, ::fcntl(any.get(), F_DUPFD_CLOEXEC, count - 1));
}

}  // namespace pidward::sys
