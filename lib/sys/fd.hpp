// File descriptors with one owner, all of them close-on-exec, and whole reads and writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.hpp"

namespace pidward::sys {

/// Says at the call that the descriptor changes hands.
struct AdoptFd {
  explicit AdoptFd() = default;
};
inline constexpr AdoptFd adopt_fd{};

/// An owned descriptor, or none (-1). Closes on destruction and when something else is moved in.
class Fd {
 public:
  Fd() = default;
  Fd(AdoptFd, int number) noexcept : number_(number) {}
  Fd(Fd&& other) noexcept : number_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  /// The number, -1 for none. Still ours.
  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  /// Gives the descriptor away; the caller closes it.
  [[nodiscard]] int release() noexcept;
  /// Closes it now.
  void reset() noexcept;
  /// Another descriptor of the same open file, close-on-exec, numbered `lowest` or above.
  [[nodiscard]] Result<Fd> duplicate(int lowest = 3) const;

 private:
  int number_ = -1;
};

struct Pipe {
  Fd read_end;
  Fd write_end;
};
/// pipe2(2) with O_CLOEXEC and `flags` (O_NONBLOCK, O_DIRECT).
Result<Pipe> make_pipe(int flags = 0);

struct SocketPair {
  Fd first;
  Fd second;
};
/// Unix socketpair(2) of `type` (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, with SOCK_NONBLOCK or
/// not).
Result<SocketPair> make_socketpair(int type);
/// socket(2) with SOCK_CLOEXEC added.
Result<Fd> make_socket(int domain, int type, int protocol = 0);
/// An anonymous file holding `contents`, read position at its start. `name` is for /proc only.
Result<Fd> make_memfd(const char* name, std::string_view contents = {});

/// openat(2) with O_CLOEXEC added. `directory` may be AT_FDCWD.
Result<Fd> open_at(int directory, const std::string& path, int flags, mode_t mode = 0);
/// open_at(AT_FDCWD, ...).
Result<Fd> open_path(const std::string& path, int flags, mode_t mode = 0);

/// Everything up to the end of the file; more than `limit` bytes is an error (limit_exceeded).
Result<std::string> read_all(int fd, std::size_t limit = 1 << 20);
/// One read(2): up to `limit` bytes, empty at the end. EAGAIN is an error with that errno.
Result<std::string> read_some(int fd, std::size_t limit);
/// Writes all of `bytes`, however many calls that takes.
Status write_all(int fd, std::string_view bytes);
/// The contents of a file.
Result<std::string> read_file(const std::string& path, std::size_t limit = 1 << 20);
Result<std::string> read_file_at(int directory, const std::string& path,
                                 std::size_t limit = 1 << 20);
/// Writes `text` into an existing file with one write(2), as kernel interfaces ask for.
Status write_control_file_at(int directory, const std::string& path, std::string_view text);

/// Which file it is, wherever it is.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};
Result<FileIdentity> identity_of(int fd);
/// Inode number of an open file.
Result<std::uint64_t> inode_of(int fd);
/// File system magic of an open file (statfs(2)).
Result<std::uint64_t> filesystem_magic_of(int fd);

/// Opens /dev/null onto each of descriptors 0, 1 and 2 that is closed, so that no file of ours
/// lands there.
Status fill_standard_fds();

}  // namespace pidward::sys
