#include "runtime/socket_open.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/posix_files.hpp"
#include "runtime/socket_address.hpp"
#include "unit/enums.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;

const std::vector<unit::SocketListen>& listen_lines(const unit::Settings& settings) {
  static const std::vector<unit::SocketListen> kNone;
  const unit::Value* value = settings.find(unit::kListenStore);
  const auto* lines =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::SocketListen>>(value);
  return lines == nullptr ? kNone : *lines;
}

struct Owner {
  uid_t user = static_cast<uid_t>(-1);
  gid_t group = static_cast<gid_t>(-1);
};

template <typename Number>
std::optional<Number> as_number(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return static_cast<Number>(std::strtoul(text.c_str(), nullptr, 10));
}

Result<Owner> find_owner(const unit::Settings& settings) {
  Owner owner;
  std::array<char, 65536> buffer{};
  if (const std::string& name = settings.string(Directive::SocketUser); !name.empty()) {
    passwd entry{};
    passwd* found = nullptr;
    const auto number = as_number<uid_t>(name);
    if (number) {
      owner.user = *number;
    } else if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
               found != nullptr) {
      owner.user = found->pw_uid;
      owner.group = found->pw_gid;
    } else {
      return Error(Errc::not_found, fmt::format("There is no user {} (SocketUser=)", name));
    }
  }
  if (const std::string& name = settings.string(Directive::SocketGroup); !name.empty()) {
    group entry{};
    group* found = nullptr;
    const auto number = as_number<gid_t>(name);
    if (number) {
      owner.group = *number;
    } else if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
               found != nullptr) {
      owner.group = found->gr_gid;
    } else {
      return Error(Errc::not_found, fmt::format("There is no group {} (SocketGroup=)", name));
    }
  }
  return owner;
}

Status set_option(int fd, int level, int option, int value, std::string_view name) {
  if (::setsockopt(fd, level, option, &value, sizeof value) == 0) return {};
  return Error::from_errno(errno, fmt::format("Cannot set {}", name));
}

Status set_options(int fd, const unit::Settings& settings, int family, int type) {
  const bool is_ip = family == AF_INET || family == AF_INET6;
  if (is_ip) {
    PIDWARD_CHECK(set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
    if (settings.boolean(Directive::FreeBind)) {
      PIDWARD_CHECK(set_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "FreeBind="));
    }
    if (settings.boolean(Directive::KeepAlive)) {
      PIDWARD_CHECK(set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "KeepAlive="));
    }
    if (settings.boolean(Directive::NoDelay) && type == SOCK_STREAM) {
      PIDWARD_CHECK(set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "NoDelay="));
    }
    if (settings.boolean(Directive::ReusePort)) {
      PIDWARD_CHECK(set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "ReusePort="));
    }
  }
  const auto bind = settings.choice<unit::SocketBind>(Directive::BindIPv6Only);
  if (family == AF_INET6 && bind != unit::SocketBind::use_default) {
    PIDWARD_CHECK(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                             bind == unit::SocketBind::ipv6_only ? 1 : 0, "BindIPv6Only="));
  }
  if (settings.boolean(Directive::PassCredentials) && family == AF_UNIX) {
    PIDWARD_CHECK(set_option(fd, SOL_SOCKET, SO_PASSCRED, 1, "PassCredentials="));
  }
  const auto buffer = [&settings, fd](Directive directive, int force, int plain) {
    const std::uint64_t size = settings.number(directive);
    if (size == 0 || size > INT32_MAX) return;
    // Without CAP_NET_ADMIN as much as the system allows.
    const int value = static_cast<int>(size);
    if (::setsockopt(fd, SOL_SOCKET, force, &value, sizeof value) != 0) {
      ::setsockopt(fd, SOL_SOCKET, plain, &value, sizeof value);
    }
  };
  buffer(Directive::ReceiveBuffer, SO_RCVBUFFORCE, SO_RCVBUF);
  buffer(Directive::SendBuffer, SO_SNDBUFFORCE, SO_SNDBUF);
  return {};
}

Status own_file(const std::string& path, const unit::Settings& settings, const Owner& owner) {
  const auto mode = static_cast<mode_t>(settings.integer(Directive::SocketMode));
  if (::chmod(path.c_str(), mode) != 0)
    return Error::from_errno(errno, "Cannot set the mode of " + path);
  const bool given = owner.user != static_cast<uid_t>(-1) || owner.group != static_cast<gid_t>(-1);
  if (given && ::lchown(path.c_str(), owner.user, owner.group) != 0) {
    return Error::from_errno(errno, "Cannot set the owner of " + path);
  }
  return {};
}

Status make_parents(const std::string& path, const unit::Settings& settings) {
  const std::size_t slash = path.rfind('/');
  if (slash == 0 || slash == std::string::npos) return {};
  return make_directories(path.substr(0, slash),
                          static_cast<unsigned>(settings.integer(Directive::DirectoryMode)));
}

