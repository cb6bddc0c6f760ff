// Properties given with StartTransientUnit and SetUnitProperties, as the text of unit files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bus/reader.hpp"
#include "runtime/transient_units.hpp"
#include "unit/directive.hpp"
#include "unit/name.hpp"

namespace pidward::bus {

/// What one "a(sv)" says about a unit. Values of the same property add up, as lines of a file do.
class PropertySet {
 public:
  /// `type`: of the unit, whose sections are searched. `only_changeable`: nothing but what
  /// set-property may change.
  PropertySet(unit::UnitType type, bool only_changeable)
      : type_(type), only_changeable_(only_changeable) {}

  /// Reads "a(sv)". Errors name the property: unknown, not to be changed, wrong type or value.
  Status read(Reader& in);

  /// The whole as one unit file. Errors: a text that no unit file can hold.
  [[nodiscard]] Result<std::string> unit_text() const;
  /// One drop-in for each directive: "50-MemoryMax.conf".
  [[nodiscard]] Result<std::vector<runtime::DropInText>> drop_ins() const;

  /// AddRef: the caller holds a reference to the unit from the start.
  [[nodiscard]] bool add_reference() const { return add_reference_; }
  /// PIDs and PIDFDs of a scope. Number 0 is the caller.
  [[nodiscard]] const std::vector<std::uint32_t>& numbers() const { return numbers_; }
  std::vector<sys::Fd>& descriptors() { return descriptors_; }
  /// Controller of a scope, when it was given: a bus name, or empty.
  [[nodiscard]] const std::optional<std::string>& controller() const { return controller_; }
  /// Standard…FileDescriptor.
  runtime::UnitStreams& streams() { return streams_; }

 private:
  struct Entry {
    unit::Section section;
    unit::Directive directive;
    unit::Value value;
  };
  Status read_one(const std::string& name, const std::string& type, Reader& in);
  /// True when the property is none of the directive table's and was read.
  Result<bool> read_special(const std::string& name, const std::string& type, Reader& in);
  Result<bool> read_stream(const std::string& name, const std::string& type, Reader& in);
  Status read_assignments(Reader& in);
  Status add_text(const std::string& directive, const std::string& text);
  Status add(const unit::Row& row, unit::Value value);
  [[nodiscard]] std::vector<unit::Section> sections() const;
  [[nodiscard]] std::optional<unit::Section> section_of(const unit::Row& row) const;

  unit::UnitType type_;
  bool only_changeable_;
  bool add_reference_ = false;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> numbers_;
  std::vector<sys::Fd> descriptors_;
  std::optional<std::string> controller_;
  runtime::UnitStreams streams_;
};

}  // namespace pidward::bus
