#include "bus/properties/property_set.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "bus/properties/decode.hpp"
#include "unit/enums.hpp"
#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::bus {
namespace {

using unit::Directive;
using unit::Row;
using unit::Section;
using unit::UnitType;
using unit::Value;

Error expecting(const std::string& name, const std::string& type, std::string_view expected) {
  return {Errc::invalid_argument,
          fmt::format("Property {} has type '{}', expecting '{}'.", name, type, expected)};
}

bool ends_with(const std::string& text, std::string_view end, std::string& stem) {
  if (!text.ends_with(end) || text.size() == end.size()) return false;
  stem = text.substr(0, text.size() - end.size());
  return true;
}

/// "OnBootUSec" is written OnBootSec= in a timer.
std::string sec_name(std::string name) {
  constexpr std::string_view kUsec = "USec";
  if (name.ends_with(kUsec)) name.replace(name.size() - kUsec.size(), kUsec.size(), "Sec");
  return name;
}

unit::ConditionList read_conditions(bool is_assert, Reader& in) {
  unit::ConditionList list;
  in.enter('a', "(sbbs)");
  while (in.more() && in.enter('r', "sbbs")) {
    unit::Condition condition;
    condition.kind = in.s();
    const std::string_view prefix = is_assert ? "Assert" : "Condition";
    if (condition.kind.starts_with(prefix)) condition.kind.erase(0, prefix.size());
    condition.is_assert = is_assert;
    condition.trigger = in.b();
    condition.negate = in.b();
    condition.parameter = in.s();
    in.exit();
    list.push_back(std::move(condition));
  }
  in.exit();
  return list;
}

/// "a(st)" or "a(ss)" as pairs of texts; numbers are microseconds.
std::vector<std::pair<std::string, std::string>> read_pairs(const std::string& type, Reader& in) {
  std::vector<std::pair<std::string, std::string>> out;
  const bool timed = type == "a(st)";
  in.enter('a', timed ? "(st)" : "(ss)");
  while (in.more() && in.enter('r', timed ? "st" : "ss")) {
    std::string key = in.s();
    out.emplace_back(std::move(key), timed ? fmt::format("{}us", in.t()) : in.s());
    in.exit();
  }
  in.exit();
  return out;
}

std::string section_text(Section section, const std::string& lines) {
  return fmt::format("[{}]\n{}", unit::to_string(section), lines);
}

}  // namespace

std::vector<Section> PropertySet::sections() const {
  std::vector<Section> out{Section::Unit};
  if (const auto own = unit::own_section(type_)) out.push_back(*own);
  return out;
}

std::optional<Section> PropertySet::section_of(const Row& row) const {
  for (const Section section : sections()) {
    if ((row.sections & unit::section_bit(section)) != 0) return section;
  }
  return std::nullopt;
}

Status PropertySet::read(Reader& in) {
  in.enter('a', "(sv)");
  while (in.more() && in.enter('r', "sv")) {
    const std::string name = in.s();
    std::string type;
    in.peek(type);
    if (!in.enter('v', type.c_str())) break;
    PIDWARD_CHECK(read_one(name, type, in));
    in.exit();
    in.exit();
  }
  in.exit();
  if (in.error() != 0) return Error::from_errno(in.error(), "reading the properties");
  return {};
}

Status PropertySet::read_one(const std::string& name, const std::string& type, Reader& in) {
  PIDWARD_TRY(const bool special, read_special(name, type, in));
  if (special) return {};
  std::string stem = name;
  if (type == "a(sasas)") ends_with(name, "Ex", stem);
  const Row* row = nullptr;
  for (const Section section : sections()) {
    if (row == nullptr) row = unit::find_bus_row(section, stem);
  }
  if (row == nullptr && stem == "DelegateControllers") row = &unit::row(Directive::Delegate);
  if (row == nullptr && stem == "RequiresOverridable") row = &unit::row(Directive::Requires);
  if (row == nullptr && stem == "RequisiteOverridable") row = &unit::row(Directive::Requisite);
  if (row == nullptr) {
    return Error(Errc::invalid_argument,
                 fmt::format("Cannot set property {}, or unknown property.", name));
  }
  PIDWARD_TRY(Value value, decode_value(*row, type, in));
  return add(*row, std::move(value));
}

