// When a timer unit elapses (systemd.timer(5)): arithmetic over its settings, and nothing else.
#pragma once

#include <optional>
#include <string_view>

#include "engine/machine.hpp"

namespace pidward::engine {

/// What a timer remembers of its own past.
struct TimerPast {
  Now started{};
  Now last_trigger{};  ///< Persistent= may know of `wall` alone, from an earlier life
};

/// The moment on the monotonic clock at which one On…Sec= elapses; nothing when its base has not
/// happened, or when it is one of those that elapse once and has done so. `again`: after a step of
/// the clock, when those that are past count once more.
std::optional<MonoTime> next_monotonic(const unit::Trigger& trigger, const TimerPast& past,
                                       const UnitStatus& triggered, Now now,
                                       const EngineConfig& config);

/// The moment at which one OnCalendar= elapses; nothing when it never does any more. One that was
/// missed before the manager started counts as due at its start.
std::optional<WallTime> next_calendar(const unit::Trigger& trigger, const TimerPast& past, Now now,
                                      const EngineConfig& config);

/// RandomizedDelaySec=, with FixedRandomDelay= the same for this unit on this machine each time.
Duration random_delay(MachineContext& context);

/// AccuracySec=: the latest moment from `at` to `at` + `accuracy` that is whole minutes (or tens
/// of seconds, seconds, quarters of one) and a share of `seed` from the clock's zero, so that all
/// timers of a machine elapse together; `at` itself where the window has no such moment.
Duration place_in_window(Duration at, Duration accuracy, std::uint64_t seed);

/// A number that is the same for `name` and `seed` at all times, and else anything.
std::uint64_t stable_number(std::string_view name, std::uint64_t seed);

}  // namespace pidward::engine
