#include "runtime/notify_message.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/core.h>

#include "base/number.hpp"

namespace pidward::runtime {
namespace {

// Microseconds that fit a Duration.
std::optional<Duration> parse_microseconds(std::string_view text) {
  const auto number = parse_number<std::uint64_t>(text);
  if (!number) return std::nullopt;
  return from_bus_usec(*number);
}

void complain(ParsedNotify& parsed, std::string_view key, std::string_view value) {
  parsed.complaints.push_back(
      fmt::format("{}= cannot be {}", key,
                  is_utf8(value) ? fmt::format("\"{}\"", value.substr(0, 64)) : "these bytes"));
}

bool is_one(ParsedNotify& parsed, std::string_view key, std::string_view value) {
  if (value == "1") return true;
  complain(parsed, key, value);
  return false;
}

template <typename T>
void keep(ParsedNotify& parsed, std::string_view key, std::string_view value,
          std::optional<T> result, std::optional<T>& field) {
  if (result) {
    field = std::move(result);
  } else {
    complain(parsed, key, value);
  }
}

void parse_state(ParsedNotify& parsed, std::string_view key, std::string_view value) {
  engine::NotifyMessage& message = parsed.message;
  if (key == "READY") message.ready = is_one(parsed, key, value);
  if (key == "RELOADING") message.reloading = is_one(parsed, key, value);
  if (key == "STOPPING") message.stopping = is_one(parsed, key, value);
  if (key == "FDSTORE") message.store_descriptors = is_one(parsed, key, value);
  if (key == "FDSTOREREMOVE") message.remove_descriptors = is_one(parsed, key, value);
  if (key == "FDPOLL") message.poll_descriptors = value != "0";
  if (key == "BARRIER") parsed.barrier = is_one(parsed, key, value);
  if (key == "MAINPIDFD") parsed.main_pidfd = is_one(parsed, key, value);
  if (key != "WATCHDOG") return;
  if (value == "trigger") {
    message.watchdog_trigger = true;
  } else {
    message.watchdog = is_one(parsed, key, value);
  }
}

void parse_value(ParsedNotify& parsed, std::string_view key, std::string_view value) {
  engine::NotifyMessage& message = parsed.message;
  if (key == "STATUS") {
    keep(parsed, key, value, is_utf8(value) ? std::optional(std::string(value)) : std::nullopt,
         message.status);
  } else if (key == "ERRNO") {
    auto number = parse_number<int>(value);
    if (number && *number < 0) number.reset();
    keep(parsed, key, value, number, message.error_number);
  } else if (key == "MAINPID") {
    auto number = parse_number<pid_t>(value);
    if (number && *number <= 0) number.reset();
    keep(parsed, key, value, number, parsed.main_pid);
  } else if (key == "MAINPIDFDID") {
    const auto number = parse_number<std::uint64_t>(value);
    keep(parsed, key, value,
         number && *number != 0 ? std::optional(ProcessId(*number)) : std::nullopt,
         parsed.main_pidfd_id);
  } else if (key == "WATCHDOG_USEC") {
    auto span = parse_microseconds(value);
    if (span && *span == Duration::zero()) span.reset();
    keep(parsed, key, value, span, message.watchdog_interval);
  } else if (key == "EXTEND_TIMEOUT_USEC") {
    keep(parsed, key, value, parse_microseconds(value), message.extend_timeout);
  } else if (key == "FDNAME") {
    if (is_descriptor_name(value)) {
      message.descriptor_name = value;
    } else {
      complain(parsed, key, value);
    }
  } else if (key == "MONOTONIC_USEC") {
    const auto span = parse_microseconds(value);
    keep(parsed, key, value, span ? std::optional(MonoTime(*span)) : std::nullopt,
         message.monotonic);
  } else {
    parse_state(parsed, key, value);
  }
}

// Length of the UTF-8 sequence that begins `text`, or 0 when it is none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80U) return first == 0 ? 0 : 1;
  const std::size_t length = first >= 0xf0U ? 4 : first >= 0xe0U ? 3 : 2;
  if (first < 0xc2U || first > 0xf4U || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
  }
  const unsigned char second = byte(1);
  if ((first == 0xe0U && second < 0xa0U) || (first == 0xedU && second > 0x9fU) ||
      (first == 0xf0U && second < 0x90U) || (first == 0xf4U && second > 0x8fU)) {
    return 0;
  }
  return length;
}

}  // namespace

bool is_descriptor_name(std::string_view text) {
  constexpr std::size_t kLongest = 255;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char letter) {
    return letter >= ' ' && letter < 0x7f && letter != ':';
  });
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Result<ParsedNotify> parse_notify(std::string_view datagram) {
  // One NUL at the very end is what programs in C send that count it in.
  if (datagram.ends_with('\0')) datagram.remove_suffix(1);
  if (datagram.find('\0') != std::string_view::npos) {
    return Error(Errc::invalid_argument, "the message has NUL bytes inside");
  }
  ParsedNotify parsed;
  while (!datagram.empty()) {
    const std::size_t end = std::min(datagram.find('\n'), datagram.size());
    const std::string_view line = datagram.substr(0, end);
    datagram.remove_prefix(std::min(end + 1, datagram.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    parse_value(parsed, line.substr(0, equals), line.substr(equals + 1));
  }
  return parsed;
}

}  // namespace pidward::runtime
