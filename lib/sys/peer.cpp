#include "sys/peer.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "sys/check.hpp"

namespace pidward::sys {
namespace {

constexpr std::size_t kMostFds = 253;  // SCM_MAX_FD of the kernel

Status set_flag(int socket, int option, const char* what) {
  const int on = 1;
  return checked_status(call(SYS_setsockopt, socket, SOL_SOCKET, option, &on, sizeof(on)), what);
}

// Takes what one control message carries. Descriptors are owned from here on, wanted or not.
void take_control(const cmsghdr& header, std::size_t max_fds, Message& message) {
  const auto* data =
      reinterpret_cast<const char*>(CMSG_DATA(&header));  // NOLINT: bytes of the message
  const std::size_t size = header.cmsg_len - CMSG_LEN(0);
  if (header.cmsg_level != SOL_SOCKET) return;
  if (header.cmsg_type == SCM_RIGHTS) {
    for (std::size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, data + at, sizeof(number));
      Fd fd(adopt_fd, number);
      if (message.fds.size() < max_fds) {
        message.fds.push_back(std::move(fd));
      } else {
        message.control_truncated = true;
      }
    }
  } else if (header.cmsg_type == SCM_CREDENTIALS && size >= sizeof(ucred)) {
    ucred sender{};
    std::memcpy(&sender, data, sizeof(sender));
    message.credentials = Credentials{sender.pid, sender.uid, sender.gid};
  } else if (header.cmsg_type == uapi::kScmPidfd && size >= sizeof(int)) {
    int number = -1;
    std::memcpy(&number, data, sizeof(number));
    // A negative number is the kernel's error: it had no descriptor to give.
    if (number >= 0) {
      message.sender = Pidfd(Fd(adopt_fd, number));
      message.sender_is_certain = true;
    }
  }
}

}  // namespace

Result<Credentials> peer_credentials(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  PIDWARD_CHECK(checked_status(call(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, &peer, &size),
                               "Cannot ask who is at the other end of a socket"));
  return Credentials{peer.pid, peer.uid, peer.gid};
}

Result<Pidfd> peer_pidfd(int socket, const KernelFeatures& features) {
  if (features.has(Feature::peer_pidfd)) {
    int number = -1;
    socklen_t size = sizeof(number);
    PIDWARD_CHECK(
        checked_status(call(SYS_getsockopt, socket, SOL_SOCKET, uapi::kSoPeerPidfd, &number, &size),
                       "Cannot get the process at the other end of a socket"));
    return Pidfd(Fd(adopt_fd, number));
  }
  PIDWARD_TRY(const Credentials peer, peer_credentials(socket));
  if (peer.pid == 0) {
    return Error(Errc::no_such_process,
                 "The process at the other end of the socket is not in our pid namespace");
  }
  return Pidfd::open(peer.pid);
}

Status enable_sender_identity(int socket, const KernelFeatures& features) {
  PIDWARD_CHECK(set_flag(socket, SO_PASSCRED, "Cannot ask for the senders of messages"));
  if (!features.has(Feature::pass_pidfd)) return {};
  return set_flag(socket, uapi::kSoPassPidfd, "Cannot ask for the pidfds of senders");
}

namespace {

Result<std::optional<Message>> read_message(int socket, std::size_t limit, std::size_t max_fds,
                                            int flags) {
  Message message;
  message.bytes.resize(limit);
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred)) +
                                CMSG_SPACE(sizeof(int))];
  iovec part{message.bytes.data(), message.bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const long size =
      call_retrying(SYS_recvmsg, socket, &header, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size == -EAGAIN) return std::optional<Message>();
  PIDWARD_CHECK(checked_status(size, "Cannot receive a message"));
  message.bytes.resize(static_cast<std::size_t>(size));
  message.truncated = (header.msg_flags & MSG_TRUNC) != 0;
  message.control_truncated = (header.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
    take_control(*one, max_fds, message);
  }
  if (!message.sender && message.credentials && message.credentials->pid > 0) {
    if (auto opened = Pidfd::open(message.credentials->pid)) message.sender = *std::move(opened);
  }
  return std::optional(std::move(message));
}

}  // namespace

Result<std::optional<Message>> receive_message(int socket, std::size_t limit, std::size_t max_fds) {
  return read_message(socket, limit, max_fds, 0);
}

Result<std::optional<Message>> peek_message(int socket, std::size_t limit, std::size_t max_fds) {
  return read_message(socket, limit, max_fds, MSG_PEEK);
}

void drop_message(int socket) {
  // Without room for them its descriptors are not installed a second time.
  char none = 0;
  call_retrying(SYS_recvfrom, socket, &none, 1, MSG_DONTWAIT, nullptr, nullptr);
}

Status send_message(int socket, std::string_view bytes, const std::vector<int>& fds) {
  if (fds.size() > kMostFds) {
    return Error(Errc::limit_exceeded,
                 fmt::format("A message carries at most {} descriptors", kMostFds));
  }
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT: sendmsg only reads it
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  PIDWARD_TRY(const long sent,
              checked(call_retrying(SYS_sendmsg, socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL),
                      "Cannot send a message"));
  if (static_cast<std::size_t>(sent) != bytes.size()) {
    return Error(Errc::limit_exceeded, "Only part of a message fit into the socket");
  }
  return {};
}

}  // namespace pidward::sys
