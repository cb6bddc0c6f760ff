#include "unit/syntax/ini.hpp"

#include <fmt/core.h>

#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

/// One line of the file without its end; "\n", "\r\n" and a lone "\r" end lines.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find_first_of("\r\n");
  const std::string_view line = rest.substr(0, end);
  if (end == std::string_view::npos) {
    rest = {};
  } else {
    const bool pair = rest[end] == '\r' && end + 1 < rest.size() && rest[end + 1] == '\n';
    rest.remove_prefix(end + (pair ? 2 : 1));
  }
  return line;
}

bool is_comment(std::string_view line) {
  const std::string_view content = trim(line);
  return content.starts_with('#') || content.starts_with(';');
}

/// An odd number of backslashes at the very end.
bool is_continued(std::string_view line) {
  const std::size_t last = line.find_last_not_of('\\');
  const std::size_t backslashes = line.size() - (last == std::string_view::npos ? 0 : last + 1);
  return backslashes % 2 == 1;
}

std::uint32_t column_of(std::string_view part, std::string_view line) {
  return part.data() == nullptr ? 0 : static_cast<std::uint32_t>(part.data() - line.data()) + 1;
}

class Lexer {
 public:
  Lexer(std::string_view text, IniVisitor& visitor) : rest_(text), visitor_(visitor) {}

  void run() {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
    while (!rest_.empty()) {
      const std::string_view line = take_line(rest_);
      ++line_number_;
      if (is_comment(line)) continue;
      add(line);
    }
    if (collecting_) flush(joined_);
  }

 private:
  /// A physical line: alone, or one more of a continued one. Within the first, columns are those of
  /// the file.
  void add(std::string_view line) {
    if (!collecting_) first_line_ = line_number_;
    const bool continued = is_continued(line);
    const std::string_view content = continued ? line.substr(0, line.size() - 1) : line;
    if (!collecting_ && !continued) {
      flush(line);
      return;
    }
    if (!collecting_) joined_.clear();
    collecting_ = continued;
    if (joined_.size() <= kMaxIniLine) joined_ += content;
    if (continued) {
      joined_ += ' ';
    } else {
      flush(joined_);
    }
  }

  void flush(std::string_view line) {
    collecting_ = false;
    const std::string_view content = trim(line);
    if (content.empty()) return;
    if (line.size() > kMaxIniLine) {
      return problem(0, true, "the line is longer than 1 MiB",
                     "Split it into several assignments.");
    }
    if (content.find('\0') != std::string_view::npos) {
      const auto column = static_cast<std::uint32_t>(line.find('\0') + 1);
      return problem(column, false, "the line has a NUL byte and is left out",
                     "Is this a text file?");
    }
    if (!is_utf8(content)) {
      return problem(column_of(content, line), false, "the line is not valid UTF-8 and is left out",
                     "Save the file as UTF-8.");
    }
    if (content.starts_with('[')) {
      section(line, content);
    } else {
      assignment(line, content);
    }
  }

  void section(std::string_view line, std::string_view content) {
    const std::uint32_t column = column_of(content, line);
    if (!content.ends_with(']')) {
      return problem(
          column, true,
          fmt::format("the section header '{}' has no ']' at its end", shortened(content)),
          "Section headers are alone on their line.");
    }
    const std::string_view name = content.substr(1, content.size() - 2);
    for (const char c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '[' || c == ']' || c == '"' ||
          c == '\\') {
        return problem(column, true,
                       fmt::format("the section header '{}' has characters that no name has",
                                   shortened(content)),
                       {});
      }
    }
    visitor_.on_section(name, {first_line_, column});
  }

  void assignment(std::string_view line, std::string_view content) {
    const std::size_t equals = content.find('=');
    const std::uint32_t column = column_of(content, line);
    if (equals == std::string_view::npos) {
      return problem(column, false,
                     fmt::format("'{}' is no assignment: '=' is missing", shortened(content)),
                     "Write NAME=VALUE, and a backslash at the end of a line that goes on.");
    }
    IniAssignment found;
    found.key = trim(content.substr(0, equals));
    if (found.key.empty()) return problem(column, false, "a name is missing in front of '='", {});
    const std::string_view behind = content.substr(equals + 1);
    found.value = trim(behind);
    found.key_at = {first_line_, column};
    found.value_at = {first_line_,
                      found.value.empty() ? column_of(behind, line) : column_of(found.value, line)};
    visitor_.on_assignment(found);
  }

  void problem(std::uint32_t column, bool fatal, std::string message, std::string advice) {
    visitor_.on_problem({first_line_, column}, fatal, std::move(message), std::move(advice));
  }

  std::string_view rest_;
  IniVisitor& visitor_;
  std::uint32_t line_number_ = 0;
  std::uint32_t first_line_ = 0;
  bool collecting_ = false;  ///< the line before ended in a backslash
  std::string joined_;
};

}  // namespace

void read_ini(std::string_view text, IniVisitor& visitor) {
  Lexer(text, visitor).run();
}

}  // namespace pidward::unit
