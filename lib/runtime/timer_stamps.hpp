// When timers with Persistent=yes last elapsed: one empty file for each under the state directory,
// whose time of modification says it.
#pragma once

#include <string>

#include "runtime/core.hpp"

namespace pidward::runtime {

class TimerStamps {
 public:
  explicit TimerStamps(Core& core) : core_(core) {}

  /// Answers with TimerStampRead.
  void read(UnitId unit);
  void store(UnitId unit, WallTime last);

 private:
  [[nodiscard]] std::string path_of(const unit::UnitSpec& spec) const;

  Core& core_;
};

/// The time in a stamp file, zero when there is none. May block. Errors: it cannot be looked at.
Result<WallTime> read_timer_stamp(const std::string& path);
/// Makes the file and the directory it is in. May block.
Status write_timer_stamp(const std::string& path, WallTime last);

}  // namespace pidward::runtime
