// What each Syntax means to those who handle values without knowing their directives: the readers,
// the schema and the merging of repeated lines.
#pragma once

#include "unit/value_parse.hpp"

namespace pidward::unit {

/// How a value is written in YAML, which follows from how often it may be written in ini.
enum class Shape : std::uint8_t {
  boolean,      ///< one truth value
  tristate,     ///< one truth value or word
  choice,       ///< one of the row's words
  text,         ///< one text; a later line replaces it
  lines,        ///< a list: each item is the text of one assignment
  words,        ///< a list: each item is one word, blanks and quotes included
  environment,  ///< the same, or a map of variables
  commands,     ///< a list of command lines
};

struct SyntaxTraits {
  Syntax syntax;
  Shape shape;
  Result<Value> (*parse)(const Row& row, std::string_view text, const ParseContext& context);
  /// Adds what a further line means; nullptr: it replaces what there is.
  void (*merge)(Value& value, Value line);
};

const SyntaxTraits& traits_of(Syntax syntax);

/// True when several assignments add up.
[[nodiscard]] constexpr bool adds_up(Shape shape) {
  return shape >= Shape::lines;
}
/// True when an item of a list is one word rather than a line.
[[nodiscard]] constexpr bool has_words(Shape shape) {
  return shape == Shape::words || shape == Shape::environment;
}

}  // namespace pidward::unit
