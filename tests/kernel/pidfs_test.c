/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-test of what pidward asks of the kernel's pidfds.
 *
 * It runs on any kernel from 6.1 and tests what that kernel has: a stock 6.1 (or the patched one
 * with CONFIG_FS_PID off) has anonymous pidfds, mainline has pidfs, information and file handles,
 * and the patched 6.1 has those and kill on last close. What is to be there can be demanded with
 * --expect, so that something missing is a failure instead of a skipped test.
 *
 * Every test is a process of its own, in a process group of its own, with a time limit.
 */
#define _GNU_SOURCE
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

static unsigned have;
static unsigned kernel_version; /* major * 1000 + minor */
static unsigned count_processes = 200000;

/* --- checks ----------------------------------------------------------------------------------- */

enum { PASS = 0, FAIL = 1, SKIP = 2 };

static void __attribute__((noreturn, format(printf, 3, 4)))
fail(int line, int error, const char *format, ...)
{
	va_list ap;

	printf("  line %d: ", line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(" (errno: %s)\n", strerror(error));
	fflush(stdout);
	_exit(FAIL);
}

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			fail(__LINE__, errno, "not true: %s", #what);                              \
	} while (0)

#define EQUAL(is, wanted)                                                                          \
	do {                                                                                       \
		long long is_ = (long long)(is), wanted_ = (long long)(wanted);                    \
		if (is_ != wanted_)                                                                \
			fail(__LINE__, errno, "%s is %lld (%#llx), not %lld (%#llx)", #is, is_,    \
			     is_, wanted_, wanted_);                                               \
	} while (0)

/* The call fails, and with that error. */
#define FAILS(call, error)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long r_ = (long long)(call);                                                  \
		if (r_ != -1 || errno != (error))                                                  \
			fail(__LINE__, errno, "%s gave %lld, not %s", #call, r_, #error);          \
	} while (0)

#define SKIP_IF(what)                                                                              \
	do {                                                                                       \
		if (what) {                                                                        \
			printf("  %s\n", #what);                                                   \
			fflush(stdout);                                                            \
			_exit(SKIP);                                                               \
		}                                                                                  \
	} while (0)

/* --- system calls ----------------------------------------------------------------------------- */

static int pidfd_open_(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_signal(int fd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static int pidfd_getfd_(int fd, int target)
{
	return (int)syscall(SYS_pidfd_getfd, fd, target, 0);
}

static pid_t clone3_with(uint64_t flags, int exit_signal, int *pidfd, pid_t want)
{
	pid_t tid = want;
	struct clone3_args args = {
	    .flags = flags,
	    .pidfd = (uint64_t)(uintptr_t)pidfd,
	    .exit_signal = (uint64_t)exit_signal,
	    .set_tid = want ? (uint64_t)(uintptr_t)&tid : 0,
	    .set_tid_size = want ? 1 : 0,
	};

	fflush(stdout);
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t clone3_(uint64_t flags, int exit_signal, int *pidfd)
{
	return clone3_with(flags, exit_signal, pidfd, 0);
}

static pid_t fork_(void)
{
	fflush(stdout);
	return fork();
}

static void __attribute__((noreturn)) forever(void)
{
	for (;;)
		pause();
}

/* A child that waits for its end, and a pidfd of it. */
static pid_t sleeper(int *pidfd)
{
	pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, pidfd);

	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		forever();
	}
	return pid;
}

static uint64_t inode(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_ino;
}

static bool readable(int fd, int milliseconds)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r = poll(&p, 1, milliseconds);

	CHECK(r >= 0);
	return r == 1 && (p.revents & POLLIN);
}

#define LONG_WAIT 20000
#define DIES(pidfd) CHECK(readable(pidfd, LONG_WAIT))
#define LIVES(pidfd) CHECK(!readable(pidfd, 60))

static void reap(pid_t pid)
{
	EQUAL(waitpid(pid, NULL, 0), pid);
}

static void end(pid_t pid, int pidfd)
{
	CHECK(pidfd_signal(pidfd, SIGKILL) == 0);
	reap(pid);
	close(pidfd);
}

static int info_of(int pidfd, uint64_t want, struct info *info)
{
	memset(info, 0, sizeof(*info));
	info->mask = want;
	return ioctl(pidfd, GET_INFO, info);
}

/* How the process ended; waits until that is known (on mainline: until it is reaped). */
static int code_of(int pidfd)
{
	struct info info;

	DIES(pidfd);
	for (int i = 0; i < 2000; i++) {
		if (info_of(pidfd, INFO_EXIT, &info) == 0 && (info.mask & INFO_EXIT))
			return info.exit_code;
		CHECK(!(have & OURS)); /* there it is known as soon as poll() says so */
		usleep(1000);
	}
	return -1;
}

static void send_fd(int sock, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	EQUAL(sendmsg(sock, &msg, 0), 1);
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	EQUAL(recvmsg(sock, &msg, MSG_CMSG_CLOEXEC), 1);
	CHECK(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

static void tell(int fd)
{
	EQUAL(write(fd, "x", 1), 1);
}

/* Reads one byte; false at the end of the stream. */
static bool hear(int fd)
{
	char c;
	ssize_t n = read(fd, &c, 1);

	CHECK(n >= 0);
	return n == 1;
}

static int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -1;
	r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return r;
}

static const char *get_file(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return NULL;
	text[n] = 0;
	return text;
}

static long fdinfo(int fd, const char *key)
{
	char path[64];
	const char *text, *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = get_file(path);
	CHECK(text);
	at = strstr(text, key);
	CHECK(at);
	return strtol(at + strlen(key), NULL, 10);
}

static char self_path[PATH_MAX];

/* --- pidfs ------------------------------------------------------------------------------------ */

static void t_file_system(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char path[64], name[64] = {0};
	struct statfs fs;
	struct stat st;

	CHECK(fd >= 0);
	CHECK(fstatfs(fd, &fs) == 0);
	EQUAL(fs.f_type, have & PIDFS ? MAGIC_PIDFS : MAGIC_ANON);
	CHECK(fstat(fd, &st) == 0);
	EQUAL(st.st_mode & S_IFMT, 0);
	EQUAL(st.st_nlink, 1);
	EQUAL(st.st_size, 0);
	if (have & PIDFS) {
		EQUAL(st.st_mode & 07777, 0700);
		CHECK(st.st_ino > 1);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, name, sizeof(name) - 1) > 0);
	CHECK(strcmp(name, "anon_inode:[pidfd]") == 0);
	EQUAL(fcntl(fd, F_GETFL), O_RDWR);
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = pidfd_open_(getpid(), O_NONBLOCK);
	EQUAL(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
}

static void t_no_way_in(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char path[64];
	const char *text;

	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
	FAILS(openat(fd, ".", O_RDONLY), ENOTDIR);
	FAILS(openat(fd, "..", O_PATH), ENOTDIR);
	FAILS(fchdir(fd), ENOTDIR);
	text = get_file("/proc/filesystems");
	CHECK(text && !strstr(text, "pidfs"));
	if (have & OURS)
		FAILS(open(path, O_RDWR), ENXIO);
	if (!(have & ROOT))
		return;
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("x", "/tmp", "tmpfs", 0, NULL) == 0);
	CHECK(mkdir("/tmp/dir", 0755) == 0);
	close(open("/tmp/file", O_CREAT | O_RDWR, 0644));
	FAILS(mount("pidfs", "/tmp/dir", "pidfs", 0, NULL), ENODEV);
	FAILS(syscall(SYS_fsopen, "pidfs", 0), ENODEV);
	if (!(have & OURS)) /* later mainline lets one name a process by a bind mount */
		return;
	FAILS(mount(path, "/tmp/file", NULL, MS_BIND, NULL), EINVAL);
	FAILS(syscall(SYS_open_tree, fd, "", 1 /* OPEN_TREE_CLONE */ | AT_EMPTY_PATH), EINVAL);
	FAILS(linkat(fd, "", AT_FDCWD, "/tmp/link", AT_EMPTY_PATH), EXDEV);
}

static void t_attributes_fixed(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char path[64], byte = 0;
	char *argv[] = {"x", NULL};

	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(fchmod(fd, 0777), EOPNOTSUPP);
	FAILS(fchown(fd, 1, 1), EOPNOTSUPP);
	FAILS(futimens(fd, NULL), EOPNOTSUPP);
	FAILS(read(fd, &byte, 1), EINVAL);
	FAILS(write(fd, &byte, 1), EINVAL);
	CHECK(lseek(fd, 0, SEEK_SET) == -1);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(ftruncate(fd, 0) == -1);
	CHECK(execve(path, argv, argv) == -1);
	CHECK(syscall(SYS_execveat, fd, "", argv, argv, AT_EMPTY_PATH) == -1);
	EQUAL(inode(fd), inode(pidfd_open_(getpid(), 0)));
}

/* Same process, same inode, by every route; another process, another inode. */
static void t_same_inode(void)
{
	int fd, other, again, sock[2], got, up[2], ns, status;
	pid_t pid = sleeper(&fd), pid2 = sleeper(&other), helper;
	struct stat a, b;
	uint64_t number = inode(fd);

	CHECK(inode(other) != number);
	CHECK(fstat(fd, &a) == 0 && fstat(other, &b) == 0);
	EQUAL(a.st_dev, b.st_dev);

	again = pidfd_open_(pid, 0);
	EQUAL(inode(again), number);
	EQUAL(inode(pidfd_open_(pid, O_NONBLOCK)), number);

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	send_fd(sock[0], again);
	got = receive_fd(sock[1]);
	EQUAL(inode(got), number);

	CHECK(pipe(up) == 0);
	helper = fork_();
	if (helper == 0) { /* the fork of a holder, and what the fork opens */
		EQUAL(inode(fd), number);
		EQUAL(inode(pidfd_open_(pid, 0)), number);
		tell(up[1]);
		forever();
	}
	CHECK(hear(up[0]));
	ns = pidfd_open_(helper, 0);
	got = pidfd_getfd_(ns, fd);
	CHECK(got >= 0);
	EQUAL(inode(got), number);
	end(helper, ns);

	if (have & ROOT) { /* seen from another PID namespace */
		pid_t init = clone3_(CLONE_PIDFD | CLONE_NEWPID, SIGCHLD, &ns);

		CHECK(init >= 0);
		if (init == 0) {
			int me = pidfd_open_(1, 0);

			send_fd(sock[0], me);
			forever();
		}
		got = receive_fd(sock[1]);
		EQUAL(inode(got), inode(ns));
		EQUAL(inode(pidfd_open_(init, 0)), inode(ns));
		CHECK(inode(ns) != number);
		end(init, ns);
	}

	/* closed everywhere, and opened again: still the same number */
	end(pid2, other);
	close(fd);
	close(again);
	for (int i = 3; i < 64; i++)
		if (i != up[0] && i != up[1])
			close(i);
	fd = pidfd_open_(pid, 0);
	EQUAL(inode(fd), number);
	CHECK(kill(pid, SIGKILL) == 0);
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(inode(fd), number);
}

static void t_same_inode_fanotify(void)
{
	int fan, fd;
	char path[] = "/tmp/pidfs-test-XXXXXX", buffer[4096];
	struct fanotify_event_metadata *event = (void *)buffer;
	struct {
		uint8_t type, pad;
		uint16_t len;
		int32_t pidfd;
	} *record;
	int me = pidfd_open_(getpid(), 0);

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_PIDFD | FAN_CLOEXEC, O_RDONLY);
	SKIP_IF(fan < 0);
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, path) == 0);
	EQUAL(write(fd, "x", 1), 1);
	CHECK(read(fan, buffer, sizeof(buffer)) > 0);
	unlink(path);
	record = (void *)(buffer + event->metadata_len);
	EQUAL(record->type, FAN_EVENT_INFO_TYPE_PIDFD);
	CHECK(record->pidfd >= 0);
	EQUAL(inode(record->pidfd), inode(me));
	EQUAL(fdinfo(record->pidfd, "Pid:"), getpid());
	CHECK(pidfd_signal(record->pidfd, 0) == 0);
}

