#include "unit/yaml/yaml_reader.hpp"

#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/syntax_traits.hpp"
#include "unit/yaml/yaml_tree.hpp"

namespace pidward::unit {
namespace {

using Severity = Diagnostic::Severity;
using Kind = YamlNode::Kind;

class YamlReader {
 public:
  explicit YamlReader(Applier& applier) : applier_(applier) {}

  void document(const YamlNode& root) {
    if (root.kind == Kind::null) return;
    if (root.kind != Kind::map) {
      return error(root.at, "a unit file is a map of sections",
                   "Begin it with a section such as 'Unit:'.");
    }
    for_each_entry(root,
                   [this](const YamlNode& key, const YamlNode& value) { section(key, value); });
  }

 private:
  void error(TextPosition at, std::string message, std::string advice = {}) {
    applier_.report(Severity::error, at, std::move(message), std::move(advice));
  }

  /// Entries of a map in order; keys that are no text, or come twice, are errors and left out.
  template <typename Each>
  void for_each_entry(const YamlNode& map, Each each) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
      const YamlNode& key = map.items[i];
      if (key.kind != Kind::scalar || key.text.empty()) {
        error(key.at, "a name is expected here");
      } else if (!seen.insert(key.text).second) {
        error(key.at, fmt::format("'{}' is here for the second time", key.text.substr(0, 64)),
              "Put both values into one list.");
      } else {
        each(key, map.items[i + 1]);
      }
    }
  }

  void section(const YamlNode& name, const YamlNode& content) {
    if (name.text.starts_with("X-")) return;
    const auto section = parse_section(name.text);
    if (!section || !applier_.has_section(*section))
      return applier_.bad_section(name.text, name.at, true);
    if (content.kind == Kind::null) return;
    if (content.kind != Kind::map) {
      return error(content.at,
                   fmt::format("the section {} must be a map of directives", name.text));
    }
    for_each_entry(content, [this, section](const YamlNode& key, const YamlNode& value) {
      entry(*section, key, value);
    });
  }

  void entry(Section section, const YamlNode& key, const YamlNode& value) {
    const Row* const row = find_row(section, key.text);
    if (row == nullptr || key.text.starts_with("X-"))
      return assign(section, key, value.at, value.text);
    switch (value.kind) {
      case Kind::null:
        return assign(section, key, key.at, "");
      case Kind::scalar:
        return scalar(section, *row, key, value);
      case Kind::map:
        return map(section, *row, key, value);
      case Kind::list:
        if (row->syntax == Syntax::exec) return commands(section, key, value);
        return list(section, *row, key, value);
    }
  }

  void assign(Section section, const YamlNode& key, TextPosition at, std::string_view text) {
    applier_.assign(section, {key.text, text, key.at, at}, true);
  }

  /// A text as in an ini file, where block scalars may have given it several lines.
  void scalar(Section section, const Row& row, const YamlNode& key, const YamlNode& value) {
    if (row.syntax == Syntax::input_text) {
      std::string_view rest = trim_end(value.text);
      while (rest.find('\n') != std::string_view::npos) {
        const std::size_t end = rest.find('\n');
        assign(section, key, value.at, end == 0 ? "\\x20" : rest.substr(0, end));
        rest.remove_prefix(end + 1);
      }
      return assign(section, key, value.at, rest);
    }
    const std::string_view text = trim(value.text);
    if (text.find('\n') != std::string_view::npos && !adds_up(traits_of(row.syntax).shape)) {
      return error(value.at, fmt::format("{}= takes a single line", row.name));
    }
    assign(section, key, value.at, text);
  }

  void map(Section section, const Row& row, const YamlNode& key, const YamlNode& value) {
    if (row.syntax != Syntax::environment) {
      return error(value.at, fmt::format("{}= cannot be a map", row.name),
                   "Write a text or a list.");
    }
    for_each_entry(value, [&](const YamlNode& name, const YamlNode& content) {
      if (content.kind != Kind::scalar && content.kind != Kind::null) {
        return error(content.at,
                     fmt::format("the value of {} must be a text", name.text.substr(0, 64)));
      }
      assign(section, key, content.at, quote_word(name.text + "=" + content.text));
    });
  }

  void list(Section section, const Row& row, const YamlNode& key, const YamlNode& value) {
    if (!adds_up(traits_of(row.syntax).shape)) {
      return error(value.at, fmt::format("{}= takes a single value, not a list", row.name));
    }
    for (const YamlNode& item : value.items) {
      if (item.kind == Kind::null) {
        assign(section, key, item.at, "");
      } else if (item.kind != Kind::scalar) {
        error(item.at, fmt::format("the items of {}= must be texts", row.name));
      } else if (has_words(traits_of(row.syntax).shape) && !item.text.empty()) {
        assign(section, key, item.at,
               row.syntax == Syntax::environment ? quote_word(item.text) : one_word(item.text));
      } else {
        scalar(section, row, key, item);
      }
    }
  }

  /// Where backslashes are plain characters, quotes are all there is.
  static std::string one_word(const std::string& text) {
    if (text.find_first_of(" \t\n'\"") == std::string::npos) return text;
    return text.find('"') == std::string::npos ? "\"" + text + "\"" : "'" + text + "'";
  }

  static bool is_text(const YamlNode& node) { return node.kind == Kind::scalar; }

  /// Words of one command, or commands.
  void commands(Section section, const YamlNode& key, const YamlNode& value) {
    if (std::all_of(value.items.begin(), value.items.end(), is_text))
      return command(section, key, value);
    for (const YamlNode& item : value.items) {
      if (item.kind == Kind::null) {
        assign(section, key, item.at, "");
      } else if (item.kind == Kind::scalar) {
        assign(section, key, item.at, trim(item.text));
      } else if (item.kind == Kind::list &&
                 std::all_of(item.items.begin(), item.items.end(), is_text)) {
        command(section, key, item);
      } else {
        error(item.at, fmt::format("{}= takes commands: texts, or lists of words", key.text));
      }
    }
  }

  void command(Section section, const YamlNode& key, const YamlNode& words) {
    if (words.items.empty())
      return error(words.at, fmt::format("{}= has a command without words", key.text));
    if (words.items.front().text.find_first_of(" \t\n") != std::string::npos) {
      return error(words.items.front().at,
                   fmt::format("'{}' is not a program: a list is one command, word by word",
                               words.items.front().text.substr(0, 64)),
                   "Write several commands as a list of lists: [[/bin/a, x], [/bin/b, y]].");
    }
    std::string line;
    for (const YamlNode& word : words.items) {
      if (!line.empty()) line += ' ';
      line += word.text == ";" ? "\";\"" : quote_word(word.text);
    }
    assign(section, key, words.at, line);
  }

  static std::string_view trim_end(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    return text;
  }

  Applier& applier_;
};

}  // namespace

void read_yaml(const std::string& text, Applier& applier) {
  auto root = parse_yaml(text);
  if (!root) {
    const Error& error = root.error();
    const Location where = error.where().value_or(Location{});
    return applier.report(Severity::error, {where.line, where.column}, error.message(),
                          error.advice());
  }
  YamlReader(applier).document(*root);
}

}  // namespace pidward::unit
