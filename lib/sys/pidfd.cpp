#include "sys/pidfd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/check.hpp"

namespace pidward::sys {
namespace {

// P_PIDFD of waitid(2), which glibc 2.36 keeps from C++ as an enumerator of idtype_t.
constexpr int kWaitPidfd = 3;

// The "Pid:" line of a pidfd's fdinfo: nothing if the file is not a pidfd; -1 when the process was
// reaped, 0 when it is outside our namespace.
Result<std::optional<pid_t>> number_in_fdinfo(int fd) {
  PIDWARD_TRY(const std::string text, read_file(fmt::format("/proc/self/fdinfo/{}", fd)));
  constexpr std::string_view kKey = "Pid:\t";
  std::size_t at = text.find(kKey);
  // NSpid: ends alike; the key counts only where a line begins.
  while (at != std::string::npos && at != 0 && text[at - 1] != '\n') at = text.find(kKey, at + 1);
  if (at == std::string::npos) return std::optional<pid_t>();
  pid_t pid = 0;
  const char* first = text.data() + at + kKey.size();
  const auto parsed = std::from_chars(first, text.data() + text.size(), pid);
  if (parsed.ec != std::errc()) return std::optional<pid_t>();
  return std::optional<pid_t>(pid);
}

Error gone() {
  return {Errc::no_such_process, "The process is gone"};
}

Error outside() {
  return {Errc::no_such_process, "The process is outside our pid namespace"};
}

Error names_a_thread() {
  return {Errc::invalid_argument, "The pidfd names a thread, not a process"};
}

// What the kernel tells of a process by a descriptor that is a pidfd by its name; nothing if it is
// none, or the kernel does not tell. No file system is asked, which could take its time, and no
// driver, which could take the question for another: names without a slash are the kernel's.
std::optional<uapi::PidfdInfo> told_of_a_pidfd(int fd) {
  constexpr std::string_view kName = "anon_inode:[pidfd]";
  std::array<char, kName.size() + 1> name{};
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const long length = call(SYS_readlinkat, AT_FDCWD, link.c_str(), name.data(), name.size());
  if (length < 0 || std::string_view(name.data(), static_cast<std::size_t>(length)) != kName) {
    return std::nullopt;
  }
  uapi::PidfdInfo info;
  info.mask = uapi::kPidfdInfoPid;
  if (call(SYS_ioctl, fd, uapi::kPidfdGetInfo, &info) != 0) return std::nullopt;
  return info;
}

// Whether fd is the pidfd of a single thread. Such a pidfd cannot be waited for as a process; the
// kernel says so where it can, and a thread's number differs from its process's.
Result<bool> is_thread(int fd, pid_t pid) {
  uapi::PidfdInfo info;
  info.mask = uapi::kPidfdInfoPid;
  if (call(SYS_ioctl, fd, uapi::kPidfdGetInfo, &info) == 0) return info.pid != info.tgid;
  auto status = read_file(fmt::format("/proc/{}/status", pid));
  if (!status) return false;
  const std::size_t at = status->find("\nTgid:\t");
  pid_t tgid = pid;
  if (at != std::string::npos) {
    std::from_chars(status->data() + at + 7, status->data() + status->size(), tgid);
  }
  return tgid != pid;
}

std::string label_name(std::string_view name) {
  return fmt::format("trusted.pidward.{}", name);
}

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::string PidfsHandle::to_string() const {
  std::string text = fmt::format("{}:", type);
  for (std::size_t i = 0; i < size; ++i) {
    text += kHexDigits[bytes[i] >> 4];
    text += kHexDigits[bytes[i] & 15];
  }
  return text;
}

Result<PidfsHandle> PidfsHandle::parse(std::string_view text) {
  const Error bad(Errc::syntax, fmt::format("'{}' is not a process file handle", text));
  PidfsHandle handle;
  const auto head = std::from_chars(text.data(), text.data() + text.size(), handle.type);
  if (head.ec != std::errc() || head.ptr == text.data() + text.size() || *head.ptr != ':') {
    return bad;
  }
  const std::string_view hex = text.substr(static_cast<std::size_t>(head.ptr - text.data()) + 1);
  if (hex.empty() || hex.size() % 2 != 0 || hex.size() / 2 > handle.bytes.size()) return bad;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const std::size_t high = kHexDigits.find(hex[i]);
    const std::size_t low = kHexDigits.find(hex[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return bad;
    handle.bytes[i / 2] = static_cast<std::uint8_t>(high * 16 + low);
  }
  handle.size = static_cast<std::uint8_t>(hex.size() / 2);
  return handle;
}

Result<Pidfd> Pidfd::from_untrusted(Fd fd) {
  if (!fd) return Error(Errc::invalid_argument, "There is no descriptor where a pidfd should be");
  if (const auto told = told_of_a_pidfd(fd.get()); told && told->tgid > 0) {
    if (told->pid == told->tgid) return Pidfd(std::move(fd));
    return names_a_thread();
  }
  PIDWARD_TRY(const std::optional<pid_t> pid, number_in_fdinfo(fd.get()));
  if (!pid) return Error(Errc::invalid_argument, "The descriptor is not a pidfd");
  if (*pid == 0) return outside();
  PIDWARD_TRY(const bool thread, is_thread(fd.get(), *pid));
  if (thread) return names_a_thread();
  return Pidfd(std::move(fd));
}

Result<Pidfd> Pidfd::open(pid_t pid) {
  if (pid <= 0)
    return Error(Errc::invalid_argument, fmt::format("{} is not a process number", pid));
  const long fd = call(SYS_pidfd_open, pid, 0);
  if (is_error(fd)) {
    auto error =
        Error::from_errno(static_cast<int>(-fd), fmt::format("Cannot open process {}", pid));
    // EINVAL, or ENOENT from newer kernels: the number is a thread's.
    if (fd == -EINVAL || fd == -ENOENT) {
      return std::move(error).with_code(Errc::invalid_argument);
    }
    return error;
  }
  return Pidfd(Fd(adopt_fd, static_cast<int>(fd)));
}

Result<Pidfd> Pidfd::self() {
  return open(static_cast<pid_t>(call(SYS_getpid)));
}

Result<Pidfd> Pidfd::from_handle(const PidfsHandle& handle) {
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof(handle.bytes)> storage{};
  auto* raw = reinterpret_cast<file_handle*>(storage.data());  // NOLINT: ends in a flexible array
  raw->handle_bytes = handle.size;
  raw->handle_type = handle.type;
  std::memcpy(storage.data() + sizeof(file_handle), handle.bytes.data(), handle.size);
  const long fd = call(SYS_open_by_handle_at, uapi::kFdPidfsRoot, raw, O_CLOEXEC);
  if (fd == -ESTALE || fd == -ESRCH) return gone();
  // Kernels without the reserved number look it up as a descriptor.
  if (fd == -EBADF || fd == -EOPNOTSUPP) {
    return Error(Errc::not_supported, "This kernel cannot open a process by file handle");
  }
  PIDWARD_TRY(const long number, checked(fd, "Cannot open a process by file handle"));
  return Pidfd(Fd(adopt_fd, static_cast<int>(number)));
}

Result<Pidfd> Pidfd::duplicate() const {
  PIDWARD_TRY(Fd copy, fd_.duplicate());
  return Pidfd(std::move(copy));
}

Status Pidfd::send_signal(int signal) const {
  return checked_status(call(SYS_pidfd_send_signal, get(), signal, nullptr, 0),
                        "Cannot signal a process");
}

Status Pidfd::send_signal(int signal, int value) const {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = static_cast<pid_t>(call(SYS_getpid));
  info.si_uid = static_cast<uid_t>(call(SYS_getuid));
  info.si_value.sival_int = value;
  return checked_status(call(SYS_pidfd_send_signal, get(), signal, &info, 0),
                        "Cannot signal a process");
}

Result<bool> Pidfd::has_ended() const {
  pollfd watched{get(), POLLIN, 0};
  const timespec no_time{};
  PIDWARD_TRY(const long ready, checked(call_retrying(SYS_ppoll, &watched, 1, &no_time, nullptr, 0),
                                        "Cannot poll a process"));
  if ((watched.revents & POLLNVAL) != 0) {
    return Error::from_errno(EBADF, "Cannot poll a process");
  }
  return ready > 0;
}

Result<bool> Pidfd::exists() const {
  const long result = call(SYS_pidfd_send_signal, get(), 0, nullptr, 0);
  if (result == -ESRCH) return false;
  // Not being allowed to signal it is a fact about somebody who is there.
  if (result == -EPERM) return true;
  PIDWARD_CHECK(checked_status(result, "Cannot ask whether a process exists"));
  return true;
}

Result<std::optional<ChildEnd>> Pidfd::reap() const {
  return wait_now(0);
}
Result<std::optional<ChildEnd>> Pidfd::peek() const {
  return wait_now(WNOWAIT);
}

Result<std::optional<ChildEnd>> Pidfd::wait_now(int extra_options) const {
  siginfo_t info{};
  const long result = call_retrying(SYS_waitid, kWaitPidfd, get(), &info,
                                    WEXITED | WNOHANG | __WALL | extra_options, nullptr);
  PIDWARD_CHECK(checked_status(result, "Cannot wait for a process"));
  if (info.si_pid == 0) return std::optional<ChildEnd>();
  return std::optional(
      ChildEnd{info.si_pid, ExitStatus::from_siginfo(info.si_code, info.si_status)});
}

Result<std::uint64_t> Pidfd::inode() const {
  return inode_of(get());
}

Result<bool> Pidfd::is_pidfs() const {
  PIDWARD_TRY(const std::uint64_t magic, filesystem_magic_of(get()));
  return magic == uapi::kPidFsMagic;
}

Result<pid_t> Pidfd::pid() const {
  // In one call where the kernel has it; what it refuses to tell, fdinfo gives the reason for.
  if (const auto told = info(uapi::kPidfdInfoPid); told && told->tgid > 0) {
    return static_cast<pid_t>(told->tgid);
  }
  PIDWARD_TRY(const std::optional<pid_t> pid, number_in_fdinfo(get()));
  if (!pid) return Error(Errc::invalid_argument, "The descriptor is not a pidfd");
  if (*pid == 0) return outside();
  if (*pid < 0) return gone();
  return *pid;
}

Result<uapi::PidfdInfo> Pidfd::info(std::uint64_t mask) const {
  uapi::PidfdInfo info;
  info.mask = mask;
  const long result = call(SYS_ioctl, get(), uapi::kPidfdGetInfo, &info);
  if (result == -ENOTTY || result == -EINVAL) {
    return Error(Errc::not_supported, "This kernel does not tell about a process by its pidfd");
  }
  PIDWARD_CHECK(checked_status(result, "Cannot ask about a process"));
  return info;
}

Result<std::optional<ExitStatus>> Pidfd::exit_status() const {
  PIDWARD_TRY(const uapi::PidfdInfo answer, info(uapi::kPidfdInfoExit));
  if ((answer.mask & uapi::kPidfdInfoExit) == 0) return std::optional<ExitStatus>();
  return std::optional(ExitStatus::from_wait(answer.exit_code));
}

Result<PidfsHandle> Pidfd::handle() const {
  PidfsHandle handle;
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof(handle.bytes)> storage{};
  auto* raw = reinterpret_cast<file_handle*>(storage.data());  // NOLINT: ends in a flexible array
  raw->handle_bytes = handle.bytes.size();
  int mount_id = 0;
  const long result = call(SYS_name_to_handle_at, get(), "", raw, &mount_id, AT_EMPTY_PATH);
  if (result == -EOPNOTSUPP) {
    return Error(Errc::not_supported, "This kernel has no file handles for processes");
  }
  PIDWARD_CHECK(checked_status(result, "Cannot get the file handle of a process"));
  handle.type = raw->handle_type;
  handle.size = static_cast<std::uint8_t>(raw->handle_bytes);
  std::memcpy(handle.bytes.data(), storage.data() + sizeof(file_handle), handle.size);
  return handle;
}

Status Pidfd::set_label(std::string_view name, std::string_view value) const {
  return checked_status(
      call(SYS_fsetxattr, get(), label_name(name).c_str(), value.data(), value.size(), 0),
      "Cannot label a process");
}

Result<std::optional<std::string>> Pidfd::label(std::string_view name) const {
  std::string value(4096, '\0');
  const long size =
      call(SYS_fgetxattr, get(), label_name(name).c_str(), value.data(), value.size());
  if (size == -ENODATA) return std::optional<std::string>();
  PIDWARD_TRY(const long length, checked(size, "Cannot read the label of a process"));
  value.resize(static_cast<std::size_t>(length));
  return std::optional(std::move(value));
}

Status Pidfd::remove_label(std::string_view name) const {
  return checked_status(call(SYS_fremovexattr, get(), label_name(name).c_str()),
                        "Cannot remove the label of a process");
}

Result<Fd> Pidfd::get_fd(int number) const {
  PIDWARD_TRY(const long fd, checked(call(SYS_pidfd_getfd, get(), number, 0),
                                     "Cannot take a descriptor of a process"));
  return Fd(adopt_fd, static_cast<int>(fd));
}

}  // namespace pidward::sys
