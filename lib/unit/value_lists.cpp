// Values that are lists, and what a line adds to one.
#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/calendar/calendar.hpp"
#include "unit/enums.hpp"
#include "unit/nearest.hpp"
#include "unit/syntax/words.hpp"
#include "unit/time_span.hpp"
#include "unit/value_names.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

SplitOptions split_with(Escapes escapes, bool quotes = true) {
  SplitOptions options;
  options.escapes = escapes;
  options.quotes = quotes;
  return options;
}

/// Gives every word of `text` to `each`; a word it refuses is dropped.
template <typename Each>
Status for_each_word(std::string_view text, const SplitOptions& options,
                     const ParseContext& context, Each each) {
  for (;;) {
    auto word = take_word(text, options);
    // What stands before a broken quote counts, as in systemd.
    if (!word) return drop(context, std::move(word).error());
    if (!*word) return {};
    if (Status status = each(std::move((*word)->text)); !status)
      PIDWARD_CHECK(drop(context, std::move(status).error()));
  }
}

bool is_variable_name(std::string_view name) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  return !name.empty() && (name.front() < '0' || name.front() > '9') &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

Status check_assignment(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return not_a(text, "an assignment: NAME=VALUE is expected");
  if (!is_variable_name(text.substr(0, equals))) {
    return Error(Errc::syntax, fmt::format("'{}' is not a name for an environment variable",
                                           text.substr(0, equals)))
        .advise("Names have letters, digits and '_' and do not begin with a digit.");
  }
  if (!is_utf8(text)) {
    return Error(Errc::syntax, fmt::format("the value of {} is not UTF-8", text.substr(0, equals)));
  }
  return {};
}

/// What each word of a Syntax::words directive must be.
Status check_word(Directive id, std::string_view word) {
  if (id == Directive::SupplementaryGroups) return check_user_name(word);
  if (id == Directive::PassEnvironment && !is_variable_name(word)) {
    return not_a(word, "a name for an environment variable");
  }
  if (id == Directive::UnsetEnvironment && !is_variable_name(word)) return check_assignment(word);
  if (id == Directive::Documentation) {
    for (const std::string_view scheme : {"http://", "https://", "file:/", "info:", "man:"}) {
      if (word.starts_with(scheme)) return {};
    }
    return not_a(word, "an address: http://, https://, file:/, info: or man: is expected");
  }
  return {};
}

SplitOptions options_for(Directive id) {
  if (id == Directive::SupplementaryGroups) return split_with(Escapes::kept, false);
  if (id == Directive::UnsetEnvironment || id == Directive::LogExtraFields)
    return split_with(Escapes::c_style);
  if (id == Directive::PassEnvironment) return split_with(Escapes::dropped);
  return split_with(Escapes::kept);
}

/// A path of a list: '-' (may be missing) and '+' (relative to the root directory) stay in front.
Result<std::string> list_path(std::string_view word, const ParseContext& context) {
  const std::size_t start = std::min(word.find_first_not_of("-+"), word.size());
  if (start > 2) return not_a(word, "a path with at most one '-' and one '+' in front");
  PIDWARD_TRY(std::string path, expand(word.substr(start), context));
  PIDWARD_TRY(const std::string checked, check_path(std::move(path)));
  return std::string(word.substr(0, start)) + checked;
}

bool is_path_condition(std::string_view kind) {
  return kind.starts_with("Path") || kind == "DirectoryNotEmpty" || kind == "FileNotEmpty" ||
         kind == "FileIsExecutable" || kind == "NeedsUpdate";
}

/// A relative path that stays below where it starts.
Result<std::string> relative_path(std::string_view text, const ParseContext& context) {
  PIDWARD_TRY(const std::string expanded, expand(text, context));
  if (expanded.starts_with('/'))
    return not_a(expanded, "a relative path: it must not begin with '/'");
  std::string path = simplify_path(expanded);
  if (path == "." || ("/" + path + "/").find("/../") != std::string::npos) {
    return not_a(expanded, "a path below the base directory, without '..'");
  }
  if (path == "private" || path.starts_with("private/")) {
    return not_a(path, "a path that may be used: 'private' is reserved");
  }
  return path;
}

