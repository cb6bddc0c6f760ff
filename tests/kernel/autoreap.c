/* SPDX-License-Identifier: Apache-2.0 */
/* CLONE_AUTOREAP and CLONE_NNP. */
#include "pidfds.h"

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

static void t_autoreap(void)
{
	static const struct {
		int code, signal;
	} ways[] = {{7, 0}, {0, 0}, {0, SIGKILL}, {0, SIGTERM}};

	count_sigchld();
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

	count_sigchld();
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

		count_sigchld();
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
	count_sigchld();
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

const struct test autoreap_tests[] = {
	{"clone3 refuses what does not go together", t_flags_refused, KILL, 0},
	{"autokill needs privilege, or no new ones", t_privilege, KILL, 0},
	{"no new privileges from the start", t_nnp, KILL, 0},
	{"autoreap: no zombie, no signal, no wait", t_autoreap, KILL, 0},
	{"autoreap: exec", t_autoreap_exec, KILL, 0},
	{"autoreap: threads", t_autoreap_threads, KILL, 0},
	{"autoreap: a new parent", t_autoreap_reparented, KILL, 0},
	{"autoreap: not inherited", t_autoreap_not_inherited, KILL, 0},
	{"autoreap: ptrace", t_autoreap_ptrace, KILL, 0},
	{0},
};