static long count_inodes(void)
{
	const char *text = get_file("/proc/sys/fs/inode-nr");

	CHECK(text);
	return strtol(text, NULL, 10);
}

static long count_dentries(void)
{
	const char *text = get_file("/proc/sys/fs/dentry-state");

	CHECK(text);
	return strtol(text, NULL, 10);
}

/* Inode and dentry go with the last pidfd. */
static void t_gone_after_close(void)
{
	enum { PROCESSES = 400, EACH = 5 };
	static pid_t pid[PROCESSES];
	static int fd[PROCESSES][EACH];
	struct rlimit limit = {8192, 8192};
	bool right = false;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < PROCESSES; i++) {
		pid[i] = fork_();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			forever();
		}
	}
	/* The counts are those of the whole machine: try again when others disturb. */
	for (int try = 0; try < 20 && !right; try++) {
		long i0, i1, i2, d0, d1, d2;

		usleep(try * 20000);
		i0 = count_inodes();
		d0 = count_dentries();
		for (int i = 0; i < PROCESSES; i++)
			for (int j = 0; j < EACH; j++) {
				fd[i][j] = pidfd_open_(pid[i], 0);
				CHECK(fd[i][j] >= 0);
			}
		i1 = count_inodes();
		d1 = count_dentries();
		for (int i = 0; i < PROCESSES; i++)
			for (int j = 0; j < EACH; j++)
				close(fd[i][j]);
		i2 = count_inodes();
		d2 = count_dentries();
		printf("  inodes %ld %ld %ld, dentries %ld %ld %ld\n", i0, i1, i2, d0, d1, d2);
		right = labs(i1 - i0 - PROCESSES) < 20 && labs(i2 - i0) < 20 && labs(d2 - d0) < 60;
		/* one dentry for each pidfd, or (mainline) one for each process */
		if (have & OURS)
			right = right && labs(d1 - d0 - PROCESSES * EACH) < 60;
	}
	CHECK(right);
	for (int i = 0; i < PROCESSES; i++) {
		kill(pid[i], SIGKILL);
		reap(pid[i]);
	}
}

/* Opens and closes of one process from several CPUs always meet at the same inode. */
static pid_t race_pid;
static uint64_t race_inode;
static volatile bool race_stop;

static void *race_opener(void *arg)
{
	long n = 0;

	while (!race_stop) {
		int fd = pidfd_open_(race_pid, 0);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) || st.st_ino != race_inode)
			return (void *)-1L;
		close(fd);
		n++;
	}
	(void)arg;
	return (void *)n;
}

static void t_open_close_race(void)
{
	pthread_t thread[4];
	int fd;
	void *result;

	race_pid = sleeper(&fd);
	race_inode = inode(fd);
	close(fd);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, race_opener, NULL) == 0);
	sleep(2);
	race_stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &result);
		CHECK((long)result > 0);
	}
	kill(race_pid, SIGKILL);
	reap(race_pid);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* PIDs come back, inode numbers do not. */
static void t_unique_numbers(void)
{
	enum { WORKERS = 2 };
	unsigned each = count_processes / WORKERS;
	uint64_t *number = mmap(NULL, count_processes * sizeof(*number), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t *pids = mmap(NULL, sizeof(*pids) << 22, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t worker[WORKERS], init;
	unsigned again = 0;
	bool global = kernel_version < 6014;
	char old[32] = "";
	int status;

	CHECK(number != MAP_FAILED && pids != MAP_FAILED);
	if (global)
		snprintf(old, sizeof(old), "%.20s", get_file("/proc/sys/kernel/pid_max"));
	CHECK(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0);
	init = fork_();
	CHECK(init >= 0);
	if (init == 0) {
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
		CHECK(put_file("/proc/sys/kernel/pid_max", "1000") == 0);
		for (int w = 0; w < WORKERS; w++) {
			worker[w] = fork_();
			if (worker[w])
				continue;
			char *stack = malloc(65536);

			for (unsigned i = w * each; i < (w + 1) * each; i++) {
				int fd = -1;
				pid_t pid = clone(nothing, stack + 65536,
						  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
						  NULL, &fd);

				CHECK(pid > 0);
				number[i] = inode(fd);
				__atomic_fetch_add(&pids[pid & ((1 << 22) - 1)], 1, __ATOMIC_RELAXED);
				close(fd);
				reap(pid);
			}
			_exit(0);
		}
		for (int w = 0; w < WORKERS; w++) {
			EQUAL(waitpid(worker[w], &status, 0), worker[w]);
			EQUAL(status, 0);
		}
		_exit(0);
	}
	EQUAL(waitpid(init, &status, 0), init);
	if (global)
		put_file("/proc/sys/kernel/pid_max", old);
	EQUAL(status, 0);

	qsort(number, each * WORKERS, sizeof(*number), by_number);
	for (unsigned i = 1; i < each * WORKERS; i++)
		CHECK(number[i] != number[i - 1]);
	for (unsigned i = 0; i < 1 << 22; i++)
		again = pids[i] > again ? pids[i] : again;
	printf("  %u processes, numbers %" PRIu64 " to %" PRIu64 ", one PID used %u times\n",
	       each * WORKERS, number[0], number[each * WORKERS - 1], again);
	CHECK(again > 10 || each < 5000);
}

/* --- without pidfs ---------------------------------------------------------------------------- */

static void t_anonymous(void)
{
	int a, b;
	pid_t pa = sleeper(&a), pb = sleeper(&b);
	struct statfs fs;
	struct info info;

	EQUAL(inode(a), inode(b));
	CHECK(fstatfs(a, &fs) == 0);
	EQUAL(fs.f_type, MAGIC_ANON);
	FAILS(info_of(a, INFO_PID, &info), ENOTTY);
	end(pa, a);
	end(pb, b);
}

static void t_flags_unknown(void)
{
	int fd = -1;

	FAILS(clone3_(AUTOREAP, 0, NULL), EINVAL);
	FAILS(clone3_(NNP, SIGCHLD, NULL), EINVAL);
	FAILS(clone3_(CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL, 0, &fd), EINVAL);
	FAILS(clone3_(1ULL << 37, SIGCHLD, NULL), EINVAL);
}

/* --- what pidfds could always do -------------------------------------------------------------- */

static void t_poll(void)
{
	int fd, ep = epoll_create1(0);
	pid_t pid = sleeper(&fd);
	struct epoll_event event = {.events = EPOLLIN};

	LIVES(fd);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
	EQUAL(epoll_wait(ep, &event, 1, 0), 0);
	CHECK(pidfd_signal(fd, SIGKILL) == 0);
	EQUAL(epoll_wait(ep, &event, 1, LONG_WAIT), 1);
	CHECK(event.events & EPOLLIN);
	DIES(fd); /* a zombie */
	reap(pid);
	DIES(fd); /* and gone */
}

static void *sleep_then_exit(void *arg)
{
	usleep(300000);
	(void)arg;
	syscall(SYS_exit_group, 5);
	return NULL;
}

static void t_poll_leader_gone(void)
{
	int fd, status;
	pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, &fd);
	struct info info;

	CHECK(pid >= 0);
	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, sleep_then_exit, NULL);
		syscall(SYS_exit, 3); /* the leader alone */
	}
	usleep(100000);
	CHECK(!readable(fd, 0));
	if (have & INFO) {
		CHECK(info_of(fd, INFO_EXIT, &info) == 0);
		EQUAL(info.mask & INFO_EXIT, 0);
		EQUAL(info.pid, pid);
	}
	DIES(fd);
	if (have & OURS)
		EQUAL(code_of(fd), 5 << 8);
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(status, 5 << 8);
	if (have & INFO)
		EQUAL(code_of(fd), 5 << 8);
}

static void t_fdinfo(void)
{
	int fd, ns;
	pid_t pid = sleeper(&fd);

	EQUAL(fdinfo(fd, "Pid:"), pid);
	EQUAL(fdinfo(fd, "NSpid:"), pid);
	end(pid, dup(fd));
	EQUAL(fdinfo(fd, "Pid:"), -1);
	if (!(have & ROOT))
		return;
	pid = clone3_(CLONE_PIDFD | CLONE_NEWPID, SIGCHLD, &ns);
	CHECK(pid >= 0);
	if (pid == 0)
		forever();
	EQUAL(fdinfo(ns, "Pid:"), pid);
	{
		char path[64], want[64];
		const char *text;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ns);
		snprintf(want, sizeof(want), "NSpid:\t%d\t1\n", pid);
		text = get_file(path);
		CHECK(text && strstr(text, want));
	}
	end(pid, ns);
}

