// A tree of files in memory that is both a FileSource and a FileSink: for tests, and for planning
// against a copy.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "unit/file_source.hpp"

namespace pidward::unit {

/// Paths are absolute. Directories exist as soon as something is below them; links in the middle of
/// a path are followed, as a kernel does. Time is a counter: every write is one microsecond later
/// than the one before.
class MemorySource final : public FileSource, public FileSink {
 public:
  void add_file(const std::string& path, std::string content);
  void add_executable(const std::string& path, std::string content);
  void add_link(const std::string& path, std::string target);
  void add_directory(const std::string& path);
  /// The path itself is the null device (not a link to it).
  void add_null_device(const std::string& path);
  /// A pipe, a socket or another thing that is not to be read.
  void add_other(const std::string& path);
  /// Every later use of exactly this path fails with `errno_value`.
  void fail(const std::string& path, int errno_value);
  /// Gives a file a new time of modification.
  void touch(const std::string& path);
  /// Every path that was added, directories that only hold others left out, sorted.
  [[nodiscard]] std::vector<std::string> paths() const;
  /// How often list() was called, for tests of cost.
  [[nodiscard]] std::size_t list_calls() const { return list_calls_; }

  Result<FileInfo> info(const std::string& path) const override;
  Result<std::string> read(const std::string& path, std::size_t limit) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::vector<std::string>> list(const std::string& path) const override;

  Status make_link(const std::string& path, const std::string& target, bool replace) override;
  Status write(const std::string& path, std::string_view content) override;
  Status remove(const std::string& path) override;
  Status remove_empty_directory(const std::string& path) override;
  Status remove_tree(const std::string& path) override;

 private:
  struct Node {
    FileKind kind = FileKind::regular;
    std::string content;  ///< or a link's target
    WallTime modified;
    bool executable = false;
  };

  void add(const std::string& path, Node node);
  [[nodiscard]] Status injected(const std::string& path) const;
  /// `path` with every link but the last component followed. Errors: ELOOP.
  [[nodiscard]] Result<std::string> resolve(const std::string& path, bool follow_last) const;
  [[nodiscard]] bool has_children(const std::string& path) const;
  [[nodiscard]] WallTime next_time();

  std::map<std::string, Node> nodes_;
  std::map<std::string, int> failures_;
  std::int64_t clock_ = 0;
  mutable std::size_t list_calls_ = 0;
};

}  // namespace pidward::unit
