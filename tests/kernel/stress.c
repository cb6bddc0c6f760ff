/* SPDX-License-Identifier: Apache-2.0 */
/* Everything at once, from several CPUs, for as long as one likes. */
#include "pidfds.h"

unsigned stress_seconds;

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
				flags = r % 4 == 1 ? CLONE_PIDFD | AUTOREAP : BOUND;
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

void t_stress(void)
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
