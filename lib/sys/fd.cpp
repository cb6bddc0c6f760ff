#include "sys/fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "sys/check.hpp"

namespace pidward::sys {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    number_ = other.release();
  }
  return *this;
}

int Fd::release() noexcept {
  return std::exchange(number_, -1);
}

void Fd::reset() noexcept {
  // Linux closes the descriptor even when close(2) reports an error; trying again could close
  // somebody else's.
  if (const int number = release(); number >= 0) call(SYS_close, number);
}

Result<Fd> Fd::duplicate(int lowest) const {
  PIDWARD_TRY(const long number, checked(call(SYS_fcntl, number_, F_DUPFD_CLOEXEC, lowest),
                                         "Cannot duplicate a descriptor"));
  return Fd(adopt_fd, static_cast<int>(number));
}

Result<Pipe> make_pipe(int flags) {
  std::array<int, 2> ends{-1, -1};
  PIDWARD_CHECK(
      checked_status(call(SYS_pipe2, ends.data(), flags | O_CLOEXEC), "Cannot make a pipe"));
  return Pipe{Fd(adopt_fd, ends[0]), Fd(adopt_fd, ends[1])};
}

Result<SocketPair> make_socketpair(int type) {
  std::array<int, 2> ends{-1, -1};
  PIDWARD_CHECK(checked_status(call(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()),
                               "Cannot make a pair of sockets"));
  return SocketPair{Fd(adopt_fd, ends[0]), Fd(adopt_fd, ends[1])};
}

Result<Fd> make_socket(int domain, int type, int protocol) {
  PIDWARD_TRY(const long number, checked(call(SYS_socket, domain, type | SOCK_CLOEXEC, protocol),
                                         "Cannot make a socket"));
  return Fd(adopt_fd, static_cast<int>(number));
}

Result<Fd> make_memfd(const char* name, std::string_view contents) {
  PIDWARD_TRY(const long number,
              checked(call(SYS_memfd_create, name, MFD_CLOEXEC), "Cannot make a file in memory"));
  Fd file(adopt_fd, static_cast<int>(number));
  PIDWARD_CHECK(write_all(file.get(), contents));
  PIDWARD_CHECK(
      checked_status(call(SYS_lseek, file.get(), 0, SEEK_SET), "Cannot rewind a file in memory"));
  return file;
}

Result<Fd> open_at(int directory, const std::string& path, int flags, mode_t mode) {
  const long number = call_retrying(SYS_openat, directory, path.c_str(), flags | O_CLOEXEC, mode);
  if (is_error(number)) {
    return Error::from_errno(static_cast<int>(-number), fmt::format("Cannot open {}", path));
  }
  return Fd(adopt_fd, static_cast<int>(number));
}

Result<Fd> open_path(const std::string& path, int flags, mode_t mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<std::string> read_all(int fd, std::size_t limit) {
  constexpr std::size_t kChunk = 4096;
  std::string text;
  // Of a file as long as it says one read is enough; those of /proc and the like say nothing.
  struct stat status {};
  const bool known = call(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode);
  const std::size_t size = known ? static_cast<std::size_t>(status.st_size) : 0;
  for (;;) {
    const std::size_t had = text.size();
    const std::size_t room = size > 0 && had == 0 ? size + 1 : std::max(kChunk, had);
    // One byte above the limit tells "exactly full" from "too long".
    const std::size_t wanted = std::min(had + room, limit + 1);
    long got = 0;
    text.resize_and_overwrite(wanted, [&](char* bytes, std::size_t) {
      got = call_retrying(SYS_read, fd, bytes + had, wanted - had);
      return had + (is_error(got) ? 0 : static_cast<std::size_t>(got));
    });
    if (is_error(got)) return Error::from_errno(static_cast<int>(-got), "Cannot read");
    if (got == 0) {
      text.shrink_to_fit();  // some keep it
      return text;
    }
    if (text.size() > limit) {
      return Error(Errc::limit_exceeded, fmt::format("Longer than {} bytes", limit));
    }
    if (had == 0 && text.size() == size) return text;
  }
}

Result<std::string> read_some(int fd, std::size_t limit) {
  std::string text(limit, '\0');
  PIDWARD_TRY(const long got,
              checked(call_retrying(SYS_read, fd, text.data(), limit), "Cannot read"));
  text.resize(static_cast<std::size_t>(got));
  return text;
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    PIDWARD_TRY(const long done,
                checked(call_retrying(SYS_write, fd, bytes.data(), bytes.size()), "Cannot write"));
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  return read_file_at(AT_FDCWD, path, limit);
}

Result<std::string> read_file_at(int directory, const std::string& path, std::size_t limit) {
  PIDWARD_TRY(const Fd file, open_at(directory, path, O_RDONLY));
  auto text = read_all(file.get(), limit);
  if (!text) return std::move(text).error().within(path);
  return text;
}

Status write_control_file_at(int directory, const std::string& path, std::string_view text) {
  PIDWARD_TRY(const Fd file, open_at(directory, path, O_WRONLY));
  const long done = call_retrying(SYS_write, file.get(), text.data(), text.size());
  if (is_error(done)) {
    return Error::from_errno(static_cast<int>(-done), fmt::format("Cannot write to {}", path));
  }
  if (static_cast<std::size_t>(done) != text.size()) {
    return Error(Errc::failed, fmt::format("{} took only part of what was written", path));
  }
  return {};
}

Result<FileIdentity> identity_of(int fd) {
  struct stat status {};
  PIDWARD_CHECK(checked_status(call(SYS_fstat, fd, &status), "Cannot stat a descriptor"));
  return FileIdentity{status.st_dev, status.st_ino};
}

Result<std::uint64_t> inode_of(int fd) {
  PIDWARD_TRY(const FileIdentity identity, identity_of(fd));
  return identity.inode;
}

Result<std::uint64_t> filesystem_magic_of(int fd) {
  struct statfs status {};
  PIDWARD_CHECK(checked_status(call(SYS_fstatfs, fd, &status),
                               "Cannot find the file system of a descriptor"));
  return static_cast<std::uint64_t>(status.f_type);
}

Status fill_standard_fds() {
  for (int number = 0; number <= 2; ++number) {
    if (call(SYS_fcntl, number, F_GETFD, 0) != -EBADF) continue;
    PIDWARD_TRY(Fd null, open_path("/dev/null", O_RDWR | O_NOCTTY));
    // Usually the lowest free number is the one that was closed. These three are inherited on
    // purpose.
    if (null.get() == number) {
      PIDWARD_CHECK(checked_status(call(SYS_fcntl, number, F_SETFD, 0),
                                   "Cannot keep a standard descriptor open"));
      [[maybe_unused]] const int kept = null.release();
      continue;
    }
    PIDWARD_CHECK(
        checked_status(call(SYS_dup3, null.get(), number, 0), "Cannot fill a standard descriptor"));
  }
  return {};
}

}  // namespace pidward::sys
