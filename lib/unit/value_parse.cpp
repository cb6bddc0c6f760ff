#include "unit/value_parse.hpp"

#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/syntax_traits.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit {
namespace detail {

Error not_a(std::string_view found, std::string_view what) {
  return {Errc::syntax, fmt::format("'{}' is not {}", found, what)};
}

Error with_nearest(Error error, const NearestWord& nearest) {
  const auto near = nearest.get();
  if (!near) return error;
  return std::move(error).advise(fmt::format("Did you mean {}?", *near));
}

Status drop(const ParseContext& context, Error error) {
  if (context.notes == nullptr) return error;
  context.notes->push_back({true, error.message(), error.advice()});
  return {};
}

void remark(const ParseContext& context, std::string message, std::string advice) {
  if (context.notes != nullptr)
    context.notes->push_back({false, std::move(message), std::move(advice)});
}

Result<std::string> expand(std::string_view text, const ParseContext& context) {
  if (context.name == nullptr || context.specifiers == nullptr) return std::string(text);
  return expand_specifiers(text, *context.name, *context.specifiers, context.fragment_path);
}

}  // namespace detail

Result<Value> parse_value(const Row& row, std::string_view raw, const ParseContext& context) {
  return traits_of(row.syntax).parse(row, trim(raw), context);
}

void merge_value(const Row& row, Value& value, Value line) {
  if (const auto merge = traits_of(row.syntax).merge) return merge(value, std::move(line));
  value = std::move(line);
}

}  // namespace pidward::unit
