// EnvironmentFile= (systemd.exec(5)): lines of NAME=VALUE as a shell would write them, without
// being one.
#include <fmt/core.h>

#include "unit/environment.hpp"
#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

bool ends_line(char c) {
  return c == '\n' || c == '\r';
}

bool is_name(std::string_view name) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  return !name.empty() && (name.front() < '0' || name.front() > '9') &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

class EnvironmentReader {
 public:
  EnvironmentReader(std::string_view text, std::string_view path) : rest_(text), path_(path) {}

  EnvironmentFileText run() {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
    while (!rest_.empty()) {
      if (is_blank(rest_.front())) {
        take();
      } else if (rest_.front() == '#' || rest_.front() == ';') {
        skip_comment();
      } else {
        entry();
      }
    }
    return std::move(result_);
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '\n') ++line_;
    return c;
  }

  /// To the end of the line; a backslash takes the line end's meaning away.
  void skip_comment() {
    while (!rest_.empty()) {
      const char c = take();
      if (ends_line(c)) return;
      if (c == '\\' && !rest_.empty()) take();
    }
  }

  void entry() {
    entry_line_ = line_;
    const std::size_t end = rest_.find_first_of("=\n\r");
    const std::string_view name = trim(rest_.substr(0, end));
    if (end == std::string_view::npos || rest_[end] != '=') {
      rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end);
      return complain(fmt::format("'{}' is no assignment: '=' is missing", name.substr(0, 64)),
                      "Write NAME=VALUE.");
    }
    rest_.remove_prefix(end + 1);
    const std::string text = value();
    if (!is_name(name)) {
      const bool shell = name.starts_with("export ");
      return complain(
          fmt::format("'{}' is not a name for an environment variable", name.substr(0, 64)),
          shell ? "Leave 'export' out: this is not a shell script." : "");
    }
    if (!is_utf8(text) || text.find('\0') != std::string::npos) {
      return complain(fmt::format("the value of {} is not valid UTF-8", name),
                      "Save the file as UTF-8.");
    }
    set_variable(result_.assignments, fmt::format("{}={}", name, text));
  }

  /// Quoted pieces may stand one behind the other; what begins without a quote goes on to the end
  /// of the line.
  std::string value() {
    std::string out;
    while (!rest_.empty()) {
      const char c = take();
      if (ends_line(c)) return out;
      if (is_blank(c)) continue;
      if (c == '\'') {
        single_quoted(out);
      } else if (c == '"') {
        double_quoted(out);
      } else {
        unquoted(c, out);
        return out;
      }
    }
    return out;
  }

  /// No escapes at all.
  void single_quoted(std::string& out) {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '\'') return;
      out += c;
    }
  }

  /// A backslash escapes what is special between double quotes in a shell; a line end behind it
  /// goes with it.
  void double_quoted(std::string& out) {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '"') return;
      if (c != '\\' || rest_.empty()) {
        out += c;
        continue;
      }
      const char escaped = take();
      if (std::string_view("\"\\`$").find(escaped) != std::string_view::npos) {
        out += escaped;
      } else if (!ends_line(escaped)) {
        out += '\\';
        out += escaped;
      }
    }
  }

  /// Quotes are plain characters here; blanks at the end go, unless escaped.
  void unquoted(char first, std::string& out) {
    std::size_t solid = out.size();
    for (char c = first;; c = take()) {
      if (ends_line(c)) break;
      if (c == '\\') {
        if (rest_.empty()) break;
        const char escaped = take();
        if (!ends_line(escaped)) out += escaped;
        solid = out.size();
      } else {
        out += c;
        if (!is_blank(c)) solid = out.size();
      }
      if (rest_.empty()) break;
    }
    out.resize(solid);
  }

  void complain(std::string message, std::string advice) {
    constexpr std::size_t kMaxComplaints = 20;
    if (result_.diagnostics.size() >= kMaxComplaints) return;
    result_.diagnostics.push_back({Diagnostic::Severity::warning,
                                   {std::string(path_), entry_line_, 0},
                                   std::move(message) + "; it is left out",
                                   std::move(advice)});
  }

  std::string_view rest_;
  std::string_view path_;
  std::uint32_t line_ = 1;
  std::uint32_t entry_line_ = 1;
  EnvironmentFileText result_;
};

}  // namespace

EnvironmentFileText read_environment_file(std::string_view text, std::string_view path) {
  return EnvironmentReader(text, path).run();
}

}  // namespace pidward::unit
