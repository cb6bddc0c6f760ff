#include "unit/syntax_traits.hpp"

#include <algorithm>
#include <array>

#include "unit/value_parsers.hpp"

namespace pidward::unit {
namespace {

using Texts = std::vector<std::string>;

template <typename T>
void append(Value& value, Value line) {
  auto& to = std::get<T>(value);
  auto& from = std::get<T>(line);
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::string_view variable_of(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

/// Later assignments replace earlier ones in place, so that the order of first mention stays.
void merge_environment(Value& value, Value line) {
  auto& to = std::get<Texts>(value);
  for (std::string& assignment : std::get<Texts>(line)) {
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

void merge_directories(Value& value, Value line) {
  auto& to = std::get<std::vector<ExecDirectory>>(value);
  for (ExecDirectory& directory : std::get<std::vector<ExecDirectory>>(line)) {
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
void merge_cpus(Value& value, Value line) {
  append<Texts>(value, std::move(line));
  auto& to = std::get<Texts>(value);
  std::sort(to.begin(), to.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

/// yes and no replace what there is; controllers are added, and to all of them there is none to
/// add.
void merge_delegate(Value& value, Value line) {
  const auto is_only = [](const Texts& words, std::string_view word) {
    return words.size() == 1 && words.front() == word;
  };
  const auto& named = std::get<Texts>(line);
  auto& to = std::get<Texts>(value);
  if (is_only(named, "yes") || is_only(named, "no") || is_only(to, "no")) {
    value = std::move(line);
  } else if (!is_only(to, "yes")) {
    for (const std::string& each : named) {
      if (std::find(to.begin(), to.end(), each) == to.end()) to.push_back(each);
    }
  }
}

void merge_statuses(Value& value, Value line) {
  ExitStatusSet& to = *std::get<Boxed<ExitStatusSet>>(value);
  const ExitStatusSet& from = *std::get<Boxed<ExitStatusSet>>(line);
  merge_sorted(to.codes, from.codes);
  merge_sorted(to.signals, from.signals);
}

void merge_bits(Value& value, Value line) {
  std::get<std::int64_t>(value) |= std::get<std::int64_t>(line);
}

void merge_bytes(Value& value, Value line) {
  std::get<std::string>(value) += std::get<std::string>(line);
}

void merge_raw(Value& value, Value line) {
  auto& lines = std::get<RawText>(value).lines;
  lines.push_back(std::move(std::get<RawText>(line).lines.front()));
}

Result<Value> parse_limit_value(const Row& row, std::string_view text) {
  PIDWARD_TRY(const ResourceLimit limit, detail::parse_limit(row, text));
  return Value(limit);
}

Result<Value> parse_raw(const Row& /*row*/, std::string_view text) {
  return Value(RawText{{std::string(text)}});
}

/// Parsers take what they need of row, text and context.
template <auto Parse>
Result<Value> by(const Row& row, std::string_view text, const ParseContext& context) {
  if constexpr (requires { Parse(row, text, context); }) {
    return Parse(row, text, context);
  } else if constexpr (requires { Parse(row, text); }) {
    return Parse(row, text);
  } else {
    static_cast<void>(row);
    return Parse(text, context);
  }
}

// In the order of the enum.
constexpr auto kTraits = std::to_array<SyntaxTraits>({
    {Syntax::boolean, Shape::boolean, by<detail::parse_scalar>, nullptr},
    {Syntax::integer, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::unsigned_number, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::size, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::seconds, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::timeout, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::nanoseconds, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::mode, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::signal, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::choice, Shape::choice, by<detail::parse_choice>, nullptr},
    {Syntax::tristate, Shape::tristate, by<detail::parse_scalar>, nullptr},
    {Syntax::string, Shape::text, by<detail::parse_string>, nullptr},
    {Syntax::path, Shape::text, by<detail::parse_path>, nullptr},
    {Syntax::words, Shape::words, by<detail::parse_words>, append<Texts>},
    {Syntax::paths, Shape::words, by<detail::parse_paths>, append<Texts>},
    {Syntax::unit_name, Shape::text, by<detail::parse_unit_name>, nullptr},
    {Syntax::unit_names, Shape::lines, by<detail::parse_unit_names>, append<Texts>},
    {Syntax::environment, Shape::environment, by<detail::parse_environment>, merge_environment},
    {Syntax::environment_files, Shape::lines, by<detail::parse_environment_file>, append<Texts>},
    {Syntax::exec, Shape::commands, by<detail::parse_exec>, append<ExecList>},
    {Syntax::conditions, Shape::lines, by<detail::parse_condition>, append<ConditionList>},
    {Syntax::exit_statuses, Shape::lines, by<detail::parse_exit_statuses>, merge_statuses},
    {Syntax::limit, Shape::text, by<parse_limit_value>, nullptr},
    {Syntax::stream_input, Shape::text, by<detail::parse_stream>, nullptr},
    {Syntax::stream_output, Shape::text, by<detail::parse_stream>, nullptr},
    {Syntax::exec_directories, Shape::lines, by<detail::parse_exec_directories>, merge_directories},
    {Syntax::socket_listen, Shape::lines, by<detail::parse_listen>,
     append<std::vector<SocketListen>>},
    {Syntax::trigger, Shape::lines, by<detail::parse_trigger>, append<std::vector<Trigger>>},
    {Syntax::working_directory, Shape::text, by<detail::parse_working_directory>, nullptr},
    {Syntax::capabilities, Shape::lines, by<detail::parse_capabilities>, nullptr},
    {Syntax::secure_bits, Shape::lines, by<detail::parse_secure_bits>, merge_bits},
    {Syntax::cpu_set, Shape::lines, by<detail::parse_cpu_set>, merge_cpus},
    {Syntax::nice, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::oom_score_adjust, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::cpu_priority, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::io_priority, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::exit_code, Shape::text, by<detail::parse_scalar>, nullptr},
    {Syntax::search_path, Shape::lines, by<detail::parse_search_path>, append<Texts>},
    {Syntax::input_text, Shape::lines, by<detail::parse_input_data>, merge_bytes},
    {Syntax::input_data, Shape::lines, by<detail::parse_input_data>, merge_bytes},
    {Syntax::delegate, Shape::words, by<detail::parse_delegate>, merge_delegate},
    {Syntax::resource, Shape::text, by<detail::parse_resource>, nullptr},
    {Syntax::raw, Shape::lines, by<parse_raw>, merge_raw},
});

constexpr bool in_order() {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].syntax != static_cast<Syntax>(i)) return false;
  }
  return true;
}
static_assert(in_order() && kTraits.back().syntax == Syntax::raw, "each Syntax has its row");

}  // namespace

const SyntaxTraits& traits_of(Syntax syntax) {
  return kTraits.at(static_cast<std::size_t>(syntax));
}

}  // namespace pidward::unit
