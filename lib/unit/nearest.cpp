#include "unit/nearest.hpp"

#include <algorithm>
#include <vector>

namespace pidward::unit {
namespace {

/// Edits between two words, counted up to `limit`; more is limit + 1.
std::size_t distance(std::string_view a, std::string_view b, std::size_t limit) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    std::size_t best = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = previous[j - 1] + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      current[j] = std::min({change, previous[j] + 1, current[j - 1] + 1});
      best = std::min(best, current[j]);
    }
    if (best > limit) return limit + 1;
    std::swap(previous, current);
  }
  return previous[b.size()];
}

// Long garbage is nobody's neighbour, and would be slow to compare.
constexpr std::size_t kLongestWord = 64;

}  // namespace

NearestWord::NearestWord(std::string_view mistyped)
    : mistyped_(mistyped), best_(std::clamp<std::size_t>(mistyped.size() / 3, 1, 3)) {}

void NearestWord::consider(std::string_view candidate) {
  if (mistyped_.empty() || mistyped_.size() > kLongestWord || candidate.empty()) return;
  const std::size_t edits = distance(mistyped_, candidate, best_);
  if (edits < best_ || (edits == best_ && !nearest_)) {
    best_ = edits;
    nearest_ = candidate;
  }
}

}  // namespace pidward::unit
