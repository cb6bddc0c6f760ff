/* SPDX-License-Identifier: Apache-2.0 */
/* PIDFD_GET_INFO. */
#include "pidfds.h"

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

/* The cgroup that it died in, also when that is gone as well. */
static void t_info_cgroup(void)
{
	char path[PATH_MAX];
	int fd, dir;
	struct clone3_args args = {.flags = CLONE_PIDFD | INTO_CGROUP,
				   .pidfd = (uint64_t)(uintptr_t)&fd,
				   .exit_signal = SIGCHLD};
	struct info info;
	struct stat st;
	pid_t pid;

	SKIP_IF(!unified_mount());
	snprintf(path, sizeof(path), "%s/pidfs-test-%d", unified_mount(), getpid());
	CHECK(mkdir(path, 0755) == 0);
	dir = open(path, O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0 && fstat(dir, &st) == 0);
	args.cgroup = (uint64_t)dir;
	fflush(stdout);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		forever();
	if (pid < 0)
		rmdir(path);
	CHECK(pid > 0);
	CHECK(info_of(fd, INFO_CGROUPID, &info) == 0);
	EQUAL(info.cgroupid, st.st_ino);
	end(pid, dup(fd));
	EQUAL(code_of(fd), SIGKILL);
	close(dir);
	CHECK(rmdir(path) == 0);
	CHECK(info_of(fd, INFO_EXIT, &info) == 0);
	CHECK(info.mask & INFO_CGROUPID);
	EQUAL(info.cgroupid, st.st_ino);
}

const struct test info_tests[] = {
	{"information: every field", t_info_fields, INFO, 0},
	{"information: how it ended", t_info_exit, INFO, 0},
	{"information: sizes and bad arguments", t_info_bounds, INFO, 0},
	{"information: as seen from namespaces", t_info_namespaces, INFO, 0},
	{"information: a thread that execs", t_info_thread_exec, INFO, 0},
	{"information: the cgroup it died in", t_info_cgroup, INFO | ROOT, 0},
	{"information: a stranger learns the exit code", t_info_stranger, INFO, 0},
	{0},
};