Result<ExecDirectory> exec_directory(const Row& row, std::string_view word,
                                     const ParseContext& context) {
  SplitOptions options;
  options.escapes = Escapes::c_style;
  options.escaped_separators = true;
  options.quotes = false;
  options.separators = ":";
  options.keep_empty = true;
  std::string_view rest = word;
  PIDWARD_TRY(const std::optional<Word> source, take_word(rest, options));
  if (!source || source->text.empty()) return not_a(word, "a directory");
  ExecDirectory directory;
  PIDWARD_TRY(directory.path, relative_path(source->text, context));
  while (!rest.empty()) {
    PIDWARD_TRY(const std::optional<Word> link, take_word(rest, options));
    if (!link || link->text.empty()) continue;
    if (row.id == Directive::ConfigurationDirectory) {
      return Error(
          Errc::syntax,
          fmt::format("'{}' asks for a link, which ConfigurationDirectory= does not make", word));
    }
    PIDWARD_TRY(std::string path, relative_path(link->text, context));
    directory.symlinks.push_back(std::move(path));
  }
  return directory;
}

/// systemd still reads the words of the syslog days.
std::string_view modern_stream(std::string_view text, const ParseContext& context) {
  if (text == "syslog" || text == "syslog+console") {
    const std::string_view modern = text == "syslog" ? "journal" : "journal+console";
    remark(context, fmt::format("'{}' is obsolete and read as '{}'", text, modern),
           "Leave the setting out, or write the new word.");
    return modern;
  }
  return text;
}

/// `kind` is the word before the colon; what it wants behind it is expanded and checked.
Result<StreamTarget> stream_with_argument(std::int64_t kind, std::string_view word,
                                          std::string_view argument, const ParseContext& context) {
  PIDWARD_TRY(std::string expanded, expand(argument, context));
  if (word == "fd") {
    if (expanded.size() > 255 || expanded.find(':') != std::string::npos || has_control(expanded)) {
      return not_a(expanded, "a descriptor name: at most 255 characters without ':' are expected");
    }
    return StreamTarget{kind, std::move(expanded)};
  }
  PIDWARD_TRY(std::string path, check_path(std::move(expanded)));
  return StreamTarget{kind, std::move(path)};
}

}  // namespace

Result<Value> parse_words(const Row& row, std::string_view text, const ParseContext& context) {
  std::vector<std::string> words;
  const auto add = [&](std::string word) -> Status {
    PIDWARD_TRY(std::string expanded, expand(word, context));
    PIDWARD_CHECK(check_word(row.id, expanded));
    words.push_back(std::move(expanded));
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, options_for(row.id), context, add));
  return Value(std::move(words));
}

Result<Value> parse_paths(std::string_view text, const ParseContext& context) {
  std::vector<std::string> paths;
  const auto add = [&](const std::string& word) -> Status {
    PIDWARD_TRY(std::string path, list_path(word, context));
    paths.push_back(std::move(path));
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, split_with(Escapes::dropped), context, add));
  return Value(std::move(paths));
}

Result<Value> parse_search_path(std::string_view text, const ParseContext& context) {
  std::vector<std::string> paths;
  SplitOptions options = split_with(Escapes::dropped);
  options.separators = ":";
  const auto add = [&](const std::string& word) -> Status {
    PIDWARD_TRY(std::string path, expand(word, context));
    PIDWARD_TRY(std::string checked, check_path(std::move(path)));
    paths.push_back(std::move(checked));
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, options, context, add));
  return Value(std::move(paths));
}

Result<Value> parse_environment(std::string_view text, const ParseContext& context) {
  const Row& environment = row(Directive::Environment);
  Value assignments = std::vector<std::string>();
  const auto add = [&](const std::string& word) -> Status {
    PIDWARD_TRY(std::string expanded, expand(word, context));
    PIDWARD_CHECK(check_assignment(expanded));
    merge_value(environment, assignments, std::vector<std::string>{std::move(expanded)});
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, split_with(Escapes::c_style), context, add));
  return assignments;
}

Result<Value> parse_environment_file(std::string_view text, const ParseContext& context) {
  const bool may_be_missing = text.starts_with('-');
  PIDWARD_TRY(std::string file, expand(may_be_missing ? text.substr(1) : text, context));
  PIDWARD_TRY(const std::string path, check_path(std::move(file)));
  return Value(std::vector<std::string>{(may_be_missing ? "-" : "") + path});
}