static void t_waitid(void)
{
	int fd, other;
	pid_t pid = sleeper(&fd);
	siginfo_t si = {0};

	other = pidfd_open_(pid, O_NONBLOCK);
	FAILS(waitid(P_PIDFD, (id_t)other, &si, WEXITED), EAGAIN);
	FAILS(waitid(P_PIDFD, (id_t)pidfd_open_(getpid(), 0), &si, WEXITED), ECHILD);
	CHECK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0);
	CHECK(pidfd_signal(fd, SIGTERM) == 0);
	CHECK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOWAIT) == 0);
	EQUAL(si.si_pid, pid);
	EQUAL(si.si_status, SIGTERM);
	CHECK(waitid(P_PIDFD, (id_t)other, &si, WEXITED) == 0);
	FAILS(waitid(P_PIDFD, (id_t)fd, &si, WEXITED), ECHILD);
	FAILS(waitid(P_PIDFD, (id_t)open("/", O_RDONLY), &si, WEXITED), EBADF);
}

static void t_signal(void)
{
	int fd, proc;
	pid_t pid;
	char path[32];

	signal(SIGUSR1, SIG_IGN);
	pid = sleeper(&fd);
	CHECK(pidfd_signal(fd, 0) == 0);
	CHECK(pidfd_signal(fd, SIGUSR1) == 0);
	LIVES(fd);
	FAILS(pidfd_signal(fd, 1000), EINVAL);
	FAILS(pidfd_signal(STDOUT_FILENO, 0), EBADF);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_DIRECTORY | O_CLOEXEC);
	CHECK(pidfd_signal(proc, SIGKILL) == 0);
	DIES(fd);
	CHECK(pidfd_signal(fd, 0) == 0); /* a zombie */
	reap(pid);
	FAILS(pidfd_signal(fd, 0), ESRCH);
}

static void t_getfd(void)
{
	int fd, p[2], got;
	pid_t pid;

	CHECK(pipe(p) == 0);
	pid = sleeper(&fd);
	got = pidfd_getfd_(fd, p[1]);
	CHECK(got >= 0);
	close(p[1]);
	tell(got);
	CHECK(hear(p[0]));
	FAILS(pidfd_getfd_(fd, 999), EBADF);
	end(pid, dup(fd));
	FAILS(pidfd_getfd_(fd, p[1]), ESRCH);
}

static void t_setns(void)
{
	int fd, up[2];
	pid_t pid;
	char name[65];

	CHECK(pipe(up) == 0);
	pid = clone3_(CLONE_PIDFD | CLONE_NEWUTS | CLONE_NEWIPC, SIGCHLD, &fd);
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(sethostname("elsewhere", 9) == 0);
		tell(up[1]);
		forever();
	}
	CHECK(hear(up[0]));
	CHECK(setns(fd, CLONE_NEWUTS | CLONE_NEWIPC) == 0);
	CHECK(gethostname(name, sizeof(name)) == 0);
	CHECK(strcmp(name, "elsewhere") == 0);
	FAILS(setns(fd, 0), EINVAL);
	end(pid, dup(fd));
	FAILS(setns(fd, CLONE_NEWUTS), ESRCH);
}

static void t_memory(void)
{
	int fd;
	pid_t pid;
	char *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = {page, 1 << 20};
	long r;

	memset(page, 1, 1 << 20);
	pid = sleeper(&fd);
	r = syscall(SYS_process_madvise, fd, &iov, 1, MADV_COLD, 0);
	CHECK(r == 1 << 20 || (r == -1 && errno == ENOSYS));
	r = syscall(SYS_process_mrelease, fd, 0);
	CHECK(r == -1 && (errno == EINVAL || errno == ENOSYS)); /* it is not dying */
	CHECK(pidfd_signal(fd, SIGKILL) == 0);
	r = syscall(SYS_process_mrelease, fd, 0);
	CHECK(r == 0 || errno == ESRCH || errno == ENOSYS || errno == EAGAIN);
	reap(pid);
	FAILS(syscall(SYS_process_mrelease, fd, 0), kernel_version ? ESRCH : 0);
}

static void t_clone(void)
{
	int fd = -1;
	char *stack = malloc(65536);
	pid_t pid = clone(nothing, stack + 65536, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
			  NULL, &fd);

	CHECK(pid > 0 && fd >= 0);
	DIES(fd);
	reap(pid);
	FAILS(clone3_(CLONE_PIDFD, SIGCHLD, (int *)8), EFAULT);
	FAILS(clone3_(1ULL << 50, SIGCHLD, NULL), EINVAL);
	FAILS(pidfd_open_(0, 0), EINVAL);
	FAILS(pidfd_open_(-1, 0), EINVAL);
	FAILS(pidfd_open_(1, 0x40000000), EINVAL);
}

static pid_t thread_tid;

static void *note_tid(void *arg)
{
	thread_tid = (pid_t)syscall(SYS_gettid);
	(void)arg;
	forever();
}

static void t_threads_have_none(void)
{
	pthread_t t;

	pthread_create(&t, NULL, note_tid, NULL);
	while (!*(volatile pid_t *)&thread_tid)
		usleep(1000);
	errno = 0;
	EQUAL(pidfd_open_(thread_tid, 0), -1);
	CHECK(errno == EINVAL || (kernel_version > 6008 && errno == ENOENT));
}

static void t_close_on_exec(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char number[16], *argv[] = {self_path, "--is-open", number, NULL};
	pid_t pid;
	int status;

	for (int keep = 0; keep < 2; keep++) {
		snprintf(number, sizeof(number), "%d", fd);
		CHECK(fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) == 0);
		pid = fork_();
		if (pid == 0) {
			execv(self_path, argv);
			_exit(100);
		}
		EQUAL(waitpid(pid, &status, 0), pid);
		EQUAL(status, keep ? 1 << 8 : 0);
	}
}

/* --- PIDFD_GET_INFO --------------------------------------------------------------------------- */

/* The id of our cgroup on the unified hierarchy, or 0 where that cannot be found. */
static uint64_t own_cgroup(void)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	const char *text = get_file("/proc/self/cgroup"), *at = text ? strstr(text, "0::/") : NULL;
	char relative[1024];

	if (!at)
		return 0;
	snprintf(relative, sizeof(relative), "%.*s", (int)strcspn(at + 3, "\n"), at + 3);
	for (int i = 0; i < 2; i++) {
		char path[1200];
		struct statfs fs;
		struct stat st;

		if (statfs(mounts[i], &fs) || fs.f_type != MAGIC_CGROUP2)
			continue;
		snprintf(path, sizeof(path), "%s%s", mounts[i], relative);
		if (stat(path, &st) == 0)
			return st.st_ino;
	}
	return 0;
}

static void t_info_fields(void)
{
	int fd, up[2];
	pid_t pid;
	struct info info;
	uint64_t cgroup = own_cgroup();

	CHECK(pipe(up) == 0);
	pid = clone3_(CLONE_PIDFD, SIGCHLD, &fd);
	if (pid == 0) {
		if (have & ROOT) {
			CHECK(setresgid(21, 22, 23) == 0);
			CHECK(setresuid(11, 12, 13) == 0);
		}
		tell(up[1]);
		forever();
	}
	CHECK(hear(up[0]));
	CHECK(info_of(fd, INFO_PID | INFO_CREDS | INFO_CGROUPID, &info) == 0);
	EQUAL(info.mask & 15, INFO_PID | INFO_CREDS | INFO_CGROUPID);
	EQUAL(info.pid, pid);
	EQUAL(info.tgid, pid);
	EQUAL(info.ppid, getpid());
	EQUAL(info.exit_code, 0);
	if (have & ROOT) {
		EQUAL(info.ruid, 11);
		EQUAL(info.euid, 12);
		EQUAL(info.suid, 13);
		EQUAL(info.fsuid, 12);
		EQUAL(info.rgid, 21);
		EQUAL(info.egid, 22);
		EQUAL(info.sgid, 23);
		EQUAL(info.fsgid, 22);
	} else {
		EQUAL(info.ruid, getuid());
		EQUAL(info.egid, getegid());
	}
	CHECK(info.cgroupid);
	if (cgroup)
		EQUAL(info.cgroupid, cgroup);

	/* the same with an empty mask */
	CHECK(info_of(fd, 0, &info) == 0);
	EQUAL(info.mask & 15, INFO_PID | INFO_CREDS | INFO_CGROUPID);
	EQUAL(info.pid, pid);
	end(pid, fd);
}

static void t_info_exit(void)
{
	static const struct {
		int signal, status;
	} ways[] = {{0, 7 << 8}, {0, 0}, {0, 255 << 8}, {SIGKILL, SIGKILL}, {SIGTERM, SIGTERM}};
	uint64_t cgroup = own_cgroup();

	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int fd, status;
		pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, &fd);
		struct info info;

		if (pid == 0) {
			if (ways[i].signal)
				forever();
			_exit(ways[i].status >> 8);
		}
		if (ways[i].signal)
			CHECK(pidfd_signal(fd, ways[i].signal) == 0);
		DIES(fd);
		CHECK(info_of(fd, INFO_EXIT, &info) == 0); /* a zombie */
		EQUAL(info.pid, pid);
		if (have & OURS) {
			CHECK(info.mask & INFO_EXIT);
			EQUAL(info.exit_code, ways[i].status);
		}
		EQUAL(waitpid(pid, &status, 0), pid);
		EQUAL(status, ways[i].status);
		CHECK(info_of(fd, INFO_EXIT, &info) == 0); /* gone */
		EQUAL(info.mask & 15, INFO_EXIT | INFO_CGROUPID);
		EQUAL(info.exit_code, ways[i].status);
		EQUAL(info.pid, 0);
		if (cgroup)
			EQUAL(info.cgroupid, cgroup);
		FAILS(info_of(fd, INFO_PID | INFO_CREDS | INFO_CGROUPID, &info), ESRCH);
		close(fd);
	}
}

