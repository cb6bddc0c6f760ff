// Splitting a value into words: quotes and escapes (systemd.syntax(7), "Quoting").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace pidward::unit {

/// What a backslash means in a list of words. systemd is not of one mind about it.
enum class Escapes : std::uint8_t {
  kept,             ///< it is a character like others: unit names contain \x2d
  dropped,          ///< it makes the next character a plain one and goes
  c_style,          ///< \n, \x2d, \u00e9 … as in C; an unknown escape is an error
  c_style_or_kept,  ///< the same, but an unknown escape stays as written (command lines)
};

struct SplitOptions {
  Escapes escapes = Escapes::kept;
  bool quotes = true;  ///< '…' and "…" hold a word together
  std::string_view separators = " \t\n\r";
  bool escaped_separators = false;  ///< with C-style escapes: a backslash makes a separator plain
  bool relaxed = false;             ///< an open quote or a lone backslash at the end is forgiven
  bool keep_empty = false;          ///< two separators in a row have an empty word between them
};

/// A word and what is odd about it.
struct Word {
  std::string text;
  bool unknown_escape = false;  ///< with Escapes::c_style_or_kept: something stayed as written
};

/// Takes the first word off `rest`, separators around it included; nothing is left of the text when
/// there is none. Errors: a quote without its end, an unknown escape.
Result<std::optional<Word>> take_word(std::string_view& rest, const SplitOptions& options);

/// All words. Errors as above.
Result<std::vector<std::string>> split_words(std::string_view text,
                                             const SplitOptions& options = {});

/// `word` written so that split_words() with C-style escapes, and an ExecStart= line, read exactly
/// this word.
std::string quote_word(std::string_view word);

/// The whole of `text` with C-style escapes replaced; blanks and quotes are ordinary. Errors: an
/// unknown escape.
Result<std::string> unescape_c(std::string_view text);

/// True when `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// What separates words: a space, a tab, the end of a line.
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// 0 to 15, or -1 where `c` is no hexadecimal digit.
constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// As much of a text as a message can bear: its first 64 bytes.
inline std::string_view shortened(std::string_view text) {
  return text.substr(0, 64);
}

/// Without blanks at both ends.
std::string_view trim(std::string_view text);

}  // namespace pidward::unit
