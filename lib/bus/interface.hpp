// Interfaces as tables: what an object answers to is data, from which calls, properties,
// introspection and change signals are all served. The names are systemd's below org.pidward1.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bus/object_path.hpp"
#include "bus/reader.hpp"
#include "bus/writer.hpp"
#include "engine/state.hpp"
#include "runtime/manager.hpp"
#include "unit/directive.hpp"

namespace pidward::bus {

class Call;
struct Services;

/// What unit files say about a unit's installation; looked up off the loop before it is asked for.
struct UnitFileFacts {
  std::string state;
  std::string preset;
  bool changed = false;  ///< since the unit was loaded
};

/// The object a property is read from. Valid only while it is being read.
struct Subject {
  const Services& services;
  runtime::Manager& manager;
  std::optional<engine::UnitStatus> unit;
  std::optional<engine::JobStatus> job;
  std::optional<runtime::ProcessDetails> process;
  UnitFileFacts files = {};
  /// Read when the first of them is asked for.
  mutable std::optional<runtime::ResourceCounters> counters = std::nullopt;

  [[nodiscard]] const unit::UnitSpec& spec() const { return *unit->spec; }
  [[nodiscard]] const unit::Settings& settings() const { return unit->spec->settings; }
};

/// EmitsChangedSignal: "false", "const", "true" or "invalidates".
enum class Announce : std::uint8_t { never, constant, emits, invalidates };

// Short, for the rows of tables.
inline constexpr Announce kNever = Announce::never;
inline constexpr Announce kConst = Announce::constant;
inline constexpr Announce kEmits = Announce::emits;
inline constexpr Announce kInvalidates = Announce::invalidates;
using RowPtr = const unit::Row*;

struct Property {
  std::string_view name;
  std::string_view type;
  Announce announce = Announce::constant;
  void (*write)(Writer& out, const Subject& subject, RowPtr setting) = nullptr;
  /// For properties made from the directive table: the row.
  RowPtr setting = nullptr;
  /// For writable properties; the reader stands inside the variant.
  Status (*set)(const Subject& subject, Reader& in) = nullptr;
};

/// Who may call: everybody, or root and the user pidward runs as.
enum class Access : std::uint8_t { read, change };
inline constexpr Access kRead = Access::read;
inline constexpr Access kChange = Access::change;

struct Method {
  std::string_view name;
  std::string_view in;        ///< signature
  std::string_view in_names;  ///< "name,mode"
  std::string_view out;
  std::string_view out_names;
  Access access = Access::read;
  void (*run)(const std::shared_ptr<Call>& call) = nullptr;
};

struct Signal {
  std::string_view name;
  std::string_view types;
  std::string_view names;
};

/// One interface, of fewer than 65,536 rows of a kind. Built once; rows added first win over later
/// ones of the same name.
class Interface {
 public:
  explicit Interface(std::string name) : name_(std::move(name)) {}

  void add(std::span<const Method> methods);
  void add(std::span<const Signal> signals);
  void add(std::span<const Property> properties);
  void add(const Property& property);
  /// All rows are there: gives back the room for more.
  void complete();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Method* method(std::string_view name) const;
  [[nodiscard]] const Property* property(std::string_view name) const;
  [[nodiscard]] const std::vector<Method>& methods() const { return methods_; }
  [[nodiscard]] const std::vector<Signal>& signal_rows() const { return signals_; }
  [[nodiscard]] const std::vector<Property>& properties() const { return properties_; }
  /// Whether a PropertiesChanged of this interface would say anything.
  [[nodiscard]] bool announces_changes() const { return announces_; }

 private:
  std::string name_;
  std::vector<Method> methods_;
  std::vector<Signal> signals_;
  std::vector<Property> properties_;
  // Positions, sorted by name.
  std::vector<std::uint16_t> method_index_;
  std::vector<std::uint16_t> property_index_;
  bool announces_ = false;
};

/// All interfaces, and which object has which.
class Catalogue {
 public:
  Catalogue();
  [[nodiscard]] std::span<const Interface* const> manager() const { return manager_; }
  [[nodiscard]] std::span<const Interface* const> job() const { return job_; }
  [[nodiscard]] std::span<const Interface* const> process() const { return process_; }
  /// The type's own interface first, then org.pidward1.Unit.
  [[nodiscard]] std::span<const Interface* const> unit(unit::UnitType type) const {
    return units_[static_cast<std::size_t>(type)];
  }

 private:
  const Interface* keep(Interface interface);
  std::vector<std::unique_ptr<Interface>> all_;
  std::vector<const Interface*> manager_, job_, process_;
  std::array<std::vector<const Interface*>, unit::kUnitTypes> units_;
};

/// The members that every object of ours has are written too. `children`: names of child nodes.
std::string introspection_xml(std::span<const Interface* const> interfaces,
                              std::span<const std::string> children);
/// "{sv}" entries of all properties of `interface` that `select` takes, into an open array.
void write_properties(Writer& out, const Interface& interface, const Subject& subject,
                      bool (*select)(const Property&));

}  // namespace pidward::bus
