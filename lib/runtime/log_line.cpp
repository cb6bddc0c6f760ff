#include "runtime/log_line.hpp"

#include <cstdio>
#include <ctime>

#include <fmt/core.h>

#include "base/number.hpp"

namespace pidward::runtime {
namespace {

constexpr std::size_t kTimeLength = 27;

char mark_of(LinePart part) {
  switch (part) {
    case LinePart::whole:
      return '.';
    case LinePart::continues:
      return '+';
    case LinePart::unfinished:
      return '~';
  }
  return '.';
}

std::optional<LinePart> part_of(char mark) {
  if (mark == '.') return LinePart::whole;
  if (mark == '+') return LinePart::continues;
  if (mark == '~') return LinePart::unfinished;
  return std::nullopt;
}

std::optional<WallTime> parse_time(std::string_view text) {
  if (text.size() != kTimeLength || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':' || text[19] != '.' || text[26] != 'Z') {
    return std::nullopt;
  }
  std::tm parts{};
  std::int64_t micros = 0;
  if (!read_number(text.substr(0, 4), parts.tm_year) ||
      !read_number(text.substr(5, 2), parts.tm_mon) ||
      !read_number(text.substr(8, 2), parts.tm_mday) ||
      !read_number(text.substr(11, 2), parts.tm_hour) ||
      !read_number(text.substr(14, 2), parts.tm_min) ||
      !read_number(text.substr(17, 2), parts.tm_sec) || !read_number(text.substr(20, 6), micros)) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return WallTime(std::chrono::seconds(::timegm(&parts)) + Duration(micros));
}

}  // namespace

std::string format_wall_time(WallTime time) {
  const std::int64_t micros = time.time_since_epoch().count();
  const std::time_t seconds = micros / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     micros % 1'000'000);
}

std::string format_log_line(const LogLine& line) {
  std::string record =
      fmt::format("{} {}{} {}[{}]: ", format_wall_time(line.time),
                  static_cast<unsigned>(line.level), mark_of(line.part), line.source, line.pid);
  record += line.text;
  record += '\n';
  return record;
}

std::optional<LogLine> parse_log_line(std::string_view text) {
  constexpr std::size_t kShortest = kTimeLength + 5;
  if (text.size() < kShortest || text[kTimeLength] != ' ' || text[kTimeLength + 3] != ' ') {
    return std::nullopt;
  }
  LogLine line;
  const auto time = parse_time(text.substr(0, kTimeLength));
  const char level = text[kTimeLength + 1];
  const auto part = part_of(text[kTimeLength + 2]);
  if (!time || level < '0' || level > '7' || !part) return std::nullopt;
  line.time = *time;
  line.level = static_cast<LogLevel>(level - '0');
  line.part = *part;
  text.remove_prefix(kTimeLength + 4);
  const std::size_t open = text.find('[');
  const std::size_t close = text.find("]: ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  line.source = text.substr(0, open);
  if (!read_number(text.substr(open + 1, close - open - 1), line.pid)) return std::nullopt;
  line.text = text.substr(close + 3);
  return line;
}

LogLevel take_level_prefix(std::string_view& text, LogLevel fallback) {
  if (text.size() < 3 || text[0] != '<' || text[2] != '>' || text[1] < '0' || text[1] > '7') {
    return fallback;
  }
  const auto level = static_cast<LogLevel>(text[1] - '0');
  text.remove_prefix(3);
  return level;
}

std::string clean_source(std::string_view name) {
  std::string clean;
  for (const char c : name.substr(0, 64)) {
    const bool bad = static_cast<unsigned char>(c) <= ' ' || c == '[' || c == ']' || c == '\x7f';
    clean += bad ? '_' : c;
  }
  return clean.empty() ? "?" : clean;
}

}  // namespace pidward::runtime
