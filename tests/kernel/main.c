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
#include <getopt.h>

#include "pidfds.h"

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
	unsigned seconds = (test->seconds ? test->seconds : 60) * patience + stress_seconds;
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
	if (!readable(fd, (int)seconds * 1000)) {
		printf("  no end after %u s\n", seconds);
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

static void usage(FILE *to)
{
	fputs("usage: pidfs_test [--expect patched|off] [--count N] [--stress SECONDS]\n"
	      "                  [--patience TIMES] [WORD]\n"
	      "\n"
	      "Tests the pidfds of the running kernel: whatever it has, and with --expect what the\n"
	      "bundled patch series brings (patched) or must leave alone (off). --count is the number\n"
	      "of processes for the test of unique numbers (200000). --stress runs only the stress.\n"
	      "--patience is for slow machines: how many times as long as usual anything may take.\n"
	      "WORD runs only the tests whose name contains it.\n",
	      to);
}

/* What this program is when a test executes it. */
static void play_a_part(char **argv)
{
	if (!strcmp(argv[1], "--exit"))
		_exit(atoi(argv[2]));
	if (!strcmp(argv[1], "--sleep")) {
		sleep(30);
		_exit(0);
	}
	if (!strcmp(argv[1], "--is-open"))
		_exit(fcntl(atoi(argv[2]), F_GETFD) >= 0);
}

static bool as_expected(const char *expect)
{
	unsigned all = PIDFS | INFO | KILL | HANDLE;

	if (!strcmp(expect, "patched"))
		return (have & all) == all;
	if (!strcmp(expect, "off"))
		return (have & all) == 0;
	usage(stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"help", no_argument, NULL, 'h'},
	    {"expect", required_argument, NULL, 'e'},
	    {"count", required_argument, NULL, 'c'},
	    {"stress", required_argument, NULL, 's'},
	    {"patience", required_argument, NULL, 'p'},
	    {0},
	};
	static const struct test *const all[] = {filesystem_tests, inodes_tests,  always_tests,
						 info_tests,	   autoreap_tests, holders_tests,
						 targets_tests,	   handles_tests};
	const char *only = "", *expect = NULL;
	struct rlimit no_core = {0, 0};
	int count[3] = {0}, option;

	setvbuf(stdout, NULL, _IOFBF, 65536);
	setrlimit(RLIMIT_CORE, &no_core);
	if (argc == 3)
		play_a_part(argv);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			usage(stdout);
			return 0;
		case 'e':
			expect = optarg;
			break;
		case 'c':
			count_processes = (unsigned)atoi(optarg);
			break;
		case 's':
			stress_seconds = (unsigned)atoi(optarg);
			break;
		case 'p':
			patience = (unsigned)atoi(optarg);
			break;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc)
		only = argv[optind];
	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0) {
		perror("pidfs_test: /proc/self/exe");
		return 2;
	}
	find_out();
	if (expect && !as_expected(expect)) {
		printf("FAIL  this is not what was expected (--expect %s)\n", expect);
		return 1;
	}
	if (stress_seconds) {
		count[run_one(&stress)]++;
	} else {
		for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			for (const struct test *test = all[i]; test->name; test++)
				if (strstr(test->name, only))
					count[run_one(test)]++;
	}
	printf("%d passed, %d failed, %d skipped\n", count[PASS], count[FAIL], count[SKIP]);
	return count[FAIL] || !count[PASS];
}
