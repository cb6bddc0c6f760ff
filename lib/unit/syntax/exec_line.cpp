// ExecStart=-like lines (systemd.service(5), "Command lines").
#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

/// The next word, C-style escapes read; an unknown escape stays and is remarked upon.
Result<std::optional<std::string>> next_word(std::string_view& rest, const ParseContext& context) {
  SplitOptions options;
  options.escapes = Escapes::c_style_or_kept;
  PIDWARD_TRY(std::optional<Word> word, take_word(rest, options));
  if (!word) return std::optional<std::string>();
  if (word->unknown_escape) {
    remark(context,
           fmt::format("'{}' has an unknown escape sequence, which stays as written", word->text),
           "Write a backslash as \\\\.");
  }
  return std::optional<std::string>(std::move(word->text));
}

/// The special characters in front of the program, in any order that makes sense together.
std::string_view take_prefixes(std::string_view word, ExecCommand& command, bool& own_argv0) {
  for (; !word.empty(); word.remove_prefix(1)) {
    const bool no_privilege_prefix = !command.full_privileges && !command.ambient_magic;
    if (word.front() == '-' && !command.ignore_failure) {
      command.ignore_failure = true;
    } else if (word.front() == '@' && !own_argv0) {
      own_argv0 = true;
    } else if (word.front() == ':' && !command.no_env_expand) {
      command.no_env_expand = true;
    } else if (word.front() == '+' && no_privilege_prefix && !command.no_setuid) {
      command.full_privileges = true;
    } else if (word.front() == '!' && no_privilege_prefix) {
      // A second one turns '!' into '!!'.
      command.ambient_magic = command.no_setuid;
      command.no_setuid = !command.no_setuid;
    } else {
      break;
    }
  }
  return word;
}

Status check_program(std::string_view path) {
  if (path.empty())
    return Error(Errc::syntax, "no program is named").advise("Write its path behind the prefix.");
  if (path == ";") return Error(Errc::syntax, "a ';' has no command in front of it");
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      return Error(Errc::syntax, "the name of the program has control characters");
    }
  }
  const bool name_alone = path.find('/') == std::string_view::npos && path != "." && path != "..";
  if (!path.starts_with('/') && !name_alone) {
    return not_a(path, "a program: an absolute path, or a name without '/', is expected");
  }
  if (path.ends_with('/')) return not_a(path, "a program: it is the path of a directory");
  constexpr std::size_t kMaxPath = 4095;
  if (path.size() > kMaxPath)
    return Error(Errc::syntax, "the path of the program is longer than 4095 bytes");
  return {};
}

/// Words up to the end of the line or a lone ';', which is taken away.
Status take_arguments(std::string_view& rest, const ParseContext& context,
                      std::vector<std::string>& argv) {
  while (!rest.empty()) {
    if (rest.front() == ';' && (rest.size() == 1 || is_blank(rest[1]))) {
      rest.remove_prefix(1);
      return {};
    }
    if (rest.starts_with("\\;") && (rest.size() == 2 || is_blank(rest[2]))) {
      argv.emplace_back(";");
      rest = trim(rest.substr(2));
      continue;
    }
    PIDWARD_TRY(const std::optional<std::string> word, next_word(rest, context));
    if (!word) return {};
    PIDWARD_TRY(std::string expanded, expand(*word, context));
    argv.push_back(std::move(expanded));
  }
  return {};
}

Status take_rest(std::string_view program, bool own_argv0, std::string_view& rest,
                 const ParseContext& context, ExecCommand& command) {
  PIDWARD_TRY(const std::string path, expand(program, context));
  PIDWARD_CHECK(check_program(path));
  command.path = path.starts_with('/') ? simplify_path(path) : path;
  if (!own_argv0) command.argv.push_back(command.path);
  PIDWARD_CHECK(take_arguments(rest, context, command.argv));
  if (command.argv.empty() || command.argv.front().empty()) {
    return Error(Errc::syntax,
                 fmt::format("'@' is in front of {}, but no argv[0] follows", program))
        .advise("With '@' the second word is argv[0].");
  }
  return {};
}

}  // namespace

Result<Value> parse_exec(std::string_view text, const ParseContext& context) {
  ExecList commands;
  std::string_view rest = trim(text);
  while (!rest.empty()) {
    PIDWARD_TRY(const std::optional<std::string> first, next_word(rest, context));
    if (!first) break;
    ExecCommand command;
    command.line = context.line;
    bool own_argv0 = false;
    const std::string_view program = take_prefixes(*first, command, own_argv0);
    if (Status status = take_rest(program, own_argv0, rest, context, command); !status) {
      // With '-' systemd forgives even a line it cannot read.
      if (!command.ignore_failure || context.notes == nullptr) return std::move(status).error();
      PIDWARD_CHECK(drop(context, std::move(status).error()));
      return Value(std::move(commands));
    }
    commands.push_back(std::move(command));
    rest = trim(rest);
  }
  return Value(std::move(commands));
}

}  // namespace pidward::unit::detail
