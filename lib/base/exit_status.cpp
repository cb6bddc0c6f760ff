#include "base/exit_status.hpp"

#include <csignal>
#include <cstring>

#include <fmt/core.h>

namespace pidward {
namespace {

// The layout of wait(2)'s int is part of the kernel's interface: code in bits 8-15, signal in 0-6,
// core flag in 7.
constexpr int kSignalMask = 0x7f;
constexpr int kCoreFlag = 0x80;
constexpr int kStopped = 0x7f;

std::string signal_text(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? fmt::format("signal SIG{}", name) : fmt::format("signal {}", signal);
}

}  // namespace

ExitStatus ExitStatus::from_wait(int status) {
  const int signal = status & kSignalMask;
  if (signal == 0) return {Kind::exited, (status >> 8) & 0xff};
  if (signal == kStopped) return {};
  return {(status & kCoreFlag) != 0 ? Kind::dumped : Kind::killed, signal};
}

ExitStatus ExitStatus::from_siginfo(int cld_code, int status) {
  switch (cld_code) {
    case CLD_EXITED:
      return {Kind::exited, status & 0xff};
    case CLD_KILLED:
      return {Kind::killed, status};
    case CLD_DUMPED:
      return {Kind::dumped, status};
    default:
      return {};
  }
}

int ExitStatus::to_wait() const {
  switch (kind) {
    case Kind::unknown:
      return 0;
    case Kind::exited:
      return (code & 0xff) << 8;
    case Kind::killed:
      return code & kSignalMask;
    case Kind::dumped:
      return (code & kSignalMask) | kCoreFlag;
  }
  return 0;
}

std::string ExitStatus::to_string() const {
  switch (kind) {
    case Kind::unknown:
      return "unknown";
    case Kind::exited:
      return fmt::format("exit code {}", code);
    case Kind::killed:
      return signal_text(code);
    case Kind::dumped:
      return signal_text(code) + " with a core dump";
  }
  return "unknown";
}

}  // namespace pidward
