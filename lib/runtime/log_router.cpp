#include "runtime/log_router.hpp"

#include <cerrno>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/clock.hpp"
#include "runtime/log_line.hpp"
#include "runtime/logger_process.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;

constexpr std::size_t kMostOutgoing = 1024;  ///< notes beyond that are dropped and counted
constexpr const char* kLoggerName = "logger";
constexpr const char* kJournal = "/run/systemd/journal/stdout";

std::string stream_name(std::uint64_t id) {
  return fmt::format("log-{}", id);
}

unsigned stream_level(const unit::Settings& settings) {
  return static_cast<unsigned>(settings.integer(Directive::SyslogLevel));
}

/// LogLevelMax=: what is less important than that is dropped.
unsigned most_verbose(const unit::Settings& settings) {
  return static_cast<unsigned>(settings.integer(Directive::LogLevelMax));
}

/// As syslog(3) has it: the facility above the level.
unsigned stream_priority(const unit::Settings& settings) {
  return static_cast<unsigned>(settings.integer(Directive::SyslogFacility)) << 3U |
         stream_level(settings);
}

}  // namespace

LogRouter::LogRouter(Core& core, StateKeeper& keeper)
    : core_(core), keeper_(keeper), restart_(core.io) {
  keeper_.add_source([this](StateEntries& entries) {
    for (const auto& [id, stream] : streams_) {
      entries.insert_or_assign("fd " + stream_name(id), stream.header);
    }
  });
}

LogRouter::~LogRouter() {
  close();
}

void LogRouter::restore(std::uint64_t id, sys::Fd read_end, std::string header) {
  next_stream_ = std::max(next_stream_, id + 1);
  streams_.insert_or_assign(id, Stream{std::move(read_end), std::move(header)});
}

Status LogRouter::open(sys::Fd control) {
  if (control) {
    control_ = std::move(control);
    PIDWARD_TRY(control_watch_, Watch::start(core_.watcher, control_.get(), EPOLLIN, *this));
  } else {
    PIDWARD_CHECK(start_logger());
  }
  // A logger that was there before has most of them already, and knows them again.
  for (const auto& [id, stream] : streams_) send({{}, id});
  return {};
}

Status LogRouter::start_logger() {
  PIDWARD_TRY(sys::SocketPair pair, sys::make_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK));
  const LoggerSettings settings{core_.config.log_directory,
                                {core_.config.log_max_bytes, core_.config.log_max_files}};
  started_ = mono_now();
  if (core_.config.logger_program.empty()) {
    std::thread([fd = pair.second.release(), settings] { run_logger(fd, settings); }).detach();
  } else {
    PIDWARD_TRY(sys::Child child,
                spawn_logger(core_.config.logger_program, pair.second.get(), settings));
    logger_pid_ = child.pid;
    PIDWARD_TRY(logger_, core_.table.adopt_child(std::move(child.pidfd), {}, process::Role::other));
    PIDWARD_TRY(logger_watch_, Watch::start(core_.watcher, logger_->pidfd().get(), EPOLLIN, *this));
  }
  control_ = std::move(pair.first);
  keeper_.keep_descriptor(kLoggerName, control_.get(), "logger");
  PIDWARD_TRY(control_watch_, Watch::start(core_.watcher, control_.get(), EPOLLIN, *this));
  return {};
}

void LogRouter::logger_ended() {
  if (closing_) return;
  logger_watch_.stop();
  control_watch_.stop();
  writable_watch_.stop();
  writable_.reset();
  keeper_.drop_descriptor(kLoggerName);
  control_.reset();
  if (logger_) static_cast<void>(core_.table.collect(logger_));
  logger_.close();
  logger_pid_ = 0;
  log(LogLevel::warning,
      "The logger ended; services wait with what they write until the next one runs");
  // A logger that dies at once is not started again at once.
  constexpr std::chrono::seconds kQuick(5);
  quick_ends_ = mono_now() - started_ < kQuick ? std::min(quick_ends_ + 1, 6U) : 0;
  restart_.expires_after(std::chrono::milliseconds(quick_ends_ == 0 ? 0 : 50U << quick_ends_));
  restart_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (Status started = start_logger(); !started) {
      log(LogLevel::error, "Cannot start the logger: " + started.error().to_string());
      logger_ended();
      return;
    }
    // The pipes are as the last logger left them: the next one reads on.
    std::erase_if(outgoing_, [](const Outgoing& message) { return message.stream != 0; });
    for (const auto& [id, stream] : streams_) outgoing_.push_back({{}, id});
    flush();
  });
}

Result<LogStream> LogRouter::journal_stream(const unit::UnitSpec& spec, LogCopies copies) {
  PIDWARD_TRY(sys::Fd socket, sys::make_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, kJournal, sizeof address.sun_path - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT: socket API
                sizeof address) != 0) {
    return Error::from_errno(errno, "Cannot connect to the journal");
  }
  const std::string header = fmt::format(
      "{}\n{}\n{}\n{}\n0\n{:d}\n{:d}\n", spec.settings.string(Directive::SyslogIdentifier),
      spec.name.str(), stream_priority(spec.settings),
      spec.settings.boolean(Directive::SyslogLevelPrefix) ? 1 : 0, copies.kernel, copies.console);
  PIDWARD_CHECK(sys::write_all(socket.get(), header));
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return Error::from_errno(errno, "Cannot set up the stream to the journal");
  }
  struct stat status {};
  if (::fstat(socket.get(), &status) != 0)
    return Error::from_errno(errno, "Cannot look at a stream");
  LogStream stream;
  stream.journal_stream = fmt::format("{}:{}", status.st_dev, status.st_ino);
  stream.write_end = std::move(socket);
  return stream;
}

