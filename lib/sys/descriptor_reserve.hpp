// What is left when no descriptors are left. The kernel hands out the lowest free number, so a
// number near the limit says that all below are in use: whoever opens something that stays open for
// a service or a client looks at the number and gives it back in time. What remains is for control:
// to answer, to look at processes, to stop them.
#pragma once

#include <sys/resource.h>

#include "base/result.hpp"

namespace pidward::sys {

enum class DescriptorUse : unsigned char {
  service,  ///< processes, their pipes and sockets: all but the last 32 (of a low limit: quarter)
  client,   ///< somebody who asks: all but the last 8 (of a low limit: sixteenth)
};

/// Errors: limit_exceeded when `fd` is one of those kept back from this use.
Status check_reserve(int fd, DescriptorUse use);

/// Raises our soft limit of descriptors to the hard one, the first time it is called, and tells
/// what we were given before.
const rlimit& raise_descriptor_limit();

/// Lets the kernel's table of our descriptors have room for `count` of them (or as many as the
/// limit allows) from now on. A table that grows while a thread or a child shares it makes
/// everybody wait for an RCU grace period (expand_fdtable() in fs/file.c), 10 to 20 ms for each
/// doubling: so this is for the time before there are threads. Without success nothing but that
/// time is lost.
void make_room_for_descriptors(int count);

}  // namespace pidward::sys
