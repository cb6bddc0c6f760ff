// pidward-init: the parent of pidward, where nobody better is; PID 1 of a container, or any
// process.
//
// It starts pidward, starts it again when it dies, keeps the descriptors that pidward hands it (the
// FDSTORE= protocol of sd_notify(3)) and hands them back, passes on what a container runtime's
// signals mean, and reaps whatever lands on it. It has no configuration and no bus, allocates
// nothing, and needs neither /proc nor a directory it can write to: its notify socket is abstract.
//
// All state is in the variables below; all work is in the loop at the end of the file.
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr const char* kUsage =
    "pidward-init [PROGRAM] [ARGUMENT...]\n"
    "Starts pidward with these arguments, keeps it running and keeps its descriptors; for use as\n"
    "PID 1 of a container. PROGRAM, if it begins with a slash, is started instead "
    "of\n" PIDWARD_PROGRAM
    ". SIGTERM, SIGINT, SIGPWR and SIGRTMIN+3 to +6 stop everything, SIGHUP reloads.\n"
    "See pidward-init(8).\n";

// --- limits: what is beyond them is refused with a message, never half done
constexpr int kMostStored = 16384;
constexpr size_t kLongestName = 63;
constexpr size_t kLongestNames = 120 * 1024;  // one string of the environment may have 128 KiB
constexpr size_t kMostEnvironment = 1024;
constexpr size_t kMostArguments = 256;
constexpr int kMostAtOnce = 253;  // descriptors in one message, the kernel's limit

// --- times, in milliseconds
constexpr int64_t kFirstDelay = 100;
constexpr int64_t kLongestDelay = 30'000;
constexpr int64_t kGoodRun = 60'000;  // a run this long makes the delays begin anew
constexpr int64_t kStopTime =
    8'000;  // a container runtime gives ten seconds; then it is asked again

// --- exit codes of our own; otherwise pidward's, or 128 and the signal that ended it
constexpr int kExitUsage = 2;
constexpr int kExitSetup = 111;
constexpr int kExitNotRun = 127;

constexpr int kWaitPidfd = 3;  // P_PIDFD, an enumerator that some libcs keep to themselves

struct Stored {
  int fd;
  char name[kLongestName + 1];
};

Stored stored[kMostStored];
int stored_count = 0;
size_t names_length = 0;

char* arguments[kMostArguments];
char* environment[kMostEnvironment];
char notify_variable[128] = "NOTIFY_SOCKET=@";
char listen_pid[32], listen_fds[32];
char listen_names[kLongestNames + 32];
sockaddr_un upstream;  // our own parent's notify socket
socklen_t upstream_length = 0;

int notify_fd = -1, signal_fd = -1;
sigset_t original_mask;
rlimit original_limit;

int child_fd = -1;       // pidfd of pidward, -1 while there is none
pid_t child_number = 0;  // its number, to recognise it among those that ended and as a sender
int64_t child_started = 0;
int64_t next_start = 0, next_delay = 0;
int64_t stop_deadline = 0;  // 0: nobody asked for an end
bool was_ready = false;     // some pidward said READY=1
bool is_stopping = false;   // an end was asked for, or announced
int final_code = -1;

// --- words

void say(const char* text, const char* more = "", const char* rest = "") {
  char line[512];
  size_t length = 0;
  for (const char* piece : {"pidward-init: ", text, more, rest, "\n"}) {
    const size_t size = strlen(piece);
    if (length + size > sizeof line) break;
    memcpy(line + length, piece, size);  // NOLINT(bugprone-not-null-terminated-result): no string
    length += size;
  }
  const ssize_t written = write(STDERR_FILENO, line, length);
  static_cast<void>(written);
}

