// A process as an owned descriptor. A pidfd names one process for good: when that process is gone
// the descriptor says so, whatever its number is used for by then.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/exit_status.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "sys/fd.hpp"
#include "sys/uapi.hpp"

namespace pidward::sys {

/// The pidfs file handle of a process (Linux 6.14): re-opens it after a restart of ours, without
/// its number and without having kept a descriptor. Valid for one boot.
struct PidfsHandle {
  std::int32_t type = 0;
  std::uint8_t size = 0;
  std::array<std::uint8_t, 32> bytes{};

  /// "TYPE:HEX", for state files.
  [[nodiscard]] std::string to_string() const;
  static Result<PidfsHandle> parse(std::string_view text);
  friend bool operator==(const PidfsHandle&, const PidfsHandle&) = default;
};

/// What a child's end looks like to its parent.
struct ChildEnd {
  pid_t pid = 0;
  ExitStatus status;
};

class Pidfd {
 public:
  Pidfd() = default;
  /// Takes a descriptor the kernel just made as a pidfd (clone3, SCM_PIDFD); unchecked.
  explicit Pidfd(Fd fd) : fd_(std::move(fd)) {}
  /// Takes a descriptor that came from somebody else. Anything but the pidfd of a process is
  /// refused: other files, and pidfds of threads (invalid_argument), and processes outside our pid
  /// namespace (no_such_process).
  static Result<Pidfd> from_untrusted(Fd fd);
  /// Turns a number into a pidfd: the only place that does. Whether it is the process that was
  /// meant is for the caller to check afterwards (process::open_pid_verified). no_such_process, and
  /// invalid_argument for a thread's number.
  static Result<Pidfd> open(pid_t pid);
  /// Ourselves.
  static Result<Pidfd> self();
  /// Re-opens by file handle. Gone (reaped) is no_such_process; a kernel without handles is
  /// not_supported.
  static Result<Pidfd> from_handle(const PidfsHandle& handle);

  [[nodiscard]] int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] Fd release() && { return std::move(fd_); }
  [[nodiscard]] Result<Pidfd> duplicate() const;

  /// pidfd_send_signal(2). Signal 0 asks whether it exists. no_such_process when it has been
  /// reaped.
  [[nodiscard]] Status send_signal(int signal) const;
  /// With a value for SA_SIGINFO handlers, as sigqueue(3).
  [[nodiscard]] Status send_signal(int signal, int value) const;

  /// It has ended (zombie or reaped). Never waits.
  [[nodiscard]] Result<bool> has_ended() const;
  /// It has not been reaped: its number is still its own. True for a zombie.
  [[nodiscard]] Result<bool> exists() const;

  /// Collects our child if it has ended; nothing if it still runs. A process that is not our child,
  /// or was collected before, is an error with errno ECHILD.
  [[nodiscard]] Result<std::optional<ChildEnd>> reap() const;
  /// The same without collecting.
  [[nodiscard]] Result<std::optional<ChildEnd>> peek() const;

  /// Inode number. Unique per process on pidfs only; see is_pidfs().
  [[nodiscard]] Result<std::uint64_t> inode() const;
  /// Whether this descriptor is on pidfs (Linux 6.9), so that its inode is an identity.
  [[nodiscard]] Result<bool> is_pidfs() const;
  /// Its number as our pid namespace sees it: by PIDFD_GET_INFO or, on every kernel, from fdinfo.
  /// no_such_process once it is reaped or if it is outside our namespace.
  [[nodiscard]] Result<pid_t> pid() const;
  /// PIDFD_GET_INFO with `mask` (uapi::kPidfdInfo*). not_supported before Linux 6.13,
  /// no_such_process when it is reaped and nothing of what was asked for is kept.
  [[nodiscard]] Result<uapi::PidfdInfo> info(std::uint64_t mask) const;
  /// How it ended, for anybody who holds a pidfd; known from the moment its parent reaps it
  /// (Linux 6.15). Nothing before that.
  [[nodiscard]] Result<std::optional<ExitStatus>> exit_status() const;

  [[nodiscard]] Result<PidfsHandle> handle() const;

  /// An extended attribute "trusted.pidward.NAME" on the process (Linux 6.17, CAP_SYS_ADMIN). Lives
  /// as long as the process, whoever holds descriptors. Reading one that is not set yields nothing.
  [[nodiscard]] Status set_label(std::string_view name, std::string_view value) const;
  [[nodiscard]] Result<std::optional<std::string>> label(std::string_view name) const;
  [[nodiscard]] Status remove_label(std::string_view name) const;

  /// pidfd_getfd(2): a copy of descriptor `number` of that process.
  [[nodiscard]] Result<Fd> get_fd(int number) const;

 private:
  [[nodiscard]] Result<std::optional<ChildEnd>> wait_now(int extra_options) const;

  Fd fd_;
};

}  // namespace pidward::sys