static void t_info_bounds(void)
{
	int fd = pidfd_open_(getpid(), 0);
	struct {
		struct info info;
		char more[64];
	} big;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	FAILS(ioctl(fd, GET_INFO, NULL), EINVAL);
	FAILS(ioctl(fd, GET_INFO, (void *)8), EFAULT);
	FAILS(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, 56), &big), ENOTTY);
	FAILS(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, 0), &big), ENOTTY);
	FAILS(ioctl(fd, _IOC(_IOC_WRITE, 0xFF, 11, 64), &big), ENOTTY);
	FAILS(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFE, 11, 64), &big), ENOTTY);
	FAILS(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 77, 64), &big), ENOTTY);
	memset(&big, 0x55, sizeof(big));
	big.info.mask = 0;
	CHECK(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, sizeof(big)), &big) == 0);
	EQUAL(big.info.pid, getpid());
	for (unsigned i = 32; i < sizeof(big.more); i++)
		EQUAL(big.more[i], 0);
	/* a structure that ends at the end of what is mapped */
	CHECK(mprotect(page + 4096, 4096, PROT_NONE) == 0);
	memset(page, 0, 4096);
	CHECK(ioctl(fd, GET_INFO, page + 4096 - 64) == 0);
	FAILS(ioctl(fd, GET_INFO, page + 4096 - 56), EFAULT);
	FAILS(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, 128), page + 4096 - 64), EFAULT);
}

static void t_info_namespaces(void)
{
	int outside = pidfd_open_(getpid(), 0), fd, status;
	struct info info;
	pid_t pid = clone3_(CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWUSER, SIGCHLD, &fd);

	SKIP_IF(pid < 0);
	if (pid == 0) {
		int me = pidfd_open_(1, 0);

		CHECK(info_of(me, 0, &info) == 0);
		EQUAL(info.pid, 1);
		EQUAL(info.tgid, 1);
		EQUAL(info.ppid, 0);
		EQUAL(info.ruid, 65534); /* nothing is mapped */
		FAILS(info_of(outside, INFO_PID | INFO_EXIT, &info),
		      kernel_version > 6001 && kernel_version < 6017 ? ESRCH : EREMOTE);
		_exit(9);
	}
	CHECK(info_of(fd, 0, &info) == 0);
	EQUAL(info.pid, pid);
	EQUAL(info.ppid, getpid());
	EQUAL(info.ruid, getuid());
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(status, 9 << 8);
}

static void *exec_from_thread(void *arg)
{
	execv(self_path, arg);
	_exit(101);
}

/* exec by a thread that is not the leader: still one process, and its end is the one that counts. */
static void t_info_thread_exec(void)
{
	for (int i = 0; i < 20; i++) {
		char *argv[] = {self_path, "--exit", "42", NULL};
		int fd, status;
		pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, &fd);
		uint64_t number;

		if (pid == 0) {
			pthread_t t[3];

			for (int j = 0; j < 2; j++)
				pthread_create(&t[j], NULL, note_tid, NULL);
			pthread_create(&t[2], NULL, exec_from_thread, argv);
			if (i % 2)
				syscall(SYS_exit, 1);
			forever();
		}
		number = inode(fd);
		while (!readable(fd, 0)) {
			struct info info;

			if (info_of(fd, INFO_EXIT, &info) == 0 && (info.mask & INFO_EXIT))
				EQUAL(info.exit_code, 42 << 8);
		}
		if (have & OURS)
			EQUAL(code_of(fd), 42 << 8);
		EQUAL(waitpid(pid, &status, 0), pid);
		EQUAL(status, 42 << 8);
		EQUAL(code_of(fd), 42 << 8);
		EQUAL(inode(fd), number);
		close(fd);
	}
}

/* The one who asks is neither parent nor waiter. */
static void t_info_stranger(void)
{
	int fd, status, go[2];
	pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, &fd), stranger;

	if (pid == 0)
		_exit(33);
	CHECK(pipe(go) == 0);
	stranger = fork_();
	if (stranger == 0) {
		close(go[1]);
		DIES(fd);
		if (have & OURS)
			EQUAL(code_of(fd), 33 << 8);
		CHECK(!hear(go[0]));
		EQUAL(code_of(fd), 33 << 8);
		_exit(0);
	}
	usleep(50000);
	reap(pid);
	close(go[1]);
	EQUAL(waitpid(stranger, &status, 0), stranger);
	EQUAL(status, 0);
}

/* --- CLONE_AUTOREAP, CLONE_NNP ---------------------------------------------------------------- */

static void t_flags_refused(void)
{
	const uint64_t kill3 = CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL;
	const uint64_t thread = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
	int fd = -1;

	FAILS(clone3_(AUTOREAP, SIGCHLD, NULL), EINVAL);
	FAILS(clone3_(AUTOREAP, SIGUSR1, NULL), EINVAL);
	FAILS(clone3_(AUTOREAP | CLONE_PARENT, 0, NULL), EINVAL);
	FAILS(clone3_(AUTOREAP | thread, 0, NULL), EINVAL);
	FAILS(clone3_(NNP | thread, 0, NULL), EINVAL);
	FAILS(clone3_(kill3 & ~CLONE_PIDFD, 0, &fd), EINVAL);
	FAILS(clone3_(kill3 & ~AUTOREAP, 0, &fd), EINVAL);
	FAILS(clone3_(kill3 & ~AUTOREAP, SIGCHLD, &fd), EINVAL);
	FAILS(clone3_(kill3 | thread, 0, &fd), EINVAL);
	FAILS(clone3_(kill3, SIGCHLD, &fd), EINVAL);
	FAILS(clone3_(kill3, 0, (int *)8), EFAULT);
	FAILS(clone3_(1ULL << 37, SIGCHLD, NULL), EINVAL);
	FAILS(clone3_(1ULL << 63, SIGCHLD, NULL), EINVAL);
	EQUAL(fd, -1);
}

static void t_privilege(void)
{
	int fd = -1;
	pid_t pid;

	SKIP_IF(!(have & ROOT));
	pid = clone3_(CLONE_PIDFD | AUTOREAP | AUTOKILL, 0, &fd); /* with CAP_SYS_ADMIN */
	CHECK(pid >= 0);
	if (pid == 0) {
		EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
		forever();
	}
	close(fd);
	CHECK(setresuid(1000, 1000, 1000) == 0);
	FAILS(clone3_(CLONE_PIDFD | AUTOREAP | AUTOKILL, 0, &fd), EPERM);
	pid = clone3_(CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL, 0, &fd);
	CHECK(pid >= 0);
	if (pid == 0)
		forever();
	close(fd);
	pid = clone3_(AUTOREAP, 0, NULL); /* asks for no privilege */
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	/* enough to have it in one's own user namespace */
	if (unshare(CLONE_NEWUSER) == 0) {
		pid = clone3_(CLONE_PIDFD | AUTOREAP | AUTOKILL, 0, &fd);
		CHECK(pid >= 0);
		if (pid == 0)
			forever();
		close(fd);
	}
}

static void t_nnp(void)
{
	pid_t pid = clone3_(NNP, SIGCHLD, NULL);
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
			      prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1
			  ? 1
			  : 0);
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(status, 1 << 8);
	EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	/* handed on to children, as it always was */
	pid = clone3_(NNP, SIGCHLD, NULL);
	if (pid == 0) {
		pid = fork_();
		if (pid == 0)
			_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
		EQUAL(waitpid(pid, &status, 0), pid);
		_exit(WEXITSTATUS(status));
	}
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(status, 1 << 8);
}

static volatile sig_atomic_t sigchld;

static void count_sigchld(int sig)
{
	(void)sig;
	sigchld++;
}

static void expect_no_child(pid_t pid)
{
	FAILS(waitpid(pid, NULL, __WALL), ECHILD);
	EQUAL(sigchld, 0);
	for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++)
		usleep(1000);
	FAILS(kill(pid, 0), ESRCH);
}

static void t_autoreap(void)
{
	static const struct {
		int code, signal;
	} ways[] = {{7, 0}, {0, 0}, {0, SIGKILL}, {0, SIGTERM}};

	signal(SIGCHLD, count_sigchld);
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int fd;
		pid_t pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0) {
			if (ways[i].signal)
				raise(ways[i].signal);
			_exit(ways[i].code);
		}
		EQUAL(code_of(fd), ways[i].signal ? ways[i].signal : ways[i].code << 8);
		expect_no_child(pid);
		FAILS(waitid(P_PIDFD, (id_t)fd, NULL, WEXITED), ECHILD);
		close(fd);
	}
	/* fire and forget */
	for (int i = 0; i < 50; i++) {
		pid_t pid = clone3_(AUTOREAP, 0, NULL);

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(1);
		for (int j = 0; j < 5000 && kill(pid, 0) == 0; j++)
			usleep(1000);
		expect_no_child(pid);
	}
}

/* exec gives the child the exit signal SIGCHLD: it must not matter. */
static void t_autoreap_exec(void)
{
	char *argv[] = {self_path, "--exit", "6", NULL};
	int fd;
	pid_t pid;

	signal(SIGCHLD, count_sigchld);
	pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);
	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(100000);
		execv(self_path, argv);
		_exit(100);
	}
	FAILS(waitpid(pid, NULL, __WALL), ECHILD); /* blocks until it is gone */
	EQUAL(code_of(fd), 6 << 8);
	expect_no_child(pid);
}

static void t_autoreap_threads(void)
{
	for (int leader_first = 0; leader_first < 2; leader_first++) {
		int fd;
		pid_t pid;

		signal(SIGCHLD, count_sigchld);
		pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);
		CHECK(pid >= 0);
		if (pid == 0) {
			pthread_t t;

			pthread_create(&t, NULL, sleep_then_exit, NULL);
			if (leader_first)
				syscall(SYS_exit, 3);
			forever();
		}
		LIVES(fd);
		EQUAL(code_of(fd), 5 << 8);
		expect_no_child(pid);
		close(fd);
	}
}

