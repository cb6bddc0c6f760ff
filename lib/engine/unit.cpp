#include "engine/unit.hpp"

#include <algorithm>

namespace pidward::engine {

bool RateLimit::below(MonoTime now, Duration interval, std::uint32_t burst) {
  if (interval.count() == 0 || burst == 0) return true;
  if (count == 0 || saturating_add(begin, interval) < now) {
    begin = now;
    count = 0;
  }
  if (count >= burst) return false;
  ++count;
  return true;
}

std::uint32_t RateLimit::left(MonoTime now, Duration interval, std::uint32_t burst) const {
  if (interval.count() == 0 || burst == 0) return UINT32_MAX;
  if (count == 0 || saturating_add(begin, interval) < now) return burst;
  return count >= burst ? 0 : burst - count;
}

bool Unit::has_edge(unit::Dependency kind, UnitId other) const {
  return std::binary_search(edges.begin(), edges.end(), Edge{other, kind});
}

void Unit::add_edge(Edge edge) {
  const auto at = std::lower_bound(edges.begin(), edges.end(), edge);
  if (at != edges.end() && at->other == edge.other && at->kind == edge.kind) {
    at->own |= edge.own;
    at->runtime |= edge.runtime;
    return;
  }
  edges.insert(at, edge);
}

void Unit::remove_edges_to(UnitId other) {
  std::erase_if(edges, [other](const Edge& edge) { return edge.other == other; });
}

}  // namespace pidward::engine
