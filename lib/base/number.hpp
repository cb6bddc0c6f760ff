// Numbers out of text that is nothing but a number.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace pidward {

/// The whole of `text` as a number without blanks or '+'; nothing when it is anything else or does
/// not fit.
template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The same into `number`, which stays as it is when the text is no number; whether it was one.
template <typename Number>
[[nodiscard]] bool read_number(std::string_view text, Number& number) {
  const auto parsed = parse_number<Number>(text);
  if (parsed) number = *parsed;
  return parsed.has_value();
}

}  // namespace pidward
