// A YAML document as a small tree with places, made for unit files: no anchors, no tags, bounded in
// depth and size. yaml_tree.cpp is the only file that includes yaml-cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "unit/syntax/ini.hpp"

namespace pidward::unit {

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  TextPosition at;
  std::string text;             ///< of a scalar
  std::vector<YamlNode> items;  ///< of a list; of a map: key, value, key, value …
};

inline constexpr std::size_t kMaxYamlSize = std::size_t{1024} * 1024;
inline constexpr std::size_t kMaxYamlDepth = 8;

/// The one document of `text`; an empty text is null. Errors (Errc::syntax, with line and column,
/// no file): what is not YAML, and what a unit file must not have: anchors and aliases, tags, a
/// second document, depth, size, bytes that are not UTF-8.
Result<YamlNode> parse_yaml(const std::string& text);

}  // namespace pidward::unit
