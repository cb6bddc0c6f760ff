// Stands in for pidward: does what its first argument says and tells on standard output, one line a
// fact. Which run it is, is known from the descriptors that it was handed.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

void tell(const std::string& fact) {
  const std::string line = fact + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(99);
}

void notify(const std::string& message, int fd = -1) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return tell("no notify socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) tell(std::string("notify: ") + strerror(errno));
  ::close(socket);
}

/// Everything said so far has been dealt with once the other end of a pipe is closed.
void barrier() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  notify("BARRIER=1", ends[1]);
  ::close(ends[1]);
  pollfd wait{ends[0], 0, 0};
  ::poll(&wait, 1, 30000);
  ::close(ends[0]);
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_first_run() {
  return variable("LISTEN_FDS").empty();
}

[[noreturn]] void die() {
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  ::syscall(SYS_pidfd_send_signal, self, SIGKILL, nullptr, 0);
  for (;;) ::pause();
}

/// Reads signals until one of them ends it.
int wait_for_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  notify("READY=1");
  tell("ready");
  for (;;) {
    int signal = 0;
    sigwait(&set, &signal);
    tell(signal == SIGHUP ? "reload" : "stop");
    if (signal == SIGTERM) return 0;
  }
}

int keep_descriptors() {
  if (is_first_run()) {
    notify("READY=1");
    for (const char* name : {"one", "two", "gone"}) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
      if (::write(ends[1], name, std::strlen(name)) < 0) return 1;
      notify(std::string("FDSTORE=1\nFDPOLL=0\nFDNAME=") + name, ends[0]);
    }
    int unnamed[2];
    if (::pipe2(unnamed, O_CLOEXEC) != 0) return 1;
    notify("FDSTORE=1\nFDNAME=" + std::string(200, 'x'), unnamed[0]);
    notify("FDSTORE=1\nFDNAME=a:b", unnamed[0]);
    notify("FDSTOREREMOVE=1\nFDNAME=gone");
    barrier();
    die();
  }
  tell("fds " + variable("LISTEN_FDS"));
  tell("names " + variable("LISTEN_FDNAMES"));
  tell(variable("LISTEN_PID") == std::to_string(::getpid()) ? "for me" : "for somebody else");
  for (int fd = 3; fd < 5; ++fd) {
    char text[16]{};
    if (::read(fd, text, sizeof text - 1) < 0) return 1;
    tell(std::string("holds ") + text);
  }
  notify("STOPPING=1");
  barrier();
  return 5;
}

/// A child that is to go with us, seen through a pipe that it holds.
int bind_a_child() {
  if (is_first_run()) {
    notify("READY=1");
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
    const long child = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
      for (;;) ::pause();
    }
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
    ::close(ends[1]);
    notify("FDSTORE=1\nFDNAME=kill-on-exit.1", pidfd);
    notify("FDSTORE=1\nFDNAME=alive", ends[0]);
    barrier();
    die();
  }
  tell("names " + variable("LISTEN_FDNAMES"));
  pollfd wait{3, 0, 0};
  tell(::poll(&wait, 1, 30000) == 1 ? "the child is gone" : "the child lives");
  notify("STOPPING=1");
  barrier();
  return 0;
}

/// Grandchildren whose parents end at once land on whoever reaps.
int make_orphans() {
  constexpr int kOrphans = 20;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
  for (int i = 0; i < kOrphans; ++i) {
    if (::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) != 0) continue;
    if (::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
      ::close(ends[1]);
      for (char byte = 0; ::read(ends[0], &byte, 1) > 0;) {
      }
    }
    std::_Exit(0);
  }
  ::close(ends[1]);
  ::close(ends[0]);
  return wait_for_signals();
}

int look_around() {
  tell("parent " + std::to_string(::getppid()));
  tell(::access("/proc/self", F_OK) == 0 ? "there is /proc" : "no /proc");
  const int made = ::open("/made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  tell(made < 0 && errno == EROFS ? "read-only" : "writable");
  return wait_for_signals();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "exit") return std::atoi(argv[2]);
  if (what == "signals") return wait_for_signals();
  if (what == "store") return keep_descriptors();
  if (what == "bind") return bind_a_child();
  if (what == "orphans") return make_orphans();
  if (what == "look") return look_around();
  return 98;
}
