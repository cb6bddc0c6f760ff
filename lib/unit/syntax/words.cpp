#include "unit/syntax/words.hpp"

#include <fmt/core.h>

namespace pidward::unit {
namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&out, code](unsigned shift) {
    out += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | (code >> 6U));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | (code >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (code >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// `count` digits of `base` at the start of `rest`; nothing when they are not there.
std::optional<std::uint32_t> digits(std::string_view rest, std::size_t count, int base) {
  if (rest.size() < count) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int digit = hex_digit(rest[i]);
    if (digit < 0 || digit >= base) return std::nullopt;
    number = number * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(digit);
  }
  return number;
}

constexpr std::uint32_t kLastCodePoint = 0x10FFFF;
bool is_surrogate(std::uint32_t code) {
  return code >= 0xD800 && code <= 0xDFFF;
}

/// Reads what follows a backslash. Returns how many characters of `rest` it took, 0 when it is no
/// known escape. NUL cannot be written: no word may contain it.
std::size_t unescape_one(std::string_view rest, std::string& out) {
  if (rest.empty()) return 0;
  constexpr std::string_view kNames = "abfnrtv\\\"'s";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"' ";
  if (const std::size_t index = kNames.find(rest.front()); index != std::string_view::npos) {
    out += kMeanings[index];
    return 1;
  }
  if (rest.front() == 'x') {
    const auto code = digits(rest.substr(1), 2, 16);
    if (!code || *code == 0) return 0;
    out += static_cast<char>(*code);
    return 3;
  }
  if (rest.front() == 'u' || rest.front() == 'U') {
    const std::size_t count = rest.front() == 'u' ? 4 : 8;
    const auto code = digits(rest.substr(1), count, 16);
    if (!code || *code == 0 || *code > kLastCodePoint || is_surrogate(*code)) return 0;
    append_utf8(out, *code);
    return count + 1;
  }
  const auto code = digits(rest, 3, 8);
  if (!code || *code == 0 || *code > 0xFF) return 0;
  out += static_cast<char>(*code);
  return 3;
}

Error unknown_escape(std::string_view at) {
  return Error(Errc::syntax, fmt::format("'{}' is not an escape sequence", at.substr(0, 2)))
      .advise("Write a backslash as \\\\.");
}

/// Handles the backslash that begins `rest`.
Status take_escape(std::string_view& rest, const SplitOptions& options, Word& word) {
  switch (options.escapes) {
    case Escapes::kept:
      word.text += '\\';
      rest.remove_prefix(1);
      // The next character is a plain one: an escaped quote does not open.
      if (!rest.empty()) {
        word.text += rest.front();
        rest.remove_prefix(1);
      }
      return {};
    case Escapes::dropped:
      rest.remove_prefix(1);
      if (rest.empty() && options.relaxed) return {};
      if (rest.empty()) return Error(Errc::syntax, "a backslash at the end escapes nothing");
      word.text += rest.front();
      rest.remove_prefix(1);
      return {};
    case Escapes::c_style:
    case Escapes::c_style_or_kept: {
      if (options.escaped_separators && rest.size() > 1 &&
          options.separators.find(rest[1]) != std::string_view::npos) {
        word.text += rest[1];
        rest.remove_prefix(2);
        return {};
      }
      const std::size_t taken = unescape_one(rest.substr(1), word.text);
      if (taken == 0 && options.escapes == Escapes::c_style) return unknown_escape(rest);
      rest.remove_prefix(taken + 1);
      if (taken == 0) {
        // With what follows: it does not end the word either.
        word.text += '\\';
        word.unknown_escape = true;
        if (!rest.empty()) {
          word.text += rest.front();
          rest.remove_prefix(1);
        }
      }
      return {};
    }
  }
  return {};
}

}  // namespace

Result<std::optional<Word>> take_word(std::string_view& rest, const SplitOptions& options) {
  const auto is_separator = [&options](char c) {
    return options.separators.find(c) != std::string_view::npos;
  };
  if (!options.keep_empty) {
    while (!rest.empty() && is_separator(rest.front())) rest.remove_prefix(1);
  }
  if (rest.empty()) return std::optional<Word>();
  Word word;
  char quote = 0;
  while (!rest.empty()) {
    const char c = rest.front();
    if (c == '\\') {
      PIDWARD_CHECK(take_escape(rest, options, word));
      continue;
    }
    if (quote == 0 && is_separator(c)) break;
    rest.remove_prefix(1);
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && options.quotes && (c == '\'' || c == '"')) {
      quote = c;
    } else {
      word.text += c;
    }
  }
  if (quote != 0 && !options.relaxed)
    return Error(Errc::syntax, fmt::format("a quote ({}) is opened and never closed", quote));
  if (options.keep_empty) {
    if (!rest.empty()) rest.remove_prefix(1);
  } else {
    while (!rest.empty() && is_separator(rest.front())) rest.remove_prefix(1);
  }
  return std::optional<Word>(std::move(word));
}

Result<std::vector<std::string>> split_words(std::string_view text, const SplitOptions& options) {
  std::vector<std::string> words;
  for (;;) {
    PIDWARD_TRY(std::optional<Word> word, take_word(text, options));
    if (!word) return words;
    words.push_back(std::move(word->text));
  }
}

std::string quote_word(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^~$!*?[]{}()<>|&`#";
  const bool plain = !word.empty() && word.front() != '#' &&
                     word.find_first_not_of(kPlain) == std::string_view::npos;
  if (plain) return std::string(word);
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

Result<std::string> unescape_c(std::string_view text) {
  Word word;
  SplitOptions options;
  options.escapes = Escapes::c_style;
  while (!text.empty()) {
    if (text.front() == '\\') {
      PIDWARD_CHECK(take_escape(text, options, word));
    } else {
      word.text += text.front();
      text.remove_prefix(1);
    }
  }
  return std::move(word.text);
}

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80    ? 1
                               : lead >= 0xF0 ? 4
                               : lead >= 0xE0 ? 3
                               : lead >= 0xC2 ? 2
                                              : 0;
    if (length == 0 || lead > 0xF4 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0U) != 0x80) return false;
      code = (code << 6U) | (next & 0x3FU);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > kLastCodePoint || is_surrogate(code)) return false;
    i += length;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace pidward::unit
