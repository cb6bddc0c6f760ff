#include "runtime/loop_timer.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.hpp"

namespace pidward::runtime {

/// What the timers of one loop share.
class TimerService final : public boost::asio::execution_context::service {
 public:
  static boost::asio::execution_context::id id;

  explicit TimerService(boost::asio::io_context& io) : service(io), descriptor_(io) {}

  void add(LoopTimer& timer) {
    timer.serial_ = ++last_serial_;
    queue_.emplace(key_of(timer), &timer);
    arm();
  }
  void remove(LoopTimer& timer) {
    if (timer.serial_ == 0) return;
    queue_.erase(key_of(timer));
    timer.serial_ = 0;
    arm();
  }

 private:
  using Key = std::pair<LoopTimer::Clock::time_point, std::uint64_t>;
  static Key key_of(const LoopTimer& timer) { return {timer.when_, timer.serial_}; }

  void shutdown() override {
    queue_.clear();
    descriptor_.close();
  }

  /// Sets the descriptor to the earliest timer, if it is not set so already.
  void arm() {
    const auto next = queue_.empty() ? LoopTimer::Clock::time_point() : queue_.begin()->first.first;
    if (next == armed_for_) return;
    if (!descriptor_.is_open() && !open()) return;
    armed_for_ = next;
    itimerspec setting{};
    if (!queue_.empty()) {
      const auto since = std::chrono::nanoseconds(next.time_since_epoch());
      // Zero would disarm it: a time that is long past is as good.
      const auto nanoseconds = std::max<std::int64_t>(since.count(), 1);
      setting.it_value.tv_sec = nanoseconds / 1000000000;
      setting.it_value.tv_nsec = nanoseconds % 1000000000;
    }
    ::timerfd_settime(descriptor_.native_handle(), TFD_TIMER_ABSTIME, &setting, nullptr);
    if (!queue_.empty()) return wait();
    // A loop with nothing else to do may end.
    boost::system::error_code ignored;
    descriptor_.cancel(ignored);
  }

  bool open() {
    const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    boost::system::error_code problem;
    if (fd >= 0) descriptor_.assign(fd, problem);
    if (fd < 0 || problem) {
      log(LogLevel::critical, "The loop has no timer: no descriptors are left");
      if (fd >= 0) ::close(fd);
      return false;
    }
    return true;
  }

  void wait() {
    if (std::exchange(is_waiting_, true)) return;
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& error) {
                             is_waiting_ = false;
                             if (!error) ring();
                             if (!queue_.empty()) wait();
                           });
  }

  void ring() {
    std::uint64_t count = 0;
    const ssize_t size = ::read(descriptor_.native_handle(), &count, sizeof count);
    static_cast<void>(size);
    armed_for_ = {};
    fire();
    arm();
  }

  void fire() {
    const auto now = LoopTimer::Clock::now();
    // What a handler sets for a moment already past waits for the next turn.
    const std::uint64_t end = last_serial_;
    while (!queue_.empty() && queue_.begin()->first.first <= now &&
           queue_.begin()->first.second <= end) {
      LoopTimer& timer = *queue_.begin()->second;
      queue_.erase(queue_.begin());
      timer.serial_ = 0;
      const LoopTimer::Handler handler = std::move(timer.handler_);
      handler({});
    }
  }

  boost::asio::posix::stream_descriptor descriptor_;
  std::map<Key, LoopTimer*> queue_;
  LoopTimer::Clock::time_point armed_for_{};  ///< zero: not armed
  std::uint64_t last_serial_ = 0;
  bool is_waiting_ = false;
};

boost::asio::execution_context::id TimerService::id;

LoopTimer::LoopTimer(boost::asio::io_context& io)
    : service_(boost::asio::use_service<TimerService>(io)) {}

LoopTimer::~LoopTimer() {
  service_.remove(*this);
}

void LoopTimer::expires_after(Clock::duration span) {
  expires_at(Clock::now() + span);
}

void LoopTimer::expires_at(Clock::time_point when) {
  cancel();
  when_ = when;
}

void LoopTimer::async_wait(Handler handler) {
  service_.remove(*this);
  handler_ = std::move(handler);
  service_.add(*this);
}

void LoopTimer::cancel() {
  service_.remove(*this);
  handler_ = nullptr;
}

}  // namespace pidward::runtime
