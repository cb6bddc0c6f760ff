#include "runtime/timer_queue.hpp"

#include <algorithm>

#include "runtime/clock.hpp"

namespace pidward::runtime {
namespace {

std::uint64_t make_key(UnitId unit, engine::TimerKind kind) {
  return (static_cast<std::uint64_t>(unit.number()) << 8U) | static_cast<std::uint64_t>(kind);
}

// The heap may hold this many dead entries more than live ones before it is cleaned.
constexpr std::size_t kDeadSlack = 64;

}  // namespace

TimerQueue::TimerQueue(boost::asio::io_context& io, Callback callback)
    : timer_(io), callback_(std::move(callback)) {}

bool TimerQueue::is_live(const Entry& entry) const {
  const auto found = armed_.find(entry.key);
  return found != armed_.end() && found->second.serial == entry.serial;
}

void TimerQueue::arm(UnitId unit, engine::TimerKind kind, MonoTime at, std::uint64_t generation) {
  const std::uint64_t key = make_key(unit, kind);
  const std::uint64_t serial = next_serial_++;
  armed_[key] = {serial, generation};
  heap_.push_back({at, key, serial});
  std::ranges::push_heap(heap_, std::greater<>{});
  if (heap_.size() > 2 * armed_.size() + kDeadSlack) {
    std::erase_if(heap_, [this](const Entry& entry) { return !is_live(entry); });
    std::ranges::make_heap(heap_, std::greater<>{});
  }
  rearm();
}

void TimerQueue::disarm(UnitId unit, engine::TimerKind kind) {
  if (armed_.erase(make_key(unit, kind)) != 0) rearm();
}

void TimerQueue::drop_dead() {
  while (!heap_.empty() && !is_live(heap_.front())) {
    std::ranges::pop_heap(heap_, std::greater<>{});
    heap_.pop_back();
  }
}

void TimerQueue::release() {
  held_ = false;
  rearm();
}

bool TimerQueue::fire_due(MonoTime time) {
  // What is armed by a callback for a moment already past waits for the next turn: no endless loop.
  const std::uint64_t end = next_serial_;
  bool fired = false;
  for (drop_dead(); !heap_.empty() && heap_.front().at <= time; drop_dead()) {
    const Entry entry = heap_.front();
    if (entry.serial >= end) break;
    std::ranges::pop_heap(heap_, std::greater<>{});
    heap_.pop_back();
    const auto armed = armed_.find(entry.key);
    const std::uint64_t generation = armed->second.generation;
    armed_.erase(armed);
    callback_({UnitId(static_cast<std::uint32_t>(entry.key >> 8U)),
               static_cast<engine::TimerKind>(entry.key & 0xffU), generation});
    fired = true;
  }
  rearm();
  return fired;
}

void TimerQueue::rearm() {
  if (held_) return;
  drop_dead();
  const MonoTime next = heap_.empty() ? MonoTime{} : heap_.front().at;
  if (next == waiting_for_) return;
  waiting_for_ = next;
  if (heap_.empty()) {
    // What thousands of starts armed at once is not kept for the next thousands.
    if (heap_.capacity() > kDeadSlack) heap_.shrink_to_fit();
    timer_.cancel();
    return;
  }
  // A span a year long is as good as any longer one, and does not overflow the clock's nanoseconds.
  const Duration span = std::min<Duration>(next - mono_now(), std::chrono::hours(24 * 365));
  timer_.expires_after(span);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waiting_for_ = MonoTime{};
    fire_due(mono_now());
  });
}

}  // namespace pidward::runtime