Result<Value> parse_condition(const Row& row, std::string_view text, const ParseContext& context) {
  Condition condition;
  condition.is_assert = row.name.starts_with("Assert");
  condition.kind = row.name.substr(condition.is_assert ? 6 : 9);
  if (text.starts_with('|')) {
    condition.trigger = true;
    text = trim(text.substr(1));
  }
  if (text.starts_with('!')) {
    condition.negate = true;
    text = trim(text.substr(1));
  }
  PIDWARD_TRY(condition.parameter, expand(text, context));
  if (is_path_condition(condition.kind)) {
    PIDWARD_TRY(condition.parameter, check_path(std::move(condition.parameter)));
  }
  return Value(ConditionList{std::move(condition)});
}

Result<Value> parse_exit_statuses(std::string_view text, const ParseContext& context) {
  const Row& statuses = row(Directive::SuccessExitStatus);
  Value set = ExitStatusSet();
  const auto add = [&](const std::string& word) -> Status {
    ExitStatusSet one;
    if (const auto code = exit_status_from_text(word)) {
      one.codes.push_back(*code);
    } else if (const auto signal = signal_from_name(word)) {
      one.signals.push_back(static_cast<std::uint8_t>(*signal));
    } else {
      return not_a(word,
                   "an exit status (0 to 255 or a name like TEMPFAIL) nor a signal (like SIGTERM)");
    }
    merge_value(statuses, set, std::move(one));
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, split_with(Escapes::dropped, false), context, add));
  return set;
}

Result<Value> parse_stream(const Row& row, std::string_view text, const ParseContext& context) {
  const std::string_view stream =
      row.syntax == Syntax::stream_output ? modern_stream(text, context) : text;
  const std::size_t colon = stream.find(':');
  const std::string_view word = stream.substr(0, colon);
  const auto found = std::find(row.choices.begin(), row.choices.end(), word);
  const bool takes_path = word == "file" || word == "append" || word == "truncate";
  if (found == row.choices.end() ||
      (colon != std::string_view::npos && word != "fd" && !takes_path)) {
    NearestWord nearest(word);
    for (const std::string_view choice : row.choices) nearest.consider(choice);
    return with_nearest(
        not_a(text,
              "a stream: null, tty, journal, inherit, socket, fd:NAME, file:PATH and the like are "
              "known"),
        nearest);
  }
  const auto kind = static_cast<std::int64_t>(found - row.choices.begin());
  if (colon == std::string_view::npos) {
    if (takes_path) return not_a(text, fmt::format("complete: {}:PATH is expected", word));
    return Value(StreamTarget{kind, {}});
  }
  PIDWARD_TRY(StreamTarget target,
              stream_with_argument(kind, word, stream.substr(colon + 1), context));
  return Value(std::move(target));
}

Result<Value> parse_exec_directories(const Row& row, std::string_view text,
                                     const ParseContext& context) {
  Value directories = std::vector<ExecDirectory>();
  const auto add = [&](const std::string& word) -> Status {
    PIDWARD_TRY(ExecDirectory directory, exec_directory(row, word, context));
    merge_value(row, directories, std::vector<ExecDirectory>{std::move(directory)});
    return {};
  };
  PIDWARD_CHECK(for_each_word(text, split_with(Escapes::kept), context, add));
  return directories;
}

Result<Value> parse_trigger(const Row& row, std::string_view text, const ParseContext& context) {
  Trigger trigger;
  trigger.base = row.name;
  PIDWARD_TRY(std::string expanded, expand(text, context));
  if (row.id == Directive::OnCalendar) {
    PIDWARD_TRY(Calendar calendar, parse_calendar(expanded, context.zones));
    trigger.expression = format_calendar(calendar);
    trigger.calendar = std::make_shared<const Calendar>(std::move(calendar));
  } else if (stored_under(row.id) == kTimerStore) {
    PIDWARD_TRY(trigger.span, parse_time_span(expanded));
  } else {
    PIDWARD_TRY(trigger.expression, check_path(std::move(expanded)));
  }
  return Value(std::vector<Trigger>{std::move(trigger)});
}

}  // namespace pidward::unit::detail
