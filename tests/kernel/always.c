/* SPDX-License-Identifier: Apache-2.0 */
/* What pidfds could always do, and must go on doing. */
#include "pidfds.h"

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

static void t_threads_have_none(void)
{
	pthread_t t;

	pthread_create(&t, NULL, note_tid, NULL);
	while (!thread_tid)
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

const struct test always_tests[] = {
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
	{0},
};
