// Numbers, times, words from a closed set.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/core.h>

#include "base/number.hpp"
#include "unit/enums.hpp"
#include "unit/nearest.hpp"
#include "unit/syntax/words.hpp"
#include "unit/time_span.hpp"
#include "unit/value_names.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

template <typename Integer>
struct ReadNumber {
  Integer value = 0;
  bool too_large = false;
};

/// Digits as strtoul(3) reads them with base 0: 0x for hexadecimal and a leading 0 for octal
/// numbers; and 0o and 0b, as systemd has them. Nothing where it is no number.
template <typename Integer>
std::optional<ReadNumber<Integer>> number_with_base(std::string_view digits, bool negative) {
  int base = 10;
  const auto takes_prefix = [&digits, &base](std::string_view prefix, int base_of_it) {
    if (!digits.starts_with(prefix) || digits.size() == prefix.size()) return false;
    digits.remove_prefix(prefix.size());
    base = base_of_it;
    return true;
  };
  constexpr int kHexadecimal = 16;
  static_cast<void>(takes_prefix("0x", kHexadecimal) || takes_prefix("0X", kHexadecimal) ||
                    takes_prefix("0o", 8) || takes_prefix("0b", 2) || takes_prefix("0", 8));
  const std::string signed_digits = (negative ? "-" : "") + std::string(digits);
  if (digits.empty() || hex_digit(digits.front()) < 0) return std::nullopt;
  ReadNumber<Integer> number;
  const char* const all = signed_digits.data() + signed_digits.size();
  const auto [end, error] = std::from_chars(signed_digits.data(), all, number.value, base);
  if (error == std::errc::invalid_argument || end != all) return std::nullopt;
  number.too_large = error != std::errc();
  return number;
}

constexpr std::string_view kSizeUnits = "EPTGMKB";

Error too_large_a_size(std::string_view text) {
  return not_a(text, "a size that fits 64 bits");
}

/// One number with its unit, which is one of `units`; those from it upwards are gone afterwards.
Result<std::uint64_t> take_size(std::string_view& rest, std::string_view& units,
                                std::string_view text) {
  if (rest.starts_with('+')) rest.remove_prefix(1);
  const std::size_t end = std::min(rest.find_first_not_of("0123456789."), rest.size());
  const std::string_view number = rest.substr(0, end);
  rest = trim(rest.substr(end));
  std::uint64_t factor = 1;
  if (!rest.empty()) {
    const std::size_t unit = units.find(rest.front());
    if (unit == std::string_view::npos) {
      return not_a(
          text,
          "a size: numbers with K, M, G, T, P or E (of 1024), the largest first, are expected");
    }
    units.remove_prefix(unit + 1);
    factor = std::uint64_t{1} << (10 * (units.size()));
    rest.remove_prefix(1);
  }
  const std::size_t dot = number.find('.');
  const std::string_view whole_text = number.substr(0, dot);
  if (!is_number(whole_text)) return not_a(text, "a size: a number is expected first");
  const auto whole = parse_number<std::uint64_t>(whole_text);
  if (!whole || *whole > (kNoLimit - 1) / factor) return too_large_a_size(text);
  const std::uint64_t size = *whole * factor;
  if (dot == std::string_view::npos) return size;
  const std::string_view fraction = number.substr(dot + 1);
  constexpr std::size_t kDigits = 9;
  if (!is_number(fraction) || fraction.size() > kDigits)
    return not_a(text, "a size: up to nine decimals are expected");
  double share = 0;
  for (auto digit = fraction.rbegin(); digit != fraction.rend(); ++digit)
    share = (share + (*digit - '0')) / 10;
  const auto part = static_cast<std::uint64_t>(share * static_cast<double>(factor));
  if (size > kNoLimit - 1 - part) return too_large_a_size(text);
  return size + part;
}

std::string enumeration_of(std::span<const std::string_view> words) {
  std::string list;
  for (const std::string_view word : words) {
    if (word.empty()) continue;
    if (!list.empty()) list += ", ";
    list += word;
  }
  return list;
}

Error not_one_of(std::string_view found, std::span<const std::string_view> words, bool booleans) {
  NearestWord nearest(found);
  for (const std::string_view word : words) nearest.consider(word);
  return with_nearest(
      Error(Errc::syntax, fmt::format("'{}' is none of {}{}", found, booleans ? "yes, no, " : "",
                                      enumeration_of(words))),
      nearest);
}

/// Words that mean one of the known ones; systemd still reads them.
std::string_view canonical_word(const Row& row, std::string_view text) {
  if (row.id == Directive::Timestamping) {
    if (text == "usec" || text == "\u00b5s" || text == "\u03bcs") return "us";
    if (text == "nsec") return "ns";
  }
  return text;
}

/// Choices whose index is a number of the kernel or of syslog(3) are written as that number as
/// well.
bool takes_number(Directive id) {
  constexpr std::array kNumbered{Directive::CPUSchedulingPolicy, Directive::IOSchedulingClass,
                                 Directive::NUMAPolicy,          Directive::SyslogLevel,
                                 Directive::SyslogFacility,      Directive::LogLevelMax};
  return std::find(kNumbered.begin(), kNumbered.end(), id) != kNumbered.end();
}

