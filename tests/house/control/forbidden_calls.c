// Every call that no object of pidward may import. Compiled, searched for, never run.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern int tkill(int tid, int signal);

int house_control(pid_t pid, char** arguments) {
  int status = 0;
  int ends[2] = {-1, -1};
  siginfo_t info;
  union sigval value;
  value.sival_int = 0;
  status += kill(pid, 0) + killpg(pid, 0) + tgkill(pid, pid, 0) + tkill(pid, 0);
  status += sigqueue(pid, 0, value);
  status += wait(&status) + wait3(&status, 0, NULL) + wait4(pid, &status, 0, NULL);
  status += waitpid(pid, &status, 0) + waitid(P_PID, (id_t)pid, &info, WEXITED);
  status += setpgid(pid, pid) + system(arguments[0]) + (popen(arguments[0], "r") != NULL);
  status += posix_spawn(&pid, arguments[0], NULL, NULL, arguments, arguments);
  status += posix_spawnp(&pid, arguments[0], NULL, NULL, arguments, arguments);
  status += fork() + vfork() + daemon(0, 0);
  status += pipe(ends) + dup(0) + dup2(0, 1) + accept(0, NULL, NULL);
  status += epoll_create(1) + inotify_init() + creat(arguments[0], 0600);
  return status;
}
