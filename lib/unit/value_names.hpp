// Names of numbers that unit files use: signals, exit statuses, capabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pidward::unit {

/// "SIGTERM", "term", "RTMIN+3" (signal(7)). Nothing for what is none.
std::optional<int> signal_from_name(std::string_view text);
/// The same, or a number from 1 to SIGRTMAX.
std::optional<int> signal_from_text(std::string_view text);
/// "SIGTERM", "SIGRTMIN+3"; the number itself where there is no name.
std::string signal_name(int number);

/// 0 to 255, or a name of systemd.exec(5), "Process Exit Codes": "TEMPFAIL", "EXEC".
std::optional<std::uint8_t> exit_status_from_text(std::string_view text);
/// Empty where there is no name.
std::string_view exit_status_name(std::uint8_t status);

/// "CAP_KILL", "cap_kill", or a number up to 62: the bit in a capability set.
std::optional<unsigned> capability_from_text(std::string_view text);
std::string capability_name(unsigned number);

}  // namespace pidward::unit
