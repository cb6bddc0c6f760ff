#include "runtime/logger.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/number.hpp"
#include "runtime/clock.hpp"
#include "runtime/log_line.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {
namespace {

// What one pipe may have read in one turn: a service that floods waits for all the others.
constexpr std::size_t kBytesPerTurn = 32 * 1024;
constexpr std::size_t kControlMessage = 64 * 1024;

struct Unit {
  explicit Unit(LogFile log) : file(std::move(log)) {}
  LogFile file;
  unsigned streams = 0;
  bool in_trouble = false;
};

struct Stream {
  std::uint64_t id = 0;
  sys::Fd pipe;
  ino_t inode = 0;  ///< of the pipe
  std::string unit;
  std::string source;
  std::uint32_t pid = 0;
  LogLevel level = LogLevel::info;
  bool prefixes = true;
  LogLevel most_verbose = LogLevel::debug;
  LogCopies copies;
  LogLevel line_level = LogLevel::info;  ///< of the long line that goes on
  bool continued = false;
  std::string partial;
};

std::vector<std::string> split_fields(std::string_view text, std::size_t most) {
  std::vector<std::string> fields;
  while (fields.size() + 1 < most) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  fields.emplace_back(text);
  return fields;
}

LogLevel level_of(const std::string& text) {
  return static_cast<LogLevel>(std::min(7U, parse_number<unsigned>(text).value_or(0)));
}

class Logger {
 public:
  Logger(sys::Fd control, LoggerSettings settings)
      : control_(std::move(control)),
        settings_(std::move(settings)),
        epoll_(sys::adopt_fd, ::epoll_create1(EPOLL_CLOEXEC)) {}

  int run();

 private:
  void receive();
  void open_stream(const std::vector<std::string>& fields, sys::Fd pipe);
  void read_stream(int fd);
  void take_lines(Stream& stream, std::string_view bytes);
  void put(Stream& stream, std::string_view text, LinePart part);
  void write(const std::string& unit, const LogLine& line);
  void copy(const std::string& device, const std::string& line);
  void close_stream(int fd);
  bool watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }
  Unit& unit(const std::string& name) {
    auto& found = units_[name];
    if (!found) {
      found = std::make_unique<Unit>(LogFile(settings_.directory, name, settings_.limits));
    }
    return *found;
  }

  sys::Fd control_;
  LoggerSettings settings_;
  sys::Fd epoll_;
  std::unordered_map<int, Stream> streams_;
  std::unordered_set<ino_t> pipes_;  ///< of the streams: the next daemon sends all that it knows of
  std::map<std::string, std::unique_ptr<Unit>> units_;
  std::set<std::string> silent_devices_;  ///< that could not be written to, which was told once
};

int Logger::run() {
  if (!epoll_ || !watch(control_.get())) return 1;
  std::array<epoll_event, 64> events{};
  while (control_ || !streams_.empty()) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) return 1;
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (control_ && fd == control_.get()) {
        receive();
      } else {
        read_stream(fd);
      }
    }
  }
  return 0;
}

void Logger::receive() {
  for (int i = 0; i < 64; ++i) {
    auto message = sys::receive_message(control_.get(), kControlMessage);
    if (message && !*message) return;
    if (!message || (*message)->bytes.empty()) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, control_.get(), nullptr);
      control_.reset();
      return;
    }
    // The last field is younger than streams that an earlier daemon left may be.
    const auto fields = split_fields((*message)->bytes, 9);
    if (fields[0] == "open" && fields.size() >= 8 && (*message)->fds.size() == 1) {
      open_stream(fields, std::move((*message)->fds.front()));
      continue;
    }
    const auto note = split_fields((*message)->bytes, 4);
    if (note[0] != "note" || note.size() != 4) continue;
    std::string text = note[3];
    std::ranges::replace(text, '\n', ' ');
    write(note[1], {now().wall, level_of(note[2]), LinePart::whole, "pidward", 0, std::move(text)});
    if (const auto found = units_.find(note[1]); found->second->streams == 0) units_.erase(found);
  }
}

