// "Did you mean …": the known word nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace pidward::unit {

/// Collects candidates one by one and keeps the nearest. A third of the letters may be wrong, three
/// at most: more is another word. Letter case does not count.
class NearestWord {
 public:
  /// `mistyped` outlives the object.
  explicit NearestWord(std::string_view mistyped);
  void consider(std::string_view candidate);
  /// The candidate with the fewest edits, the first among equals.
  [[nodiscard]] std::optional<std::string_view> get() const { return nearest_; }

 private:
  std::string_view mistyped_;
  std::size_t best_;
  std::optional<std::string_view> nearest_;
};

}  // namespace pidward::unit
