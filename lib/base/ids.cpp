#include "base/ids.hpp"

#include <algorithm>

#include <fmt/core.h>

namespace pidward {

bool InvocationId::is_null() const {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::string InvocationId::to_string() const {
  std::string text;
  text.reserve(bytes.size() * 2);
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

Result<InvocationId> InvocationId::parse(std::string_view hex) {
  InvocationId id;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (hex.size() != id.bytes.size() * 2) {
    return Error(Errc::invalid_argument,
                 fmt::format("An invocation ID has 32 hex digits, this has {}", hex.size()));
  }
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return Error(Errc::invalid_argument, fmt::format("'{}' is not a lower-case hex number", hex));
    }
    id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

}  // namespace pidward
