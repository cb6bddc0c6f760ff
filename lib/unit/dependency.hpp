// Building the list of a unit's dependency edges.
#pragma once

#include <string_view>

#include "unit/spec.hpp"

namespace pidward::unit {

/// Appends an edge; order and duplicates are normalise_edges()'s business.
void add_edge(UnitSpec& spec, Dependency kind, Origin origin, const UnitName& other);
/// The same for a name that is known to be valid ("shutdown.target").
void add_edge(UnitSpec& spec, Dependency kind, Origin origin, std::string_view other);
[[nodiscard]] bool has_edge(const UnitSpec& spec, Dependency kind, const UnitName& other);
[[nodiscard]] bool has_edge(const UnitSpec& spec, Dependency kind);
/// Sorts by kind and name, keeps of equal edges the one of the strongest origin, and drops those
/// that lead from the unit to itself under any of its names.
void normalise_edges(UnitSpec& spec);

}  // namespace pidward::unit
