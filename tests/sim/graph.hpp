// Random units: every type the engine manages, random settings, random edges.
#pragma once

#include <vector>

#include "sim/random.hpp"
#include "unit/spec.hpp"

namespace pidward::sim {

/// A graph of two to nine units. Some names lead nowhere, some units cannot be loaded.
std::vector<unit::UnitSpecPtr> random_graph(Random& random);
/// The same unit as an edited file would give it: other settings, same name and type.
unit::UnitSpecPtr edited(const unit::UnitSpec& spec, Random& random);
/// An instance for a socket with Accept=yes.
unit::UnitSpecPtr instance_of(const unit::UnitName& name);

}  // namespace pidward::sim
