#include "bus/writer.hpp"

#include <cerrno>

namespace pidward::bus {
namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead != 0 && lead < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;  // surrogates
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
  }
  return length;
}

std::size_t matching_end(std::string_view signature, char open, char close) {
  int depth = 0;
  for (std::size_t i = 0; i < signature.size(); ++i) {
    if (signature[i] == open) ++depth;
    if (signature[i] == close && --depth == 0) return i + 1;
  }
  return 0;
}

}  // namespace

std::string clean_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

std::size_t complete_type_length(std::string_view signature) {
  if (signature.empty()) return 0;
  if (signature[0] == 'a') {
    const std::size_t rest = complete_type_length(signature.substr(1));
    return rest == 0 ? 0 : rest + 1;
  }
  if (signature[0] == '(') return matching_end(signature, '(', ')');
  if (signature[0] == '{') return matching_end(signature, '{', '}');
  return 1;
}

Writer& Writer::note(int result) {
  if (result < 0 && error_ == 0) error_ = -result;
  return *this;
}

Writer& Writer::basic(char type, const void* value) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_append_basic(message_, type, value));
}

Writer& Writer::s(std::string_view text) {
  return basic('s', clean_utf8(text).c_str());
}
Writer& Writer::o(const std::string& path) {
  return basic('o', path.c_str());
}
Writer& Writer::b(bool value) {
  const int number = value ? 1 : 0;
  return basic('b', &number);
}
Writer& Writer::y(std::uint8_t value) {
  return basic('y', &value);
}
Writer& Writer::q(std::uint16_t value) {
  return basic('q', &value);
}
Writer& Writer::i(std::int32_t value) {
  return basic('i', &value);
}
Writer& Writer::u(std::uint32_t value) {
  return basic('u', &value);
}
Writer& Writer::x(std::int64_t value) {
  return basic('x', &value);
}
Writer& Writer::t(std::uint64_t value) {
  return basic('t', &value);
}
Writer& Writer::d(double value) {
  return basic('d', &value);
}
Writer& Writer::h(int fd) {
  return basic('h', &fd);
}

Writer& Writer::as(std::span<const std::string> strings) {
  open_array("s");
  for (const std::string& text : strings) s(text);
  return close();
}

Writer& Writer::ay(std::span<const std::uint8_t> bytes) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_append_array(message_, 'y', bytes.data(), bytes.size()));
}

Writer& Writer::open_array(const char* element) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_open_container(message_, 'a', element));
}
Writer& Writer::open_struct(const char* members) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_open_container(message_, 'r', members));
}
Writer& Writer::open_dict(const char* members) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_open_container(message_, 'e', members));
}
Writer& Writer::open_variant(const char* type) {
  if (error_ != 0) return *this;
  return note(sd_bus_message_open_container(message_, 'v', type));
}
Writer& Writer::close() {
  if (error_ != 0) return *this;
  return note(sd_bus_message_close_container(message_));
}

Writer& Writer::empty(std::string_view type) {
  if (type.empty()) return note(-EINVAL);
  const std::string inner =
      type.size() > 1
          ? std::string(type[0] == '(' ? type.substr(1, type.size() - 2) : type.substr(1))
          : std::string();
  switch (type[0]) {
    case 's':
      return s("");
    case 'o':
      return o("/");
    case 'b':
      return b(false);
    case 'y':
      return y(0);
    case 'q':
      return q(0);
    case 'i':
      return i(0);
    case 'u':
      return u(0);
    case 'x':
      return x(0);
    case 't':
      return t(0);
    case 'd':
      return d(0);
    case 'a':
      return open_array(inner.c_str()).close();
    case '(': {
      open_struct(inner.c_str());
      std::string_view rest = inner;
      while (!rest.empty() && error_ == 0) {
        const std::size_t length = complete_type_length(rest);
        if (length == 0) return note(-EINVAL);
        empty(rest.substr(0, length));
        rest.remove_prefix(length);
      }
      return close();
    }
    default:
      return note(-EINVAL);
  }
}

}  // namespace pidward::bus