/// The word that yes and no mean, for choices that take them; empty for the others.
std::string_view word_of_boolean(Directive id, bool yes) {
  constexpr std::array kPreserving{Directive::RuntimeDirectoryPreserve,
                                   Directive::FileDescriptorStorePreserve};
  if (std::find(kPreserving.begin(), kPreserving.end(), id) != kPreserving.end())
    return yes ? "yes" : "no";
  if (id == Directive::BindIPv6Only) return yes ? "ipv6-only" : "both";
  if (id == Directive::Timestamping && !yes) return "off";
  return {};
}

Result<Value> parse_tristate(const Row& row, std::string_view text) {
  if (const auto boolean = parse_boolean(text)) return Value(std::string(*boolean ? "yes" : "no"));
  if (std::find(row.choices.begin(), row.choices.end(), text) != row.choices.end())
    return Value(std::string(text));
  if (row.choices.empty()) return not_a(text, "yes or no");
  return not_one_of(text, row.choices, true);
}

Result<Value> parse_mode(std::string_view text) {
  std::uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  constexpr std::uint32_t kMaxMode = 07777;
  if (error != std::errc() || end != text.data() + text.size() || mode > kMaxMode) {
    return not_a(text, "an access mode: octal digits up to 7777 are expected");
  }
  return Value(static_cast<std::int64_t>(mode));
}

Result<Value> parse_signal(std::string_view text) {
  if (const auto number = signal_from_text(text)) return Value(std::int64_t{*number});
  return not_a(text, "a signal: a name like SIGTERM or SIGRTMIN+3, or a number, is expected");
}

Result<Value> as_value(Result<std::int64_t> number) {
  if (!number) return std::move(number).error();
  return Value(*number);
}

Result<Value> as_value(Result<std::uint64_t> number) {
  if (!number) return std::move(number).error();
  return Value(*number);
}

Result<Value> parse_seconds(std::string_view text, bool zero_is_infinity) {
  PIDWARD_TRY(const Duration span, parse_time_span(text));
  return Value(zero_is_infinity && span == Duration::zero() ? kInfinity : span);
}

enum class LimitUnit : std::uint8_t { count, bytes, seconds, microseconds, nice };

LimitUnit unit_of_limit(Directive id) {
  constexpr std::array kBytes{Directive::LimitFSIZE,   Directive::LimitDATA,
                              Directive::LimitSTACK,   Directive::LimitCORE,
                              Directive::LimitRSS,     Directive::LimitAS,
                              Directive::LimitMEMLOCK, Directive::LimitMSGQUEUE};
  if (std::find(kBytes.begin(), kBytes.end(), id) != kBytes.end()) return LimitUnit::bytes;
  if (id == Directive::LimitCPU) return LimitUnit::seconds;
  if (id == Directive::LimitRTTIME) return LimitUnit::microseconds;
  if (id == Directive::LimitNICE) return LimitUnit::nice;
  return LimitUnit::count;
}

Result<std::uint64_t> parse_limit_part(LimitUnit unit, std::string_view text) {
  if (text == "infinity" && unit != LimitUnit::nice) return kNoLimit;
  switch (unit) {
    case LimitUnit::count:
      return parse_unsigned(text, kNoLimit - 1);
    case LimitUnit::bytes:
      return parse_size(text);
    case LimitUnit::seconds: {
      PIDWARD_TRY(const Duration span, parse_time_span(text));
      // The kernel counts whole seconds: a part of one is one.
      constexpr Duration kSecond = std::chrono::seconds(1);
      return static_cast<std::uint64_t>(span / kSecond +
                                        (span % kSecond > Duration::zero() ? 1 : 0));
    }
    case LimitUnit::microseconds: {
      PIDWARD_TRY(const Duration span, parse_time_span(text, Duration(1)));
      return static_cast<std::uint64_t>(span.count());
    }
    case LimitUnit::nice: {
      // With a sign it is a nice level, which the kernel counts from 20 downwards; without, the
      // kernel's own number.
      if (text.starts_with('+') || text.starts_with('-')) {
        PIDWARD_TRY(const std::int64_t level, parse_integer(text, -20, 19));
        return static_cast<std::uint64_t>(20 - level);
      }
      return parse_unsigned(text, 40);
    }
  }
  return kNoLimit;
}

}  // namespace

Result<bool> parse_boolean(std::string_view text) {
  std::string word(text);
  std::transform(word.begin(), word.end(), word.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  for (const std::string_view yes : {"1", "yes", "y", "true", "t", "on"}) {
    if (word == yes) return true;
  }
  for (const std::string_view no : {"0", "no", "n", "false", "f", "off"}) {
    if (word == no) return false;
  }
  return not_a(text, "yes or no");
}

Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max) {
  const auto number =
      number_with_base<std::uint64_t>(text.starts_with('+') ? text.substr(1) : text, false);
  if (!number) return not_a(text, "a whole number that is not negative");
  if (number->too_large || number->value > max)
    return not_a(text, fmt::format("a number up to {}", max));
  return number->value;
}

