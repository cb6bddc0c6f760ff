// Time spans as people write them: "5min 20s", "1.5h", "infinity" (systemd.time(7), "Parsing Time
// Spans").
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace pidward::unit {

/// Reads a span; a number without unit counts in `default_unit`. The result is never negative, and
/// kInfinity only for "infinity". Errors (Errc::syntax): empty, negative, an unknown unit (named),
/// out of range.
Result<Duration> parse_time_span(std::string_view text,
                                 Duration default_unit = std::chrono::seconds(1));

/// The same in nanoseconds, with "ns" and "nsec" as further units; a bare number is nanoseconds,
/// UINT64_MAX is infinity.
Result<std::uint64_t> parse_nanoseconds(std::string_view text);

}  // namespace pidward::unit
