// The trivial service of the benchmark: notes when it began and who it is in a shared file, then sleeps for good.
// Usage: bench-child FILE SLOT
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shared.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int fd = open(argv[1], O_RDWR | O_CLOEXEC);
  if (fd < 0) return 3;
  const long slot = strtol(argv[2], NULL, 10);
  struct bench_board* board =
      mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (board == MAP_FAILED) return 4;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  board->slots[slot].pid = getpid();
  atomic_store(&board->slots[slot].began_ns, (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
  atomic_fetch_add(&board->starts, 1);
  syscall(SYS_futex, &board->starts, FUTEX_WAKE, 1, NULL, NULL, 0);
  for (;;) pause();
}