Result<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max) {
  if (!is_number(text) || (text.size() > 1 && text.front() == '0'))
    return not_a(text, "a whole number in decimal digits");
  return parse_unsigned(text, max);
}

Result<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
  const bool negative = text.starts_with('-');
  const auto number = number_with_base<std::int64_t>(
      negative || text.starts_with('+') ? text.substr(1) : text, negative);
  if (!number) return not_a(text, "a whole number");
  if (number->too_large || number->value < min || number->value > max) {
    return not_a(text, fmt::format("a number from {} to {}", min, max));
  }
  return number->value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  // Several parts add up, each of a smaller unit than the one before: 1G 512M.
  std::string_view units = kSizeUnits;
  std::string_view rest = trim(text);
  std::uint64_t size = 0;
  do {
    PIDWARD_TRY(const std::uint64_t part, take_size(rest, units, text));
    if (part > kNoLimit - 1 - size) return too_large_a_size(text);
    size += part;
    rest = trim(rest);
  } while (!rest.empty());
  return size;
}

Result<Value> parse_scalar(const Row& row, std::string_view text) {
  if (row.syntax == Syntax::boolean) {
    PIDWARD_TRY(const bool value, parse_boolean(text));
    return Value(value);
  }
  if (row.syntax == Syntax::tristate) return parse_tristate(row, text);
  if (row.syntax == Syntax::integer) {
    const bool wide = row.bus_type == "x";
    using Limits = std::numeric_limits<std::int32_t>;
    return as_value(parse_integer(text,
                                  wide ? std::numeric_limits<std::int64_t>::min() : Limits::min(),
                                  wide ? std::numeric_limits<std::int64_t>::max() : Limits::max()));
  }
  if (row.syntax == Syntax::unsigned_number) {
    constexpr std::uint64_t kMax16 = std::numeric_limits<std::uint16_t>::max();
    return as_value(parse_unsigned(text, row.bus_type == "t"   ? kNoLimit
                                         : row.bus_type == "q" ? kMax16
                                                               : kMax32));
  }
  if (row.syntax == Syntax::size) return as_value(parse_size(text));
  if (row.syntax == Syntax::seconds || row.syntax == Syntax::timeout) {
    return parse_seconds(text, row.syntax == Syntax::timeout);
  }
  if (row.syntax == Syntax::nanoseconds) return as_value(parse_nanoseconds(text));
  if (row.syntax == Syntax::mode) return parse_mode(text);
  if (row.syntax == Syntax::signal) return parse_signal(text);
  if (row.syntax == Syntax::nice) return as_value(parse_integer(text, -20, 19));
  if (row.syntax == Syntax::oom_score_adjust) return as_value(parse_integer(text, -1000, 1000));
  if (row.syntax == Syntax::cpu_priority) return as_value(parse_integer(text, 0, 99));
  if (row.syntax == Syntax::io_priority) return as_value(parse_integer(text, 0, 7));
  return as_value(parse_integer(text, 0, 255));
}

Result<Value> parse_choice(const Row& row, std::string_view text) {
  const auto index_of = [&row](std::string_view word) {
    return static_cast<std::size_t>(std::find(row.choices.begin(), row.choices.end(), word) -
                                    row.choices.begin());
  };
  std::size_t index = text.empty() ? row.choices.size() : index_of(canonical_word(row, text));
  if (index == row.choices.size()) {
    if (const auto boolean = parse_boolean(text)) {
      const std::string_view word = word_of_boolean(row.id, *boolean);
      if (!word.empty()) index = index_of(word);
    }
  }
  if (index == row.choices.size() && takes_number(row.id) && is_number(text)) {
    PIDWARD_TRY(const std::uint64_t number, parse_unsigned(text, row.choices.size() - 1));
    if (!row.choices[number].empty()) index = number;
  }
  if (index == row.choices.size()) return not_one_of(text, row.choices, false);
  return Value(static_cast<std::int64_t>(index));
}

Result<ResourceLimit> parse_limit(const Row& row, std::string_view text) {
  const LimitUnit unit = unit_of_limit(row.id);
  const std::size_t colon = text.find(':');
  PIDWARD_TRY(const std::uint64_t soft, parse_limit_part(unit, text.substr(0, colon)));
  if (colon == std::string_view::npos) return ResourceLimit{soft, soft};
  PIDWARD_TRY(const std::uint64_t hard, parse_limit_part(unit, text.substr(colon + 1)));
  if (soft > hard) {
    return Error(Errc::syntax, fmt::format("the soft limit in '{}' is above the hard limit", text))
        .advise("Write SOFT:HARD with SOFT not above HARD.");
  }
  return ResourceLimit{soft, hard};
}

}  // namespace pidward::unit::detail
