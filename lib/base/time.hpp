// Time as arguments. Two clocks that cannot be confused, and one unit: the microsecond, as on
// systemd's bus.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pidward {

using Duration = std::chrono::microseconds;
/// "infinity": no limit. On the bus this is UINT64_MAX.
inline constexpr Duration kInfinity = Duration::max();

/// CLOCK_MONOTONIC. Zero means "never".
struct MonoClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonoClock>;
  static constexpr bool is_steady = true;
};
/// CLOCK_REALTIME since 1970. Zero means "never".
struct WallClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<WallClock>;
  static constexpr bool is_steady = false;
};
using MonoTime = MonoClock::time_point;
using WallTime = WallClock::time_point;

/// One moment on both clocks.
struct Now {
  MonoTime mono;
  WallTime wall;
  friend bool operator==(const Now&, const Now&) = default;
};

/// A + B that stays at kInfinity / the far end instead of overflowing. A negative result is 0.
Duration saturating_add(Duration a, Duration b);
MonoTime saturating_add(MonoTime at, Duration span);

/// Microseconds for the bus: kInfinity becomes UINT64_MAX.
std::uint64_t to_bus_usec(Duration span);
Duration from_bus_usec(std::uint64_t usec);

/// "1min 30s", "infinity"; as systemd.time(7) writes spans, exact to `accuracy`.
std::string format_span(Duration span, Duration accuracy = Duration(1));

}  // namespace pidward
