// Small readers shared by the conditions. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidward::runtime::conditions {

/// 1 yes y true t on, 0 no n false f off, in any case.
std::optional<bool> parse_boolean(std::string_view text);
/// Words separated by blanks; quotes hold one together and are removed.
std::vector<std::string> split_quoted(std::string_view text);
std::vector<std::string> split_lines(std::string_view text);
/// A number with K, M, G, T, P or E (base 1024).
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace pidward::runtime::conditions
