/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one inode, one number that never comes back. */
#include "pidfds.h"

/* Same process, same inode, by every route; another process, another inode. */
static void t_same_inode(void)
{
	int fd, other, again, sock[2], got, up[2], ns, status;
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = sleeper(&fd), pid2 = sleeper(&other), helper, cloned;
	struct stat a, b;
	uint64_t number = inode(fd);

	CHECK(inode(other) != number);
	CHECK(fstat(fd, &a) == 0 && fstat(other, &b) == 0);
	EQUAL(a.st_dev, b.st_dev);

	again = pidfd_open_(pid, 0);
	EQUAL(inode(again), number);
	EQUAL(inode(pidfd_open_(pid, O_NONBLOCK)), number);

	/* clone() as well as clone3() */
	cloned = clone(nothing, stack + sizeof(stack), CLONE_PIDFD | SIGCHLD, NULL, &got);
	CHECK(cloned > 0);
	ns = pidfd_open_(cloned, 0);
	EQUAL(inode(ns), inode(got));
	CHECK(inode(got) != number && inode(got) != inode(other));
	reap(cloned);
	EQUAL(inode(ns), inode(got));
	close(ns);
	close(got);

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

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* PIDs come back, inode numbers do not. */
static void t_unique_numbers(void)
{
	enum { WORKERS = 2 };
	/* What is shared need not be copied: there are many. */
	const int shared = CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			   CLONE_IO | CLONE_SYSVSEM | CLONE_PIDFD | SIGCHLD;
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
				pid_t pid = clone(nothing, stack + 65536, shared, NULL, &fd);

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

const struct test inodes_tests[] = {
	{"same process, same inode, by every route", t_same_inode, PIDFS, 0},
	{"inode and dentry go with the last pidfd", t_gone_after_close, PIDFS, 600},
	{"opens and closes from several CPUs meet at one inode", t_open_close_race, PIDFS, 0},
	{"numbers are unique while PIDs wrap", t_unique_numbers, PIDFS | ROOT, 1200},
	{0},
};
