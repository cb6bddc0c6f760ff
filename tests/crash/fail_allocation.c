// Preloaded into the daemon: lets one allocation of it fail, the one that the board asks for. Only the process whose
// number the board names is meant, so that neither its logger nor its services are.
#include "fail_allocation.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* block, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static struct allocation_board* board;

__attribute__((constructor)) static void open_board(void) {
  const char* const path = getenv("FAIL_ALLOCATION_BOARD");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const memory = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED && ((struct allocation_board*)memory)->process == getpid()) board = memory;
}

/// Whether this one is to fail.
static int fails(void) {
  if (board == NULL || atomic_load(&board->countdown) < 0) return 0;
  atomic_fetch_add(&board->seen, 1);
  if (atomic_fetch_sub(&board->countdown, 1) != 0) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) {
  return fails() ? NULL : __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  return fails() ? NULL : __libc_calloc(count, size);
}

void* realloc(void* block, size_t size) {
  return fails() ? NULL : __libc_realloc(block, size);
}

void* memalign(size_t alignment, size_t size) {
  return fails() ? NULL : __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void** block, size_t alignment, size_t size) {
  void* const made = memalign(alignment, size);
  if (made == NULL) return ENOMEM;
  *block = made;
  return 0;
}
