#include "base/time.hpp"

#include <array>
#include <limits>

#include <fmt/core.h>

namespace pidward {

Duration saturating_add(Duration a, Duration b) {
  if (a == kInfinity || b == kInfinity) return kInfinity;
  Duration::rep sum = 0;
  if (__builtin_add_overflow(a.count(), b.count(), &sum)) return kInfinity;
  return Duration(sum < 0 ? 0 : sum);
}

MonoTime saturating_add(MonoTime at, Duration span) {
  return MonoTime(saturating_add(at.time_since_epoch(), span));
}

std::uint64_t to_bus_usec(Duration span) {
  if (span == kInfinity) return std::numeric_limits<std::uint64_t>::max();
  return span.count() < 0 ? 0 : static_cast<std::uint64_t>(span.count());
}

Duration from_bus_usec(std::uint64_t usec) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<Duration::rep>::max());
  return usec >= kLargest ? kInfinity : Duration(static_cast<Duration::rep>(usec));
}

std::string format_span(Duration span, Duration accuracy) {
  if (span == kInfinity) return "infinity";
  struct Step {
    std::string_view suffix;
    Duration::rep usec;
  };
  static constexpr std::array<Step, 9> kSteps{{{"y", 31557600000000LL},
                                               {"month", 2629800000000LL},
                                               {"w", 604800000000LL},
                                               {"d", 86400000000LL},
                                               {"h", 3600000000LL},
                                               {"min", 60000000LL},
                                               {"s", 1000000LL},
                                               {"ms", 1000LL},
                                               {"us", 1LL}}};
  if (span.count() <= 0) return "0";
  std::string text;
  Duration::rep left = span.count();
  for (const Step& step : kSteps) {
    if (step.usec < accuracy.count() && !text.empty()) break;
    const Duration::rep count = left / step.usec;
    if (count == 0) continue;
    left -= count * step.usec;
    if (!text.empty()) text += ' ';
    text += fmt::format("{}{}", count, step.suffix);
  }
  return text;
}

}  // namespace pidward
