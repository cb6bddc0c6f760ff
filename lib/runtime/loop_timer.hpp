// Timers of the loop that cost nothing while none is set: one timerfd for all of a loop's, disarmed
// when none runs. (Asio's own wake a loop every five minutes for good, once one has been used.)
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include <boost/asio/io_context.hpp>

namespace pidward::runtime {

/// One timer, used as Asio's steady_timer is. A wait that is cancelled, set anew or destroyed
/// before its time is dropped: its handler is not called.
class LoopTimer {
 public:
  using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
  using Handler = std::function<void(const boost::system::error_code&)>;

  /// `io` outlives the timer.
  explicit LoopTimer(boost::asio::io_context& io);
  ~LoopTimer();
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  void expires_after(Clock::duration span);
  void expires_at(Clock::time_point when);
  /// Calls `handler` on the loop when the time has come; never from within this call.
  void async_wait(Handler handler);
  void cancel();

 private:
  friend class TimerService;
  class TimerService& service_;
  Clock::time_point when_{};
  std::uint64_t serial_ = 0;  ///< of the wait; 0: none
  Handler handler_;
};

}  // namespace pidward::runtime