Result<LogStream> LogRouter::open_stream(const unit::UnitSpec& spec, LogCopies copies) {
  if (core_.config.scope == unit::Scope::system && ::access(kJournal, W_OK) == 0) {
    if (auto stream = journal_stream(spec, copies)) return stream;
  }
  PIDWARD_TRY(sys::Pipe pipe, sys::make_pipe());
  LogStream stream;
  stream.copies = copies;
  stream.write_end = std::move(pipe.write_end);
  stream.read_end = std::move(pipe.read_end);
  return stream;
}

void LogRouter::attach(LogStream stream, const unit::UnitSpec& spec, const std::string& identifier,
                       int pid) {
  if (!stream.read_end) return;
  const std::uint64_t id = next_stream_++;
  const std::string& named = spec.settings.string(Directive::SyslogIdentifier);
  Stream kept{std::move(stream.read_end),
              fmt::format("open\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}{}", id, spec.name.str(),
                          clean_source(named.empty() ? identifier : named), pid,
                          stream_level(spec.settings),
                          spec.settings.boolean(Directive::SyslogLevelPrefix) ? 1 : 0,
                          most_verbose(spec.settings), stream.copies.kernel ? "k" : "",
                          stream.copies.console ? "c" : "")};
  keeper_.keep_one_of_many(stream_name(id), kept.read_end.get(), kept.header);
  streams_.emplace(id, std::move(kept));
  // The process waits at its gate, and the logger need not be woken for each of many: the end of
  // the turn releases all.
  hold();
  send({{}, id});
}

void LogRouter::note(const LogRecord& record) {
  const auto name = unit::UnitName::parse(record.unit);
  const auto id = name ? core_.engine.find(*name) : std::nullopt;
  const auto spec = id ? core_.engine.spec(*id) : nullptr;
  if (spec && static_cast<unsigned>(record.level) > most_verbose(spec->settings)) return;
  send({fmt::format("note\n{}\n{}\n{}", record.unit, static_cast<unsigned>(record.level),
                    record.message),
        0});
}

bool LogRouter::push(const Outgoing& message) {
  std::vector<int> fds;
  const std::string* text = &message.text;
  if (message.stream != 0) {
    const auto stream = streams_.find(message.stream);
    if (stream == streams_.end()) return true;
    fds.push_back(stream->second.read_end.get());
    text = &stream->second.header;
  }
  const Status sent = sys::send_message(control_.get(), *text, fds);
  if (sent) return true;
  const int why = sent.error().sys_errno();
  return why != EAGAIN && why != ENOBUFS && why != EPIPE && why != ECONNRESET &&
         why != ETOOMANYREFS;
}

void LogRouter::send(Outgoing message) {
  if (!held_ && control_ && outgoing_.empty() && push(message)) return;
  if (message.stream == 0 && outgoing_.size() >= kMostOutgoing) {
    ++dropped_notes_;
    return;
  }
  outgoing_.push_back(std::move(message));
  if (!held_) wait_for_room();
}

void LogRouter::release() {
  held_ = false;
  if (outgoing_.empty()) return;
  flush();
  if (!outgoing_.empty()) wait_for_room();
}

void LogRouter::wait_for_room() {
  if (!control_ || writable_watch_) return;
  // A second descriptor: the watcher keeps one watch for each number.
  auto copy = control_.duplicate();
  if (!copy) return;
  writable_ = *std::move(copy);
  if (auto watch = Watch::start(core_.watcher, writable_.get(), EPOLLOUT, *this)) {
    writable_watch_ = *std::move(watch);
  }
}

void LogRouter::flush() {
  while (control_ && !outgoing_.empty()) {
    if (!push(outgoing_.front())) return;
    outgoing_.pop_front();
  }
  writable_watch_.stop();
  writable_.reset();
  if (dropped_notes_ > 0) {
    log(LogLevel::warning, fmt::format("{} messages about units did not fit their logs",
                                       std::exchange(dropped_notes_, 0)));
  }
}

void LogRouter::receive() {
  while (control_) {
    auto message = sys::receive_message(control_.get(), 4096);
    if (message && !*message) return;
    if (!message || (*message)->bytes.empty()) {
      // The process's own end is what counts where there is one.
      control_watch_.stop();
      if (!logger_) logger_ended();
      return;
    }
    const std::string_view text = (*message)->bytes;
    if (text.starts_with("eof\n")) {
      const std::uint64_t id = std::strtoull((*message)->bytes.c_str() + 4, nullptr, 10);
      keeper_.drop_one_of_many(stream_name(id));
      streams_.erase(id);
    } else if (text.starts_with("trouble\n")) {
      log(LogLevel::error, std::string(text.substr(8)));
    }
  }
}

void LogRouter::descriptor_ready(int fd, std::uint32_t /*events*/) {
  if (control_ && fd == control_.get()) {
    receive();
  } else if (writable_ && fd == writable_.get()) {
    flush();
  } else {
    logger_ended();
  }
}

void LogRouter::keep_all(KeptDescriptors& kept) const {
  for (const auto& [id, stream] : streams_) {
    kept.keep_here(stream_name(id), stream.read_end.get());
  }
}

void LogRouter::close() {
  if (std::exchange(closing_, true)) return;
  flush();
  restart_.cancel();
  writable_watch_.stop();
  control_watch_.stop();
  logger_watch_.stop();
  writable_.reset();
  // The end of the control socket is the logger's sign to finish.
  control_.reset();
  streams_.clear();
}

}  // namespace pidward::runtime
