#include "unit/value_format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/value_names.hpp"

namespace pidward::unit {
namespace {

std::string number_or_infinity(std::uint64_t number) {
  return number == kNoLimit ? "infinity" : fmt::format("{}", number);
}

/// A word where backslashes are plain characters and quotes are all there is.
std::string quote_plainly(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"") == std::string::npos) return word;
  return word.find('"') == std::string::npos ? "\"" + word + "\"" : "'" + word + "'";
}

template <typename List, typename Text>
std::string join(const List& list, std::string_view separator, Text text) {
  std::string joined;
  for (const auto& each : list) {
    if (!joined.empty()) joined += separator;
    joined += text(each);
  }
  return joined;
}

std::string format_words(const Row& row, const std::vector<std::string>& words) {
  const bool c_style = row.syntax == Syntax::environment || row.id == Directive::UnsetEnvironment ||
                       row.id == Directive::LogExtraFields;
  if (row.syntax == Syntax::search_path) {
    return join(words, ":", [](const std::string& word) { return word; });
  }
  return join(words, " ", [c_style](const std::string& word) {
    return c_style ? quote_word(word) : quote_plainly(word);
  });
}

/// Numbers in a row become a range.
std::string format_cpus(const std::vector<std::string>& cpus) {
  std::vector<std::string> parts;
  std::vector<std::uint64_t> numbers;
  for (const std::string& cpu : cpus) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(cpu.data(), cpu.data() + cpu.size(), number);
    if (error == std::errc() && end == cpu.data() + cpu.size()) {
      numbers.push_back(number);
    } else {
      parts.push_back(cpu);
    }
  }
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    parts.push_back(last == i ? fmt::format("{}", numbers[i])
                              : fmt::format("{}-{}", numbers[i], numbers[last]));
    i = last + 1;
  }
  return join(parts, " ", [](const std::string& part) { return part; });
}

std::string format_command(const ExecCommand& command) {
  std::string first;
  if (command.ignore_failure) first += '-';
  if (command.no_env_expand) first += ':';
  if (command.full_privileges) first += '+';
  if (command.no_setuid) first += '!';
  if (command.ambient_magic) first += "!!";
  const bool own_argv0 = command.argv.empty() || command.argv.front() != command.path;
  if (own_argv0) first += '@';
  first += command.path;
  std::string line = quote_word(first);
  for (std::size_t i = own_argv0 ? 0 : 1; i < command.argv.size(); ++i) {
    line += ' ';
    line += quote_word(command.argv[i]);
  }
  return line;
}

std::string format_condition(const Condition& condition) {
  return fmt::format("{}{}{}", condition.trigger ? "|" : "", condition.negate ? "!" : "",
                     condition.parameter);
}

std::string format_capabilities(std::uint64_t set) {
  // A set with its highest bits is one that was written inverted.
  const bool invert = (set >> 63U) != 0;
  const std::uint64_t named = invert ? ~set : set;
  std::string text = invert ? "~" : "";
  for (unsigned bit = 0; bit < 63; ++bit) {
    if ((named >> bit & 1U) == 0) continue;
    if (text.size() > 1) text += ' ';
    text += capability_name(bit);
  }
  return text;
}

std::string format_secure_bits(std::int64_t bits) {
  constexpr std::array<std::string_view, 6> kNames{"noroot",          "noroot-locked",
                                                   "no-setuid-fixup", "no-setuid-fixup-locked",
                                                   "keep-caps",       "keep-caps-locked"};
  std::vector<std::string_view> words;
  for (std::size_t bit = 0; bit < kNames.size(); ++bit) {
    if ((bits >> bit & 1) != 0) words.push_back(kNames[bit]);
  }
  return join(words, " ", [](std::string_view word) { return word; });
}

std::string format_integer(const Row& row, std::int64_t number) {
  if (row.syntax == Syntax::mode) return fmt::format("{:04o}", number);
  if (row.syntax == Syntax::signal) return signal_name(static_cast<int>(number));
  if (row.syntax == Syntax::secure_bits) return format_secure_bits(number);
  if (row.syntax == Syntax::choice && number >= 0 &&
      static_cast<std::size_t>(number) < row.choices.size()) {
    return std::string(row.choices[static_cast<std::size_t>(number)]);
  }
  return fmt::format("{}", number);
}

std::string format_statuses(const ExitStatusSet& set) {
  std::string text =
      join(set.codes, " ", [](std::uint8_t code) { return fmt::format("{}", code); });
  const std::string signals =
      join(set.signals, " ", [](std::uint8_t number) { return signal_name(number); });
  if (!text.empty() && !signals.empty()) text += ' ';
  return text + signals;
}