void Logger::open_stream(const std::vector<std::string>& fields, sys::Fd pipe) {
  Stream stream;
  stream.id = parse_number<std::uint64_t>(fields[1]).value_or(0);
  stream.unit = fields[2];
  stream.source = clean_source(fields[3]);
  stream.pid = parse_number<std::uint32_t>(fields[4]).value_or(0);
  stream.level = level_of(fields[5]);
  stream.prefixes = fields[6] == "1";
  stream.most_verbose = level_of(fields[7]);
  if (fields.size() > 8) {
    stream.copies.kernel = fields[8].find('k') != std::string::npos;
    stream.copies.console = fields[8].find('c') != std::string::npos;
  }
  const int fd = pipe.get();
  struct stat status {};
  if (::fstat(fd, &status) != 0 || pipes_.contains(status.st_ino)) return;
  stream.inode = status.st_ino;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || !watch(fd)) return;
  stream.pipe = std::move(pipe);
  pipes_.insert(stream.inode);
  ++unit(stream.unit).streams;
  streams_.insert_or_assign(fd, std::move(stream));
}

void Logger::read_stream(int fd) {
  const auto found = streams_.find(fd);
  if (found == streams_.end()) return;
  thread_local std::array<char, kBytesPerTurn> buffer;
  const ssize_t length = ::read(fd, buffer.data(), buffer.size());
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) {
    close_stream(fd);
    return;
  }
  take_lines(found->second, {buffer.data(), static_cast<std::size_t>(length)});
}

void Logger::take_lines(Stream& stream, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const bool whole = end != std::string_view::npos;
    const std::string_view piece = bytes.substr(0, end);
    if (stream.partial.size() + piece.size() > kLongestLogLine) {
      const std::size_t room = kLongestLogLine - stream.partial.size();
      stream.partial.append(piece.substr(0, room));
      put(stream, std::exchange(stream.partial, {}), LinePart::continues);
      bytes.remove_prefix(room);
      continue;
    }
    if (!whole) {
      stream.partial.append(piece);
      return;
    }
    if (stream.partial.empty()) {
      put(stream, piece, LinePart::whole);
    } else {
      stream.partial.append(piece);
      put(stream, std::exchange(stream.partial, {}), LinePart::whole);
    }
    bytes.remove_prefix(end + 1);
  }
}

void Logger::put(Stream& stream, std::string_view text, LinePart part) {
  if (!stream.continued) {
    stream.line_level = stream.prefixes ? take_level_prefix(text, stream.level) : stream.level;
  }
  stream.continued = part == LinePart::continues;
  if (stream.line_level > stream.most_verbose) return;
  write(stream.unit,
        {now().wall, stream.line_level, part, stream.source, stream.pid, std::string(text)});
  const std::string said = fmt::format("{}[{}]: {}\n", stream.source, stream.pid, text);
  if (stream.copies.kernel) {
    copy(settings_.kernel_log,
         fmt::format("<{}>{}", static_cast<unsigned>(stream.line_level), said));
  }
  if (stream.copies.console) copy(settings_.console, said);
}

// A console that nobody reads holds nobody up: what does not fit is not shown.
void Logger::copy(const std::string& device, const std::string& line) {
  const auto file = sys::open_path(device, O_WRONLY | O_NOCTTY | O_NONBLOCK);
  const Status written = file ? sys::write_all(file->get(), line) : Status(file.error());
  if (written || written.error().sys_errno() == EAGAIN) return;
  if (!control_ || !silent_devices_.insert(device).second) return;
  static_cast<void>(sys::send_message(
      control_.get(),
      fmt::format("trouble\nOutput is not copied to {}: {}", device, written.error().to_string())));
}

void Logger::write(const std::string& name, const LogLine& line) {
  Unit& target = unit(name);
  const Status written = target.file.append(format_log_line(line));
  if (!written && !target.in_trouble && control_) {
    static_cast<void>(sys::send_message(
        control_.get(),
        fmt::format("trouble\nThe log of {} loses lines: {}", name, written.error().to_string())));
  }
  target.in_trouble = !written;
}

void Logger::close_stream(int fd) {
  const auto found = streams_.find(fd);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (!stream.partial.empty()) put(stream, std::exchange(stream.partial, {}), LinePart::unfinished);
  if (control_) {
    static_cast<void>(sys::send_message(control_.get(), fmt::format("eof\n{}", stream.id)));
  }
  const std::string name = stream.unit;
  pipes_.erase(stream.inode);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  streams_.erase(found);
  if (--unit(name).streams == 0) units_.erase(name);
}

}  // namespace

int run_logger(int control, const LoggerSettings& settings) {
  // Woken by every service that ends: before the daemon it need not run, which has to start it
  // again.
  const sched_param none{};
  static_cast<void>(::sched_setscheduler(0, SCHED_BATCH, &none));
  Logger logger(sys::Fd(sys::adopt_fd, control), settings);
  return logger.run();
}

}  // namespace pidward::runtime