// Only what can be in the way is removed: a socket of an earlier run, not somebody's file.
void remove_stale_socket(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
}

Result<ListeningSocket> open_socket(const unit::SocketListen& line, int type,
                                    const unit::UnitSpec& spec, const Owner& owner) {
  const unit::Settings& settings = spec.settings;
  const bool has_ipv6 = ::access("/proc/net/if_inet6", F_OK) == 0;
  PIDWARD_TRY(const SocketAddress address, parse_socket_address(line.address, has_ipv6));
  if (type == SOCK_SEQPACKET && address.family() != AF_UNIX) {
    return Error(Errc::invalid_argument,
                 "Sequential packets exist for Unix and vsock sockets only");
  }
  ListeningSocket result;
  PIDWARD_TRY(result.fd, sys::make_socket(address.family(), type | SOCK_NONBLOCK));
  const int fd = result.fd.get();
  PIDWARD_CHECK(set_options(fd, settings, address.family(), type));
  if (!address.path.empty()) {
    PIDWARD_CHECK(make_parents(address.path, settings));
    remove_stale_socket(address.path);
  }
  if (::bind(fd, address.get(), address.length) != 0) {
    return Error::from_errno(errno, fmt::format("Cannot bind {}", line.address));
  }
  result.path = address.path;
  if (!address.path.empty()) PIDWARD_CHECK(own_file(address.path, settings, owner));
  result.accepts = type != SOCK_DGRAM;
  if (result.accepts) {
    const std::uint64_t backlog =
        std::min<std::uint64_t>(settings.number(Directive::Backlog), INT32_MAX);
    if (::listen(fd, static_cast<int>(backlog)) != 0) {
      return Error::from_errno(errno, fmt::format("Cannot listen on {}", line.address));
    }
  }
  return result;
}

Result<ListeningSocket> open_fifo(const unit::SocketListen& line, const unit::UnitSpec& spec,
                                  const Owner& owner) {
  const std::string& path = line.address;
  PIDWARD_CHECK(make_parents(path, spec.settings));
  const auto mode = static_cast<mode_t>(spec.settings.integer(Directive::SocketMode));
  if (::mkfifo(path.c_str(), mode) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "Cannot make the FIFO " + path);
  }
  ListeningSocket result;
  result.path = path;
  PIDWARD_TRY(result.fd, sys::open_path(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
  struct stat status {};
  if (::fstat(result.fd.get(), &status) != 0 || !S_ISFIFO(status.st_mode)) {
    return Error(Errc::invalid_argument, fmt::format("{} is there and is not a FIFO", path));
  }
  PIDWARD_CHECK(own_file(path, spec.settings, owner));
  return result;
}

Result<ListeningSocket> open_line(const unit::SocketListen& line, const unit::UnitSpec& spec,
                                  const Owner& owner) {
  if (line.type == "Stream") return open_socket(line, SOCK_STREAM, spec, owner);
  if (line.type == "Datagram") return open_socket(line, SOCK_DGRAM, spec, owner);
  if (line.type == "SequentialPacket") return open_socket(line, SOCK_SEQPACKET, spec, owner);
  if (line.type == "FIFO") return open_fifo(line, spec, owner);
  return Error(Errc::not_supported, fmt::format("Listen{}= is not supported", line.type));
}

}  // namespace

Result<std::vector<ListeningSocket>> open_sockets(const unit::UnitSpec& spec) {
  PIDWARD_TRY(const Owner owner, find_owner(spec.settings));
  std::vector<ListeningSocket> sockets;
  for (const unit::SocketListen& line : listen_lines(spec.settings)) {
    auto socket = open_line(line, spec, owner);
    if (!socket) {
      return std::move(socket).error().within(fmt::format("Listen{}={}", line.type, line.address));
    }
    sockets.push_back(*std::move(socket));
  }
  if (sockets.empty()) return Error(Errc::unit_load_failed, "The unit has no Listen…= line");
  for (const std::string& link : spec.settings.words(Directive::Symlinks)) {
    const auto file =
        std::find_if(sockets.begin(), sockets.end(),
                     [](const ListeningSocket& socket) { return !socket.path.empty(); });
    if (file == sockets.end()) break;
    PIDWARD_CHECK(make_parents(link, spec.settings));
    PosixFileSink sink;
    PIDWARD_CHECK(sink.make_link(link, file->path, true));
  }
  return sockets;
}

void remove_socket_files(const unit::UnitSpec& spec) {
  for (const unit::SocketListen& line : listen_lines(spec.settings)) {
    if (line.address.starts_with('/')) ::unlink(line.address.c_str());
  }
  for (const std::string& link : spec.settings.words(Directive::Symlinks)) ::unlink(link.c_str());
}

}  // namespace pidward::runtime