/// Decimal digits of a number; `out` has room for 24 bytes.
char* digits_of(int64_t number, char* out) {
  char reversed[24];
  int count = 0;
  do {
    reversed[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  for (int i = 0; i < count; ++i) out[i] = reversed[count - 1 - i];
  out[count] = '\0';
  return out;
}

/// Never negative; time that passed in suspension does not count.
int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000 + 1;
}

bool begins_with(const char* text, const char* start) {
  return strncmp(text, start, strlen(start)) == 0;
}

// --- processes, by pidfd alone

int signal_process(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

/// waitid(2); the end of nobody has si_pid 0.
siginfo_t wait_for(int which, int id, int options) {
  siginfo_t end{};
  if (syscall(SYS_waitid, which, id, &end, options, nullptr) != 0) end.si_pid = 0;
  return end;
}

/// A copy of us with a pidfd: its number, or -1. 0 in the copy.
pid_t make_child(int* pidfd) {
  clone_args request{};
  request.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  request.pidfd = reinterpret_cast<uint64_t>(pidfd);
  request.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &request, sizeof request));
}

// --- the descriptor store

void close_stored(int index) {
  close(stored[index].fd);
  names_length -= strlen(stored[index].name) + 1;
  --stored_count;
  memmove(&stored[index], &stored[index + 1],
          static_cast<size_t>(stored_count - index) * sizeof(Stored));
}

void store(int fd, const char* name) {
  const size_t length = strlen(name);
  if (stored_count == kMostStored || names_length + length + 1 > kLongestNames) {
    say("The store is full; not kept: ", name);
    close(fd);
    return;
  }
  Stored& place = stored[stored_count++];
  place.fd = fd;
  memcpy(place.name, name, length + 1);
  names_length += length + 1;
}

void remove_stored(const char* name) {
  for (int i = stored_count - 1; i >= 0; --i) {
    if (strcmp(stored[i].name, name) == 0) close_stored(i);
  }
}

/// KillOnManagerExit=: pidward is gone, and these are not to live without it. Such a descriptor is
/// a pidfd, or the cgroup.kill file of a unit.
void kill_dependents() {
  for (int i = stored_count - 1; i >= 0; --i) {
    if (!begins_with(stored[i].name, "kill-on-exit")) continue;
    if (signal_process(stored[i].fd, SIGKILL) != 0 && errno == EBADF) {
      if (write(stored[i].fd, "1", 1) != 1) say("Cannot kill ", stored[i].name);
    }
    close_stored(i);
  }
}

// --- starting pidward

/// "LISTEN_FDNAMES=a:b" and its kin, and who we are; everything else as we got it.
void make_environment() {
  size_t count = 0;
  for (char** entry = environ; *entry != nullptr && count < kMostEnvironment - 6; ++entry) {
    const bool ours = begins_with(*entry, "NOTIFY_SOCKET=") || begins_with(*entry, "LISTEN_PID=") ||
                      begins_with(*entry, "LISTEN_FDS=") ||
                      begins_with(*entry, "LISTEN_FDNAMES=") ||
                      begins_with(*entry, "LISTEN_PIDFDID=") || begins_with(*entry, "FDSTORE=");
    if (!ours) environment[count++] = *entry;
  }
  static char room[] = "FDSTORE=16384";
  static_assert(kMostStored == 16384);
  environment[count++] = room;
  environment[count++] = notify_variable;
  if (stored_count > 0) {
    char* end = listen_names + strlen(strcpy(listen_names, "LISTEN_FDNAMES="));
    for (int i = 0; i < stored_count; ++i) {
      if (i > 0) *end++ = ':';
      const size_t length = strlen(stored[i].name);
      memcpy(end, stored[i].name, length);
      end += length;
    }
    *end = '\0';
    digits_of(stored_count, listen_fds + strlen(strcpy(listen_fds, "LISTEN_FDS=")));
    digits_of(getpid(), listen_pid + strlen(strcpy(listen_pid, "LISTEN_PID=")));
    environment[count++] = listen_names;
    environment[count++] = listen_fds;
    environment[count++] = listen_pid;
  }
  environment[count] = nullptr;
}

