#include "runtime/wall_clock.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "runtime/clock.hpp"
#include "runtime/posix_files.hpp"

namespace pidward::runtime {
namespace {

// The name in /etc that says which zone the system is in.
constexpr std::string_view kZoneLink = "localtime";

}  // namespace

unit::TimeZonePtr read_local_zone() {
  const PosixFileSource files;
  const char* variable = std::getenv("TZ");  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return unit::TimeZones(files).local(variable == nullptr ? "" : variable);
}

WallClock::~WallClock() = default;

void WallClock::watch(UnitId unit, bool wanted) {
  if (wanted) {
    watchers_.insert(unit);
  } else {
    watchers_.erase(unit);
  }
  update();
}

void WallClock::arm(UnitId unit, WallTime at, std::uint64_t generation) {
  if (const auto before = armed_.find(unit); before != armed_.end())
    order_.erase({before->second.at, unit});
  armed_[unit] = {at, generation};
  order_.insert({at, unit});
  update();
}

void WallClock::disarm(UnitId unit) {
  const auto found = armed_.find(unit);
  if (found == armed_.end()) return;
  order_.erase({found->second.at, unit});
  armed_.erase(found);
  update();
}

Status WallClock::open() {
  timer_ = sys::Fd(sys::adopt_fd, ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer_) return Error::from_errno(errno, "Cannot wait for the wall clock");
  PIDWARD_TRY(timer_watch_, Watch::start(core_.watcher, timer_.get(), EPOLLIN, *this));
  inotify_ = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) return Error::from_errno(errno, "Cannot watch for a new time zone");
  // A new zone is a new link in the old one's place, so that the directory has to be watched.
  if (::inotify_add_watch(inotify_.get(), "/etc",
                          IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) < 0)
    return Error::from_errno(errno, "Cannot watch /etc for a new time zone");
  PIDWARD_TRY(inotify_watch_, Watch::start(core_.watcher, inotify_.get(), EPOLLIN, *this));
  return {};
}

void WallClock::update() {
  if (watchers_.empty() && order_.empty()) {
    timer_watch_.stop();
    inotify_watch_.stop();
    timer_.reset();
    inotify_.reset();
    return;
  }
  if (!timer_) {
    if (const Status opened = open(); !opened) {
      log(LogLevel::error, fmt::format("{}; calendar timers may elapse at the wrong time",
                                       opened.error().message()));
    }
    if (!timer_) return;
  }
  // Without a timer to wait for, the clock's being set still ends the wait.
  constexpr Duration kFarAway = std::chrono::hours(24 * 365 * 200);
  const Duration at = order_.empty() ? kFarAway : order_.begin()->first.time_since_epoch();
  const Duration safe = std::max(at, Duration(1));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(safe);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = std::chrono::nanoseconds(safe - seconds).count();
  // ECANCELED says that the clock was set just now; reading tells so again.
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr);
}

void WallClock::fire_due() {
  const WallTime time = now().wall;
  while (!order_.empty() && order_.begin()->first <= time) {
    const UnitId unit = order_.begin()->second;
    order_.erase(order_.begin());
    const auto armed = armed_.find(unit);
    core_.events.post(
        engine::TimerFired{unit, engine::TimerKind::calendar, armed->second.generation});
    armed_.erase(armed);
  }
}

void WallClock::descriptor_ready(int fd, std::uint32_t /*events*/) {
  if (fd == timer_.get()) {
    std::uint64_t expirations = 0;
    const ssize_t length = ::read(fd, &expirations, sizeof expirations);
    const bool was_set = length < 0 && errno == ECANCELED;
    if (length < 0 && !was_set) return;
    if (was_set) {
      log(LogLevel::info, "The wall clock was set; calendar timers are computed anew");
      core_.events.post(engine::WallClockChanged{});
    }
    fire_due();
    update();
    core_.events.drain();
    return;
  }
  alignas(inotify_event) std::array<char, 4096> buffer{};
  bool touched = false;
  for (ssize_t length = 0; (length = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);  // NOLINT
      at += sizeof(inotify_event) + event->len;
      touched = touched || (event->len > 0 && kZoneLink == &event->name[0]);
    }
  }
  if (touched) read_zone();
}

void WallClock::read_zone() {
  core_.pool.run([] { return read_local_zone(); },
                 [this](unit::TimeZonePtr zone) {
                   core_.events.post(engine::TimeZoneChanged{std::move(zone)});
                   core_.events.drain();
                 });
}

}  // namespace pidward::runtime
