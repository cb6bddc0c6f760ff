/* SPDX-License-Identifier: Apache-2.0 */
/* File handles of pidfds. */
#include "pidfds.h"

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

const struct test handles_tests[] = {
	{"handles: the number, re-opened", t_handle, HANDLE, 0},
	{"handles: without privilege, within sight", t_handle_unprivileged, HANDLE, 0},
	{"handles: neither hold nor trigger", t_handle_kill, HANDLE | KILL, 0},
	{0},
};
