#include "bus/private_door.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.hpp"
#include "sys/descriptor_reserve.hpp"

namespace pidward::bus {
namespace {

constexpr int kAcceptsATurn = 16;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(200);

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error(Errc::invalid_argument,
                 fmt::format("the socket path {} is longer than the {} bytes the kernel takes",
                             path, sizeof address.sun_path - 1))
        .advise("choose a shorter runtime directory");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// A child of the last daemon's on its way to exec may still have a copy of its socket.
bool listener_lives(int connection, const sys::KernelFeatures& features) {
  const auto process = sys::peer_pidfd(connection, features);
  if (!process) {
    // Kernels before 6.16 have no pidfd of a process that was collected.
    const int why = process.error().sys_errno();
    return why != ESRCH && why != EINVAL;
  }
  const auto ended = process->has_ended();
  return !ended || !*ended;
}

Status make_way(const std::string& path, const sockaddr_un& address,
                const sys::KernelFeatures& features) {
  PIDWARD_TRY(const sys::Fd probe, sys::make_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK));
  const bool answered =
      ::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN;
  const int why = errno;
  if (answered && listener_lives(probe.get(), features)) {
    return Error(Errc::unit_exists, fmt::format("another pidward serves {}", path))
        .advise("stop it, or give this one another runtime directory");
  }
  if (!answered && why == ENOENT) return {};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::from_errno(errno, fmt::format("removing the old socket {}", path));
  }
  return {};
}

std::uint64_t inode_of_path(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

PrivateDoor::PrivateDoor(boost::asio::io_context& io, std::string path, sys::Fd socket,
                         Accept accept)
    : path_(std::move(path)),
      inode_(inode_of_path(path_)),
      socket_(std::move(socket)),
      accept_(std::move(accept)),
      watch_(io),
      pause_(io) {}

Result<std::unique_ptr<PrivateDoor>> PrivateDoor::open(boost::asio::io_context& io,
                                                       std::string path,
                                                       const sys::KernelFeatures& features,
                                                       Accept accept) {
  PIDWARD_TRY(const sockaddr_un address, address_of(path));
  PIDWARD_CHECK(make_way(path, address, features));
  PIDWARD_TRY(sys::Fd socket, sys::make_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK));
  if (::bind(socket.get(), generic(address), sizeof address) != 0) {
    return Error::from_errno(errno, fmt::format("making the socket {}", path));
  }
  // Reading is open to all; changes are checked call by call.
  if (::chmod(path.c_str(), 0666) != 0 || ::listen(socket.get(), 128) != 0) {
    return Error::from_errno(errno, fmt::format("listening on {}", path));
  }
  auto door = std::unique_ptr<PrivateDoor>(
      new PrivateDoor(io, std::move(path), std::move(socket), std::move(accept)));
  boost::system::error_code problem;
  door->watch_.assign(door->socket_.get(), problem);
  if (problem) return Error::from_errno(problem.value(), "watching the private socket");
  door->wait();
  return door;
}

PrivateDoor::~PrivateDoor() {
  if (watch_.is_open()) watch_.release();
  if (inode_ != 0 && inode_of_path(path_) == inode_) ::unlink(path_.c_str());
}

void PrivateDoor::wait() {
  watch_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& problem) {
                      if (!problem) accept_some();
                    });
}

void PrivateDoor::accept_some() {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    const int number = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (number >= 0) {
      accept_one(sys::Fd(sys::adopt_fd, number));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) break;
    // No descriptors or no memory: clients wait in the kernel's queue until there are.
    complain(Error::from_errno(errno, "bus: accepting a connection").to_string());
    pause_.expires_after(kPauseWithoutDescriptors);
    pause_.async_wait([this](const boost::system::error_code& problem) {
      if (!problem) accept_some();
    });
    return;
  }
  wait();
}

void PrivateDoor::accept_one(sys::Fd connection) {
  if (Status room = sys::check_reserve(connection.get(), sys::DescriptorUse::client); !room) {
    return complain("bus: a connection is refused: " + room.error().to_string());
  }
  const auto peer = sys::peer_credentials(connection.get());
  if (!peer) return;
  const bool is_limited = peer->uid != 0 && peer->uid != ::geteuid();
  const auto known = users_.find(peer->uid);
  const std::size_t of_user = known == users_.end() ? 0 : known->second;
  if (connections_ >= kMaxConnections || (is_limited && of_user >= kMaxConnectionsOfUser)) {
    return complain(fmt::format("bus: user {} has {} of {} connections; more are refused",
                                peer->uid, of_user, connections_));
  }
  has_complained_ = false;
  ++users_[peer->uid];
  ++connections_;
  accept_(std::move(connection), *peer);
}

/// Once, until a connection is accepted again.
void PrivateDoor::complain(const std::string& sentence) {
  if (!std::exchange(has_complained_, true)) log(LogLevel::warning, sentence);
}

void PrivateDoor::left(uid_t uid) {
  const auto user = users_.find(uid);
  if (user == users_.end()) return;
  --connections_;
  if (--user->second == 0) users_.erase(user);
}

}  // namespace pidward::bus
