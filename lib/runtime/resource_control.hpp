// Resource control (systemd.resource-control(5)): what a unit's settings are in the interface files
// of its control group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unit/spec.hpp"

namespace pidward::runtime {

/// What shares are shares of.
struct MachineSize {
  std::uint64_t memory = 0;  ///< bytes
  std::uint64_t tasks = 0;   ///< processes and threads there can be
};
/// This machine's, read once.
const MachineSize& machine_size();

/// A setting of Syntax::resource as a number: bytes, tasks, a weight (idle is 0), or, for
/// CPUQuota=, microseconds each second; UINT64_MAX is infinity. Nothing where `text` says nothing.
std::optional<std::uint64_t> resource_number(unit::Directive directive, std::string_view text,
                                             const MachineSize& machine);

/// One interface file.
struct ControlFile {
  std::string_view name;        ///< "memory.max"
  std::string_view controller;  ///< "memory"
  unit::Directive directive;    ///< which it is about
  bool is_set = false;          ///< the unit says so; otherwise `text` is what a new group has
  std::string text;
  friend bool operator==(const ControlFile&, const ControlFile&) = default;
};
/// All that directives stand for, in the order in which they are to be written.
std::vector<ControlFile> control_files(const unit::Settings& settings, const MachineSize& machine);

/// Whether any of them is set.
bool limits_anything(const unit::Settings& settings);

/// The controllers that the unit's group must have: for its limits, and for what is to be counted.
std::vector<std::string_view> wanted_controllers(const unit::Settings& settings);

/// Nothing: the unit's group is the manager's (Delegate=no). Otherwise the controllers the unit is
/// to have in it.
std::optional<std::vector<std::string_view>> delegated_controllers(const unit::Settings& settings);

/// Whether `word` is one of the words, with blanks between them, of `list`.
bool has_word(std::string_view list, std::string_view word);

}  // namespace pidward::runtime
