/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the kernel's self-test share: the interface, checks, and small tools. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- the interface, which the C library's headers may not have yet --------------------------- */

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef FAN_REPORT_PIDFD
#define FAN_REPORT_PIDFD 0x00000080
#endif
#ifndef FAN_EVENT_INFO_TYPE_PIDFD
#define FAN_EVENT_INFO_TYPE_PIDFD 4
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#define INTO_CGROUP (1ULL << 33)
#define AUTOREAP (1ULL << 34)
#define NNP (1ULL << 35)
#define AUTOKILL (1ULL << 36)
#define MAGIC_PIDFS 0x50494446
#define MAGIC_ANON 0x09041934
#define MAGIC_CGROUP2 0x63677270
#define FD_PIDFS_ROOT_ (-10002)

enum { INFO_PID = 1, INFO_CREDS = 2, INFO_CGROUPID = 4, INFO_EXIT = 8 };

struct info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
_Static_assert(sizeof(struct info) == 64, "first published size");
#define GET_INFO _IOWR(0xFF, 11, struct info)

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
	    set_tid_size, cgroup;
};

struct handle {
	unsigned bytes;
	int type;
	uint64_t number;
};

/* --- what this kernel has --------------------------------------------------------------------- */

enum {
	PIDFS = 1,  /* pidfds have inodes of their own */
	INFO = 2,   /* PIDFD_GET_INFO */
	KILL = 4,   /* CLONE_AUTOREAP, CLONE_NNP, CLONE_PIDFD_AUTOKILL */
	HANDLE = 8, /* file handles */
	ROOT = 16,  /* we may do anything */
	ANON = 32,  /* pidfds share the anonymous inode */
	OURS = 64,  /* pidfs on a 6.1: the bundled series */
};

extern unsigned have;
extern unsigned kernel_version; /* major * 1000 + minor */
extern unsigned count_processes; /* of the test that PIDs wrap in */
extern unsigned stress_seconds;
extern unsigned patience; /* how many times as long as usual anything may take */
extern char self_path[PATH_MAX]; /* this program */

/* --- tests ------------------------------------------------------------------------------------ */

struct test {
	const char *name; /* none: the end of a list */
	void (*run)(void);
	unsigned needs;	  /* of what this kernel has */
	unsigned seconds; /* its time limit, if not the usual one */
};

extern const struct test filesystem_tests[], inodes_tests[], always_tests[], info_tests[],
    autoreap_tests[], holders_tests[], targets_tests[], handles_tests[];
void t_stress(void);

/* --- checks ----------------------------------------------------------------------------------- */

enum { PASS = 0, FAIL = 1, SKIP = 2 };

void __attribute__((noreturn, format(printf, 4, 5)))
fail(const char *file, int line, int error, const char *format, ...);

#define CHECK(what)										\
	do {											\
		if (!(what))									\
			fail(__FILE__, __LINE__, errno, "not true: %s", #what);			\
	} while (0)

#define EQUAL(is, wanted)									\
	do {											\
		long long is_ = (long long)(is), wanted_ = (long long)(wanted);			\
		if (is_ != wanted_)								\
			fail(__FILE__, __LINE__, errno, "%s is %lld (%#llx), not %lld (%#llx)", #is, is_, \
			     is_, wanted_, wanted_);						\
	} while (0)

/* The call fails, and with that error. */
#define FAILS(call, error)									\
	do {											\
		errno = 0;									\
		long long r_ = (long long)(call);						\
		if (r_ != -1 || errno != (error))						\
			fail(__FILE__, __LINE__, errno, "%s gave %lld, not %s", #call, r_, #error); \
	} while (0)

#define SKIP_IF(what)										\
	do {											\
		if (what) {									\
			printf("  %s\n", #what);						\
			fflush(stdout);								\
			_exit(SKIP);								\
		}										\
	} while (0)

/* --- system calls ----------------------------------------------------------------------------- */

int pidfd_open_(pid_t pid, unsigned flags);
int pidfd_signal(int fd, int sig);
int pidfd_getfd_(int fd, int target);
/* `want` is the PID that the child is to have, 0 for any */
pid_t clone3_with(uint64_t flags, int exit_signal, int *pidfd, pid_t want);
pid_t clone3_(uint64_t flags, int exit_signal, int *pidfd);
pid_t fork_(void);
int info_of(int pidfd, uint64_t want, struct info *info);
int handle_of(int fd, struct handle *h);
int open_handle(int root, struct handle *h, int flags);

/* --- processes -------------------------------------------------------------------------------- */

/* Dies when the last copy of the descriptor goes. */
#define BOUND (CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL)

void __attribute__((noreturn)) forever(void);
/* A child that waits for its end, and a pidfd of it. */
pid_t sleeper(int *pidfd);
/* A child that dies with its pidfd, and another pidfd to watch it by. */
pid_t bound_sleeper(int *pidfd, int *watch);
void reap(pid_t pid);
void end(pid_t pid, int pidfd);
/* Its end was SIGKILL; closes the descriptor. */
void killed(int watch);
/* How the process ended; waits until that is known (on mainline: until it is reaped). */
int code_of(int pidfd);
extern volatile sig_atomic_t sigchld;
void count_sigchld(void); /* from now on */
/* It is gone, we are not its parent any more, and nobody told us. */
void expect_no_child(pid_t pid);

/* Starts of threads and of clones. */
int nothing(void *arg);
void *sleep_then_exit(void *arg);  /* the process with 5, after a while */
void *exec_from_thread(void *arg); /* this program with the arguments `arg` */
extern volatile pid_t thread_tid;
void *note_tid(void *arg); /* in thread_tid, and stays */

/* --- descriptors and files -------------------------------------------------------------------- */

uint64_t inode(int fd);
bool readable(int fd, int milliseconds);
#define LONG_WAIT (20000 * (int)patience)
#define DIES(pidfd) CHECK(readable(pidfd, LONG_WAIT))
#define LIVES(pidfd) CHECK(!readable(pidfd, 60))

void send_fd(int sock, int fd);
int receive_fd(int sock);
void tell(int fd);
/* Reads one byte; false at the end of the stream. */
bool hear(int fd);
int put_file(const char *path, const char *text);
/* The file's text, until the next call; NULL if it cannot be read. */
const char *get_file(const char *path);
long fdinfo(int fd, const char *key);
/* Where the unified hierarchy of cgroups is mounted; NULL if in none of the usual places. */
const char *unified_mount(void);
/* The id of our cgroup on the unified hierarchy, or 0 where that cannot be found. */
uint64_t own_cgroup(void);
/* Of the whole machine. */
long count_inodes(void);
long count_dentries(void);