Result<bool> PropertySet::read_special(const std::string& name, const std::string& type,
                                       Reader& in) {
  if (name == "Assignments") {
    if (type != "a(ss)") return expecting(name, type, "a(ss)");
    PIDWARD_CHECK(read_assignments(in));
    return true;
  }
  if (std::string bound; ends_with(name, "Scale", bound)) {
    const Row* row = unit::find_bus_row(Section::Slice, bound);
    const bool scales = row != nullptr && row->syntax == unit::Syntax::resource &&
                        (row->id == Directive::TasksMax || bound.starts_with("Memory"));
    if (!scales || !section_of(*row)) return false;
    if (type != "u") return expecting(name, type, "u");
    // A share of UINT32_MAX, rounded to what a unit file can say.
    constexpr std::uint64_t kPermyriad = 10000;
    const std::uint64_t parts = (in.u() * kPermyriad + UINT32_MAX / 2) / UINT32_MAX;
    PIDWARD_CHECK(
        add_text(std::string(row->name), fmt::format("{}.{:02}%", parts / 100, parts % 100)));
    return true;
  }
  if (only_changeable_) return false;
  if (name == "AddRef") {
    if (type != "b") return expecting(name, type, "b");
    add_reference_ = in.b();
    return true;
  }
  if (name == "PIDs" && type_ == UnitType::scope) {
    if (type != "au") return expecting(name, type, "au");
    in.enter('a', "u");
    while (in.more()) numbers_.push_back(in.u());
    in.exit();
    return true;
  }
  if (name == "PIDFDs" && type_ == UnitType::scope) {
    if (type != "ah") return expecting(name, type, "ah");
    in.enter('a', "h");
    while (in.more()) descriptors_.push_back(in.h());
    in.exit();
    return true;
  }
  if (name == "Controller" && type_ == UnitType::scope) {
    if (type != "s") return expecting(name, type, "s");
    controller_ = in.s();
    if (!controller_->empty() && sd_bus_service_name_is_valid(controller_->c_str()) <= 0) {
      return Error(Errc::invalid_argument,
                   fmt::format("Controller '{}' is not a valid bus name.", *controller_));
    }
    return true;
  }
  if (name == "Conditions" || name == "Asserts") {
    if (type != "a(sbbs)") return expecting(name, type, "a(sbbs)");
    for (const unit::Condition& each : read_conditions(name == "Asserts", in)) {
      PIDWARD_CHECK(add_text(
          (each.is_assert ? "Assert" : "Condition") + each.kind,
          fmt::format("{}{}{}", each.trigger ? "|" : "", each.negate ? "!" : "", each.parameter)));
    }
    return true;
  }
  if (name == "TimersMonotonic" || name == "TimersCalendar" || name == "Paths" ||
      name == "Listen") {
    const std::string_view expected = name == "TimersMonotonic" ? "a(st)" : "a(ss)";
    if (type != expected) return expecting(name, type, expected);
    for (const auto& [key, text] : read_pairs(type, in)) {
      const std::string directive = name == "Listen"            ? "Listen" + key
                                    : name == "TimersMonotonic" ? sec_name(key)
                                                                : key;
      PIDWARD_CHECK(add_text(directive, text));
    }
    return true;
  }
  return read_stream(name, type, in);
}

/// Standard streams that are descriptors or files, and the soft half of a limit.
Result<bool> PropertySet::read_stream(const std::string& name, const std::string& type,
                                      Reader& in) {
  constexpr std::string_view kStreams[] = {"StandardInput", "StandardOutput", "StandardError"};
  for (std::size_t i = 0; i < std::size(kStreams); ++i) {
    if (!name.starts_with(kStreams[i]) || type_ != UnitType::service) continue;
    const std::string kind = name.substr(kStreams[i].size());
    if (kind == "FileDescriptor") {
      if (type != "h") return expecting(name, type, "h");
      streams_.at(i) = in.h();
      return true;
    }
    const char* word = kind == "File"                 ? "file"
                       : kind == "FileToAppend"       ? "append"
                       : kind == "FileToTruncate"     ? "truncate"
                       : kind == "FileDescriptorName" ? "fd"
                                                      : nullptr;
    if (word == nullptr || kind.empty()) return false;
    if (type != "s") return expecting(name, type, "s");
    PIDWARD_CHECK(add_text(std::string(kStreams[i]), fmt::format("{}:{}", word, in.s())));
    return true;
  }
  std::string stem;
  if (!name.starts_with("Limit") || !ends_with(name, "Soft", stem)) return false;
  if (type != "t") return expecting(name, type, "t");
  const std::uint64_t soft = in.t();
  for (Entry& entry : entries_) {
    auto* limit = std::get_if<unit::ResourceLimit>(&entry.value);
    if (limit == nullptr || unit::row(entry.directive).bus_name != stem) continue;
    limit->soft = std::min(soft, limit->hard);
    return true;
  }
  const Row* row = unit::find_bus_row(Section::Service, stem);
  if (row == nullptr || !section_of(*row)) return false;
  PIDWARD_CHECK(add(*row, unit::ResourceLimit{soft, soft}));
  return true;
}

