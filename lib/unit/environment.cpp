#include "unit/environment.hpp"

#include <algorithm>

#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

std::string_view name_of(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

/// The value, or an empty one that is noted.
std::string_view value_or_note(std::string_view name, const std::vector<std::string>& environment,
                               ExpandedCommand& expanded) {
  if (const auto value = find_variable(environment, name)) return *value;
  if (std::find(expanded.unset.begin(), expanded.unset.end(), name) == expanded.unset.end()) {
    expanded.unset.emplace_back(name);
  }
  return {};
}

/// "${NAME}" and "$$" within a word; any other dollar sign stays: "${NAME:-DEFAULT}" is a shell's.
std::string expand_word(std::string_view word, const std::vector<std::string>& environment,
                        ExpandedCommand& expanded) {
  std::string result;
  while (!word.empty()) {
    const std::size_t dollar = std::min(word.find('$'), word.size());
    result += word.substr(0, dollar);
    word.remove_prefix(dollar);
    if (word.starts_with("$$")) {
      result += '$';
      word.remove_prefix(2);
    } else if (const std::size_t end = word.find_first_of(":}");
               word.starts_with("${") && end != std::string_view::npos && word[end] == '}') {
      result += value_or_note(word.substr(2, end - 2), environment, expanded);
      word.remove_prefix(end + 1);
    } else if (!word.empty()) {
      result += word.front();
      word.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace

std::optional<std::string_view> find_variable(const std::vector<std::string>& environment,
                                              std::string_view name) {
  for (auto each = environment.rbegin(); each != environment.rend(); ++each) {
    if (each->size() > name.size() && (*each)[name.size()] == '=' && each->starts_with(name)) {
      return std::string_view(*each).substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void set_variable(std::vector<std::string>& environment, std::string assignment) {
  const auto same = std::find_if(
      environment.begin(), environment.end(),
      [&assignment](const std::string& each) { return name_of(each) == name_of(assignment); });
  if (same == environment.end()) {
    environment.push_back(std::move(assignment));
  } else {
    *same = std::move(assignment);
  }
}

void unset_variables(std::vector<std::string>& environment, const std::vector<std::string>& names) {
  std::erase_if(environment, [&names](const std::string& assignment) {
    return std::any_of(names.begin(), names.end(), [&assignment](const std::string& name) {
      return name == assignment || name == name_of(assignment);
    });
  });
}

ExpandedCommand expand_command(const ExecCommand& command,
                               const std::vector<std::string>& environment) {
  ExpandedCommand expanded;
  if (command.no_env_expand) {
    expanded.argv = command.argv;
    return expanded;
  }
  SplitOptions options;
  options.escapes = Escapes::dropped;
  options.relaxed = true;
  for (const std::string& word : command.argv) {
    const bool alone = word.size() > 1 && word[0] == '$' && word[1] != '{' && word[1] != '$';
    if (!alone) {
      expanded.argv.push_back(expand_word(word, environment, expanded));
      continue;
    }
    const std::string_view value =
        value_or_note(std::string_view(word).substr(1), environment, expanded);
    if (auto words = split_words(value, options)) {
      std::move(words->begin(), words->end(), std::back_inserter(expanded.argv));
    }
  }
  return expanded;
}

}  // namespace pidward::unit
