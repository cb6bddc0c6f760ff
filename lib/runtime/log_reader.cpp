#include "runtime/log_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/log_files.hpp"

namespace pidward::runtime {
namespace {

constexpr std::size_t kBlock = 64 * 1024;

// What is before `end` in a file, from the beginning of the line that is `lines` newlines before.
Result<std::string> read_tail(int fd, std::size_t end, std::size_t lines) {
  std::string tail;
  std::size_t at = end;
  std::size_t newlines = 0;
  while (at > 0 && newlines <= lines) {
    const std::size_t size = std::min(kBlock, at);
    std::string block(size, '\0');
    const ssize_t got = ::pread(fd, block.data(), size, static_cast<off_t>(at - size));
    if (got < 0) return Error::from_errno(errno, "Cannot read the log");
    block.resize(static_cast<std::size_t>(got));
    newlines += static_cast<std::size_t>(std::ranges::count(block, '\n'));
    tail.insert(0, block);
    at -= size;
  }
  if (at > 0) tail.erase(0, tail.find('\n') + 1);
  return tail;
}

// Whole records out of `text`; what is behind the last newline stays in it.
void parse_records(std::string& text, std::vector<LogLine>& lines) {
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    if (auto line = parse_log_line(std::string_view(text).substr(begin, end - begin))) {
      lines.push_back(*std::move(line));
    }
    begin = end + 1;
  }
  text.erase(0, begin);
}

// Puts the pieces of split lines together; other sources' lines may stand between them.
std::vector<LogLine> join_pieces(std::vector<LogLine> lines) {
  std::vector<LogLine> joined;
  for (LogLine& line : lines) {
    const auto open = std::find_if(joined.rbegin(), joined.rend(), [&](const LogLine& other) {
      return other.source == line.source && other.pid == line.pid;
    });
    if (open != joined.rend() && open->part == LinePart::continues) {
      open->text += line.text;
      open->part = line.part;
    } else {
      joined.push_back(std::move(line));
    }
  }
  return joined;
}

struct YoungerFile {
  std::uint64_t inode = 0;
  sys::Fd fd;
};

// The files of a unit that are younger than the one with this inode, the youngest first; all if it
// is gone.
std::vector<YoungerFile> younger_files(const std::string& directory, const std::string& unit,
                                       std::uint64_t inode) {
  std::vector<YoungerFile> files;
  // A rotation that is under way leaves one number out, and may show a file under two.
  for (unsigned age = 0, missing = 0; missing < 2; ++age) {
    auto file = sys::open_path(log_file_path(directory, unit, age), O_RDONLY);
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0) {
      ++missing;
      continue;
    }
    missing = 0;
    if (status.st_ino == inode) break;
    const bool is_known = std::ranges::any_of(
        files, [&](const YoungerFile& other) { return other.inode == status.st_ino; });
    if (!is_known) files.push_back({status.st_ino, *std::move(file)});
  }
  return files;
}

}  // namespace

Result<std::vector<LogLine>> read_last_log_lines(const std::string& directory,
                                                 const std::string& unit, std::size_t count,
                                                 const LogFollower* before) {
  std::vector<LogLine> lines;
  bool is_reached = before == nullptr;
  for (unsigned age = 0; lines.size() < count; ++age) {
    auto file = sys::open_path(log_file_path(directory, unit, age), O_RDONLY);
    if (!file && file.error().sys_errno() == ENOENT) break;
    if (!file) return std::move(file).error();
    struct stat status {};
    if (::fstat(file->get(), &status) != 0)
      return Error::from_errno(errno, "Cannot look at the log");
    auto end = static_cast<std::size_t>(status.st_size);
    if (!is_reached) {
      // A younger file is the follower's as a whole.
      if (status.st_ino != before->inode_) continue;
      is_reached = true;
      end = before->begin_;
    }
    PIDWARD_TRY(std::string text, read_tail(file->get(), end, count - lines.size()));
    std::vector<LogLine> older;
    parse_records(text, older);
    older.insert(older.end(), std::make_move_iterator(lines.begin()),
                 std::make_move_iterator(lines.end()));
    lines = std::move(older);
  }
  lines = join_pieces(std::move(lines));
  if (lines.size() > count) {
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  }
  return lines;
}

Result<LogFollower> LogFollower::open(const std::string& directory, const std::string& unit) {
  LogFollower follower;
  follower.directory_ = directory;
  follower.unit_ = unit;
  follower.inotify_ = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!follower.inotify_) return Error::from_errno(errno, "Cannot watch the log");
  // The directory rather than the file: it sees appends, rotations and the file's first appearance.
  if (::inotify_add_watch(follower.inotify_.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM) < 0) {
    return Error::from_errno(errno, "Cannot watch " + directory);
  }
  // The next older one while a rotation is under way.
  for (unsigned age = 0; age < 2 && !follower.file_; ++age) {
    auto file = sys::open_path(log_file_path(directory, unit, age), O_RDONLY);
    if (!file) continue;
    struct stat status {};
    if (::fstat(file->get(), &status) == 0) follower.inode_ = status.st_ino;
    const off_t end = ::lseek(file->get(), 0, SEEK_END);
    follower.begin_ = static_cast<std::size_t>(std::max<off_t>(end, 0));
    follower.file_ = *std::move(file);
  }
  return follower;
}

Status LogFollower::take(std::vector<LogLine>& lines) {
  while (file_) {
    PIDWARD_TRY(const std::string text, sys::read_some(file_.get(), kBlock));
    if (text.empty()) break;
    partial_ += text;
    parse_records(partial_, lines);
  }
  return {};
}

Result<std::vector<LogLine>> LogFollower::read_new() {
  std::array<char, 4096> events{};
  while (::read(inotify_.get(), events.data(), events.size()) > 0) {
  }
  std::vector<LogLine> lines;
  PIDWARD_CHECK(take(lines));
  // Rotated, maybe more than once: what is left of the old file is read above, the younger ones are
  // new as a whole.
  std::vector<YoungerFile> younger = younger_files(directory_, unit_, inode_);
  for (auto file = younger.rbegin(); file != younger.rend(); ++file) {
    // Lines may have come between the first reading and the rotation.
    if (file == younger.rbegin()) PIDWARD_CHECK(take(lines));
    inode_ = file->inode;
    file_ = std::move(file->fd);
    partial_.clear();
    PIDWARD_CHECK(take(lines));
  }
  return join_pieces(std::move(lines));
}

}  // namespace pidward::runtime
