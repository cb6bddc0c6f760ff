#include "sys/reaper.hpp"

#include <cerrno>
#include <csignal>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sys/check.hpp"

namespace pidward::sys {

Status become_subreaper() {
  return checked_status(call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0),
                        "Cannot become the parent of orphans");
}

Result<bool> is_subreaper() {
  int flag = 0;
  PIDWARD_CHECK(checked_status(call(SYS_prctl, PR_GET_CHILD_SUBREAPER, &flag, 0, 0, 0),
                               "Cannot ask whether we are the parent of orphans"));
  return flag != 0;
}

Result<std::optional<EndedChild>> next_ended_child() {
  siginfo_t info{};
  const long result =
      call_retrying(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG | __WALL, nullptr);
  // No children at all is the same answer as none that ended.
  if (result == -ECHILD) return std::optional<EndedChild>();
  PIDWARD_CHECK(checked_status(result, "Cannot look for ended children"));
  if (info.si_pid == 0) return std::optional<EndedChild>();
  PIDWARD_TRY(Pidfd pidfd, Pidfd::open(info.si_pid));
  const ChildEnd end{info.si_pid, ExitStatus::from_siginfo(info.si_code, info.si_status)};
  return std::optional(EndedChild{std::move(pidfd), end});
}

}  // namespace pidward::sys
