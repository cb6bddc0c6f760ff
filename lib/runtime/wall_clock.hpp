// Waiting for the wall clock: calendar timers, which follow the clock wherever it is set, and word
// of its being set and of a new time zone.
#pragma once

#include <set>
#include <unordered_map>
#include <utility>

#include "runtime/core.hpp"

namespace pidward::runtime {

/// Costs nothing while no unit watches the clock and no timer is armed.
class WallClock final : private DescriptorHandler {
 public:
  explicit WallClock(Core& core) : core_(core) {}
  ~WallClock() override;
  WallClock(const WallClock&) = delete;
  WallClock& operator=(const WallClock&) = delete;

  void watch(UnitId unit, bool wanted);
  /// One timer for each unit; arming again replaces it.
  void arm(UnitId unit, WallTime at, std::uint64_t generation);
  void disarm(UnitId unit);

 private:
  void descriptor_ready(int fd, std::uint32_t events) override;
  /// Opens or closes what is waited on, as far as anybody wants it, and sets the clock's timer.
  void update();
  Status open();
  void fire_due();
  void read_zone();

  struct Armed {
    WallTime at;
    std::uint64_t generation;
  };

  Core& core_;
  std::set<UnitId> watchers_;
  std::unordered_map<UnitId, Armed> armed_;
  std::set<std::pair<WallTime, UnitId>> order_;
  sys::Fd timer_;
  Watch timer_watch_;
  sys::Fd inotify_;
  Watch inotify_watch_;
};

/// The zone the wall clock of this system shows; $TZ counts. May block.
unit::TimeZonePtr read_local_zone();

}  // namespace pidward::runtime
