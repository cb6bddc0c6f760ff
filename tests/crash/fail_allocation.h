// What the test and the library that it preloads into the daemon share.
#pragma once

#ifdef __cplusplus
#include <atomic>
using std::atomic_llong;
#else
#include <stdatomic.h>
#endif

struct allocation_board {
  int process;            /* whose allocations are meant */
  atomic_llong countdown; /* so many succeed, and then one fails; negative: none does */
  atomic_llong seen;      /* how many there were while it counted */
};