Status PropertySet::read_assignments(Reader& in) {
  in.enter('a', "(ss)");
  while (in.more() && in.enter('r', "ss")) {
    const std::string directive = in.s();
    const std::string text = in.s();
    in.exit();
    PIDWARD_CHECK(add_text(directive, text));
  }
  in.exit();
  return {};
}

Status PropertySet::add_text(const std::string& directive, const std::string& text) {
  const Row* row = nullptr;
  for (const Section section : sections()) {
    if (row == nullptr) row = unit::find_row(section, directive);
  }
  if (row == nullptr) {
    Error unknown(Errc::invalid_argument, fmt::format("{} is no directive of a {} unit.", directive,
                                                      unit::to_string(type_)));
    for (const Section section : sections()) {
      if (const auto near = unit::nearest_name(section, directive)) {
        return std::move(unknown).advise(fmt::format("Did you mean {}?", *near));
      }
    }
    return unknown;
  }
  if (text.empty()) {
    const Directive store = unit::stored_under(row->id);
    std::erase_if(entries_, [store](const Entry& entry) { return entry.directive == store; });
    // Nothing was said before in a unit that is being made; elsewhere the reset has to be written.
    return only_changeable_ ? add(*row, unit::RawText{}) : Status();
  }
  auto value = unit::parse_value(*row, text);
  if (!value && row->id == Directive::OnCalendar) {
    // Time zones are files, which the loader reads; what is wrong is for it to say.
    return add(*row, std::vector<unit::Trigger>{{"OnCalendar", {}, text, nullptr}});
  }
  if (!value) {
    return Error(Errc::invalid_argument,
                 fmt::format("{}={}: {}", directive, text, value.error().message()))
        .advise(value.error().advice());
  }
  return add(*row, *std::move(value));
}

Status PropertySet::add(const Row& row, Value value) {
  if (only_changeable_ && !row.changeable) {
    return Error(Errc::invalid_argument,
                 fmt::format("{} cannot be changed while the unit is loaded.", row.name))
        .advise("Change it in the unit file or a drop-in and reload");
  }
  const auto section = section_of(row);
  if (!section) {
    return Error(Errc::invalid_argument,
                 fmt::format("{} is no directive of a {} unit.", row.name, unit::to_string(type_)));
  }
  const Directive store = unit::stored_under(row.id);
  for (Entry& entry : entries_) {
    if (entry.directive != store) continue;
    if (entry.value.index() != value.index()) {
      entry.value = std::move(value);  // what was there is the mark of a reset
    } else {
      unit::merge_value(row, entry.value, std::move(value));
    }
    return {};
  }
  entries_.push_back({*section, store, std::move(value)});
  return {};
}

Result<std::string> PropertySet::unit_text() const {
  std::string text = "# Made on request and gone with the unit; do not edit.\n";
  for (const Section section : sections()) {
    std::string lines;
    for (const Entry& entry : entries_) {
      if (entry.section != section) continue;
      PIDWARD_TRY(const std::string written,
                  unit::format_for_file(unit::row(entry.directive), entry.value));
      lines += written;
    }
    if (!lines.empty()) text += section_text(section, lines);
  }
  return text;
}

Result<std::vector<runtime::DropInText>> PropertySet::drop_ins() const {
  std::vector<runtime::DropInText> out;
  for (const Entry& entry : entries_) {
    const Row& row = unit::row(entry.directive);
    PIDWARD_TRY(const std::string lines, unit::format_for_file(row, entry.value));
    out.push_back(
        {fmt::format("50-{}.conf", row.name),
         "# Written by set-property; do not edit.\n" + section_text(entry.section, lines)});
  }
  return out;
}

}  // namespace pidward::bus