static void t_autoreap_reparented(void)
{
	int go[2], sock[2], fd, status;
	pid_t parent;

	signal(SIGCHLD, SIG_DFL);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	CHECK(pipe(go) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	parent = fork_();
	if (parent == 0) {
		pid_t pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0) {
			close(go[1]);
			CHECK(!hear(go[0]));
			_exit(8);
		}
		send_fd(sock[0], fd);
		_exit(0);
	}
	EQUAL(waitpid(parent, &status, 0), parent);
	EQUAL(status, 0);
	fd = receive_fd(sock[1]);
	signal(SIGCHLD, count_sigchld);
	LIVES(fd);
	close(go[1]); /* let our adopted child end */
	EQUAL(code_of(fd), 8 << 8);
	FAILS(waitpid(-1, NULL, __WALL), ECHILD);
	EQUAL(sigchld, 0);
}

static void t_autoreap_not_inherited(void)
{
	int fd;
	pid_t pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);

	CHECK(pid >= 0);
	if (pid == 0) {
		int status;
		pid_t grandchild = fork_();

		if (grandchild == 0)
			_exit(4);
		if (waitpid(grandchild, &status, 0) != grandchild || status != 4 << 8)
			_exit(1);
		/* a sibling would never be reaped */
		if (clone3_(CLONE_PARENT, 0, NULL) != -1 || errno != EINVAL)
			_exit(2);
		if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) != -1 || errno != EINVAL)
			_exit(3);
		_exit(77);
	}
	EQUAL(code_of(fd), 77 << 8);
}

/* A tracer comes first; when it is done the process still reaps itself. */
static void t_autoreap_ptrace(void)
{
	enum { BY_PARENT, BY_OTHER, OTHER_DETACHES, OTHER_DIES, OTHER_DIES_LATE };

	for (int way = BY_PARENT; way <= OTHER_DIES_LATE; way++) {
		int fd, go[2], ready[2], status;
		pid_t pid, tracer = 0;

		CHECK(pipe(go) == 0 && pipe(ready) == 0);
		pid = clone3_(CLONE_PIDFD | AUTOREAP, 0, &fd);
		CHECK(pid >= 0);
		if (pid == 0) {
			close(go[1]);
			CHECK(!hear(go[0]));
			_exit(3);
		}
		if (way != BY_PARENT) {
			tracer = fork_();
			if (tracer == 0) {
				close(go[1]);
				CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
				tell(ready[1]);
				if (way == OTHER_DETACHES) {
					CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
					EQUAL(waitpid(pid, &status, __WALL), pid);
					CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
					_exit(0);
				}
				if (way != BY_OTHER)
					forever();
				EQUAL(waitpid(pid, &status, __WALL), pid);
				EQUAL(status, 3 << 8);
				_exit(0);
			}
			CHECK(hear(ready[0]));
		} else {
			CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
		}
		if (way == OTHER_DIES)
			CHECK(kill(tracer, SIGKILL) == 0);
		if (way == OTHER_DETACHES || way == OTHER_DIES)
			EQUAL(waitpid(tracer, &status, 0), tracer);
		close(go[1]);
		DIES(fd);
		if (way == OTHER_DIES_LATE) { /* a zombie that the tracer never looked at */
			EQUAL(kill(pid, 0), 0);
			CHECK(kill(tracer, SIGKILL) == 0);
		}
		if (way == BY_OTHER || way == OTHER_DIES_LATE)
			EQUAL(waitpid(tracer, &status, 0), tracer);
		if (way == BY_PARENT) {
			EQUAL(waitpid(pid, &status, __WALL), pid);
			EQUAL(status, 3 << 8);
		}
		EQUAL(code_of(fd), 3 << 8);
		expect_no_child(pid);
		close(fd);
		close(ready[0]);
		close(ready[1]);
		close(go[0]);
	}
}

/* --- CLONE_PIDFD_AUTOKILL --------------------------------------------------------------------- */

static const uint64_t bound = CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL;

/* A child that dies with its pidfd, and another pidfd to watch it by. */
static pid_t bound_sleeper(int *pidfd, int *watch)
{
	pid_t pid = clone3_(bound, 0, pidfd);

	CHECK(pid >= 0);
	if (pid == 0)
		forever();
	if (watch) {
		*watch = pidfd_open_(pid, 0);
		CHECK(*watch >= 0);
	}
	return pid;
}

static void killed(int watch)
{
	EQUAL(code_of(watch), SIGKILL);
	close(watch);
}

static void t_kill(void)
{
	int fd, watch;
	pid_t pid = bound_sleeper(&fd, &watch);

	LIVES(watch);
	EQUAL(inode(fd), inode(watch));
	EQUAL(fcntl(fd, F_GETFL), O_RDWR | O_TRUNC);
	EQUAL(fcntl(watch, F_GETFL), O_RDWR);
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	killed(watch);
	expect_no_child(pid);
}

static void t_kill_dup(void)
{
	int fd, watch, copy[3];

	bound_sleeper(&fd, &watch);
	copy[0] = dup(fd);
	copy[1] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	copy[2] = dup2(fd, 200);
	close(fd);
	for (int i = 0; i < 3; i++) {
		LIVES(watch);
		EQUAL(fcntl(copy[i], F_GETFL), O_RDWR | O_TRUNC);
		close(copy[i]);
	}
	killed(watch);
}

/* What is opened by number neither holds nor triggers. */
static void t_kill_not_by_open(void)
{
	int fd, watch, opened[20], path;
	char name[64];
	pid_t pid = bound_sleeper(&fd, &watch);

	for (int i = 0; i < 20; i++)
		opened[i] = pidfd_open_(pid, 0);
	for (int i = 0; i < 10; i++)
		close(opened[i]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	path = open(name, O_PATH | O_CLOEXEC);
	CHECK(path >= 0);
	LIVES(watch);
	close(fd);
	killed(watch);
	close(path);
}

static void t_kill_fork(void)
{
	int fd, watch, go[2], status;
	pid_t holder;

	bound_sleeper(&fd, &watch);
	CHECK(pipe(go) == 0);
	holder = fork_();
	if (holder == 0) { /* holds it by having been forked */
		close(go[1]);
		CHECK(!hear(go[0]));
		_exit(0);
	}
	close(fd);
	LIVES(watch);
	close(go[1]);
	EQUAL(waitpid(holder, &status, 0), holder);
	killed(watch);
}

static void t_kill_holder_killed(void)
{
	int watch, sock[2], fd;
	pid_t holder;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	holder = fork_();
	if (holder == 0) {
		bound_sleeper(&fd, &watch);
		send_fd(sock[0], watch);
		forever();
	}
	watch = receive_fd(sock[1]);
	LIVES(watch);
	CHECK(kill(holder, SIGKILL) == 0);
	killed(watch);
	reap(holder);
}

static void t_kill_in_flight(void)
{
	int fd, watch, sock[2];

	/* never received */
	bound_sleeper(&fd, &watch);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	send_fd(sock[0], fd);
	close(fd);
	close(sock[0]);
	LIVES(watch);
	close(sock[1]);
	killed(watch);

	/* received, after the sender let go */
	bound_sleeper(&fd, &watch);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	send_fd(sock[0], fd);
	close(fd);
	LIVES(watch);
	fd = receive_fd(sock[1]);
	close(sock[0]);
	close(sock[1]);
	LIVES(watch);
	close(fd);
	killed(watch);

	/* a socket in its own queue: only the garbage collector finds it */
	bound_sleeper(&fd, &watch);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	send_fd(sock[0], fd);
	send_fd(sock[0], sock[1]);
	close(fd);
	close(sock[0]);
	LIVES(watch);
	close(sock[1]);
	for (int i = 0; i < 50 && !readable(watch, 10); i++) { /* closing sockets triggers it */
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
		close(sock[0]);
		close(sock[1]);
	}
	killed(watch);
}

static void t_kill_getfd(void)
{
	int fd, watch, helper, got;
	pid_t holder;

	bound_sleeper(&fd, &watch);
	holder = sleeper(&helper); /* holds it, being forked */
	close(fd);
	got = pidfd_getfd_(helper, fd);
	CHECK(got >= 0);
	end(holder, helper);
	LIVES(watch);
	close(got);
	killed(watch);
}

static void *close_it(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

static void t_kill_shared_table(void)
{
	int fd, watch;
	pthread_t t;
	pid_t pid;

	bound_sleeper(&fd, &watch);
	pthread_create(&t, NULL, close_it, &fd);
	pthread_join(t, NULL);
	killed(watch);

	/* the child shares our table, and so holds itself until it closes */
	fd = -1;
	pid = clone3_(bound | CLONE_FILES, 0, &fd);
	CHECK(pid >= 0);
	if (pid == 0)
		forever();
	watch = pidfd_open_(pid, 0);
	LIVES(watch);
	close(fd);
	killed(watch);
}

/* The target itself is the last holder. */
static void t_kill_self(void)
{
	for (int way = 0; way < 3; way++) {
		int fd, watch, sock[2], ready[2];
		pid_t pid;

		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0 && pipe(ready) == 0);
		pid = clone3_(bound, 0, &fd);
		CHECK(pid >= 0);
		if (pid == 0) {
			close(sock[0]);
			fd = receive_fd(sock[1]);
			tell(ready[1]);
			CHECK(!hear(sock[1])); /* until the other side has let go */
			if (way == 0)
				close(fd);
			else if (way == 1)
				_exit(7);
			else
				syscall(SYS_exit, 8);
			_exit(9);
		}
		watch = pidfd_open_(pid, 0);
		send_fd(sock[0], fd);
		close(fd);
		CHECK(hear(ready[0]));
		LIVES(watch);
		close(sock[0]);
		close(sock[1]);
		EQUAL(code_of(watch), way == 0 ? SIGKILL : way == 1 ? 7 << 8 : 8 << 8);
		close(watch);
	}
}

static void t_kill_exec_of_holder(void)
{
	for (int keep = 0; keep < 2; keep++) {
		int fd, watch;
		pid_t holder;
		char number[16], *argv[] = {self_path, "--sleep", number, NULL};

		bound_sleeper(&fd, &watch);
		snprintf(number, sizeof(number), "%d", fd);
		holder = fork_();
		if (holder == 0) {
			if (keep)
				fcntl(fd, F_SETFD, 0);
			execv(self_path, argv);
			_exit(100);
		}
		close(fd);
		if (keep) {
			usleep(200000);
			LIVES(watch);
			kill(holder, SIGKILL);
		}
		killed(watch);
		kill(holder, SIGKILL);
		reap(holder);
	}
}

/* Whatever the target makes of itself. */
static void t_kill_changed_target(void)
{
	enum { EXEC, CREDENTIALS, SESSION, STOPPED, BLOCKED, VFORKING, DUMPABLE, WAYS };

	for (int way = 0; way < WAYS; way++) {
		int fd, watch, ready[2];
		pid_t pid;
		char *argv[] = {self_path, "--sleep", "1", NULL};

		CHECK(pipe(ready) == 0);
		pid = clone3_(have & ROOT ? bound & ~NNP : bound, 0, &fd);
		CHECK(pid >= 0);
		if (pid == 0) {
			switch (way) {
			case EXEC:
				tell(ready[1]);
				execv(self_path, argv);
				_exit(100);
			case CREDENTIALS:
				if (have & ROOT)
					CHECK(setresuid(1000, 1000, 1000) == 0);
				break;
			case SESSION:
				setsid();
				break;
			case STOPPED:
				tell(ready[1]);
				raise(SIGSTOP);
				break;
			case BLOCKED: {
				sigset_t all;

				sigfillset(&all);
				sigprocmask(SIG_SETMASK, &all, NULL);
				for (int i = 1; i < 64; i++)
					signal(i, SIG_IGN);
				break;
			}
			case VFORKING:
				tell(ready[1]);
				if (vfork() == 0) {
					prctl(PR_SET_PDEATHSIG, SIGKILL);
					for (;;)
						syscall(SYS_pause);
				}
				break;
			case DUMPABLE:
				prctl(PR_SET_DUMPABLE, 0);
				break;
			}
			tell(ready[1]);
			forever();
		}
		watch = pidfd_open_(pid, 0);
		CHECK(hear(ready[0]));
		usleep(100000);
		LIVES(watch);
		close(fd);
		killed(watch);
		close(ready[0]);
		close(ready[1]);
	}
}

static void t_kill_threads(void)
{
	for (int leader_gone = 0; leader_gone < 2; leader_gone++) {
		int fd, watch;
		pid_t pid = clone3_(bound, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0) {
			pthread_t t;

			for (int i = 0; i < 4; i++)
				pthread_create(&t, NULL, note_tid, NULL);
			if (leader_gone)
				syscall(SYS_exit, 1);
			forever();
		}
		watch = pidfd_open_(pid, 0);
		usleep(100000);
		LIVES(watch);
		close(fd);
		killed(watch);
		expect_no_child(pid);
	}
}

static void t_kill_traced(void)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		int fd, watch, status, ready[2];
		pid_t pid = bound_sleeper(&fd, &watch), tracer;

		CHECK(pipe(ready) == 0);
		tracer = fork_();
		if (tracer == 0) {
			close(fd);
			CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
			if (stopped) {
				CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
				EQUAL(waitpid(pid, &status, __WALL), pid);
			}
			tell(ready[1]);
			EQUAL(waitpid(pid, &status, __WALL), pid);
			EQUAL(status, SIGKILL);
			_exit(0);
		}
		CHECK(hear(ready[0]));
		LIVES(watch);
		close(fd);
		EQUAL(waitpid(tracer, &status, 0), tracer);
		EQUAL(status, 0);
		killed(watch);
		expect_no_child(pid);
	}
}

