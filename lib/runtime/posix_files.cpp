#include "runtime/posix_files.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sys/fd.hpp"

namespace pidward::runtime {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

Error path_error(int number, std::string_view what, std::string_view path) {
  return Error::from_errno(number, fmt::format("{} {}", what, path));
}

unit::FileKind kind_of(const struct stat& status) {
  if (S_ISREG(status.st_mode)) return unit::FileKind::regular;
  if (S_ISDIR(status.st_mode)) return unit::FileKind::directory;
  if (S_ISLNK(status.st_mode)) return unit::FileKind::symlink;
  if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
    return unit::FileKind::null_device;
  return unit::FileKind::other;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_beside(const std::string& path) {
  static std::atomic<std::uint64_t> counter{0};
  return fmt::format("{}/.#pidward{}.{}", parent_of(path), ::getpid(), counter++);
}

// Reads the names of an open directory; takes the descriptor.
Result<std::vector<std::string>> names_in(sys::Fd directory, const std::string& path) {
  DirectoryStream stream(::fdopendir(directory.get()));
  if (!stream) return path_error(errno, "Cannot list", path);
  static_cast<void>(directory.release());
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return path_error(errno, "Cannot list", path);
  std::ranges::sort(names);
  return names;
}

Status remove_contents(int parent, const std::string& name, const std::string& shown, int depth) {
  constexpr int kDeepest = 256;
  if (depth > kDeepest) {
    return Error(Errc::limit_exceeded, fmt::format("{} is nested too deeply to remove", shown));
  }
  auto directory = sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) return std::move(directory).error();
  const int number = directory->get();
  PIDWARD_TRY(sys::Fd copy, directory->duplicate());
  PIDWARD_TRY(const auto names, names_in(std::move(copy), shown));
  for (const std::string& child : names) {
    if (::unlinkat(number, child.c_str(), 0) == 0 || errno == ENOENT) continue;
    const int why = errno;
    if (why != EISDIR && why != EPERM) return path_error(why, "Cannot remove", shown + "/" + child);
    PIDWARD_CHECK(remove_contents(number, child, shown + "/" + child, depth + 1));
    if (::unlinkat(number, child.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return path_error(errno, "Cannot remove", shown + "/" + child);
    }
  }
  return {};
}

}  // namespace

Result<unit::FileInfo> PosixFileSource::info(const std::string& path) const {
  struct stat status {};
  if (::fstatat(AT_FDCWD, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return unit::FileInfo{};
    return path_error(errno, "Cannot look at", path);
  }
  unit::FileInfo info;
  info.kind = kind_of(status);
  info.size = static_cast<std::uint64_t>(status.st_size);
  info.modified = WallTime(std::chrono::seconds(status.st_mtim.tv_sec) +
                           Duration(status.st_mtim.tv_nsec / 1000));
  info.executable = (status.st_mode & 0111U) != 0;
  return info;
}

Result<std::string> PosixFileSource::read(const std::string& path, std::size_t limit) const {
  // O_NONBLOCK: a FIFO in the place of a file must not hold the thread for ever.
  auto file = sys::open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return std::move(file).error();
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return path_error(errno, "Cannot look at", path);
  if (S_ISDIR(status.st_mode)) return path_error(EISDIR, "Cannot read", path);
  if (!S_ISREG(status.st_mode) && kind_of(status) != unit::FileKind::null_device) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a regular file", path));
  }
  auto text = sys::read_all(file->get(), limit);
  if (!text) return std::move(text).error().within(path);
  return text;
}

Result<std::string> PosixFileSource::read_link(const std::string& path) const {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return path_error(errno, "Cannot read the link", path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<std::vector<std::string>> PosixFileSource::list(const std::string& path) const {
  auto directory = sys::open_path(path, O_RDONLY | O_DIRECTORY);
  if (!directory) {
    const int why = directory.error().sys_errno();
    if (why == ENOENT || why == ENOTDIR) return std::vector<std::string>{};
    return std::move(directory).error();
  }
  return names_in(*std::move(directory), path);
}

Status make_directories(const std::string& path, std::optional<unsigned> mode) {
  std::size_t at = 0;
  while (at != std::string::npos) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (part.empty() || part == "/" || part == ".") continue;
    if (::mkdir(part.c_str(), mode.value_or(0755)) != 0) {
      if (errno == EEXIST) continue;
      return path_error(errno, "Cannot make the directory", part);
    }
    if (!mode) continue;
    // By its descriptor: others may put a link in its place where they may write.
    PIDWARD_TRY(const sys::Fd made, sys::open_path(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (::fchmod(made.get(), *mode) != 0) return path_error(errno, "Cannot set the mode of", part);
  }
  return {};
}

Status remove_tree(const std::string& path) {
  if (::unlinkat(AT_FDCWD, path.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return path_error(errno, "Cannot remove", path);
  PIDWARD_CHECK(remove_contents(AT_FDCWD, path, path, 0));
  if (::unlinkat(AT_FDCWD, path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return path_error(errno, "Cannot remove", path);
  }
  return {};
}

Status replace_file(const std::string& path, std::string_view content, unsigned mode) {
  PIDWARD_CHECK(make_directories(parent_of(path)));
  const std::string temporary = temporary_beside(path);
  {
    PIDWARD_TRY(const sys::Fd file, sys::open_path(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    if (Status written = sys::write_all(file.get(), content); !written) {
      ::unlink(temporary.c_str());
      return std::move(written).error().within(path);
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    return path_error(why, "Cannot replace", path);
  }
  return {};
}

Status PosixFileSink::make_link(const std::string& path, const std::string& target, bool replace) {
  PIDWARD_CHECK(make_directories(parent_of(path)));
  if (!replace) {
    if (::symlink(target.c_str(), path.c_str()) != 0) return path_error(errno, "Cannot make", path);
    return {};
  }
  const std::string temporary = temporary_beside(path);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) {
    return path_error(errno, "Cannot make", path);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    return path_error(why, "Cannot replace", path);
  }
  return {};
}

Status PosixFileSink::write(const std::string& path, std::string_view content) {
  return replace_file(path, content);
}

Status PosixFileSink::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return path_error(errno, "Cannot remove", path);
  }
  return {};
}

Status PosixFileSink::remove_empty_directory(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) {
    return {};
  }
  return path_error(errno, "Cannot remove the directory", path);
}

Status PosixFileSink::remove_tree(const std::string& path) {
  return runtime::remove_tree(path);
}

}  // namespace pidward::runtime
