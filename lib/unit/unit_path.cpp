#include "unit/unit_path.hpp"

namespace pidward::unit {

std::vector<std::string> split_unit_path(std::string_view text) {
  std::vector<std::string> directories;
  if (text.empty()) return directories;
  for (;;) {
    const std::size_t colon = text.find(':');
    directories.emplace_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return directories;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace pidward::unit
