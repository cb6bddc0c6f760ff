// Addresses of ListenStream= and its kin (systemd.socket(5)). Pure.
#pragma once

#include <string>
#include <string_view>

#include <sys/socket.h>

#include "base/result.hpp"

namespace pidward::runtime {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string path;  ///< of a socket in the file system, else empty

  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage);  // NOLINT: that is what it is
  }
};

/// "/path", "@abstract", "8080", "1.2.3.4:80", "[::1]:80", "[fe80::1%2]:80", "vsock:CID:PORT". A
/// port alone is IPv6 (and with it, as a rule, IPv4), or IPv4 where `has_ipv6` is false. Errors say
/// what is wrong with the text.
Result<SocketAddress> parse_socket_address(std::string_view text, bool has_ipv6 = true);

/// "127.0.0.1:80", "[::1]:80", a path, or empty: for the instance names of Accept=yes and for
/// messages.
std::string format_socket_address(const sockaddr_storage& storage, socklen_t length);

}  // namespace pidward::runtime
