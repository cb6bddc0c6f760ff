#include "runtime/timer_stamps.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include "runtime/posix_files.hpp"

namespace pidward::runtime {

std::string TimerStamps::path_of(const unit::UnitSpec& spec) const {
  return fmt::format("{}/timers/stamp-{}", core_.config.state_directory, spec.name.str());
}

Result<WallTime> read_timer_stamp(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return WallTime{};
    return Error::from_errno(errno, fmt::format("Cannot look at {}", path));
  }
  return WallTime(std::chrono::seconds(status.st_mtim.tv_sec) +
                  std::chrono::floor<Duration>(std::chrono::nanoseconds(status.st_mtim.tv_nsec)));
}

Status write_timer_stamp(const std::string& path, WallTime last) {
  PIDWARD_CHECK(make_directories(path.substr(0, path.rfind('/'))));
  PIDWARD_TRY(const sys::Fd file,
              sys::open_path(path, O_WRONLY | O_CREAT | O_NOCTTY | O_NOFOLLOW, 0644));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(last.time_since_epoch());
  const timespec time{static_cast<time_t>(seconds.count()),
                      std::chrono::nanoseconds(last.time_since_epoch() - seconds).count()};
  const timespec both[] = {time, time};
  if (::futimens(file.get(), &both[0]) != 0)
    return Error::from_errno(errno, fmt::format("Cannot set the time of {}", path));
  return {};
}

void TimerStamps::read(UnitId unit) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  core_.pool.run([path = path_of(*spec)] { return read_timer_stamp(path); },
                 [this, unit, spec](Result<WallTime> stamp) {
                   if (!stamp) {
                     log_about(LogLevel::warning, *spec, "timer-stamp",
                               fmt::format("{} counts as never elapsed: {}", spec->name.str(),
                                           stamp.error().message()));
                   }
                   core_.events.post(engine::TimerStampRead{unit, stamp ? *stamp : WallTime{}});
                   core_.events.drain();
                 });
}

void TimerStamps::store(UnitId unit, WallTime last) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  core_.pool.run([path = path_of(*spec), last] { return write_timer_stamp(path, last); },
                 [spec](const Status& stored) {
                   if (stored) return;
                   log_about(LogLevel::warning, *spec, "timer-stamp",
                             fmt::format("that {} elapsed cannot be recorded, so that Persistent= "
                                         "will not know of it: {}",
                                         spec->name.str(), stored.error().message()));
                 });
}

}  // namespace pidward::runtime
