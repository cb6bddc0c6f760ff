// pidward's own messages: structured records. Pure layers return them as effects; the shell writes
// them out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace pidward {

/// syslog(3) levels.
enum class LogLevel : std::uint8_t {
  emergency,
  alert,
  critical,
  error,
  warning,
  notice,
  info,
  debug
};

/// One message. The fields that are set say what it is about; `id` is stable across releases and
/// names the kind.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string message;       ///< a sentence, without trailing newline
  std::string unit;          ///< unit name, or empty
  ProcessId process;         ///< or none
  JobId job;                 ///< or none
  std::string_view id = {};  ///< a string literal such as "service-exited"
};

using LogSink = std::function<void(const LogRecord&)>;

/// Where log() goes; set once at start, before any other thread. The default drops everything below
/// warning and writes the rest to standard error.
void set_log_sink(LogSink sink);
/// Records above this level are dropped before the sink sees them.
void set_max_log_level(LogLevel level);
[[nodiscard]] LogLevel max_log_level();
void log(const LogRecord& record);
void log(LogLevel level, std::string message);

std::string_view to_string(LogLevel level);
Result<LogLevel> parse_log_level(std::string_view text);

}  // namespace pidward
