/* SPDX-License-Identifier: Apache-2.0 */
/* What a pidfd is on: its file system, and what that does not offer. */
#include "pidfds.h"

static void t_file_system(void)
{
	int fd = pidfd_open_(getpid(), 0), status;
	char path[64], name[64] = {0};
	struct statfs fs;
	struct statx stx;
	struct stat st;
	pid_t pid;

	CHECK(fd >= 0);
	CHECK(fstatfs(fd, &fs) == 0);
	EQUAL(fs.f_type, have & PIDFS ? MAGIC_PIDFS : MAGIC_ANON);
	CHECK(fstat(fd, &st) == 0);
	EQUAL(st.st_mode & S_IFMT, 0);
	EQUAL(st.st_nlink, 1);
	EQUAL(st.st_size, 0);
	if (have & PIDFS) {
		EQUAL(st.st_mode & 07777, 0700);
		CHECK(st.st_ino > 1);
	}
	CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0);
	CHECK((stx.stx_mask & (STATX_INO | STATX_NLINK)) == (STATX_INO | STATX_NLINK));
	EQUAL(stx.stx_ino, st.st_ino);
	EQUAL(stx.stx_mode, st.st_mode);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, name, sizeof(name) - 1) > 0);
	CHECK(strcmp(name, "anon_inode:[pidfd]") == 0);
	EQUAL(fcntl(fd, F_GETFL), O_RDWR);
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = pidfd_open_(getpid(), O_NONBLOCK);
	EQUAL(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);

	/* the name stays when the process goes, and others see it as well */
	pid = sleeper(&fd);
	CHECK(pidfd_signal(fd, SIGKILL) == 0);
	reap(pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	pid = fork_();
	if (pid == 0) {
		memset(name, 0, sizeof(name));
		CHECK(readlink(path, name, sizeof(name) - 1) > 0);
		CHECK(strcmp(name, "anon_inode:[pidfd]") == 0);
		_exit(0);
	}
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(status, 0);
}

static void t_no_way_in(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char path[64];
	const char *text;

	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
	FAILS(openat(fd, ".", O_RDONLY), ENOTDIR);
	FAILS(openat(fd, "..", O_PATH), ENOTDIR);
	FAILS(fchdir(fd), ENOTDIR);
	text = get_file("/proc/filesystems");
	CHECK(text && !strstr(text, "pidfs"));
	if (have & OURS)
		FAILS(open(path, O_RDWR), ENXIO);
	if (!(have & ROOT))
		return;
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("x", "/tmp", "tmpfs", 0, NULL) == 0);
	CHECK(mkdir("/tmp/dir", 0755) == 0);
	close(open("/tmp/file", O_CREAT | O_RDWR, 0644));
	FAILS(mount("pidfs", "/tmp/dir", "pidfs", 0, NULL), ENODEV);
	FAILS(syscall(SYS_fsopen, "pidfs", 0), ENODEV);
	if (!(have & OURS)) /* later mainline lets one name a process by a bind mount */
		return;
	FAILS(mount(path, "/tmp/file", NULL, MS_BIND, NULL), EINVAL);
	FAILS(syscall(SYS_open_tree, fd, "", 1 /* OPEN_TREE_CLONE */ | AT_EMPTY_PATH), EINVAL);
	FAILS(linkat(fd, "", AT_FDCWD, "/tmp/link", AT_EMPTY_PATH), EXDEV);
}

static void t_attributes_fixed(void)
{
	int fd = pidfd_open_(getpid(), 0);
	char path[64], byte = 0;
	char *argv[] = {"x", NULL};

	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(fchmod(fd, 0777), EOPNOTSUPP);
	FAILS(fchown(fd, 1, 1), EOPNOTSUPP);
	FAILS(futimens(fd, NULL), EOPNOTSUPP);
	FAILS(read(fd, &byte, 1), EINVAL);
	FAILS(write(fd, &byte, 1), EINVAL);
	CHECK(lseek(fd, 0, SEEK_SET) == -1);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(ftruncate(fd, 0) == -1);
	CHECK(execve(path, argv, argv) == -1);
	CHECK(syscall(SYS_execveat, fd, "", argv, argv, AT_EMPTY_PATH) == -1);
	EQUAL(inode(fd), inode(pidfd_open_(getpid(), 0)));
}

static void t_fanotify(void)
{
	int fan, fd;
	char path[] = "/tmp/pidfs-test-XXXXXX", buffer[4096];
	struct fanotify_event_metadata *event = (void *)buffer;
	struct {
		uint8_t type, pad;
		uint16_t len;
		int32_t pidfd;
	} *record;
	int me = pidfd_open_(getpid(), 0);

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_PIDFD | FAN_CLOEXEC, O_RDONLY);
	SKIP_IF(fan < 0);
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, path) == 0);
	EQUAL(write(fd, "x", 1), 1);
	CHECK(read(fan, buffer, sizeof(buffer)) > 0);
	unlink(path);
	record = (void *)(buffer + event->metadata_len);
	EQUAL(record->type, FAN_EVENT_INFO_TYPE_PIDFD);
	CHECK(record->pidfd >= 0);
	EQUAL(inode(record->pidfd), inode(me)); /* its own, or the one of all */
	EQUAL(fdinfo(record->pidfd, "Pid:"), getpid());
	CHECK(pidfd_signal(record->pidfd, 0) == 0);
}

static void t_anonymous(void)
{
	int a, b;
	pid_t pa = sleeper(&a), pb = sleeper(&b);
	struct statfs fs;
	struct info info;
	struct handle h;

	EQUAL(inode(a), inode(b));
	CHECK(fstatfs(a, &fs) == 0);
	EQUAL(fs.f_type, MAGIC_ANON);
	FAILS(info_of(a, INFO_PID, &info), ENOTTY);
	FAILS(handle_of(a, &h), EOPNOTSUPP);
	h.bytes = sizeof(h.number);
	h.type = 254;
	h.number = (uint64_t)pa;
	FAILS(open_handle(FD_PIDFS_ROOT_, &h, 0), EBADF);
	end(pa, a);
	end(pb, b);
}

static void t_flags_unknown(void)
{
	int fd = -1;

	FAILS(clone3_(AUTOREAP, 0, NULL), EINVAL);
	FAILS(clone3_(NNP, SIGCHLD, NULL), EINVAL);
	FAILS(clone3_(CLONE_PIDFD | AUTOREAP | NNP | AUTOKILL, 0, &fd), EINVAL);
	FAILS(clone3_(1ULL << 37, SIGCHLD, NULL), EINVAL);
}

const struct test filesystem_tests[] = {
	{"pidfds live on the right file system", t_file_system, 0, 0},
	{"no mount, no look-up, no other way in", t_no_way_in, PIDFS, 0},
	{"attributes cannot be changed, contents neither", t_attributes_fixed, PIDFS, 0},
	{"fanotify's pidfds, on the same inode", t_fanotify, ROOT, 0},
	{"without pidfs all share one anonymous inode", t_anonymous, ANON, 0},
	{"without pidfs the new clone3 flags are unknown", t_flags_unknown, ANON, 0},
	{0},
};
