#include "engine/timer/rules.hpp"

#include <algorithm>
#include <array>

#include "unit/calendar/calendar.hpp"

namespace pidward::engine {

using unit::Directive;

std::optional<MonoTime> next_monotonic(const unit::Trigger& trigger, const TimerPast& past,
                                       const UnitStatus& triggered, Now now,
                                       const EngineConfig& config) {
  MonoTime base{};
  bool once = true;
  if (trigger.base == "OnActiveSec") {
    base = past.started.mono;
  } else if (trigger.base == "OnBootSec") {
    base = config.boot;
  } else if (trigger.base == "OnStartupSec") {
    base = config.startup;
  } else if (trigger.base == "OnUnitActiveSec" || trigger.base == "OnUnitInactiveSec") {
    once = false;
    base = trigger.base == "OnUnitActiveSec" ? triggered.inactive_exit.mono
                                             : triggered.inactive_enter.mono;
    base = std::max(base, past.last_trigger.mono);
    if (base == MonoTime{}) return std::nullopt;
  } else {
    return std::nullopt;
  }
  const MonoTime at = saturating_add(base, trigger.span);
  // Past the last elapse it has had its turn.
  if (once && past.last_trigger.mono != MonoTime{} && at <= now.mono) return std::nullopt;
  return at;
}

std::optional<WallTime> next_calendar(const unit::Trigger& trigger, const TimerPast& past, Now now,
                                      const EngineConfig& config) {
  if (!trigger.calendar) return std::nullopt;
  static const unit::TimeZone kUtc;
  const WallTime base =
      past.last_trigger.wall != WallTime{} ? past.last_trigger.wall : past.started.wall;
  const auto at =
      unit::next_elapse(*trigger.calendar, base, config.local_zone ? *config.local_zone : kUtc);
  if (!at) return std::nullopt;
  const WallTime startup = now.wall - (now.mono - config.startup);
  return std::max(*at, startup);
}

std::uint64_t stable_number(std::string_view name, std::uint64_t seed) {
  // FNV-1a, and a last mixing for its weak high bits.
  std::uint64_t hash = 14695981039346656037ULL ^ seed;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  hash ^= hash >> 32U;
  return hash * 0x9E3779B97F4A7C15ULL >> 1U;
}

Duration random_delay(MachineContext& context) {
  const Duration spread = context.settings().span(Directive::RandomizedDelaySec);
  if (spread.count() <= 0 || spread == kInfinity) return {};
  const std::uint64_t number =
      context.settings().boolean(Directive::FixedRandomDelay)
          ? stable_number(context.spec().name.str(), context.config().machine_seed)
          : context.random() >> 1U;
  return Duration(static_cast<std::int64_t>(number % static_cast<std::uint64_t>(spread.count())));
}

Duration place_in_window(Duration at, Duration accuracy, std::uint64_t seed) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  constexpr Duration kMost = std::chrono::hours(24);
  constexpr std::array<Duration, 4> kPeriods{seconds(60), seconds(10), seconds(1),
                                             milliseconds(250)};
  const Duration end = saturating_add(at, std::min(accuracy, kMost));
  if (end == kInfinity) return at;
  for (const Duration period : kPeriods) {
    const Duration share(
        static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(period.count())));
    if (end < share) continue;
    const Duration latest = end - (end - share) % period;
    if (latest >= at) return latest;
  }
  return at;
}

}  // namespace pidward::engine
