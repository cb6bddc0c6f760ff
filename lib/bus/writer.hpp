// Filling a message, with the first error kept: a chain of calls is checked once, at its end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "bus/sdbus.hpp"

namespace pidward::bus {

/// `text` as D-Bus takes it: valid UTF-8 without NUL. What is not becomes U+FFFD.
std::string clean_utf8(std::string_view text);

/// Appends to a message it does not own. Named after the D-Bus types.
class Writer {
 public:
  explicit Writer(sd_bus_message* message) : message_(message) {}

  Writer& s(std::string_view text);
  Writer& o(const std::string& path);
  Writer& b(bool value);
  Writer& y(std::uint8_t value);
  Writer& q(std::uint16_t value);
  Writer& i(std::int32_t value);
  Writer& u(std::uint32_t value);
  Writer& x(std::int64_t value);
  Writer& t(std::uint64_t value);
  Writer& d(double value);
  /// A descriptor; the message takes a duplicate.
  Writer& h(int fd);
  Writer& as(std::span<const std::string> strings);
  Writer& ay(std::span<const std::uint8_t> bytes);
  /// Microseconds; kInfinity is UINT64_MAX.
  Writer& span(Duration value) { return t(to_bus_usec(value)); }
  Writer& time(WallTime value) {
    return t(static_cast<std::uint64_t>(value.time_since_epoch().count()));
  }
  Writer& time(MonoTime value) {
    return t(static_cast<std::uint64_t>(value.time_since_epoch().count()));
  }

  Writer& open_array(const char* element);
  Writer& open_struct(const char* members);
  Writer& open_dict(const char* members);
  Writer& open_variant(const char* type);
  Writer& close();
  /// The empty value of one complete type: 0, "", [], a struct of those.
  Writer& empty(std::string_view type);

  /// 0, or the first error as a positive errno.
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] sd_bus_message* message() const { return message_; }

 private:
  Writer& basic(char type, const void* value);
  Writer& note(int result);
  sd_bus_message* message_;
  int error_ = 0;
};

/// Length of the first complete type of `signature`, 0 if there is none.
std::size_t complete_type_length(std::string_view signature);

}  // namespace pidward::bus
