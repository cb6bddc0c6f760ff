// What the benchmark and its trivial services share: a page of counters, then one slot a service.
#pragma once

#ifdef __cplusplus
#include <atomic>
using std::atomic_int;
using std::atomic_llong;
#else
#include <stdatomic.h>
#endif

enum { BENCH_SLOTS = 16384 };

struct bench_slot {
  atomic_llong began_ns; /* CLOCK_MONOTONIC of the last start */
  int pid;
};

struct bench_board {
  atomic_int starts; /* how many starts so far, a futex */
  int reserved[15];
  struct bench_slot slots[BENCH_SLOTS];
};
