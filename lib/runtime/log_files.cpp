#include "runtime/log_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.hpp"
#include "runtime/clock.hpp"
#include "runtime/log_line.hpp"

namespace pidward::runtime {

std::string log_file_name(const std::string& unit) {
  constexpr std::size_t kLongest = 230;  // room for ".log.NNN" within the 255 bytes of a name
  if (unit.size() <= kLongest) return unit + ".log";
  return fmt::format("{}-{:016x}.log", unit.substr(0, 200), std::hash<std::string>{}(unit));
}

std::string log_file_path(const std::string& directory, const std::string& unit, unsigned age) {
  const std::string newest = fmt::format("{}/{}", directory, log_file_name(unit));
  return age == 0 ? newest : fmt::format("{}.{}", newest, age);
}

LogFile::LogFile(std::string directory, std::string unit, LogLimits limits)
    : directory_(std::move(directory)), unit_(std::move(unit)), limits_(limits) {
  limits_.max_files = std::max(2U, limits_.max_files);
}

Status LogFile::open() {
  const std::string path = log_file_path(directory_, unit_);
  PIDWARD_TRY(fd_, sys::open_path(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0640));
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return Error::from_errno(errno, "Cannot look at " + path);
  size_ = static_cast<std::uint64_t>(status.st_size);
  return {};
}

Status LogFile::rotate() {
  fd_.reset();
  for (unsigned age = limits_.max_files - 1; age > 0; --age) {
    const std::string from = log_file_path(directory_, unit_, age - 1);
    const std::string to = log_file_path(directory_, unit_, age);
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return Error::from_errno(errno, "Cannot rotate " + from);
    }
  }
  return open();
}

Status LogFile::append(std::string_view record) {
  const auto write = [this](std::string_view text) -> Status {
    if (!fd_) PIDWARD_CHECK(open());
    if (size_ > 0 && size_ + text.size() > limits_.bytes_per_file()) PIDWARD_CHECK(rotate());
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written == static_cast<ssize_t>(text.size())) {
      size_ += text.size();
      return {};
    }
    const int why = written < 0 ? errno : ENOSPC;
    // Half a record would run into the next one.
    if (written > 0 && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) fd_.reset();
    return Error::from_errno(why, "Cannot write " + log_file_path(directory_, unit_));
  };
  if (lost_ > 0) {
    const std::string note = format_log_line(
        {now().wall, LogLevel::warning, LinePart::whole, "pidward", 0,
         fmt::format("{} lines are missing here: they could not be written", lost_)});
    if (Status noted = write(note); !noted) {
      ++lost_;
      return noted;
    }
    lost_ = 0;
  }
  Status status = write(record);
  if (!status) ++lost_;
  return status;
}

}  // namespace pidward::runtime
