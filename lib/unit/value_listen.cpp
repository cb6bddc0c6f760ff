// Listen…= of sockets (systemd.socket(5), "Options").
#include <arpa/inet.h>
#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

// sun_path holds 108 bytes; a path ends with a NUL, an abstract name begins with one.
constexpr std::size_t kMaxUnixPath = 107;
constexpr std::uint64_t kMaxPort = 65535;

bool is_ipv4(const std::string& text) {
  in_addr address{};
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& text) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

Status check_port(std::string_view text) {
  const auto port = parse_decimal(text, kMaxPort);
  if (port && *port > 0) return {};
  return not_a(text, "a port number from 1 to 65535");
}

/// "[ADDRESS]:PORT" with an interface behind a '%', the way inet sockets with IPv6 are written.
Status check_ipv6(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return not_a(text, "an address: ']' is missing");
  if (!is_ipv6(std::string(text.substr(1, close - 1))))
    return not_a(text, "an address: no IPv6 address is in the brackets");
  std::string_view rest = text.substr(close + 1);
  if (!rest.starts_with(':'))
    return not_a(text, "an address: a port is expected behind the brackets");
  rest.remove_prefix(1);
  const std::size_t scope = rest.find('%');
  if (scope != std::string_view::npos && scope + 1 == rest.size()) {
    return not_a(text, "an address: an interface is expected behind '%'");
  }
  return check_port(rest.substr(0, scope));
}

/// "vsock:[CID]:PORT" and its forms with a socket type.
Status check_vsock(std::string_view text, std::string_view rest) {
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos)
    return not_a(text, "a vsock address: vsock:CID:PORT is expected");
  const std::string_view cid = rest.substr(0, colon);
  if (!cid.empty() && !parse_unsigned(cid, kMax32))
    return not_a(text, "a vsock address: the CID is not a number");
  if (!parse_unsigned(rest.substr(colon + 1), kMax32))
    return not_a(text, "a vsock address: the port is not a number");
  return {};
}

Status check_inet(const std::string& text) {
  if (text.starts_with('[')) return check_ipv6(text);
  if (text.starts_with("vsock:")) return check_vsock(text, std::string_view(text).substr(6));
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) {
    if (check_port(text)) return {};
    return Error(Errc::syntax, fmt::format("'{}' is not a socket address", text))
        .advise("Write /a/path, @abstract, PORT, ADDRESS:PORT or [IPV6]:PORT.");
  }
  if (!is_ipv4(text.substr(0, colon))) {
    return not_a(
        text,
        "a socket address: an IPv4 address is expected before the port, IPv6 goes in brackets");
  }
  return check_port(std::string_view(text).substr(colon + 1));
}

Result<std::string> check_address(const std::string& kind, std::string address,
                                  const ParseContext& context) {
  if (address.starts_with('/')) {
    PIDWARD_TRY(std::string path, check_path(std::move(address)));
    if (path.size() > kMaxUnixPath)
      return not_a(path, "a socket path: it is longer than 107 bytes");
    return without_var_run(std::move(path), context);
  }
  if (address.starts_with('@')) {
    if (address.size() < 2 || address.size() > kMaxUnixPath + 1) {
      return not_a(address, "an abstract socket name: 1 to 107 bytes are expected behind '@'");
    }
    return address;
  }
  PIDWARD_CHECK(check_inet(address));
  if (kind == "SequentialPacket" && !address.starts_with("vsock:")) {
    return not_a(address,
                 "an address for ListenSequentialPacket=: only paths and abstract names are");
  }
  return address;
}

Status check_netlink(std::string_view text) {
  std::string_view rest = text;
  const auto family = take_word(rest, {});
  const auto group = take_word(rest, {});
  const bool fine = family && *family && group &&
                    (!*group || parse_unsigned((*group)->text, kMax32)) && rest.empty();
  if (fine) return {};
  return not_a(text,
               "a netlink address: a family like kobject-uevent and a group number are expected");
}

}  // namespace

Result<Value> parse_listen(const Row& row, std::string_view text, const ParseContext& context) {
  SocketListen listen;
  listen.type = row.name.substr(std::string_view("Listen").size());
  PIDWARD_TRY(std::string address, expand(text, context));
  if (listen.type == "Netlink") {
    PIDWARD_CHECK(check_netlink(address));
    listen.address = std::move(address);
  } else if (listen.type == "FIFO") {
    PIDWARD_TRY(std::string path, check_path(std::move(address)));
    listen.address = without_var_run(std::move(path), context);
  } else if (listen.type == "Special" || listen.type == "USBFunction") {
    PIDWARD_TRY(listen.address, check_path(std::move(address)));
  } else if (listen.type == "MessageQueue") {
    if (address.size() < 2 || address.front() != '/' || address.find('/', 1) != std::string::npos) {
      return not_a(address,
                   "the name of a message queue: '/' and a name without further '/' are expected");
    }
    listen.address = std::move(address);
  } else {
    PIDWARD_TRY(listen.address, check_address(listen.type, std::move(address), context));
  }
  return Value(std::vector<SocketListen>{std::move(listen)});
}

}  // namespace pidward::unit::detail