/// Puts the stored descriptors at 3 and up. Only in the child, whose store this then is.
bool place_descriptors() {
  constexpr int kFirst = 3;
  for (int i = 0; i < stored_count; ++i) {
    const int place = kFirst + i;
    for (int k = i + 1; k < stored_count; ++k) {
      if (stored[k].fd != place) continue;
      stored[k].fd = fcntl(place, F_DUPFD_CLOEXEC, kFirst + stored_count);
      if (stored[k].fd < 0) return false;
    }
    if (stored[i].fd == place) {
      if (fcntl(place, F_SETFD, 0) != 0) return false;
    } else if (dup3(stored[i].fd, place, 0) != place) {
      return false;
    }
  }
  return true;
}

[[noreturn]] void become_pidward() {
  make_environment();
  if (!place_descriptors()) {
    say("Cannot hand over the stored descriptors: ", strerrordesc_np(errno));
    _exit(kExitNotRun);
  }
  setrlimit(RLIMIT_NOFILE, &original_limit);
  // What we send before it listens is to wait for it, and not to end it.
  for (const int signal : {SIGTERM, SIGHUP}) sigaddset(&original_mask, signal);
  sigprocmask(SIG_SETMASK, &original_mask, nullptr);
  execve(arguments[0], arguments, environment);
  say("Cannot run ", arguments[0]);
  _exit(kExitNotRun);
}

void start_pidward() {
  next_start = 0;
  const pid_t number = make_child(&child_fd);
  if (number == 0) become_pidward();
  if (number < 0) {
    child_fd = -1;
    say("Cannot make a process; trying again");
    next_start = now() + kFirstDelay;
    return;
  }
  child_number = number;
  child_started = now();
}

// --- and its end

void pidward_ended(const siginfo_t& end) {
  const bool by_itself = end.si_code == CLD_EXITED;
  const int code = by_itself ? end.si_status : 128 + end.si_status;
  close(child_fd);
  child_fd = -1;
  child_number = 0;
  kill_dependents();
  // Never having come up is an answer, and so is an end that was asked for or announced.
  if (is_stopping || (by_itself && !was_ready)) {
    final_code = code;
    return;
  }
  if (now() - child_started >= kGoodRun) next_delay = 0;
  char number[24];
  say(by_itself ? "pidward ended without a word, code " : "pidward was killed, signal ",
      digits_of(end.si_status, number), "; starting it again");
  next_start = now() + next_delay;
  next_delay = next_delay == 0 ? kFirstDelay : next_delay * 2;
  if (next_delay > kLongestDelay) next_delay = kLongestDelay;
}

/// Who ended is asked without reaping, turned into a pidfd while nobody but us can reap it, and
/// reaped by that.
void reap() {
  for (;;) {
    const siginfo_t seen = wait_for(P_ALL, 0, WEXITED | WNOWAIT | WNOHANG);
    if (seen.si_pid == 0) return;
    const bool is_pidward = child_fd >= 0 && seen.si_pid == child_number;
    const int pidfd =
        is_pidward ? child_fd : static_cast<int>(syscall(SYS_pidfd_open, seen.si_pid, 0));
    if (pidfd < 0) {
      say("Cannot open a process that ended; it stays until there are descriptors again");
      return;
    }
    const siginfo_t end = wait_for(kWaitPidfd, pidfd, WEXITED | WNOHANG);
    if (!is_pidward) close(pidfd);
    if (end.si_pid == 0) return;
    if (is_pidward) pidward_ended(end);
  }
}

// --- signals and their meaning

void ask_to_stop() {
  is_stopping = true;
  if (child_fd < 0) {
    // Nobody is there to stop anything in order. What was to go with pidward is gone already.
    final_code = 0;
    return;
  }
  signal_process(child_fd, SIGTERM);
  if (stop_deadline == 0) stop_deadline = now() + kStopTime;
}

