/* SPDX-License-Identifier: Apache-2.0 */
/* CLONE_PIDFD_AUTOKILL: who holds a process, and who does not. */
#include <linux/io_uring.h>

#include "pidfds.h"

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

/* To be watched is not to be held, and what was asked for at the start stays. */
static void t_kill_watched(void)
{
	int fd, watch, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};

	bound_sleeper(&fd, &watch);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	EQUAL(fcntl(fd, F_GETFL), O_RDWR | O_TRUNC);
	CHECK(fcntl(watch, F_SETFL, O_TRUNC) == 0);
	EQUAL(fcntl(watch, F_GETFL), O_RDWR);
	LIVES(watch);
	close(fd);
	killed(watch);
	EQUAL(epoll_wait(ep, &event, 1, 0), 0);
}

/* A ring that the file is registered with holds it until it goes itself. */
static void t_kill_io_uring(void)
{
	struct io_uring_params params = {0};
	int fd, watch, ring;

	/* before the ring, which a child would hold as well */
	bound_sleeper(&fd, &watch);
	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	SKIP_IF(ring < 0 && (errno == ENOSYS || errno == EPERM));
	CHECK(ring >= 0);
	CHECK(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) == 0);
	close(fd);
	LIVES(watch);
	close(ring);
	killed(watch);
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
	pid = clone3_(BOUND | CLONE_FILES, 0, &fd);
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
		pid = clone3_(BOUND, 0, &fd);
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

const struct test holders_tests[] = {
	{"autokill: close kills", t_kill, KILL, 0},
	{"autokill: copies hold", t_kill_dup, KILL, 0},
	{"autokill: other pidfds neither hold nor trigger", t_kill_not_by_open, KILL, 0},
	{"autokill: watchers do not hold", t_kill_watched, KILL, 0},
	{"autokill: registered with io_uring", t_kill_io_uring, KILL, 0},
	{"autokill: a forked holder", t_kill_fork, KILL, 0},
	{"autokill: a killed holder", t_kill_holder_killed, KILL, 0},
	{"autokill: descriptors in flight", t_kill_in_flight, KILL, 0},
	{"autokill: pidfd_getfd", t_kill_getfd, KILL, 0},
	{"autokill: shared descriptor tables", t_kill_shared_table, KILL, 0},
	{"autokill: a process that holds itself", t_kill_self, KILL, 0},
	{"autokill: exec of the holder", t_kill_exec_of_holder, KILL, 0},
	{0},
};
