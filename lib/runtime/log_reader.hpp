// Reading a unit's log: the last lines across rotated files, and following it. For the command line
// and the status of a unit; needs no daemon.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "runtime/log_line.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

class LogFollower;

/// The last `count` lines of the unit's log, oldest first, across rotated files; a unit without a
/// log has none. Long lines that the logger split are put together. With a follower, the last that
/// it does not tell of, so that none is missing and none comes twice. Errors: a file is there and
/// may not be read.
Result<std::vector<LogLine>> read_last_log_lines(const std::string& directory,
                                                 const std::string& unit, std::size_t count,
                                                 const LogFollower* before = nullptr);

/// Follows a unit's log from its present end, across rotations. The file need not exist yet.
class LogFollower {
 public:
  /// Errors: no inotify instance is left, or the directory is not there.
  static Result<LogFollower> open(const std::string& directory, const std::string& unit);

  /// Becomes readable when there may be something new.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  /// What was written since the last call; never waits.
  Result<std::vector<LogLine>> read_new();

 private:
  friend Result<std::vector<LogLine>> read_last_log_lines(const std::string&, const std::string&,
                                                          std::size_t, const LogFollower*);
  LogFollower() = default;
  Status take(std::vector<LogLine>& lines);

  std::string directory_;
  std::string unit_;
  sys::Fd inotify_;
  sys::Fd file_;
  std::uint64_t inode_ = 0;
  std::size_t begin_ = 0;  ///< of what it tells, in the first file
  std::string partial_;    ///< bytes behind the last newline
};

}  // namespace pidward::runtime
