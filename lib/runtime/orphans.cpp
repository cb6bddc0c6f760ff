// Life without control groups: what a process leaves behind when it ends becomes our child, and is
// taken back into the unit it came from.
#include <string_view>

#include <unistd.h>

#include "runtime/unit_tree.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kInvocation = "INVOCATION_ID=";

}  // namespace

std::optional<UnitId> UnitTree::owner_of_orphan(const sys::Pidfd& process) const {
  const auto environment = sys::environ_of(process);
  if (!environment) return std::nullopt;
  for (const std::string& entry : *environment) {
    if (!entry.starts_with(kInvocation)) continue;
    const std::string_view wanted = std::string_view(entry).substr(kInvocation.size());
    for (const UnitId unit : core_.engine.units()) {
      const engine::UnitStatus status = core_.engine.status(unit);
      if (!status.invocation.is_null() && status.invocation.to_string() == wanted) return unit;
    }
    return std::nullopt;
  }
  return std::nullopt;
}

void UnitTree::adopt_orphans(UnitId just_lost_one) {
  const auto self = sys::Pidfd::self();
  if (!self) return;
  auto children = sys::children_of(*self, core_.features);
  if (!children) return;
  for (sys::Pidfd& child : *children) {
    const auto known = core_.table.find(child);
    if (!known || *known) continue;
    const auto ended = child.has_ended();
    if (!ended || *ended) continue;
    std::optional<UnitId> owner = owner_of_orphan(child);
    // A program may have overwritten its environment; then the unit that just lost a process is the
    // best answer there is: this child was not ours before.
    if (!owner && just_lost_one) owner = just_lost_one;
    if (!owner) continue;
    signal_latecomer(*owner, child);
    static_cast<void>(tracker_.add_child({std::move(child)}, *owner, process::Role::other));
  }
}

}  // namespace pidward::runtime
