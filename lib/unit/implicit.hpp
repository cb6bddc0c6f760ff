// What a unit depends on without saying so, and what its settings mean when they are left out (the
// sections "Implicit Dependencies" and "Default Dependencies" of systemd.service(5) and its
// siblings).
#pragma once

#include <functional>

#include "unit/loader.hpp"
#include "unit/spec.hpp"

namespace pidward::unit {

struct ImplicitContext {
  Scope scope = Scope::system;
  const SpecifierContext* specifiers =
      nullptr;  ///< for the roots of state, cache and log directories
  /// Whether there is a unit file for a mount unit. Only such mounts are required: of all others
  /// the system's own table of mounts says what is true.
  std::function<bool(const UnitName&)> mount_file_exists;
  /// The manager's defaults, put under the unit's own settings where the type has them.
  const Settings* defaults = nullptr;
};

/// Fills in what was left out (a service's Type=, its slice, NotifyAccess=) and adds the edges.
/// Call it once, after every file was read.
void complete_unit(UnitSpec& spec, const ImplicitContext& context);

/// Whether a socket runs anything of its own; only then do its execution settings mean something.
[[nodiscard]] bool socket_runs_commands(const Settings& settings);

/// Adds After= on the members of a target (and Before= is theirs), unless one side says
/// DefaultDependencies=no or the opposite order was asked for. `load` gives a member's spec, or
/// nullptr.
void complete_target(UnitSpec& spec, const std::function<UnitSpecPtr(const UnitName&)>& load);

namespace detail {
// One for each type with something of its own; `complete_unit` calls them.
void complete_service(UnitSpec& spec, const ImplicitContext& context);
void complete_socket(UnitSpec& spec, const ImplicitContext& context);
void complete_timer(UnitSpec& spec, const ImplicitContext& context);
void complete_path(UnitSpec& spec, const ImplicitContext& context);
void complete_slice(UnitSpec& spec, const ImplicitContext& context);
/// OOMPolicy=, where it is left out: whoever manages groups of its own knows best what to do when
/// one of them runs out of memory.
void infer_oom_policy(Settings& settings);
void add_slice(UnitSpec& spec, const ImplicitContext& context);
void add_exec_dependencies(UnitSpec& spec, const ImplicitContext& context);
/// After= (and, where the mount has a unit file, Requires=) on every mount that `path` may be
/// below. With `only_with_file`, mounts without a unit file are left out altogether.
void add_mounts_for(UnitSpec& spec, const ImplicitContext& context, std::string_view path,
                    Origin origin, bool only_with_file);
/// Before= and Conflicts= on shutdown.target.
void add_shutdown(UnitSpec& spec);
/// Requires= and After= on sysinit.target; there is none in user scope.
void add_sysinit(UnitSpec& spec, const ImplicitContext& context);
}  // namespace detail

}  // namespace pidward::unit
