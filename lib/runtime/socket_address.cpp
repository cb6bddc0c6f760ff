#include "runtime/socket_address.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/number.hpp"

namespace pidward::runtime {
namespace {

Error not_an_address(std::string_view text, std::string_view why) {
  return Error(Errc::invalid_argument,
               fmt::format("\"{}\" is not a socket address: {}", text, why));
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_number<std::uint16_t>(text);
  return port && *port != 0 ? port : std::nullopt;
}

template <typename Address>
SocketAddress make_address(const Address& address, std::size_t length = sizeof(Address)) {
  SocketAddress result;
  std::memcpy(&result.storage, &address, sizeof address);
  result.length = static_cast<socklen_t>(length);
  return result;
}

Result<SocketAddress> unix_address(std::string_view text) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_abstract = text.starts_with('@');
  if (text.size() + (is_abstract ? 0 : 1) > sizeof address.sun_path) {
    return not_an_address(text, fmt::format("longer than {} bytes", sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, text.data(), text.size());
  if (is_abstract) address.sun_path[0] = 0;
  const std::size_t length = offsetof(sockaddr_un, sun_path) + text.size() + (is_abstract ? 0 : 1);
  SocketAddress result = make_address(address, length);
  if (!is_abstract) result.path = text;
  return result;
}

Result<SocketAddress> vsock_address(std::string_view text) {
  const std::string_view rest = text.substr(6);
  const std::size_t colon = rest.find(':');
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  const auto port = colon == std::string_view::npos
                        ? std::nullopt
                        : parse_number<std::uint32_t>(rest.substr(colon + 1));
  if (!port) return not_an_address(text, "vsock:[CID]:PORT is expected");
  address.svm_cid = VMADDR_CID_ANY;
  if (colon > 0) {
    const auto cid = parse_number<std::uint32_t>(rest.substr(0, colon));
    if (!cid) return not_an_address(text, "the context id is not a number");
    address.svm_cid = *cid;
  }
  address.svm_port = *port;
  return make_address(address);
}

Result<SocketAddress> ipv6_address(std::string_view text) {
  const std::size_t close = text.find("]:");
  const auto port =
      close == std::string_view::npos ? std::nullopt : parse_port(text.substr(close + 2));
  if (!port) return not_an_address(text, "[ADDRESS]:PORT is expected");
  std::string host(text.substr(1, close - 1));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(*port);
  if (const std::size_t percent = host.find('%'); percent != std::string::npos) {
    const std::string scope = host.substr(percent + 1);
    host.resize(percent);
    const auto number = parse_number<std::uint32_t>(scope);
    address.sin6_scope_id = number ? *number : ::if_nametoindex(scope.c_str());
    if (address.sin6_scope_id == 0) return not_an_address(text, "there is no such interface");
  }
  if (::inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) {
    return not_an_address(text, "what is in the brackets is no IPv6 address");
  }
  return make_address(address);
}

Result<SocketAddress> port_alone(std::uint16_t port, bool has_ipv6) {
  if (has_ipv6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    return make_address(address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return make_address(address);
}

}  // namespace

Result<SocketAddress> parse_socket_address(std::string_view text, bool has_ipv6) {
  if (text.empty()) return not_an_address(text, "it is empty");
  if (text.starts_with('/') || (text.starts_with('@') && text.size() > 1))
    return unix_address(text);
  if (text.starts_with("vsock:")) return vsock_address(text);
  if (text.starts_with('[')) return ipv6_address(text);
  if (const auto port = parse_port(text)) return port_alone(*port, has_ipv6);
  const std::size_t colon = text.rfind(':');
  const auto port =
      colon == std::string_view::npos ? std::nullopt : parse_port(text.substr(colon + 1));
  if (!port) return not_an_address(text, "a path, a port, or ADDRESS:PORT is expected");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  if (::inet_pton(AF_INET, std::string(text.substr(0, colon)).c_str(), &address.sin_addr) != 1) {
    return not_an_address(text, "what is before the colon is no IPv4 address");
  }
  return make_address(address);
}

std::string format_socket_address(const sockaddr_storage& storage, socklen_t length) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (storage.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof address);
    ::inet_ntop(AF_INET, &address.sin_addr, buffer.data(), buffer.size());
    return fmt::format("{}:{}", buffer.data(), ntohs(address.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, &storage, sizeof address);
    if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
      ::inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], buffer.data(), buffer.size());
      return fmt::format("{}:{}", buffer.data(), ntohs(address.sin6_port));
    }
    ::inet_ntop(AF_INET6, &address.sin6_addr, buffer.data(), buffer.size());
    return fmt::format("[{}]:{}", buffer.data(), ntohs(address.sin6_port));
  }
  if (storage.ss_family == AF_UNIX && length > offsetof(sockaddr_un, sun_path)) {
    sockaddr_un address{};
    std::memcpy(&address, &storage, std::min<std::size_t>(length, sizeof address));
    const std::size_t size = length - offsetof(sockaddr_un, sun_path);
    if (address.sun_path[0] != 0) {
      return std::string(address.sun_path, ::strnlen(address.sun_path, size));
    }
    return "@" + std::string(address.sun_path + 1, size - 1);
  }
  return {};
}

}  // namespace pidward::runtime
