// A service of the crash test: holds the lock of its name, so that a second one of it is noticed,
// and notes each start. crash_service DIRECTORY NAME [notify] [stubborn] [once] [crashing] [hello]
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

void note(const std::string& file, const std::string& text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string line = text + "\n";
  if (fd < 0 || ::write(fd, line.data(), line.size()) < 0) ::_exit(90);
  ::close(fd);
}

bool tell(const char* state) {
  const char* const path = ::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const ssize_t sent = ::sendto(fd, state, std::strlen(state), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::close(fd);
  return sent >= 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 91;
  const std::string directory = argv[1];
  const std::string name = argv[2];
  const auto wants = [&](const char* word) {
    for (int i = 3; i < argc; ++i) {
      if (std::strcmp(argv[i], word) == 0) return true;
    }
    return false;
  };
  // Before the lock, so that whoever sees the lock taken finds the note too.
  note(directory + "/" + name + ".starts", std::to_string(::getpid()));
  const int lock =
      ::open((directory + "/" + name + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return 92;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  if (::fcntl(lock, F_OFD_SETLK, &whole) != 0) {
    note(directory + "/trouble", "two of " + name + " at a time");
    return 93;
  }
  if (wants("stubborn")) std::signal(SIGTERM, SIG_IGN);
  // pidward may be dead at this moment and nobody keep its socket: a service tries again.
  while (wants("notify") && !tell("READY=1")) ::usleep(20000);
  if (wants("hello") && ::write(STDOUT_FILENO, "hello\n", 6) != 6) return 95;
  if (wants("once")) return 0;
  if (wants("crashing")) {
    // Within ten seconds, each time after another time, and no more once it is to be calm.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto mixed =
        (static_cast<unsigned>(now.tv_nsec) ^ static_cast<unsigned>(::getpid())) * 2654435761U;
    ::usleep(mixed % 10'000'000U);
    if (::access((directory + "/calm").c_str(), F_OK) != 0) return 94;
  }
  for (;;) ::pause();
}
