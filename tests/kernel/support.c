/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests have in common. */
#include "pidfds.h"

unsigned have;
unsigned kernel_version;
unsigned count_processes = 200000;
unsigned patience = 1;
char self_path[PATH_MAX];

void fail(const char *file, int line, int error, const char *format, ...)
{
	va_list ap;

	printf("  %s:%d: ", file, line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(" (errno: %s)\n", strerror(error));
	fflush(stdout);
	_exit(FAIL);
}

int pidfd_open_(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

int pidfd_signal(int fd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

int pidfd_getfd_(int fd, int target)
{
	return (int)syscall(SYS_pidfd_getfd, fd, target, 0);
}

pid_t clone3_with(uint64_t flags, int exit_signal, int *pidfd, pid_t want)
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

pid_t clone3_(uint64_t flags, int exit_signal, int *pidfd)
{
	return clone3_with(flags, exit_signal, pidfd, 0);
}

pid_t fork_(void)
{
	fflush(stdout);
	return fork();
}

void __attribute__((noreturn)) forever(void)
{
	for (;;)
		pause();
}

/* A child that waits for its end, and a pidfd of it. */
pid_t sleeper(int *pidfd)
{
	pid_t pid = clone3_(CLONE_PIDFD, SIGCHLD, pidfd);

	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		forever();
	}
	return pid;
}

uint64_t inode(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_ino;
}

bool readable(int fd, int milliseconds)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r = poll(&p, 1, milliseconds);

	CHECK(r >= 0);
	return r == 1 && (p.revents & POLLIN);
}

void reap(pid_t pid)
{
	EQUAL(waitpid(pid, NULL, 0), pid);
}

void end(pid_t pid, int pidfd)
{
	CHECK(pidfd_signal(pidfd, SIGKILL) == 0);
	reap(pid);
	close(pidfd);
}

int info_of(int pidfd, uint64_t want, struct info *info)
{
	memset(info, 0, sizeof(*info));
	info->mask = want;
	return ioctl(pidfd, GET_INFO, info);
}

/* How the process ended; waits until that is known (on mainline: until it is reaped). */
int code_of(int pidfd)
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

void send_fd(int sock, int fd)
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

int receive_fd(int sock)
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

void tell(int fd)
{
	EQUAL(write(fd, "x", 1), 1);
}

/* Reads one byte; false at the end of the stream. */
bool hear(int fd)
{
	char c;
	ssize_t n = read(fd, &c, 1);

	CHECK(n >= 0);
	return n == 1;
}

int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -1;
	r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return r;
}

const char *get_file(const char *path)
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

long fdinfo(int fd, const char *key)
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

int nothing(void *arg)
{
	(void)arg;
	return 0;
}

void *sleep_then_exit(void *arg)
{
	usleep(300000);
	(void)arg;
	syscall(SYS_exit_group, 5);
	return NULL;
}

const char *unified_mount(void)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (int i = 0; i < 2; i++)
		if (statfs(mounts[i], &fs) == 0 && fs.f_type == MAGIC_CGROUP2)
			return mounts[i];
	return NULL;
}

uint64_t own_cgroup(void)
{
	const char *text = get_file("/proc/self/cgroup"), *at = text ? strstr(text, "0::/") : NULL;
	char path[PATH_MAX];
	struct stat st;

	if (!at || !unified_mount())
		return 0;
	snprintf(path, sizeof(path), "%s%.*s", unified_mount(), (int)strcspn(at + 3, "\n"), at + 3);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

void *exec_from_thread(void *arg)
{
	execv(self_path, arg);
	_exit(101);
}

volatile pid_t thread_tid;

void *note_tid(void *arg)
{
	thread_tid = (pid_t)syscall(SYS_gettid);
	(void)arg;
	forever();
}

volatile sig_atomic_t sigchld;

static void count(int sig)
{
	(void)sig;
	sigchld++;
}

void count_sigchld(void)
{
	signal(SIGCHLD, count);
}

void expect_no_child(pid_t pid)
{
	FAILS(waitpid(pid, NULL, __WALL), ECHILD);
	EQUAL(sigchld, 0);
	for (unsigned i = 0; i < 5000 * patience && kill(pid, 0) == 0; i++)
		usleep(1000);
	FAILS(kill(pid, 0), ESRCH);
}

int handle_of(int fd, struct handle *h)
{
	int mount;

	memset(h, 0, sizeof(*h));
	h->bytes = sizeof(h->number);
	return (int)syscall(SYS_name_to_handle_at, fd, "", h, &mount, AT_EMPTY_PATH);
}

int open_handle(int root, struct handle *h, int flags)
{
	return (int)syscall(SYS_open_by_handle_at, root, h, flags);
}

/* A child that dies with its pidfd, and another pidfd to watch it by. */
pid_t bound_sleeper(int *pidfd, int *watch)
{
	pid_t pid = clone3_(BOUND, 0, pidfd);

	CHECK(pid >= 0);
	if (pid == 0)
		forever();
	if (watch) {
		*watch = pidfd_open_(pid, 0);
		CHECK(*watch >= 0);
	}
	return pid;
}

void killed(int watch)
{
	EQUAL(code_of(watch), SIGKILL);
	close(watch);
}

long count_inodes(void)
{
	const char *text = get_file("/proc/sys/fs/inode-nr");

	CHECK(text);
	return strtol(text, NULL, 10);
}

long count_dentries(void)
{
	const char *text = get_file("/proc/sys/fs/dentry-state");

	CHECK(text);
	return strtol(text, NULL, 10);
}
