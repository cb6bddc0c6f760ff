// Conditions about files.
#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/conditions/check.hpp"
#include "runtime/posix_files.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime::conditions {
namespace {

bool look(const std::string& path, struct stat& status) {
  return ::stat(path.c_str(), &status) == 0;
}

Result<bool> path_exists(const Question& question) {
  return ::access(question.path().c_str(), F_OK) == 0;
}

Result<bool> path_exists_glob(const Question& question) {
  glob_t found{};
  const int result = ::glob(question.path().c_str(), GLOB_NOSORT | GLOB_BRACE, nullptr, &found);
  const bool any = result == 0 && found.gl_pathc > 0;
  ::globfree(&found);
  return any;
}

Result<bool> path_is_directory(const Question& question) {
  struct stat status {};
  return look(question.path(), status) && S_ISDIR(status.st_mode);
}

Result<bool> path_is_symbolic_link(const Question& question) {
  struct stat status {};
  return ::lstat(question.path().c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

Result<bool> path_is_mount_point(const Question& question) {
  if (question.parameter == "/") return true;
  struct statx status {};
  if (::statx(AT_FDCWD, question.path().c_str(), AT_NO_AUTOMOUNT, STATX_TYPE, &status) != 0) {
    return false;
  }
  if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0) {
    return Error(Errc::not_supported, "this kernel does not tell mount points");
  }
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<bool> path_is_read_write(const Question& question) {
  struct statvfs status {};
  return ::statvfs(question.path().c_str(), &status) == 0 && (status.f_flag & ST_RDONLY) == 0;
}

// A block device is encrypted when it, or every device it is stacked on, is a dm-crypt mapping.
bool device_is_encrypted(const std::string& sysfs, int depth) {
  constexpr int kDeepest = 16;
  const auto uuid = sys::read_file(sysfs + "/dm/uuid", 4096);
  if (uuid && uuid->starts_with("CRYPT-")) return true;
  if (depth > kDeepest) return false;
  const auto below = PosixFileSource().list(sysfs + "/slaves");
  if (!below || below->empty()) return false;
  for (const std::string& device : *below) {
    if (!device_is_encrypted(sysfs + "/slaves/" + device, depth + 1)) return false;
  }
  return true;
}

Result<bool> path_is_encrypted(const Question& question) {
  struct stat status {};
  if (!look(question.path(), status)) return false;
  return device_is_encrypted(
      fmt::format("/sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev)), 0);
}

Result<bool> directory_not_empty(const Question& question) {
  const auto names = PosixFileSource().list(question.path());
  return names && !names->empty();
}

Result<bool> file_not_empty(const Question& question) {
  struct stat status {};
  return look(question.path(), status) && S_ISREG(status.st_mode) && status.st_size > 0;
}

Result<bool> file_is_executable(const Question& question) {
  struct stat status {};
  return look(question.path(), status) && S_ISREG(status.st_mode) && (status.st_mode & 0111U) != 0;
}

bool is_older(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

Result<bool> needs_update(const Question& question) {
  std::string path = question.path();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!path.starts_with('/')) {
    return Error(Errc::invalid_argument, fmt::format("\"{}\" is not an absolute path", path));
  }
  struct statvfs file_system {};
  if (::statvfs(path.c_str(), &file_system) == 0 && (file_system.f_flag & ST_RDONLY) != 0) {
    return false;
  }
  struct stat usr {};
  struct stat updated {};
  if (::lstat("/usr/", &usr) != 0) return true;
  if (::lstat((path + "/.updated").c_str(), &updated) != 0) return true;
  return is_older(updated.st_mtim, usr.st_mtim);
}

constexpr std::array kPathKinds{
    Kind{"PathExists", path_exists},
    Kind{"PathExistsGlob", path_exists_glob},
    Kind{"PathIsDirectory", path_is_directory},
    Kind{"PathIsSymbolicLink", path_is_symbolic_link},
    Kind{"PathIsMountPoint", path_is_mount_point},
    Kind{"PathIsReadWrite", path_is_read_write},
    Kind{"PathIsEncrypted", path_is_encrypted},
    Kind{"DirectoryNotEmpty", directory_not_empty},
    Kind{"FileNotEmpty", file_not_empty},
    Kind{"FileIsExecutable", file_is_executable},
    Kind{"NeedsUpdate", needs_update},
};

}  // namespace

std::span<const Kind> path_kinds() {
  return kPathKinds;
}

}  // namespace pidward::runtime::conditions
