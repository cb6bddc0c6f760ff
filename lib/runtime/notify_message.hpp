// What a datagram on the notify socket says (sd_notify(3)). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "engine/event.hpp"

namespace pidward::runtime {

/// One datagram, parsed. Processes are numbers here still; the receiver turns them into identities.
struct ParsedNotify {
  engine::NotifyMessage message;
  std::optional<pid_t> main_pid;           ///< MAINPID=
  std::optional<ProcessId> main_pidfd_id;  ///< MAINPIDFDID=
  bool main_pidfd = false;                 ///< MAINPIDFD=1: the first descriptor sent along
  bool barrier = false;                 ///< BARRIER=1: close the descriptor once all is processed
  std::vector<std::string> complaints;  ///< values that are not valid, each in a sentence
};

/// Longest datagram that is read, as in systemd.
inline constexpr std::size_t kNotifyMaxBytes = 4096;

/// Errors: NUL bytes inside. Unknown fields are no error, and a field with a bad value is left out.
Result<ParsedNotify> parse_notify(std::string_view datagram);

/// What FDNAME= may say (sd_pid_notify_with_fds(3)): printable ASCII without ':', 1 to 255 of it.
bool is_descriptor_name(std::string_view text);

/// Valid UTF-8 without NUL: what may go onto the bus.
bool is_utf8(std::string_view text);

}  // namespace pidward::runtime