/* A process that ended before its last handle went: nothing happens, least of all to another. */
static void t_kill_too_late(void)
{
	int fd, watch, other, status;
	pid_t pid = clone3_(bound, 0, &fd), next;

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(7);
	watch = dup(pidfd_open_(pid, 0));
	EQUAL(code_of(fd), 7 << 8);
	expect_no_child(pid);
	if (!(have & ROOT)) {
		close(fd);
		return;
	}
	/* the very same PID again, for another process */
	next = clone3_with(CLONE_PIDFD, SIGCHLD, &other, pid);
	CHECK(next >= 0);
	if (next == 0)
		forever();
	EQUAL(next, pid);
	CHECK(inode(other) != inode(fd));
	close(fd);
	LIVES(other);
	if (watch >= 0)
		EQUAL(code_of(watch), 7 << 8);
	FAILS(clone3_with(bound, 0, &fd, pid), EEXIST); /* a failed clone kills nobody either */
	LIVES(other);
	CHECK(pidfd_signal(other, SIGTERM) == 0);
	EQUAL(waitpid(next, &status, 0), next);
	EQUAL(status, SIGTERM);
}

/* PID 1 of a namespace takes everything in it along. */
static void t_kill_namespace(void)
{
	int fd, watch, life[2], ready[2];
	pid_t pid;
	char c;

	CHECK(pipe(life) == 0 && pipe(ready) == 0);
	pid = clone3_(bound | CLONE_NEWPID | (have & ROOT ? 0 : CLONE_NEWUSER), 0, &fd);
	CHECK(pid >= 0);
	if (pid == 0) {
		for (int i = 1; i < 64; i++)
			signal(i, SIG_IGN);
		for (int i = 0; i < 5; i++)
			if (fork_() == 0) {
				setsid();
				if (fork_() == 0)
					tell(ready[1]);
				forever();
			}
		forever();
	}
	for (int i = 0; i < 5; i++)
		CHECK(hear(ready[0]));
	close(life[1]);
	watch = pidfd_open_(pid, 0);
	LIVES(watch);
	close(fd);
	killed(watch);
	EQUAL(read(life[0], &c, 1), 0); /* all who had the other end are gone */
	expect_no_child(pid);
}

/* The one who closes may be anybody: here somebody who could never signal the target. */
static void t_kill_unprivileged_holder(void)
{
	int fd, watch, status;
	pid_t holder;

	bound_sleeper(&fd, &watch);
	holder = fork_();
	if (holder == 0) {
		CHECK(setresuid(65534, 65534, 65534) == 0);
		FAILS(pidfd_signal(fd, 0), EPERM);
		usleep(200000);
		_exit(0);
	}
	close(fd);
	LIVES(watch);
	EQUAL(waitpid(holder, &status, 0), holder);
	EQUAL(status, 0);
	killed(watch);
}

static void t_kill_at_once(void)
{
	for (int i = 0; i < 500; i++) {
		int fd, watch;
		pid_t pid = clone3_(bound, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0)
			forever();
		watch = pidfd_open_(pid, 0);
		CHECK(watch >= 0);
		close(fd);
		EQUAL(code_of(watch), SIGKILL);
		close(watch);
	}
}

struct closing {
	pthread_barrier_t *barrier;
	int fd;
};

static void *close_together(void *arg)
{
	struct closing *c = arg;

	pthread_barrier_wait(c->barrier);
	close(c->fd);
	return NULL;
}

static void t_kill_close_race(void)
{
	for (int i = 0; i < 200; i++) {
		struct closing c[4];
		pthread_barrier_t barrier;
		pthread_t t[4];
		int watch;

		bound_sleeper(&c[0].fd, &watch);
		pthread_barrier_init(&barrier, NULL, 4);
		for (int j = 0; j < 4; j++) {
			c[j].barrier = &barrier;
			if (j)
				c[j].fd = dup(c[0].fd);
		}
		for (int j = 0; j < 4; j++)
			pthread_create(&t[j], NULL, close_together, &c[j]);
		for (int j = 0; j < 4; j++)
			pthread_join(t[j], NULL);
		killed(watch);
	}
}

/* The target's threads exec while the last handle goes: there is always somebody to kill. */
static void t_kill_exec_race(void)
{
	for (int i = 0; i < 150; i++) {
		char *argv[] = {self_path, "--sleep", "1", NULL};
		int fd, watch;
		pid_t pid = clone3_(bound, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0) {
			pthread_t t;

			for (int j = 0; j < 2; j++)
				pthread_create(&t, NULL, exec_from_thread, argv);
			if (i % 3 == 0)
				syscall(SYS_exit, 0);
			if (i % 3 == 1)
				execv(self_path, argv);
			forever();
		}
		watch = pidfd_open_(pid, 0);
		usleep((useconds_t)(i * 97 % 9000));
		close(fd);
		killed(watch);
	}
}

/* --- file handles ----------------------------------------------------------------------------- */

struct handle {
	unsigned bytes;
	int type;
	uint64_t number;
};

static int handle_of(int fd, struct handle *h)
{
	int mount;

	memset(h, 0, sizeof(*h));
	h->bytes = sizeof(h->number);
	return (int)syscall(SYS_name_to_handle_at, fd, "", h, &mount, AT_EMPTY_PATH);
}

static int open_handle(int root, struct handle *h, int flags)
{
	return (int)syscall(SYS_open_by_handle_at, root, h, flags);
}

