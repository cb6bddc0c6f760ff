// Children in general: becoming the parent of orphans, and finding those that ended without acting
// on a number.
#pragma once

#include <optional>

#include <sys/types.h>

#include "base/result.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {

/// prctl(PR_SET_CHILD_SUBREAPER): orphaned descendants become our children.
Status become_subreaper();
Result<bool> is_subreaper();

/// A child that ended and waits to be reaped.
struct EndedChild {
  Pidfd pidfd;
  ChildEnd end;
};

/// The next unreaped ended child, of which there may be many; nothing when there is none. Nothing
/// is consumed: the same child is named again until somebody calls reap() on a pidfd of it. The
/// pidfd is opened while only we could reap the child, so it is that child for certain.
Result<std::optional<EndedChild>> next_ended_child();

}  // namespace pidward::sys
