/* SPDX-License-Identifier: Apache-2.0 */
/* CLONE_PIDFD_AUTOKILL: the process that is to die, whatever it is doing. */
#include "pidfds.h"

/* Whatever the target makes of itself. */
static void t_kill_changed_target(void)
{
	enum { EXEC, CREDENTIALS, SESSION, STOPPED, BLOCKED, VFORKING, DUMPABLE, WAYS };

	for (int way = 0; way < WAYS; way++) {
		int fd, watch, ready[2];
		pid_t pid;
		char *argv[] = {self_path, "--sleep", "1", NULL};

		CHECK(pipe(ready) == 0);
		pid = clone3_(have & ROOT ? BOUND & ~NNP : BOUND, 0, &fd);
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

/* Rights that exec gives do not take it out of reach; with no_new_privs it gives none. */
static void t_kill_set_user_id(void)
{
	char copy[] = "/tmp/pidfs-test-XXXXXX", byte[65536];
	char *argv[] = {copy, "--sleep", "1", NULL};
	int from = open(self_path, O_RDONLY | O_CLOEXEC), to = mkstemp(copy);
	struct statfs fs;
	ssize_t n;

	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, byte, sizeof(byte))) > 0)
		EQUAL(write(to, byte, (size_t)n), n);
	CHECK(fstatfs(to, &fs) == 0 && fchmod(to, 04755) == 0);
	close(from);
	close(to);
	for (int nnp = 0; nnp < 2; nnp++) {
		struct info info;
		int fd, watch;
		pid_t pid = clone3_(nnp ? BOUND : BOUND & ~NNP, 0, &fd);

		CHECK(pid >= 0);
		if (pid == 0) {
			CHECK(setresuid(1000, 1000, 1000) == 0);
			execv(copy, argv);
			_exit(100);
		}
		watch = pidfd_open_(pid, 0);
		for (int i = 0; i < 5000; i++) { /* until it is what it executed */
			char path[64], name[PATH_MAX] = {0};

			snprintf(path, sizeof(path), "/proc/%d/exe", pid);
			if (readlink(path, name, sizeof(name) - 1) > 0 && !strcmp(name, copy))
				break;
			usleep(1000);
		}
		LIVES(watch);
		CHECK(info_of(watch, INFO_CREDS, &info) == 0);
		EQUAL(info.ruid, 1000);
		EQUAL(info.euid, nnp || (fs.f_flags & ST_NOSUID) ? 1000 : 0);
		close(fd);
		killed(watch);
	}
	unlink(copy);
}

static void t_kill_threads(void)
{
	for (int leader_gone = 0; leader_gone < 2; leader_gone++) {
		int fd, watch;
		pid_t pid = clone3_(BOUND, 0, &fd);

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

/* A zombie, which there only is while somebody traces it: the code it ended with stays. */
static void t_kill_zombie(void)
{
	int fd, watch, status, ready[2], go[2];
	pid_t pid, tracer;

	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	pid = clone3_(BOUND, 0, &fd);
	CHECK(pid >= 0);
	if (pid == 0) {
		close(go[1]);
		CHECK(!hear(go[0]));
		_exit(11);
	}
	watch = pidfd_open_(pid, 0);
	tracer = fork_();
	if (tracer == 0) {
		close(fd);
		close(go[1]);
		CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
		tell(ready[1]);
		forever();
	}
	CHECK(hear(ready[0]));
	close(go[1]);
	DIES(watch);
	EQUAL(kill(pid, 0), 0);
	close(fd);
	EQUAL(code_of(watch), 11 << 8);
	EQUAL(kill(pid, 0), 0);
	CHECK(kill(tracer, SIGKILL) == 0);
	EQUAL(waitpid(tracer, &status, 0), tracer);
	expect_no_child(pid);
	EQUAL(code_of(watch), 11 << 8);
}

/* A process that ended before its last handle went: nothing happens, least of all to another. */
static void t_kill_too_late(void)
{
	int fd, watch, other, status;
	pid_t pid = clone3_(BOUND, 0, &fd), next;

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
	FAILS(clone3_with(BOUND, 0, &fd, pid), EEXIST); /* a failed clone kills nobody either */
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
	pid = clone3_(BOUND | CLONE_NEWPID | (have & ROOT ? 0 : CLONE_NEWUSER), 0, &fd);
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
		pid_t pid = clone3_(BOUND, 0, &fd);

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
		pid_t pid = clone3_(BOUND, 0, &fd);

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

const struct test targets_tests[] = {
	{"autokill: whatever the target makes of itself", t_kill_changed_target, KILL, 0},
	{"autokill: set-user-ID programs", t_kill_set_user_id, KILL | INFO | ROOT, 0},
	{"autokill: threads, and a leader that is gone", t_kill_threads, KILL, 0},
	{"autokill: ptrace", t_kill_traced, KILL, 0},
	{"autokill: a zombie", t_kill_zombie, KILL, 0},
	{"autokill: too late, and the PID used again", t_kill_too_late, KILL, 0},
	{"autokill: PID 1 of a namespace", t_kill_namespace, KILL, 0},
	{"autokill: a holder without rights", t_kill_unprivileged_holder, KILL | ROOT, 0},
	{"autokill: at once", t_kill_at_once, KILL, 120},
	{"autokill: closes from several CPUs", t_kill_close_race, KILL, 120},
	{"autokill: against exec of threads", t_kill_exec_race, KILL, 120},
	{0},
};
