// Reading a message, with the first error kept: values read after an error are empty.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bus/sdbus.hpp"
#include "sys/fd.hpp"

namespace pidward::bus {

/// Reads on from where the message stands. Named after the D-Bus types.
class Reader {
 public:
  explicit Reader(sd_bus_message* message) : message_(message) {}

  std::string s();
  std::string o();
  bool b();
  std::uint8_t y();
  std::uint16_t q();
  std::int32_t i();
  std::uint32_t u();
  std::int64_t x();
  std::uint64_t t();
  double d();
  /// A descriptor of our own; the message keeps its copy. None after an error.
  sys::Fd h();
  std::vector<std::string> as();
  std::vector<std::uint8_t> ay();

  /// Enters a container; false at the end of the surrounding array, or after an error.
  bool enter(char type, const char* contents);
  void exit();
  /// Whether another element follows in the container that was entered.
  bool more();
  /// Type of what comes next and, for containers, its contents; 0 at the end.
  char peek(std::string& contents);
  void skip(const char* types);

  /// 0, or the first error as a positive errno.
  [[nodiscard]] int error() const { return error_; }

 private:
  template <typename T>
  T basic(char type);
  bool note(int result);
  sd_bus_message* message_;
  int error_ = 0;
};

}  // namespace pidward::bus
