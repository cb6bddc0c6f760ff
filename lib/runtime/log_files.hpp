// Where a unit's log is: LOGDIR/UNIT.log and, as it grows, UNIT.log.1 (the next older) and so on.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

/// "nginx.service.log"; names too long for a file are cut and told apart by a hash.
std::string log_file_name(const std::string& unit);
/// File number `age` of a unit, 0 being the newest.
std::string log_file_path(const std::string& directory, const std::string& unit, unsigned age = 0);

struct LogLimits {
  std::uint64_t max_bytes = 8U << 20U;  ///< all files of one unit together
  std::uint32_t max_files = 4;          ///< at least 2
  [[nodiscard]] std::uint64_t bytes_per_file() const { return max_bytes / max_files; }
};

/// Appends to one unit's log and rotates it. Every record is one write(2), so that readers see
/// whole lines.
class LogFile {
 public:
  LogFile(std::string directory, std::string unit, LogLimits limits);

  /// Errors: the disk is full, the directory is gone … The record is lost then, and counted.
  Status append(std::string_view record);
  /// Records lost since the last success.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  Status open();
  Status rotate();

  std::string directory_;
  std::string unit_;
  LogLimits limits_;
  sys::Fd fd_;
  std::uint64_t size_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace pidward::runtime
