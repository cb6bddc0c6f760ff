// The real file system behind unit::FileSource and unit::FileSink.
#pragma once

#include "unit/file_source.hpp"

namespace pidward::runtime {

/// Stateless; usable from any thread.
class PosixFileSource final : public unit::FileSource {
 public:
  Result<unit::FileInfo> info(const std::string& path) const override;
  Result<std::string> read(const std::string& path, std::size_t limit) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::vector<std::string>> list(const std::string& path) const override;
};

/// Files and links are made under a temporary name and renamed into place; missing parents are
/// made.
class PosixFileSink final : public unit::FileSink {
 public:
  Status make_link(const std::string& path, const std::string& target, bool replace) override;
  Status write(const std::string& path, std::string_view content) override;
  Status remove(const std::string& path) override;
  Status remove_empty_directory(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
};

/// mkdir -p; what is made has `mode` whatever the umask, or 0755 less the umask. Errors name the
/// component that failed.
Status make_directories(const std::string& path, std::optional<unsigned> mode = {});
/// rm -r that follows no link and stays below `path`. A missing tree is success.
Status remove_tree(const std::string& path);
/// Writes `content` to a temporary file beside `path` and renames it into place.
Status replace_file(const std::string& path, std::string_view content, unsigned mode = 0644);

}  // namespace pidward::runtime
