#include "unit/dependency.hpp"

#include <algorithm>
#include <tuple>

#include "base/contract.hpp"

namespace pidward::unit {

void add_edge(UnitSpec& spec, Dependency kind, Origin origin, const UnitName& other) {
  spec.dependencies.push_back({kind, origin, other});
}

void add_edge(UnitSpec& spec, Dependency kind, Origin origin, std::string_view other) {
  const auto name = UnitName::parse(other);
  PIDWARD_EXPECT(name.has_value());
  add_edge(spec, kind, origin, *name);
}

bool has_edge(const UnitSpec& spec, Dependency kind, const UnitName& other) {
  return std::any_of(
      spec.dependencies.begin(), spec.dependencies.end(),
      [&](const DependencyEdge& edge) { return edge.kind == kind && edge.other == other; });
}

bool has_edge(const UnitSpec& spec, Dependency kind) {
  return std::any_of(spec.dependencies.begin(), spec.dependencies.end(),
                     [&](const DependencyEdge& edge) { return edge.kind == kind; });
}

void normalise_edges(UnitSpec& spec) {
  auto& edges = spec.dependencies;
  std::erase_if(edges, [&](const DependencyEdge& edge) {
    return edge.other == spec.name ||
           std::binary_search(spec.aliases.begin(), spec.aliases.end(), edge.other);
  });
  std::sort(edges.begin(), edges.end(), [](const DependencyEdge& a, const DependencyEdge& b) {
    return std::tie(a.kind, a.other, a.origin) < std::tie(b.kind, b.other, b.origin);
  });
  edges.erase(std::unique(edges.begin(), edges.end(),
                          [](const DependencyEdge& a, const DependencyEdge& b) {
                            return a.kind == b.kind && a.other == b.other;
                          }),
              edges.end());
  edges.shrink_to_fit();
}

}  // namespace pidward::unit