void handle_signals() {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    switch (signal) {
      case SIGCHLD:  // a doorbell only
      case SIGPIPE:
      case SIGUSR1:
      case SIGUSR2:
      case SIGALRM:
      case SIGQUIT:
        break;
      case SIGHUP:
        if (child_fd >= 0) signal_process(child_fd, SIGHUP);
        break;
      default:
        ask_to_stop();
    }
  }
  reap();
}

// --- what pidward says

/// The value of a line "KEY=VALUE" of a message, copied; one that is too long is empty.
bool value_of(const char* message, const char* key, char* out, size_t size) {
  const size_t length = strlen(key);
  for (const char* line = message; line != nullptr; line = strchr(line, '\n')) {
    if (*line == '\n') ++line;
    if (strncmp(line, key, length) != 0 || line[length] != '=') continue;
    const char* const value = line + length + 1;
    size_t end = strcspn(value, "\n");
    if (end >= size) end = 0;
    memcpy(out, value, end);
    out[end] = '\0';
    return true;
  }
  return false;
}

bool says(const char* message, const char* key) {
  char value[8];
  return value_of(message, key, value, sizeof value) && strcmp(value, "1") == 0;
}

bool is_good_name(const char* name) {
  if (*name == '\0') return false;
  for (; *name != '\0'; ++name) {
    if (*name <= ' ' || *name >= 0x7f || *name == ':') return false;
  }
  return true;
}

void take_message(const char* message, size_t length, const int* fds, int count) {
  char name[kLongestName + 1] = "stored";
  const bool named = !value_of(message, "FDNAME", name, sizeof name) || is_good_name(name);
  const bool keep = says(message, "FDSTORE") && !says(message, "FDSTOREREMOVE") && named;
  if (says(message, "FDSTOREREMOVE") && named) remove_stored(name);
  // Not stored ones are closed after the rest of the message has been seen to: BARRIER=1 waits for
  // that.
  if (says(message, "READY")) was_ready = true;
  if (says(message, "STOPPING")) is_stopping = true;
  if (upstream_length > 0 && count == 0) {
    sendto(notify_fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&upstream), upstream_length);
  }
  for (int i = 0; i < count; ++i) {
    if (keep) {
      store(fds[i], name);
    } else {
      close(fds[i]);
    }
  }
}

