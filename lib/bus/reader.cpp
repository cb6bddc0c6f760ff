#include "bus/reader.hpp"

#include <cerrno>

#include <fcntl.h>

#include "bus/memory.hpp"

namespace pidward::bus {

bool Reader::note(int result) {
  if (checked(result) < 0 && error_ == 0) error_ = -result;
  return result > 0 && error_ == 0;
}

template <typename T>
T Reader::basic(char type) {
  T value{};
  if (error_ != 0) return value;
  const int result = sd_bus_message_read_basic(message_, type, &value);
  // The end of the message where a value is asked for is an error too.
  note(result == 0 ? -ENXIO : result);
  return error_ == 0 ? value : T{};
}

std::string Reader::s() {
  const auto* text = basic<const char*>('s');
  return text == nullptr ? std::string() : std::string(text);
}
std::string Reader::o() {
  const auto* text = basic<const char*>('o');
  return text == nullptr ? std::string() : std::string(text);
}
bool Reader::b() {
  return basic<int>('b') != 0;
}
std::uint8_t Reader::y() {
  return basic<std::uint8_t>('y');
}
std::uint16_t Reader::q() {
  return basic<std::uint16_t>('q');
}
std::int32_t Reader::i() {
  return basic<std::int32_t>('i');
}
std::uint32_t Reader::u() {
  return basic<std::uint32_t>('u');
}
std::int64_t Reader::x() {
  return basic<std::int64_t>('x');
}
std::uint64_t Reader::t() {
  return basic<std::uint64_t>('t');
}
double Reader::d() {
  return basic<double>('d');
}

sys::Fd Reader::h() {
  // Read by hand: 0 is a descriptor and no error.
  if (error_ != 0) return {};
  int number = -1;
  const int result = sd_bus_message_read_basic(message_, 'h', &number);
  note(result == 0 ? -ENXIO : result);
  if (error_ != 0) return {};
  const int copy = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) error_ = errno;  // not sd-bus' memory, should it say so
  return {sys::adopt_fd, copy};
}

std::vector<std::string> Reader::as() {
  std::vector<std::string> out;
  if (!enter('a', "s")) return out;
  while (more()) out.push_back(s());
  exit();
  return out;
}

std::vector<std::uint8_t> Reader::ay() {
  if (error_ != 0) return {};
  const void* bytes = nullptr;
  std::size_t size = 0;
  const int result = sd_bus_message_read_array(message_, 'y', &bytes, &size);
  note(result == 0 ? -ENXIO : result);
  if (error_ != 0 || size == 0) return {};
  const auto* first = static_cast<const std::uint8_t*>(bytes);
  return {first, first + size};
}

bool Reader::enter(char type, const char* contents) {
  return error_ == 0 && note(sd_bus_message_enter_container(message_, type, contents));
}
void Reader::exit() {
  if (error_ == 0) note(sd_bus_message_exit_container(message_));
}
bool Reader::more() {
  if (error_ != 0) return false;
  const int at_end = sd_bus_message_at_end(message_, 0);
  note(at_end);
  return error_ == 0 && at_end == 0;
}
char Reader::peek(std::string& contents) {
  if (error_ != 0) return 0;
  char type = 0;
  const char* inner = nullptr;
  note(sd_bus_message_peek_type(message_, &type, &inner));
  contents = inner == nullptr ? "" : inner;
  return error_ == 0 ? type : '\0';
}
void Reader::skip(const char* types) {
  if (error_ == 0) note(sd_bus_message_skip(message_, types));
}

}  // namespace pidward::bus
