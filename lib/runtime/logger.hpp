// The logger: reads the pipes of all services and writes their lines to files. Runs as a process of
// its own beside the daemon, so that neither takes the other down; talks to it over one SEQPACKET
// socket.
//
// From the daemon, one message each, fields separated by newlines:
//   "open" ID UNIT SOURCE PID LEVEL PREFIX MOST COPIES   with the reading end of a pipe; PREFIX is
//                                                 1 if "<N>" in front of a line is its level; lines
//                                                 above the level MOST are dropped; COPIES may have
//                                                 a k (kernel log) and a c (console)
//   "note" UNIT LEVEL TEXT…                       a line of the daemon's own
// To the daemon:
//   "eof" ID                                  the pipe has been read to its end
//   "trouble" TEXT                            for the daemon's own log
// The logger ends when the daemon's end of the socket is closed and every pipe is read to its end:
// should the daemon die, its services write on, and neither block nor meet a broken pipe.
#pragma once

#include <string>

#include "runtime/log_files.hpp"

namespace pidward::runtime {

struct LoggerSettings {
  std::string directory;
  LogLimits limits;
  std::string kernel_log = "/dev/kmsg";
  std::string console = "/dev/console";
};

/// Where the lines of a stream go besides its unit's log.
struct LogCopies {
  bool kernel = false;
  bool console = false;
  friend bool operator==(const LogCopies&, const LogCopies&) = default;
};

/// Longest piece of a line that is one record; longer lines are split and marked.
inline constexpr std::size_t kLongestLogLine = 8192;

/// Runs until the daemon is gone. Takes over `control`. Returns the exit code.
int run_logger(int control, const LoggerSettings& settings);

}  // namespace pidward::runtime
