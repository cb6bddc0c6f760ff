// All timers of all units in one heap, on one timer of the loop that is armed only while something
// waits.
#pragma once

#include <chrono>
#include <functional>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/time.hpp"
#include "engine/event.hpp"
#include "runtime/loop_timer.hpp"

namespace pidward::runtime {

/// One timer per unit and kind; arming again replaces it. A replaced or disarmed timer never fires.
class TimerQueue {
 public:
  using Callback = std::function<void(const engine::TimerFired&)>;

  TimerQueue(boost::asio::io_context& io, Callback callback);

  void arm(UnitId unit, engine::TimerKind kind, MonoTime at, std::uint64_t generation);
  void disarm(UnitId unit, engine::TimerKind kind);
  /// Until release() the loop's timer stays as it is set: what is armed and disarmed again
  /// meanwhile costs no system call.
  void hold() { held_ = true; }
  void release();
  /// Timers that will fire.
  [[nodiscard]] std::size_t size() const { return armed_.size(); }
  /// Fires what is due at `time`, in order; the loop's timer calls this. False: nothing was.
  bool fire_due(MonoTime time);

 private:
  struct Entry {
    MonoTime at;
    std::uint64_t key;
    std::uint64_t serial;
    friend bool operator>(const Entry& a, const Entry& b) {
      return a.at != b.at ? a.at > b.at : a.serial > b.serial;
    }
  };
  struct Armed {
    std::uint64_t serial;
    std::uint64_t generation;
  };
  [[nodiscard]] bool is_live(const Entry& entry) const;
  void drop_dead();
  void rearm();

  LoopTimer timer_;
  Callback callback_;
  std::vector<Entry>
      heap_;  ///< earliest first; entries whose serial is not armed any more are dead
  std::unordered_map<std::uint64_t, Armed> armed_;
  std::uint64_t next_serial_ = 1;
  MonoTime waiting_for_{};  ///< what the loop's timer is set to; zero: it is not set
  bool held_ = false;
};

}  // namespace pidward::runtime
