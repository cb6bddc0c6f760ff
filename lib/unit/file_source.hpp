// The window through which the pure unit layer sees files. The runtime gives it the real system,
// tests a tree in memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace pidward::unit {

/// More links than these on the way to a file are an error, as they are to the kernel.
inline constexpr int kMaxLinks = 40;

enum class FileKind : std::uint8_t { missing, regular, directory, symlink, null_device, other };

struct FileInfo {
  FileKind kind = FileKind::missing;  ///< of the link itself, not of what it points to
  std::uint64_t size = 0;
  WallTime modified;
  bool executable = false;
};

/// Reading. Implementations must be usable from the thread the loader runs on.
class FileSource {
 public:
  virtual ~FileSource() = default;
  /// Missing files are a FileInfo, not an error. Never follows the last link.
  virtual Result<FileInfo> info(const std::string& path) const = 0;
  /// At most `limit` bytes; a longer file is an error that names the limit.
  virtual Result<std::string> read(const std::string& path, std::size_t limit) const = 0;
  virtual Result<std::string> read_link(const std::string& path) const = 0;
  /// Names in a directory, sorted bytewise; a missing directory is empty.
  virtual Result<std::vector<std::string>> list(const std::string& path) const = 0;
};

/// Writing, for enable, mask, edit and the like. Every call is atomic on its own.
class FileSink {
 public:
  virtual ~FileSink() = default;
  virtual Status make_link(const std::string& path, const std::string& target, bool replace) = 0;
  virtual Status write(const std::string& path, std::string_view content) = 0;
  virtual Status remove(const std::string& path) = 0;
  /// Removes the directory if it is empty; "not empty" and "missing" are successes.
  virtual Status remove_empty_directory(const std::string& path) = 0;
  virtual Status remove_tree(const std::string& path) = 0;
};

}  // namespace pidward::unit
