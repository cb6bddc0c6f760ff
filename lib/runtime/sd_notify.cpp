#include "runtime/sd_notify.hpp"

#include <cerrno>
#include <cstdlib>

#include <sys/socket.h>

#include "runtime/socket_address.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

Status notify_parent(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe)
  if (path == nullptr || *path == 0) return {};
  PIDWARD_TRY(const SocketAddress address, parse_socket_address(path));
  PIDWARD_TRY(const sys::Fd socket, sys::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK));
  if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, address.get(),
               address.length) < 0) {
    return Error::from_errno(errno, "Cannot tell our own state");
  }
  return {};
}

}  // namespace pidward::runtime