static void t_handle(void)
{
	int fd, root = pidfd_open_(getpid(), 0), again, status;
	pid_t pid = sleeper(&fd);
	struct handle h, bad;
	uint64_t number = inode(fd);

	CHECK(handle_of(fd, &h) == 0);
	EQUAL(h.bytes, 8);
	EQUAL(h.type, 254);
	EQUAL(h.number, number);
	bad = h;
	bad.bytes = 4;
	{
		int mount;

		FAILS(syscall(SYS_name_to_handle_at, fd, "", &bad, &mount, AT_EMPTY_PATH), EOVERFLOW);
		EQUAL(bad.bytes, 8);
	}
	close(fd);

	fd = open_handle(FD_PIDFS_ROOT_, &h, O_CLOEXEC);
	if (fd < 0 && kernel_version < 6017 && !(have & OURS))
		fd = open_handle(root, &h, O_CLOEXEC);
	CHECK(fd >= 0);
	EQUAL(inode(fd), number);
	EQUAL(fdinfo(fd, "Pid:"), pid);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	LIVES(fd);
	CHECK(pidfd_signal(fd, 0) == 0);

	again = open_handle(root, &h, O_NONBLOCK);
	CHECK(again >= 0);
	EQUAL(inode(again), number);
	EQUAL(fcntl(again, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(again);

	bad = h;
	bad.number = 1ULL << 60;
	FAILS(open_handle(root, &bad, 0), ESTALE);
	bad = h;
	bad.type = 1;
	FAILS(open_handle(root, &bad, 0), ESTALE);
	FAILS(open_handle(root, &h, O_CREAT), EINVAL);
	FAILS(open_handle(root, &h, O_TRUNC), EINVAL);
	FAILS(open_handle(-5000, &h, 0), EBADF);

	CHECK(pidfd_signal(fd, SIGKILL) == 0);
	DIES(fd);
	again = open_handle(root, &h, 0); /* a zombie still is somebody */
	CHECK(again >= 0);
	EQUAL(waitpid(pid, &status, 0), pid);
	FAILS(open_handle(root, &h, 0), ESTALE);
	close(again);
	close(fd);
	FAILS(open_handle(root, &h, 0), ESTALE);
}

static void t_handle_unprivileged(void)
{
	int fd, mine, again, status;
	pid_t pid, child;
	struct handle h;

	SKIP_IF(!(have & ROOT));
	pid = sleeper(&fd);
	CHECK(handle_of(fd, &h) == 0);
	child = fork_();
	if (child == 0) {
		CHECK(setresuid(65534, 65534, 65534) == 0);
		mine = pidfd_open_(getpid(), 0);
		again = open_handle(mine, &h, 0);
		CHECK(again >= 0);
		EQUAL(inode(again), h.number);
		FAILS(pidfd_signal(again, SIGKILL), EPERM);
		_exit(0);
	}
	EQUAL(waitpid(child, &status, 0), child);
	EQUAL(status, 0);
	/* nobody reaches what is not in sight */
	child = clone3_(CLONE_NEWPID, SIGCHLD, NULL);
	if (child == 0) {
		mine = pidfd_open_(1, 0);
		FAILS(open_handle(mine, &h, 0), ESTALE);
		CHECK(handle_of(mine, &h) == 0);
		again = open_handle(mine, &h, 0);
		CHECK(again >= 0);
		EQUAL(inode(again), inode(mine));
		_exit(0);
	}
	EQUAL(waitpid(child, &status, 0), child);
	EQUAL(status, 0);
	end(pid, fd);
}

/* A handle neither holds a process nor triggers its end. */
static void t_handle_kill(void)
{
	int fd, watch, again;
	struct handle h;

	bound_sleeper(&fd, &watch);
	CHECK(handle_of(fd, &h) == 0);
	again = open_handle(watch, &h, 0);
	CHECK(again >= 0);
	EQUAL(fcntl(again, F_GETFL) & O_TRUNC, 0);
	close(again);
	LIVES(watch);
	again = open_handle(watch, &h, 0);
	close(fd);
	killed(watch);
	close(again);
}

/* --- stress ----------------------------------------------------------------------------------- */

static unsigned stress_seconds;

struct shared {
	_Atomic uint32_t pid[64];
	_Atomic uint64_t operations, starts, kills;
};

static void *stress_thread(void *arg)
{
	(void)arg;
	usleep(2000);
	return NULL;
}

/* What a started process does until it is killed or has had enough. */
static void __attribute__((noreturn)) stress_target(unsigned seed)
{
	char *argv[] = {self_path, "--exit", "0", NULL}, *doze[] = {self_path, "--sleep", "1", NULL};
	pthread_t t;

	switch (rand_r(&seed) % 10) {
	case 0:
		_exit((int)seed & 0x7f);
	case 1:
		usleep(rand_r(&seed) % 5000);
		_exit(0);
	case 2:
		execv(self_path, argv);
		_exit(1);
	case 3:
		execv(self_path, doze);
		_exit(1);
	case 4:
		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, stress_thread, NULL);
		syscall(SYS_exit, 0); /* the leader alone */
		_exit(0);
	case 5:
		pthread_create(&t, NULL, exec_from_thread, argv);
		usleep(rand_r(&seed) % 3000);
		_exit(0);
	case 6:
		raise(SIGSTOP);
		_exit(0);
	case 7:
		if (fork() == 0)
			_exit(0);
		_exit(0);
	case 8:
		raise(SIGSEGV);
		_exit(0);
	default:
		usleep(rand_r(&seed) % 20000);
		_exit(0);
	}
}

static void stress_worker(struct shared *shared, unsigned seed, time_t until)
{
	enum { SLOTS = 24 };
	int fd[SLOTS], sock[2], ep = epoll_create1(EPOLL_CLOEXEC);
	unsigned turns = 0;

	memset(fd, -1, sizeof(fd));
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sock) == 0);
	signal(SIGCHLD, SIG_DFL);
	while (++turns % 64 || time(NULL) < until) {
		int slot = rand_r(&seed) % SLOTS, r = rand_r(&seed) % 100, more;
		pid_t pid;
		struct info info;
		struct stat st;
		struct epoll_event event = {.events = EPOLLIN | EPOLLET};
		char path[64], text[128];

		if (fd[slot] < 0 || r < 25) {
			uint64_t flags = CLONE_PIDFD;
			int sig = SIGCHLD, new = -1;

			if ((have & KILL) && r % 4) {
				flags = r % 4 == 1 ? CLONE_PIDFD | AUTOREAP : bound;
				sig = 0;
			}
			if (r % 16 == 5 && (have & ROOT))
				flags |= CLONE_NEWPID;
			pid = clone3_(flags, sig, &new);
			if (pid == 0)
				stress_target(seed ^ turns);
			if (pid > 0) {
				if (fd[slot] >= 0)
					close(fd[slot]);
				fd[slot] = new;
				shared->starts++;
				shared->pid[rand_r(&seed) % 64] = (uint32_t)pid;
			}
		} else if (r < 45) { /* somebody else's process, or one that is gone */
			pid = (pid_t)shared->pid[rand_r(&seed) % 64];
			more = pid > 1 ? pidfd_open_(pid, 0) : -1;
			if (more >= 0) {
				close(fd[slot]);
				fd[slot] = more;
			}
		} else if (r < 60) {
			close(fd[slot]);
			fd[slot] = -1;
			shared->kills++;
		} else if (r < 68) {
			if (have & INFO)
				info_of(fd[slot], INFO_EXIT, &info);
		} else if (r < 72) {
			more = dup(fd[slot]);
			close(fd[slot]);
			fd[slot] = more;
		} else if (r < 76) {
			fstat(fd[slot], &st);
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[slot]);
			if (readlink(path, text, sizeof(text)) < 0)
				CHECK(errno == ENOENT);
			snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd[slot]);
			get_file(path);
		} else if (r < 80) {
			epoll_ctl(ep, EPOLL_CTL_ADD, fd[slot], &event);
			epoll_wait(ep, &event, 1, 0);
		} else if (r < 84) {
			char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
			struct iovec iov = {&byte, 1};
			struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
					     .msg_control = control,
					     .msg_controllen = sizeof(control)};
			struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(c), &fd[slot], sizeof(int));
			if (sendmsg(sock[0], &msg, 0) == 1 && r == 80) {
				close(fd[slot]);
				fd[slot] = -1;
			}
			if (r > 80 && recvmsg(sock[1], &msg, MSG_CMSG_CLOEXEC) == 1 &&
			    CMSG_FIRSTHDR(&msg)) {
				memcpy(&more, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
				if (fd[slot] >= 0)
					close(fd[slot]);
				fd[slot] = more;
			}
		} else if (r < 87) {
			pidfd_signal(fd[slot], rand_r(&seed) % 2 ? SIGKILL : SIGCONT);
		} else if (r < 90) { /* attach and let go */
			pid = (pid_t)shared->pid[rand_r(&seed) % 64];
			if (pid > 1 && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
				ptrace(PTRACE_INTERRUPT, pid, 0, 0);
				waitpid(pid, NULL, __WALL | WNOHANG);
				ptrace(PTRACE_DETACH, pid, 0, 0);
			}
		} else if (r < 92) {
			if (have & HANDLE) {
				struct handle h;

				if (handle_of(fd[slot], &h) == 0) {
					more = open_handle(fd[slot], &h, O_CLOEXEC);
					if (more >= 0)
						close(more);
				}
			}
		} else if (r < 93) { /* a holder that is forked, and dies in its own time */
			pid = fork_();
			if (pid == 0) {
				usleep(rand_r(&seed) % 10000);
				_exit(0);
			}
		} else if (r < 94) {
			close(sock[0]);
			close(sock[1]);
			CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sock) == 0);
		} else {
			siginfo_t si;

			waitid(P_PIDFD, (id_t)fd[slot], &si, WEXITED | WNOHANG);
		}
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		shared->operations++;
	}
}

static void t_stress(void)
{
	enum { WORKERS = 6 };
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long i0 = count_inodes(), d0 = count_dentries(), i1 = 0, d1 = 0;
	pid_t worker[WORKERS];
	time_t until = time(NULL) + stress_seconds;
	int status, bad = 0, left = 0;

	CHECK(shared != MAP_FAILED);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int w = 0; w < WORKERS; w++) {
		worker[w] = fork_();
		CHECK(worker[w] >= 0);
		if (worker[w] == 0) {
			stress_worker(shared, (unsigned)w * 7919 + (unsigned)until, until);
			_exit(0);
		}
	}
	for (int w = 0; w < WORKERS; w++) {
		EQUAL(waitpid(worker[w], &status, 0), worker[w]);
		bad += status != 0;
	}
	/* what the workers left behind (unbound, stopped ones above all) came to us */
	for (int i = 0; i < 5000; i++) {
		pid_t pid;
		char path[64];
		const char *text;

		snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
		text = get_file(path);
		for (char *at = (char *)(uintptr_t)text; at && *at;) {
			pid = (pid_t)strtol(at, &at, 10);
			if (pid > 1) {
				kill(pid, SIGKILL);
				left++;
			}
			while (*at == ' ')
				at++;
		}
		while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			break;
		usleep(10000);
	}
	FAILS(waitpid(-1, NULL, WNOHANG | __WALL), ECHILD);
	for (int i = 0; i < 100; i++) {
		i1 = count_inodes();
		d1 = count_dentries();
		if (i1 - i0 < 60 && d1 - d0 < 400)
			break;
		usleep(50000);
	}
	printf("  %" PRIu64 " operations, %" PRIu64 " starts, %" PRIu64 " closes, %d leftovers; inodes %ld to %ld, "
	       "dentries %ld to %ld\n",
	       shared->operations, shared->starts, shared->kills, left, i0, i1, d0, d1);
	EQUAL(bad, 0);
	if (have & OURS)
		CHECK(i1 - i0 < 60);
}

