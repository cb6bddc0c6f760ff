// Listing a directory through the seam.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace pidward::sys {

struct DirectoryEntry {
  std::string name;
  unsigned char type = 0;  ///< DT_*
};

/// Entries of a directory without "." and "..", in the kernel's order.
Result<std::vector<DirectoryEntry>> list_directory(const std::string& path);
/// The same below an open directory ("." for itself); O_PATH descriptors will do.
Result<std::vector<DirectoryEntry>> list_directory_at(int directory, const std::string& path);

}  // namespace pidward::sys
