// The daemon's side of logging: makes the pipe of each process, keeps its reading end until the
// logger has read all of it, and keeps a logger process alive. Lines that pidward itself has about
// a unit go the same way.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/core.hpp"
#include "runtime/logger.hpp"
#include "runtime/loop_timer.hpp"
#include "runtime/state_keeper.hpp"

namespace pidward::runtime {

/// Where what one process logs goes, until it is attached: all of it, or one of its streams.
struct LogStream {
  LogCopies copies;
  sys::Fd write_end;           ///< for the child
  sys::Fd read_end;            ///< none when journald took the stream
  std::string journal_stream;  ///< "DEVICE:INODE" for $JOURNAL_STREAM, when journald took it
};

class LogRouter final : private DescriptorHandler {
 public:
  LogRouter(Core& core, StateKeeper& keeper);
  ~LogRouter() override;
  LogRouter(const LogRouter&) = delete;
  LogRouter& operator=(const LogRouter&) = delete;

  /// A stream of the last daemon's; before open().
  void restore(std::uint64_t id, sys::Fd read_end, std::string header);
  /// Goes on with the last daemon's logger (`control`), or starts one. Errors: its process cannot
  /// be made.
  Status open(sys::Fd control);
  /// A stream for a process about to be made. Errors: no descriptors are left.
  Result<LogStream> open_stream(const unit::UnitSpec& spec, LogCopies copies);
  /// The process was made: hands the stream to the logger.
  void attach(LogStream stream, const unit::UnitSpec& spec, const std::string& identifier, int pid);
  /// A line of pidward's own about a unit.
  void note(const LogRecord& record);
  /// Until release() nothing is sent: a service that starts comes before what is told of it.
  void hold() { held_ = true; }
  void release();
  /// PID of the logger, 0 while there is none; for display.
  [[nodiscard]] int logger_pid() const { return logger_pid_; }
  /// Streams the logger has not read to their end.
  [[nodiscard]] std::size_t open_streams() const { return streams_.size(); }
  /// Before we execute ourselves: the pipes that are to stay open.
  void keep_all(KeptDescriptors& kept) const;
  /// Ends the logger in order: it drains what has been written, then exits.
  void close();

 private:
  struct Stream {
    sys::Fd read_end;
    std::string header;  ///< the control message that opens it
  };
  struct Outgoing {
    std::string text;          ///< of a note
    std::uint64_t stream = 0;  ///< whose header and reading end to send; 0: it is a note
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  Status start_logger();
  void logger_ended();
  void receive();
  void send(Outgoing message);
  void flush();
  void wait_for_room();
  [[nodiscard]] bool push(const Outgoing& message);
  static Result<LogStream> journal_stream(const unit::UnitSpec& spec, LogCopies copies);

  Core& core_;
  StateKeeper& keeper_;
  sys::Fd control_;
  Watch control_watch_;
  Watch writable_watch_;
  process::ProcessHandle logger_;
  Watch logger_watch_;
  int logger_pid_ = 0;
  LoopTimer restart_;
  unsigned quick_ends_ = 0;
  MonoTime started_{};
  std::uint64_t next_stream_ = 1;
  std::unordered_map<std::uint64_t, Stream> streams_;
  std::deque<Outgoing> outgoing_;
  std::uint64_t dropped_notes_ = 0;
  sys::Fd writable_;  ///< second descriptor of the control socket, waited on while it is full
  bool closing_ = false;
  bool held_ = false;
};

}  // namespace pidward::runtime
