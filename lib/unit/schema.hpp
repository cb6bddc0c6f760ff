// What the directive table says, for editors and for people.
#pragma once

#include <string>

namespace pidward::unit {

/// A JSON schema (draft 2020-12) of unit files in YAML: sections, directives, their values and
/// summaries.
std::string unit_json_schema();

/// The reference page in Markdown: every directive of every section with its default and what
/// pidward does with it.
std::string directive_reference();

}  // namespace pidward::unit
