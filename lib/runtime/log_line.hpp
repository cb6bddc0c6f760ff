// One line of a unit's log file, as the logger writes it and `pidwardctl logs` reads it. Pure.
//
//   2026-03-01T12:00:00.123456Z 6. nginx[4711]: the text, byte for byte as the service wrote it
//
// Time in UTC, then the syslog level and a mark: '.' for a whole line, '+' for a piece of a long
// line that goes on in the next record of the same source, '~' for a last line that had no newline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/time.hpp"

namespace pidward::runtime {

enum class LinePart : std::uint8_t { whole, continues, unfinished };

struct LogLine {
  WallTime time;
  LogLevel level = LogLevel::info;
  LinePart part = LinePart::whole;
  std::string source;     ///< name of the program, without brackets, blanks and colons
  std::uint32_t pid = 0;  ///< as it was when the stream was opened; 0 for pidward's own
  std::string text;       ///< without newline; any other bytes

  friend bool operator==(const LogLine&, const LogLine&) = default;
};

/// With the newline at the end.
std::string format_log_line(const LogLine& line);
/// Without a newline at the end. Nothing when it is not of that form: a file somebody else wrote,
/// or a torn line.
std::optional<LogLine> parse_log_line(std::string_view text);
/// "2026-03-01T12:00:00.123456Z".
std::string format_wall_time(WallTime time);

/// Takes a "<N>" off the front of a line a service wrote (sd-daemon(3)); `fallback` where there is
/// none.
LogLevel take_level_prefix(std::string_view& text, LogLevel fallback);

/// A source name with nothing in it that the format uses.
std::string clean_source(std::string_view name);

}  // namespace pidward::runtime
