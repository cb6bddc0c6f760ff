#include "unit/schema.hpp"

#include <array>

#include <fmt/core.h>

#include "unit/directive.hpp"
#include "unit/syntax_traits.hpp"

namespace pidward::unit {
namespace {

constexpr std::array kDescribed{Section::Unit,  Section::Install, Section::Service, Section::Socket,
                                Section::Timer, Section::Path,    Section::Slice,   Section::Scope};

std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string json_words(std::span<const std::string_view> words, bool booleans) {
  std::string list = booleans ? R"("yes", "no")" : "";
  for (const std::string_view word : words) {
    if (word.empty()) continue;
    if (!list.empty()) list += ", ";
    list += json_string(word);
  }
  return "[" + list + "]";
}

/// The schema of a value, without description. null is the empty value everywhere: it resets.
std::string value_schema(const Row& row) {
  switch (traits_of(row.syntax).shape) {
    case Shape::boolean:
      return R"("$ref": "#/$defs/boolean")";
    case Shape::tristate:
      return fmt::format(R"("anyOf": [{{"$ref": "#/$defs/boolean"}}, {{"enum": {}}}])",
                         json_words(row.choices, true));
    case Shape::choice:
      return fmt::format(R"("anyOf": [{{"enum": {}}}, {{"type": ["boolean", "integer", "null"]}}])",
                         json_words(row.choices, false));
    case Shape::text:
      return R"("$ref": "#/$defs/text")";
    case Shape::environment:
      return R"("$ref": "#/$defs/environment")";
    case Shape::commands:
      return R"("$ref": "#/$defs/commands")";
    case Shape::words:
    case Shape::lines:
      return R"("$ref": "#/$defs/texts")";
  }
  return {};
}

std::string_view effect_of(const Row& row) {
  switch (row.effect) {
    case Effect::full:
      return "works";
    case Effect::ignored:
      return "ignored";
    case Effect::none_yet:
      return "no effect yet";
  }
  return {};
}

std::string described(const Row& row) {
  std::string text(row.summary);
  if (!row.default_text.empty()) text += fmt::format(" Default: {}.", row.default_text);
  if (row.effect != Effect::full) text += fmt::format(" ({})", effect_of(row));
  return text;
}

std::string section_schema(Section section) {
  std::string properties;
  const auto add = [&properties](std::string_view name, const Row& row,
                                 const std::string& description) {
    if (!properties.empty()) properties += ",\n";
    properties += fmt::format("        {}: {{{}, \"description\": {}}}", json_string(name),
                              value_schema(row), json_string(description));
  };
  for (const Row& row : directive_table()) {
    if ((row.sections & section_bit(section)) != 0) add(row.name, row, described(row));
  }
  for (const Alias& alias : alias_table()) {
    if ((alias.sections & section_bit(section)) == 0) continue;
    // The old boolean spelling of a choice takes whatever a boolean takes.
    const Row& target =
        row(alias.name == "OnFailureIsolate" ? Directive::AllowIsolate : alias.target);
    add(alias.name, target, fmt::format("Old name of {}=.", row(alias.target).name));
  }
  return fmt::format(
      "    {}: {{\n      \"type\": [\"object\", \"null\"],\n      \"additionalProperties\": "
      "false,\n"
      "      \"patternProperties\": {{\"^X-\": {{}}}},\n      \"properties\": {{\n{}\n      }}\n   "
      " }}",
      json_string(to_string(section)), properties);
}

constexpr std::string_view kDefinitions = R"json(  "$defs": {
    "boolean": {"anyOf": [{"type": ["boolean", "null"]}, {"enum": ["yes", "no", "on", "off", "true", "false", 0, 1]}]},
    "text": {"type": ["string", "number", "boolean", "null"]},
    "texts": {"anyOf": [{"$ref": "#/$defs/text"}, {"type": "array", "items": {"$ref": "#/$defs/text"}}]},
    "environment": {"anyOf": [{"$ref": "#/$defs/texts"},
                              {"type": "object", "additionalProperties": {"$ref": "#/$defs/text"}}]},
    "words": {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
    "commands": {"anyOf": [{"type": ["string", "null"]}, {"$ref": "#/$defs/words"},
                           {"type": "array", "items": {"anyOf": [{"type": ["string", "null"]},
                                                                 {"$ref": "#/$defs/words"}]}}]}
  },
)json";

std::string markdown(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::string unit_json_schema() {
  std::string sections;
  for (const Section section : kDescribed) {
    if (!sections.empty()) sections += ",\n";
    sections += section_schema(section);
  }
  return fmt::format(
      "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
      "  \"title\": \"pidward unit file\",\n"
      "  \"description\": \"A unit of pidward in YAML: NAME.service.yaml and its like.\",\n{}"
      "  \"type\": [\"object\", \"null\"],\n  \"additionalProperties\": false,\n"
      "  \"patternProperties\": {{\"^X-\": {{}}}},\n  \"properties\": {{\n{}\n  }}\n}}\n",
      kDefinitions, sections);
}

std::string directive_reference() {
  std::string page =
      "# Directives\n\n"
      "Every directive pidward knows, section by section, made from its directive table. *works*: "
      "as systemd documents\n"
      "it; *no effect yet*: read, checked and shown, and a unit that uses it gets a warning with "
      "file and line;\n"
      "*ignored*: accepted without effect, as systemd does.\n";
  for (const Section section : kDescribed) {
    page +=
        fmt::format("\n## [{}]\n\n| directive | default | state | meaning |\n|---|---|---|---|\n",
                    to_string(section));
    for (const Row& row : directive_table()) {
      if ((row.sections & section_bit(section)) == 0) continue;
      page += fmt::format("| {} | {} | {} | {} |\n", row.name, markdown(row.default_text),
                          effect_of(row), markdown(row.summary));
    }
    for (const Alias& alias : alias_table()) {
      if ((alias.sections & section_bit(section)) == 0) continue;
      page += fmt::format("| {} | | old name | {}= |\n", alias.name, row(alias.target).name);
    }
  }
  return page;
}

}  // namespace pidward::unit
