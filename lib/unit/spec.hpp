// What a unit file says, whole and immutable: fragment, drop-ins, links and defaults put together.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "unit/directive.hpp"
#include "unit/enums.hpp"
#include "unit/name.hpp"

namespace pidward::unit {

/// The settings of a unit that are not at their default: a sorted vector, a few dozen bytes each.
/// Reading one that is not set yields the table's default, and where there is none the type's zero.
class Settings {
 public:
  void set(Directive id, Value value);
  void unset(Directive id);
  /// Explicitly set, or nullptr.
  [[nodiscard]] const Value* find(Directive id) const;
  /// Set or default, or nullptr.
  [[nodiscard]] const Value* get(Directive id) const;
  [[nodiscard]] bool is_set(Directive id) const { return find(id) != nullptr; }

  [[nodiscard]] bool boolean(Directive id) const;
  [[nodiscard]] std::int64_t integer(Directive id) const;
  [[nodiscard]] std::uint64_t number(Directive id) const;
  [[nodiscard]] Duration span(Directive id) const;
  [[nodiscard]] const std::string& string(Directive id) const;
  [[nodiscard]] const std::vector<std::string>& words(Directive id) const;
  [[nodiscard]] const ExecList& commands(Directive id) const;
  [[nodiscard]] const ConditionList& conditions()
      const;  ///< all Condition…= and Assert…= lines, in file order
  [[nodiscard]] const ExitStatusSet& exit_statuses(Directive id) const;
  /// Where a standard stream goes; nullptr where nothing is said of it.
  [[nodiscard]] const StreamTarget* stream(Directive id) const;
  template <typename Enum>
  [[nodiscard]] Enum choice(Directive id) const {
    return static_cast<Enum>(integer(id));
  }

  /// StandardOutput= or StandardError=: does that stream end in a log? "inherit" is for the caller
  /// to follow.
  [[nodiscard]] bool goes_to_log(Directive stream) const;
  /// Delegate=: may the unit manage the control groups below its own, with controllers or without?
  [[nodiscard]] bool delegates() const;
  /// A directive with the words of PreserveMode: is what it is about kept by a unit that goes down,
  /// to be started again at once (`restarting`) or not?
  [[nodiscard]] bool preserves(Directive id, bool restarting) const;

  [[nodiscard]] const std::vector<std::pair<Directive, Value>>& entries() const { return entries_; }
  friend bool operator==(const Settings&, const Settings&) = default;

 private:
  std::vector<std::pair<Directive, Value>> entries_;
};

/// systemd.unit(5) and the D-Bus properties of the same names. Each has its reverse; the loader
/// writes forward ones, the engine adds the reverses.
enum class Dependency : std::uint8_t {
  Requires,
  Requisite,
  Wants,
  BindsTo,
  PartOf,
  Upholds,
  RequiredBy,
  RequisiteOf,
  WantedBy,
  BoundBy,
  ConsistsOf,
  UpheldBy,
  Conflicts,
  ConflictedBy,
  Before,
  After,
  OnFailure,
  OnFailureOf,
  OnSuccess,
  OnSuccessOf,
  Triggers,
  TriggeredBy,
  PropagatesReloadTo,
  ReloadPropagatedFrom,
  PropagatesStopTo,
  StopPropagatedFrom,
  JoinsNamespaceOf,
  References,
  ReferencedBy,
  InSlice,
  SliceOf,
};
inline constexpr std::size_t kDependencies = 31;
std::string_view to_string(Dependency dependency);
/// The kind seen from the other side: Requires ↔ RequiredBy; JoinsNamespaceOf is its own.
Dependency reverse(Dependency dependency);

/// Where a dependency comes from; decides what `list-dependencies` and `verify` say about it.
enum class Origin : std::uint8_t { file, link, implicit, defaulted };

struct DependencyEdge {
  Dependency kind;
  Origin origin;
  UnitName other;
  friend bool operator==(const DependencyEdge&, const DependencyEdge&) = default;
};

enum class LoadState : std::uint8_t { stub, loaded, not_found, bad_setting, error, merged, masked };
std::string_view to_string(LoadState state);

/// Something the loader found while reading: an error keeps a unit from loading, a warning does
/// not. A unit has at most one diagnostic of severity `unsupported`: it lists the correct settings
/// that have no effect in this version of pidward. A note is no problem.
struct Diagnostic {
  enum class Severity : std::uint8_t { error, warning, unsupported, note };
  Severity severity;
  Location where;
  std::string message;
  std::string advice;
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};
std::string_view to_string(Diagnostic::Severity severity);
/// A warning about a file as a whole.
Diagnostic warning_about(const std::string& file, std::string message, std::string advice = {});

/// One file that went into a unit, and when it last changed, to notice later that it did
/// (NeedDaemonReload).
struct SourceFile {
  std::string path;
  WallTime modified;
  friend bool operator==(const SourceFile&, const SourceFile&) = default;
};

/// Units of types that are not managed (mount, automount, swap, device) are stubs:
/// LoadState::loaded, whether there is a file or not, without settings and dependencies; `fragment`
/// names a unit file where there is one. Whether such a unit exists, and is up, is for the runtime
/// to say from the state of the system.
struct UnitSpec {
  explicit UnitSpec(UnitName unit_name) : name(std::move(unit_name)) {}

  UnitName name;                  ///< the canonical name; aliases resolve to it
  std::vector<UnitName> aliases;  ///< other names, sorted
  LoadState load_state = LoadState::stub;
  std::vector<Diagnostic> diagnostics;
  std::optional<SourceFile> fragment;
  std::vector<SourceFile> dropins;  ///< in the order applied
  Settings settings;
  /// Forward kinds only; sorted by kind and name, unique in both, never to the unit itself. `other`
  /// is as it was written and may be an alias. Of a slice's children each has the InSlice edge (and
  /// Requires=, After=).
  std::vector<DependencyEdge> dependencies;
  bool transient = false;
  /// The first error as a sentence; for load states that have one.
  [[nodiscard]] std::optional<Error> load_error() const;
  /// IgnoreOnIsolate=, which units that are there for others have unless they say otherwise.
  [[nodiscard]] bool ignores_isolate() const;
  /// What a socket's own descriptors are called in LISTEN_FDNAMES (systemd.socket(5),
  /// FileDescriptorName=).
  [[nodiscard]] const std::string& descriptor_name() const;
};
using UnitSpecPtr = std::shared_ptr<const UnitSpec>;

}  // namespace pidward::unit
