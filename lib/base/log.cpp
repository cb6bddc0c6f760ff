#include "base/log.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/core.h>

namespace pidward {
namespace {

constexpr std::array<std::string_view, 8> kLevelNames{"emerg",   "alert",  "crit", "err",
                                                      "warning", "notice", "info", "debug"};

/// Threads log while another sink is set, and may still be in the old one then.
struct SharedSink {
  std::mutex mutex;
  std::shared_ptr<const LogSink> sink =
      std::make_shared<const LogSink>([](const LogRecord& record) {
        if (record.level <= LogLevel::warning) fmt::print(stderr, "{}\n", record.message);
      });
};
SharedSink& shared_sink() {
  static SharedSink the_sink;
  return the_sink;
}

std::atomic<LogLevel>& level_limit() {
  static std::atomic<LogLevel> limit{LogLevel::info};
  return limit;
}

}  // namespace

void set_log_sink(LogSink new_sink) {
  auto next = std::make_shared<const LogSink>(std::move(new_sink));
  const std::lock_guard lock(shared_sink().mutex);
  shared_sink().sink.swap(next);
}
void set_max_log_level(LogLevel level) {
  level_limit().store(level);
}
LogLevel max_log_level() {
  return level_limit().load();
}

void log(const LogRecord& record) {
  if (record.level > max_log_level()) return;
  std::unique_lock lock(shared_sink().mutex);
  const std::shared_ptr<const LogSink> sink = shared_sink().sink;
  lock.unlock();
  (*sink)(record);
}

void log(LogLevel level, std::string message) {
  LogRecord record;
  record.level = level;
  record.message = std::move(message);
  log(record);
}

std::string_view to_string(LogLevel level) {
  return kLevelNames[static_cast<std::size_t>(level)];
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames[i] || (text.size() == 1 && text[0] == static_cast<char>('0' + i))) {
      return static_cast<LogLevel>(i);
    }
  }
  return Error(Errc::invalid_argument, fmt::format("'{}' is not a log level", text))
      .advise("Use one of emerg, alert, crit, err, warning, notice, info, debug");
}

}  // namespace pidward