/* --- the list, and running it ----------------------------------------------------------------- */

static const struct test {
	const char *name;
	void (*run)(void);
	unsigned needs;
	unsigned seconds;
} tests[] = {
	{"pidfds live on the right file system", t_file_system, 0, 0},
	{"no mount, no look-up, no other way in", t_no_way_in, PIDFS, 0},
	{"attributes cannot be changed, contents neither", t_attributes_fixed, PIDFS, 0},
	{"same process, same inode, by every route", t_same_inode, PIDFS, 0},
	{"same inode by fanotify", t_same_inode_fanotify, PIDFS | ROOT, 0},
	{"inode and dentry go with the last pidfd", t_gone_after_close, PIDFS, 120},
	{"opens and closes from several CPUs meet at one inode", t_open_close_race, PIDFS, 0},
	{"numbers are unique while PIDs wrap", t_unique_numbers, PIDFS | ROOT, 1200},
	{"without pidfs all share one anonymous inode", t_anonymous, ANON, 0},
	{"without pidfs the new clone3 flags are unknown", t_flags_unknown, ANON, 0},
	{"poll and epoll", t_poll, 0, 0},
	{"poll waits for all threads, not the leader", t_poll_leader_gone, 0, 0},
	{"fdinfo", t_fdinfo, 0, 0},
	{"waitid(P_PIDFD)", t_waitid, 0, 0},
	{"pidfd_send_signal", t_signal, 0, 0},
	{"pidfd_getfd", t_getfd, 0, 0},
	{"setns", t_setns, ROOT, 0},
	{"process_madvise and process_mrelease", t_memory, 0, 0},
	{"clone, and what is refused", t_clone, 0, 0},
	{"threads have no pidfd", t_threads_have_none, 0, 0},
	{"closed by exec, unless told otherwise", t_close_on_exec, 0, 0},
	{"information: every field", t_info_fields, INFO, 0},
	{"information: how it ended", t_info_exit, INFO, 0},
	{"information: sizes and bad arguments", t_info_bounds, INFO, 0},
	{"information: as seen from namespaces", t_info_namespaces, INFO, 0},
	{"information: a thread that execs", t_info_thread_exec, INFO, 0},
	{"information: a stranger learns the exit code", t_info_stranger, INFO, 0},
	{"clone3 refuses what does not go together", t_flags_refused, KILL, 0},
	{"autokill needs privilege, or no new ones", t_privilege, KILL, 0},
	{"no new privileges from the start", t_nnp, KILL, 0},
	{"autoreap: no zombie, no signal, no wait", t_autoreap, KILL, 0},
	{"autoreap: exec", t_autoreap_exec, KILL, 0},
	{"autoreap: threads", t_autoreap_threads, KILL, 0},
	{"autoreap: a new parent", t_autoreap_reparented, KILL, 0},
	{"autoreap: not inherited", t_autoreap_not_inherited, KILL, 0},
	{"autoreap: ptrace", t_autoreap_ptrace, KILL, 0},
	{"autokill: close kills", t_kill, KILL, 0},
	{"autokill: copies hold", t_kill_dup, KILL, 0},
	{"autokill: other pidfds neither hold nor trigger", t_kill_not_by_open, KILL, 0},
	{"autokill: a forked holder", t_kill_fork, KILL, 0},
	{"autokill: a killed holder", t_kill_holder_killed, KILL, 0},
	{"autokill: descriptors in flight", t_kill_in_flight, KILL, 0},
	{"autokill: pidfd_getfd", t_kill_getfd, KILL, 0},
	{"autokill: shared descriptor tables", t_kill_shared_table, KILL, 0},
	{"autokill: a process that holds itself", t_kill_self, KILL, 0},
	{"autokill: exec of the holder", t_kill_exec_of_holder, KILL, 0},
	{"autokill: whatever the target makes of itself", t_kill_changed_target, KILL, 0},
	{"autokill: threads, and a leader that is gone", t_kill_threads, KILL, 0},
	{"autokill: ptrace", t_kill_traced, KILL, 0},
	{"autokill: too late, and the PID used again", t_kill_too_late, KILL, 0},
	{"autokill: PID 1 of a namespace", t_kill_namespace, KILL, 0},
	{"autokill: a holder without rights", t_kill_unprivileged_holder, KILL | ROOT, 0},
	{"autokill: at once", t_kill_at_once, KILL, 120},
	{"autokill: closes from several CPUs", t_kill_close_race, KILL, 120},
	{"autokill: against exec of threads", t_kill_exec_race, KILL, 120},
	{"handles: the number, re-opened", t_handle, HANDLE, 0},
	{"handles: without privilege, within sight", t_handle_unprivileged, HANDLE, 0},
	{"handles: neither hold nor trigger", t_handle_kill, HANDLE | KILL, 0},
};

static const struct test stress = {"stress", t_stress, 0, 0};

static void find_out(void)
{
	int fd = pidfd_open_(getpid(), 0), probe = -1;
	struct statfs fs;
	struct utsname name;
	struct info info;
	struct handle h;
	unsigned major = 0, minor = 0;
	pid_t pid;

	if (fd < 0 || fstatfs(fd, &fs)) {
		fprintf(stderr, "pidfs_test: this kernel has no pidfds\n");
		exit(2);
	}
	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	kernel_version = major * 1000 + minor;
	have |= fs.f_type == MAGIC_PIDFS ? PIDFS : ANON;
	have |= info_of(fd, INFO_EXIT, &info) == 0 ? INFO : 0;
	have |= geteuid() == 0 ? ROOT : 0;
	have |= (have & PIDFS) && kernel_version < 6009 ? OURS : 0;
	have |= (have & PIDFS) && handle_of(fd, &h) == 0 ? HANDLE : 0;
	pid = clone3_(CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL, 0, &probe);
	if (pid == 0)
		_exit(0);
	have |= pid > 0 ? KILL : 0;
	if (probe >= 0)
		close(probe);
	close(fd);
	printf("Linux %s: %s pidfds%s%s%s%s\n", name.release, have & PIDFS ? "pidfs" : "anonymous",
	       have & INFO ? ", information" : "", have & KILL ? ", autoreap and autokill" : "",
	       have & HANDLE ? ", file handles" : "", have & ROOT ? "" : "; not root");
}

static int run_one(const struct test *test)
{
	unsigned seconds = test->seconds ? test->seconds : 60;
	struct timespec begin, now;
	int status, fd;
	pid_t pid;

	if (test->needs & ~have) {
		printf("skip  %s\n", test->name);
		return SKIP;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		test->run();
		fflush(stdout);
		_exit(PASS);
	}
	setpgid(pid, pid);
	fd = pidfd_open_(pid, 0);
	if (!readable(fd, (int)(seconds + stress_seconds) * 1000)) {
		printf("  no end after %u s\n", seconds + stress_seconds);
		pidfd_signal(fd, SIGKILL);
	}
	close(fd);
	waitpid(pid, &status, 0);
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (WIFSIGNALED(status))
		printf("  ended by signal %d\n", WTERMSIG(status));
	status = WIFEXITED(status) ? WEXITSTATUS(status) : FAIL;
	printf("%s  %s (%ld ms)\n", status == PASS ? "ok  " : status == SKIP ? "skip" : "FAIL",
	       test->name,
	       (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000);
	return status == PASS || status == SKIP ? status : FAIL;
}

static void usage(void)
{
	puts("usage: pidfs_test [--expect patched|off] [--count N] [--stress SECONDS] [WORD]\n"
	     "\n"
	     "Tests the pidfds of the running kernel: whatever it has, and with --expect what the\n"
	     "bundled patch series brings (patched) or must leave alone (off). --count is the number\n"
	     "of processes for the test of unique numbers (200000). --stress runs only the stress.\n"
	     "WORD runs only the tests whose name contains it.");
}

int main(int argc, char **argv)
{
	const char *only = NULL, *expect = NULL;
	int count[3] = {0};

	struct rlimit no_core = {0, 0};

	setvbuf(stdout, NULL, _IOFBF, 65536);
	setrlimit(RLIMIT_CORE, &no_core);
	if (argc == 3 && !strcmp(argv[1], "--exit"))
		_exit(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "--sleep")) {
		sleep(30);
		_exit(0);
	}
	if (argc == 3 && !strcmp(argv[1], "--is-open"))
		_exit(fcntl(atoi(argv[2]), F_GETFD) >= 0);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			usage();
			return 0;
		} else if (!strcmp(argv[i], "--expect") && i + 1 < argc) {
			expect = argv[++i];
		} else if (!strcmp(argv[i], "--count") && i + 1 < argc) {
			count_processes = (unsigned)atoi(argv[++i]);
		} else if (!strcmp(argv[i], "--stress") && i + 1 < argc) {
			stress_seconds = (unsigned)atoi(argv[++i]);
		} else if (argv[i][0] == '-' || only) {
			usage();
			return 2;
		} else {
			only = argv[i];
		}
	}
	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0) {
		perror("pidfs_test: /proc/self/exe");
		return 2;
	}
	find_out();
	if (expect) {
		unsigned all = PIDFS | INFO | KILL | HANDLE, want = strcmp(expect, "patched") ? 0 : all;

		if ((have & all) != want || (!want && strcmp(expect, "off"))) {
			printf("FAIL  this is not what was expected (--expect %s)\n", expect);
			puts("0 passed, 1 failed, 0 skipped");
			return 1;
		}
	}
	if (stress_seconds) {
		count[run_one(&stress)]++;
	} else {
		for (unsigned i = 0; i < sizeof(tests) / sizeof(*tests); i++)
			if (!only || strstr(tests[i].name, only))
				count[run_one(&tests[i])]++;
	}
	printf("%d passed, %d failed, %d skipped\n", count[PASS], count[FAIL], count[SKIP]);
	return count[FAIL] || !count[PASS];
}
