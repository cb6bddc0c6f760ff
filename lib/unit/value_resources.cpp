// Settings of resource control (systemd.resource-control(5)): amounts, shares, weights. A share
// stays one: what it is a share of is the machine's, and not known here.
#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

constexpr std::uint64_t kMaxWeight = 10000;

/// "12.5%" in hundredths of a percent.
Result<std::uint64_t> parse_share(std::string_view text, std::uint64_t max) {
  const std::string_view number = text.substr(0, text.size() - 1);
  const std::size_t dot = number.find('.');
  const std::string_view decimals =
      dot == std::string_view::npos ? std::string_view() : number.substr(dot + 1);
  const auto whole = parse_unsigned(number.substr(0, dot), max / 100);
  const bool plain = dot == std::string_view::npos || (!decimals.empty() && decimals.size() <= 2);
  const auto part = decimals.empty() ? Result<std::uint64_t>(0) : parse_unsigned(decimals, 99);
  if (!whole || !plain || !part || number.starts_with('+') || decimals.starts_with('+')) {
    return not_a(text, "a percentage: a number with up to two decimals and % is expected");
  }
  const std::uint64_t share = *whole * 100 + (decimals.size() == 1 ? *part * 10 : *part);
  if (share > max) return not_a(text, fmt::format("a percentage up to {}%", max / 100));
  return share;
}

std::string share_text(std::uint64_t share) {
  if (share % 100 == 0) return fmt::format("{}%", share / 100);
  return share % 10 == 0 ? fmt::format("{}.{}%", share / 100, share / 10 % 10)
                         : fmt::format("{}.{:02}%", share / 100, share % 100);
}

/// What is kept for a unit may be nothing; what it may have at most, not.
bool may_be_nothing(Directive id) {
  constexpr std::array kFloors{Directive::MemoryMin, Directive::MemoryLow, Directive::MemorySwapMax,
                               Directive::MemoryZSwapMax};
  return std::find(kFloors.begin(), kFloors.end(), id) != kFloors.end();
}

Result<std::string> parse_weight(std::string_view text) {
  if (text == "idle") return std::string(text);
  const auto weight = parse_unsigned(text, kMaxWeight);
  if (!weight || *weight == 0) {
    return not_a(text, "a weight: a number from 1 to 10000, or idle, is expected");
  }
  return fmt::format("{}", *weight);
}

Result<std::string> parse_quota(std::string_view text) {
  constexpr std::uint64_t kMostProcessors = 10000;
  if (!text.ends_with('%')) return not_a(text, "a percentage of one processor, like 150%");
  PIDWARD_TRY(const std::uint64_t share, parse_share(text, kMostProcessors * 100 * 100));
  if (share == 0) return not_a(text, "a quota above 0%");
  return share_text(share);
}

Result<std::string> parse_amount(const Row& row, std::string_view text) {
  constexpr std::uint64_t kWhole = 100 * 100;
  if (text == "infinity") return std::string(text);
  std::uint64_t amount = 0;
  const bool is_share = text.ends_with('%');
  if (is_share) {
    PIDWARD_TRY(amount, parse_share(text, kWhole));
  } else if (row.id == Directive::TasksMax) {
    PIDWARD_TRY(amount, parse_unsigned(text, kNoLimit - 1));
  } else {
    PIDWARD_TRY(amount, parse_size(text));
  }
  if (amount == 0 && !may_be_nothing(row.id)) return not_a(text, "an amount above 0");
  return is_share ? share_text(amount) : fmt::format("{}", amount);
}

}  // namespace

Result<Value> parse_resource(const Row& row, std::string_view text) {
  auto parsed = row.id == Directive::CPUWeight  ? parse_weight(text)
                : row.id == Directive::CPUQuota ? parse_quota(text)
                                                : parse_amount(row, text);
  if (!parsed) return std::move(parsed).error();
  return Value(*std::move(parsed));
}

}  // namespace pidward::unit::detail
