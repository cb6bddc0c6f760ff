// The yardstick: a supervisor that only does epoll, pidfds and vfork+exec, with no units, log, bus or control group.
// Usage: bench-bare CHILD FILE COUNT: starts COUNT children and starts again whichever ends, until it is killed.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char* child_path;
static const char* file;

static int start(int epoll, long slot) {
  char number[24];
  snprintf(number, sizeof number, "%ld", slot);
  const pid_t pid = vfork();
  if (pid == 0) {
    execl(child_path, child_path, file, number, (char*)NULL);
    _exit(127);
  }
  if (pid < 0) return -1;
  const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0) return -1;
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (unsigned long long)slot << 32 | (unsigned)pidfd};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  child_path = argv[1];
  file = argv[2];
  const long count = strtol(argv[3], NULL, 10);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (long slot = 0; slot < count; ++slot) {
    if (start(epoll, slot) < 0) {
      perror("bench-bare");
      return 1;
    }
  }
  for (;;) {
    struct epoll_event events[64];
    const int ready = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < ready; ++i) {
      const int pidfd = (int)(events[i].data.u64 & 0xffffffffU);
      siginfo_t info;
      waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
      close(pidfd);
      if (start(epoll, (long)(events[i].data.u64 >> 32)) < 0) return 1;
    }
    if (ready < 0 && errno != EINTR) return 1;
  }
}