/// With escapes for what would end or split it.
std::string format_directory(const ExecDirectory& directory) {
  std::string text;
  const auto add = [&text](std::string_view path) {
    for (const char c : path) {
      const bool plain = static_cast<unsigned char>(c) > ' ' && c != 0x7F &&
                         std::string_view("\\:'\"").find(c) == std::string_view::npos;
      text += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  };
  add(directory.path);
  for (const std::string& link : directory.symlinks) {
    text += ':';
    add(link);
  }
  return text;
}

/// Turns each alternative of Value into lines.
class Formatter {
 public:
  explicit Formatter(const Row& row) : row_(row) {}
  std::vector<AssignmentText> take() { return std::move(lines_); }

  void operator()(bool value) { add(value ? "yes" : "no"); }
  void operator()(std::int64_t value) { add(format_integer(row_, value)); }
  void operator()(std::uint64_t value) {
    add(row_.syntax == Syntax::capabilities ? format_capabilities(value)
                                            : number_or_infinity(value));
  }
  void operator()(Duration value) { add(format_span(value)); }
  void operator()(const std::string& value) {
    add(row_.syntax == Syntax::input_data || row_.syntax == Syntax::input_text
            ? format_base64(value)
            : value);
  }
  void operator()(const std::vector<std::string>& value) {
    if (row_.syntax == Syntax::environment_files) {
      for (const std::string& file : value) add(file);
    } else {
      add(row_.syntax == Syntax::cpu_set ? format_cpus(value) : format_words(row_, value));
    }
  }
  void operator()(const ExecList& value) {
    for (const ExecCommand& command : value) add(format_command(command));
  }
  void operator()(const ConditionList& value) {
    for (const Condition& each : value) {
      lines_.push_back(
          {(each.is_assert ? "Assert" : "Condition") + each.kind, format_condition(each)});
    }
  }
  void operator()(const Boxed<ExitStatusSet>& value) { add(format_statuses(*value)); }
  void operator()(const ResourceLimit& value) {
    const std::string soft = number_or_infinity(value.soft);
    add(value.soft == value.hard ? soft
                                 : fmt::format("{}:{}", soft, number_or_infinity(value.hard)));
  }
  void operator()(const Boxed<StreamTarget>& boxed) {
    const StreamTarget& value = *boxed;
    const std::string_view word = row_.choices[static_cast<std::size_t>(value.kind)];
    add(value.argument.empty() ? std::string(word) : fmt::format("{}:{}", word, value.argument));
  }
  void operator()(const std::vector<ExecDirectory>& value) {
    add(join(value, " ", format_directory));
  }
  void operator()(const std::vector<SocketListen>& value) {
    for (const SocketListen& each : value) lines_.push_back({"Listen" + each.type, each.address});
  }
  void operator()(const std::vector<Trigger>& value) {
    for (const Trigger& each : value) {
      lines_.push_back(
          {each.base, each.expression.empty() ? format_span(each.span) : each.expression});
    }
  }
  void operator()(const RawText& value) {
    for (const std::string& line : value.lines) add(line);
  }

 private:
  void add(std::string text) {
    const bool input = row_.syntax == Syntax::input_data || row_.syntax == Syntax::input_text;
    lines_.push_back({input ? "StandardInputData" : std::string(row_.name), std::move(text)});
  }

  const Row& row_;
  std::vector<AssignmentText> lines_;
};

/// True when the readers replace specifiers in such a value.
bool expands_specifiers(Syntax syntax) {
  return syntax != Syntax::raw && syntax != Syntax::resource && syntax != Syntax::input_data;
}

Result<std::string> file_line(const Row& row, const AssignmentText& line) {
  std::string text;
  for (const char c : line.text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) {
      return Error(
          Errc::invalid_argument,
          fmt::format("{}= has a line break or control character, which a unit file cannot hold",
                      line.key));
    }
    text += c;
    if (c == '%' && expands_specifiers(row.syntax)) text += c;
  }
  if (text.ends_with('\\')) {
    return Error(
        Errc::invalid_argument,
        fmt::format("{}= ends in a backslash, which continues the line in a unit file", line.key));
  }
  if (trim(text) != text) {
    return Error(
        Errc::invalid_argument,
        fmt::format("{}= has blanks at its ends, which a unit file cannot hold", line.key));
  }
  return fmt::format("{}={}\n", line.key, text);
}

}  // namespace

std::string format_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8U | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= count ? kDigits[bits >> (18 - 6 * k) & 0x3FU] : '=';
  }
  return text;
}

std::vector<AssignmentText> format_value(const Row& row, const Value& value) {
  Formatter formatter(row);
  std::visit(formatter, value);
  return formatter.take();
}

std::string format_for_people(const Row& row, const Value& value) {
  return join(format_value(row, value), "; ", [](const AssignmentText& line) { return line.text; });
}

Result<std::string> format_for_file(const Row& row, const Value& value) {
  std::string text;
  const std::vector<AssignmentText> lines = format_value(row, value);
  if (row.syntax == Syntax::conditions) {
    // The two kinds share the list but are reset apart.
    text = "ConditionPathExists=\nAssertPathExists=\n";
  } else if (row.syntax == Syntax::capabilities) {
    // "" is the empty set to add to, "~" the full one to take from.
    text = fmt::format("{}={}\n", row.name,
                       !lines.empty() && lines.front().text.starts_with('~') ? "~" : "");
  } else if (row.syntax != Syntax::unit_names) {
    text = fmt::format("{}=\n", lines.empty() ? row.name : std::string_view(lines.front().key));
  }
  for (const AssignmentText& line : lines) {
    if (line.text.empty()) continue;
    PIDWARD_TRY(const std::string written, file_line(row, line));
    text += written;
  }
  return text;
}

}  // namespace pidward::unit
