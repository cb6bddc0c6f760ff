// The parsers behind parse_value(), by subject. For value_*.cpp alone.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "unit/nearest.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit::detail {

inline constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();

/// An Errc::syntax error: "'FOUND' is not WHAT".
Error not_a(std::string_view found, std::string_view what);
/// With the nearest known word as advice, where there is one.
Error with_nearest(Error error, const NearestWord& nearest);
/// Leaves a bad word out where the context takes notes; returns the error where it does not.
Status drop(const ParseContext& context, Error error);
void remark(const ParseContext& context, std::string message, std::string advice = {});
/// Specifiers replaced, if the context says for whom.
Result<std::string> expand(std::string_view text, const ParseContext& context);

// value_scalars.cpp
Result<bool> parse_boolean(std::string_view text);
/// Numbers with a sign and in any base, as strtoul(3) reads them with base 0.
Result<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max);
Result<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max);
/// Decimal digits alone, without a leading 0: ids and ports, where 010 would be a mistake.
Result<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max);
Result<std::uint64_t> parse_size(std::string_view text);
Result<Value> parse_scalar(const Row& row, std::string_view text);
Result<Value> parse_choice(const Row& row, std::string_view text);
Result<ResourceLimit> parse_limit(const Row& row, std::string_view text);

// value_strings.cpp
/// Doubled slashes, "." components and a trailing slash gone.
std::string simplify_path(std::string_view path);
/// An absolute path without "..", simplified.
Result<std::string> check_path(std::string path);
/// A path below /var/run is moved below /run, with a remark.
std::string without_var_run(std::string path, const ParseContext& context);
Result<Value> parse_string(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_path(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_working_directory(std::string_view text, const ParseContext& context);
Result<Value> parse_unit_name(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_unit_names(std::string_view text, const ParseContext& context);
Result<Value> parse_input_data(const Row& row, std::string_view text, const ParseContext& context);
/// A user or group by name or number, as systemd accepts it in unit files.
Status check_user_name(std::string_view name);

// value_lists.cpp
Result<Value> parse_words(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_paths(std::string_view text, const ParseContext& context);
Result<Value> parse_search_path(std::string_view text, const ParseContext& context);
Result<Value> parse_environment(std::string_view text, const ParseContext& context);
Result<Value> parse_environment_file(std::string_view text, const ParseContext& context);
Result<Value> parse_condition(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_exit_statuses(std::string_view text, const ParseContext& context);
Result<Value> parse_stream(const Row& row, std::string_view text, const ParseContext& context);
Result<Value> parse_exec_directories(const Row& row, std::string_view text,
                                     const ParseContext& context);
Result<Value> parse_trigger(const Row& row, std::string_view text, const ParseContext& context);

// value_sets.cpp
Result<Value> parse_capabilities(std::string_view text, const ParseContext& context);
Result<Value> parse_secure_bits(std::string_view text, const ParseContext& context);
Result<Value> parse_delegate(std::string_view text, const ParseContext& context);
Result<Value> parse_cpu_set(const Row& row, std::string_view text, const ParseContext& context);

// value_resources.cpp
Result<Value> parse_resource(const Row& row, std::string_view text);

// value_listen.cpp
Result<Value> parse_listen(const Row& row, std::string_view text, const ParseContext& context);

// syntax/exec_line.cpp
Result<Value> parse_exec(std::string_view text, const ParseContext& context);

}  // namespace pidward::unit::detail
