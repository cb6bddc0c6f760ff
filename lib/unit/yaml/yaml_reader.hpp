// The YAML spelling of unit files: NAME.service.yaml with the same sections and directives.
#pragma once

#include <string>

#include "unit/syntax/apply.hpp"

namespace pidward::unit {

/// Applies a YAML unit file. A list stands for repeated lines, its items being single words where
/// the directive takes words; a map for the assignments of Environment= and its like; null for the
/// empty value, which resets. A command is a string, read as a command line, or a list of its
/// words, taken as they are; several commands are a list of such lists. Unknown keys and whatever
/// YAML allows but a unit file cannot mean (anchors, tags, several documents, duplicate keys) are
/// errors with line and column.
void read_yaml(const std::string& text, Applier& applier);

}  // namespace pidward::unit
