// How a process ended, as a value: what wait(2) says, without its bit packing.
#pragma once

#include <cstdint>
#include <string>

namespace pidward {

/// The end of one process. `unknown` is a real answer: on kernels before 6.15 nobody but the parent
/// is told.
struct ExitStatus {
  enum class Kind : std::uint8_t {
    unknown,  ///< it ended, nobody can say how; `code` is 0
    exited,   ///< `code` is the exit code, 0 to 255
    killed,   ///< `code` is the signal
    dumped,   ///< `code` is the signal; a core was written
  };
  Kind kind = Kind::unknown;
  int code = 0;

  /// From the packed int of wait(2), which is also what PIDFD_GET_INFO reports. Anything that is
  /// not an end (stopped, continued) is unknown.
  static ExitStatus from_wait(int status);
  /// From si_code (CLD_*) and si_status of waitid(2).
  static ExitStatus from_siginfo(int cld_code, int status);

  /// The packed int of wait(2); 0 for unknown.
  [[nodiscard]] int to_wait() const;
  /// Ended with exit code 0.
  [[nodiscard]] bool is_success() const { return kind == Kind::exited && code == 0; }
  /// Ended by a signal, with or without a core.
  [[nodiscard]] bool is_signal() const { return kind == Kind::killed || kind == Kind::dumped; }
  /// "exit code 3", "signal SIGKILL", "signal SIGSEGV with a core dump", "unknown".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

}  // namespace pidward
