#include "sys/directory.hpp"

#include <array>
#include <cstring>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/syscall.h>

#include "sys/check.hpp"
#include "sys/fd.hpp"

namespace pidward::sys {

Result<std::vector<DirectoryEntry>> list_directory(const std::string& path) {
  return list_directory_at(AT_FDCWD, path);
}

Result<std::vector<DirectoryEntry>> list_directory_at(int directory, const std::string& path) {
  PIDWARD_TRY(const Fd fd, open_at(directory, path, O_RDONLY | O_DIRECTORY));
  std::vector<DirectoryEntry> entries;
  alignas(dirent64) std::array<char, 16384> buffer;
  for (;;) {
    const long size = call(SYS_getdents64, fd.get(), buffer.data(), buffer.size());
    if (is_error(size)) {
      return Error::from_errno(static_cast<int>(-size), fmt::format("Cannot list {}", path));
    }
    if (size == 0) return entries;
    for (long at = 0; at < size;) {
      const char* record = buffer.data() + at;
      unsigned short length = 0;
      std::memcpy(&length, record + offsetof(dirent64, d_reclen), sizeof(length));
      const std::string_view name(record + offsetof(dirent64, d_name));
      if (name != "." && name != "..") {
        const auto type = static_cast<unsigned char>(record[offsetof(dirent64, d_type)]);
        entries.push_back({std::string(name), type});
      }
      at += length;
    }
  }
}

}  // namespace pidward::sys