void handle_messages() {
  static char bytes[4096 + 1];
  alignas(cmsghdr) static char
      control[CMSG_SPACE(sizeof(int) * kMostAtOnce) + CMSG_SPACE(sizeof(ucred))];
  for (;;) {
    iovec part{bytes, sizeof bytes - 1};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t length = recvmsg(notify_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0) return;
    bytes[length] = '\0';
    static int fds[kMostAtOnce];
    int count = 0;
    pid_t sender = 0;
    for (cmsghdr* part_of = CMSG_FIRSTHDR(&header); part_of != nullptr;
         part_of = CMSG_NXTHDR(&header, part_of)) {
      if (part_of->cmsg_level != SOL_SOCKET) continue;
      if (part_of->cmsg_type == SCM_RIGHTS) {
        count = static_cast<int>((part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(part_of), sizeof(int) * static_cast<size_t>(count));
      } else if (part_of->cmsg_type == SCM_CREDENTIALS) {
        ucred who{};
        memcpy(&who, CMSG_DATA(part_of), sizeof who);
        sender = who.pid;
      }
    }
    // The number is pidward's own as long as we have not reaped it.
    if (child_fd >= 0 && sender == child_number) {
      take_message(bytes, static_cast<size_t>(length), fds, count);
    } else {
      for (int i = 0; i < count; ++i) close(fds[i]);
    }
  }
}

// --- setting up

bool open_notify_socket() {
  notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // No name given: the kernel chooses an abstract one.
  socklen_t length = sizeof address.sun_family;
  const int yes = 1;
  const int room = 8 << 20;
  if (notify_fd < 0 || bind(notify_fd, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      setsockopt(notify_fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) {
    return false;
  }
  if (setsockopt(notify_fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) {
    setsockopt(notify_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  length = sizeof address;
  if (getsockname(notify_fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
  const size_t name = length - offsetof(sockaddr_un, sun_path) - 1;
  char* const end = notify_variable + strlen(notify_variable);
  if (name == 0 || name >= sizeof notify_variable - strlen(notify_variable)) return false;
  memcpy(end, address.sun_path + 1, name);
  end[name] = '\0';
  return true;
}

void find_upstream() {
  const char* const path = getenv("NOTIFY_SOCKET");
  if (path == nullptr || (*path != '/' && *path != '@')) return;
  const size_t length = strlen(path);
  if (length >= sizeof upstream.sun_path) return;
  upstream.sun_family = AF_UNIX;
  memcpy(upstream.sun_path, path, length + 1);
  if (*path == '@') upstream.sun_path[0] = '\0';
  upstream_length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
}

bool open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPWR}) sigaddset(&set, signal);
  // halt, poweroff, reboot and kexec, as systemd takes them.
  for (int i = 3; i <= 6; ++i) sigaddset(&set, SIGRTMIN + i);
  // These mean nothing here. They are taken and dropped, not ignored: pidward would inherit that.
  for (const int signal : {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGQUIT}) sigaddset(&set, signal);
  if (sigprocmask(SIG_BLOCK, &set, &original_mask) != 0) return false;
  signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return signal_fd >= 0;
}

void open_standard_descriptors() {
  for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd >= 0 && fd <= STDERR_FILENO;) {
    if (fcntl(fd, F_SETFD, 0) != 0) return;
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd > STDERR_FILENO) close(fd);
  }
}

bool take_arguments(int argc, char** argv) {
  static char program[] = PIDWARD_PROGRAM;
  size_t count = 0;
  int next = 1;
  arguments[count++] = program;
  if (argc > 1 && argv[1][0] == '/') {
    arguments[0] = argv[1];
    next = 2;
  }
  for (; next < argc; ++next) {
    if (count + 1 == kMostArguments) return false;
    arguments[count++] = argv[next];
  }
  return true;
}

bool set_up() {
  if (getrlimit(RLIMIT_NOFILE, &original_limit) == 0) {
    rlimit most = original_limit;
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  find_upstream();
  return open_signals() && open_notify_socket();
}

// --- the loop

int time_to_wait() {
  int64_t until = 0;
  if (next_start > 0) until = next_start;
  if (stop_deadline > 0 && (until == 0 || stop_deadline < until)) until = stop_deadline;
  if (until == 0) return -1;
  const int64_t left = until - now();
  return left < 0 ? 0 : static_cast<int>(left);
}

int supervise() {
  start_pidward();
  while (final_code < 0) {
    pollfd waits[2] = {{signal_fd, POLLIN, 0}, {notify_fd, POLLIN, 0}};
    poll(waits, 2, time_to_wait());
    // What pidward said comes before what became of it.
    handle_messages();
    handle_signals();
    if (final_code >= 0) break;
    if (child_fd < 0 && next_start > 0 && now() >= next_start) start_pidward();
    if (stop_deadline > 0 && now() >= stop_deadline && child_fd >= 0) {
      say("The time to stop is over; what is left is killed");
      signal_process(child_fd, SIGTERM);
      stop_deadline = now() + kStopTime;
    }
  }
  return final_code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "--version") == 0)) {
    const char* const text = argv[1][2] == 'h' ? kUsage : "pidward-init " PIDWARD_VERSION "\n";
    return write(STDOUT_FILENO, text, strlen(text)) < 0 ? kExitSetup : 0;
  }
  open_standard_descriptors();
  if (!take_arguments(argc, argv)) {
    say("Too many arguments");
    return kExitUsage;
  }
  if (!set_up()) {
    say("Cannot set up: ", strerrordesc_np(errno));
    return kExitSetup;
  }
  return supervise();
}
