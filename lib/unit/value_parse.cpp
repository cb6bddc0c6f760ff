#include "unit/value_parse.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit {
namespace detail {

Error not_a(std::string_view found, std::string_view what) {
  return {Errc::syntax, fmt::format("'{}' is not {}", found, what)};
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
  const std::string_view text = trim(raw);
  switch (row.syntax) {
    case Syntax::boolean:
    case Syntax::integer:
    case Syntax::unsigned_number:
    case Syntax::size:
    case Syntax::seconds:
    case Syntax::timeout:
    case Syntax::nanoseconds:
    case Syntax::mode:
    case Syntax::signal:
    case Syntax::nice:
    case Syntax::oom_score_adjust:
    case Syntax::cpu_priority:
    case Syntax::io_priority:
    case Syntax::exit_code:
    case Syntax::tristate:
      return detail::parse_scalar(row, text);
    case Syntax::choice:
      return detail::parse_choice(row, text);
    case Syntax::limit: {
      PIDWARD_TRY(const ResourceLimit limit, detail::parse_limit(row, text));
      return Value(limit);
    }
    case Syntax::string:
      return detail::parse_string(row, text, context);
    case Syntax::path:
      return detail::parse_path(row, text, context);
    case Syntax::words:
      return detail::parse_words(row, text, context);
    case Syntax::paths:
      return detail::parse_paths(text, context);
    case Syntax::search_path:
      return detail::parse_search_path(text, context);
    case Syntax::unit_name:
      return detail::parse_unit_name(row, text, context);
    case Syntax::unit_names:
      return detail::parse_unit_names(text, context);
    case Syntax::environment:
      return detail::parse_environment(text, context);
    case Syntax::environment_files:
      return detail::parse_environment_file(text, context);
    case Syntax::exec:
      return detail::parse_exec(text, context);
    case Syntax::conditions:
      return detail::parse_condition(row, text, context);
    case Syntax::exit_statuses:
      return detail::parse_exit_statuses(text, context);
    case Syntax::stream_input:
    case Syntax::stream_output:
      return detail::parse_stream(row, text, context);
    case Syntax::exec_directories:
      return detail::parse_exec_directories(row, text, context);
    case Syntax::socket_listen:
      return detail::parse_listen(row, text, context);
    case Syntax::trigger:
      return detail::parse_trigger(row, text, context);
    case Syntax::working_directory:
      return detail::parse_working_directory(text, context);
    case Syntax::capabilities:
      return detail::parse_capabilities(text, context);
    case Syntax::secure_bits:
      return detail::parse_secure_bits(text, context);
    case Syntax::cpu_set:
      return detail::parse_cpu_set(row, text);
    case Syntax::input_text:
    case Syntax::input_data:
      return detail::parse_input_data(row, text, context);
    case Syntax::raw:
      return Value(RawText{{std::string(text)}});
  }
  return Error(Errc::failed, "no such syntax");
}

namespace {

template <typename T>
void append(Value& value, Value& line) {
  auto& to = std::get<T>(value);
  auto& from = std::get<T>(line);
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::string_view variable_of(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

/// Later assignments replace earlier ones in place, so that the order of first mention stays.
void merge_environment(std::vector<std::string>& to, std::vector<std::string> from) {
  for (std::string& assignment : from) {
    const auto same = std::find_if(to.begin(), to.end(), [&assignment](const std::string& each) {
      return variable_of(each) == variable_of(assignment);
    });
    if (same == to.end()) {
      to.push_back(std::move(assignment));
    } else {
      *same = std::move(assignment);
    }
  }
}

void merge_sorted(std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& from) {
  to.insert(to.end(), from.begin(), from.end());
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

void merge_directories(std::vector<ExecDirectory>& to, std::vector<ExecDirectory> from) {
  for (ExecDirectory& directory : from) {
    const auto same = std::find_if(to.begin(), to.end(), [&directory](const ExecDirectory& each) {
      return each.path == directory.path;
    });
    if (same == to.end()) {
      to.push_back(std::move(directory));
      continue;
    }
    for (std::string& link : directory.symlinks) {
      if (std::find(same->symlinks.begin(), same->symlinks.end(), link) == same->symlinks.end()) {
        same->symlinks.push_back(std::move(link));
      }
    }
  }
}

/// CPU lists are sets of numbers beside the word "numa": sorted by number, each once.
void merge_cpus(std::vector<std::string>& to, std::vector<std::string> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  std::sort(to.begin(), to.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

}  // namespace

void merge_value(const Row& row, Value& value, Value line) {
  switch (row.syntax) {
    case Syntax::words:
    case Syntax::paths:
    case Syntax::search_path:
    case Syntax::unit_names:
    case Syntax::environment_files:
      return append<std::vector<std::string>>(value, line);
    case Syntax::environment:
      return merge_environment(std::get<std::vector<std::string>>(value),
                               std::get<std::vector<std::string>>(std::move(line)));
    case Syntax::exec:
      return append<ExecList>(value, line);
    case Syntax::conditions:
      return append<ConditionList>(value, line);
    case Syntax::socket_listen:
      return append<std::vector<SocketListen>>(value, line);
    case Syntax::trigger:
      return append<std::vector<Trigger>>(value, line);
    case Syntax::exit_statuses: {
      auto& to = std::get<ExitStatusSet>(value);
      const auto& from = std::get<ExitStatusSet>(line);
      merge_sorted(to.codes, from.codes);
      merge_sorted(to.signals, from.signals);
      return;
    }
    case Syntax::exec_directories:
      return merge_directories(std::get<std::vector<ExecDirectory>>(value),
                               std::get<std::vector<ExecDirectory>>(std::move(line)));
    case Syntax::cpu_set:
      return merge_cpus(std::get<std::vector<std::string>>(value),
                        std::get<std::vector<std::string>>(std::move(line)));
    case Syntax::secure_bits:
      std::get<std::int64_t>(value) |= std::get<std::int64_t>(line);
      return;
    case Syntax::input_text:
    case Syntax::input_data:
      std::get<std::string>(value) += std::get<std::string>(line);
      return;
    case Syntax::raw: {
      auto& lines = std::get<RawText>(value).lines;
      lines.push_back(std::move(std::get<RawText>(line).lines.front()));
      return;
    }
    case Syntax::boolean:
    case Syntax::integer:
    case Syntax::unsigned_number:
    case Syntax::size:
    case Syntax::seconds:
    case Syntax::timeout:
    case Syntax::nanoseconds:
    case Syntax::mode:
    case Syntax::signal:
    case Syntax::choice:
    case Syntax::tristate:
    case Syntax::string:
    case Syntax::path:
    case Syntax::unit_name:
    case Syntax::limit:
    case Syntax::stream_input:
    case Syntax::stream_output:
    case Syntax::working_directory:
    case Syntax::capabilities:
    case Syntax::nice:
    case Syntax::oom_score_adjust:
    case Syntax::cpu_priority:
    case Syntax::io_priority:
    case Syntax::exit_code:
      value = std::move(line);
      return;
  }
}

}  // namespace pidward::unit
