#include "unit/directive.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/contract.hpp"
#include "unit/enums.hpp"
#include "unit/nearest.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

constexpr std::uint16_t kUnit = section_bit(Section::Unit);
constexpr std::uint16_t kInstall = section_bit(Section::Install);
constexpr std::uint16_t kService = section_bit(Section::Service);
constexpr std::uint16_t kSocket = section_bit(Section::Socket);
constexpr std::uint16_t kTimer = section_bit(Section::Timer);
constexpr std::uint16_t kPath = section_bit(Section::Path);
constexpr std::uint16_t kSlice = section_bit(Section::Slice);
constexpr std::uint16_t kScope = section_bit(Section::Scope);
constexpr std::uint16_t kExec = kService | kSocket;
constexpr std::uint16_t kKill = kService | kSocket | kScope;
constexpr std::uint16_t kCgroup = kService | kSocket | kSlice | kScope;

constexpr std::size_t kRows = static_cast<std::size_t>(Directive::count_);

constexpr std::array<Row, kRows> kTable{{
#define PIDWARD_DIRECTIVE(name, sections, syntax, effect, default_text, bus_name, bus_type, \
                          choices, changeable, summary)                                     \
  Row{Directive::name, #name,          sections,                                            \
      Syntax::syntax,  Effect::effect, default_text,                                        \
      bus_name,        bus_type,       std::span<const std::string_view>(choices),          \
      changeable,      summary},
#include "unit/table/all.inc"
#undef PIDWARD_DIRECTIVE
}};

constexpr Alias kAliases[] = {
#define PIDWARD_ALIAS(sections, name, target, note) Alias{sections, #name, Directive::target, note},
#include "unit/table/aliases.inc"
#undef PIDWARD_ALIAS
};

constexpr std::array<std::string_view, kSections> kSectionNames{
    "Unit",  "Install", "Service", "Socket",    "Timer", "Path",
    "Slice", "Scope",   "Mount",   "Automount", "Swap"};

/// Names are unique in the table, so one index serves all sections.
const std::unordered_map<std::string_view, const Row*>& index_by_name() {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Row*> map;
    for (const Row& each : kTable) map.emplace(each.name, &each);
    return map;
  }();
  return index;
}

}  // namespace

std::string_view to_string(Section section) {
  return kSectionNames.at(static_cast<std::size_t>(section));
}

std::optional<Section> parse_section(std::string_view name) {
  const auto* const found = std::find(kSectionNames.begin(), kSectionNames.end(), name);
  if (found == kSectionNames.end()) return std::nullopt;
  return static_cast<Section>(found - kSectionNames.begin());
}

std::optional<Section> own_section(UnitType type) {
  switch (type) {
    case UnitType::service:
      return Section::Service;
    case UnitType::socket:
      return Section::Socket;
    case UnitType::timer:
      return Section::Timer;
    case UnitType::path:
      return Section::Path;
    case UnitType::slice:
      return Section::Slice;
    case UnitType::scope:
      return Section::Scope;
    case UnitType::mount:
      return Section::Mount;
    case UnitType::automount:
      return Section::Automount;
    case UnitType::swap:
      return Section::Swap;
    case UnitType::target:
    case UnitType::device:
      return std::nullopt;
  }
  return std::nullopt;
}

Directive stored_under(Directive id) {
  const Row& r = row(id);
  if (r.syntax == Syntax::conditions) return kConditionStore;
  if (r.syntax == Syntax::socket_listen) return kListenStore;
  if (r.syntax == Syntax::trigger) return (r.sections & kTimer) != 0 ? kTimerStore : kPathStore;
  if (r.syntax == Syntax::input_text) return kInputDataStore;
  return id;
}

std::span<const Row> directive_table() {
  return kTable;
}
std::span<const Alias> alias_table() {
  return kAliases;
}

const Row& row(Directive id) {
  PIDWARD_EXPECT(id < Directive::count_);
  return kTable[static_cast<std::size_t>(id)];
}

const Alias* find_alias(Section section, std::string_view name) {
  for (const Alias& each : kAliases) {
    if ((each.sections & section_bit(section)) != 0 && each.name == name) return &each;
  }
  return nullptr;
}

const Row* find_row(Section section, std::string_view name) {
  const auto found = index_by_name().find(name);
  if (found != index_by_name().end() && (found->second->sections & section_bit(section)) != 0)
    return found->second;
  const Alias* const alias = find_alias(section, name);
  return alias == nullptr ? nullptr : &row(alias->target);
}

const Row* find_bus_row(Section section, std::string_view bus_name) {
  for (const Row& each : kTable) {
    if ((each.sections & section_bit(section)) != 0 && !each.bus_name.empty() &&
        each.bus_name == bus_name)
      return &each;
  }
  return nullptr;
}

std::optional<std::string_view> nearest_name(Section section, std::string_view mistyped) {
  NearestWord nearest(mistyped);
  for (const Row& each : kTable) {
    if ((each.sections & section_bit(section)) != 0 && each.effect != Effect::ignored)
      nearest.consider(each.name);
  }
  return nearest.get();
}

const Value* default_value(Directive id) {
  static const auto defaults = [] {
    std::vector<std::optional<Value>> values(kRows);
    for (const Row& each : kTable) {
      if (each.default_text.empty()) continue;
      Result<Value> parsed = parse_value(each, each.default_text);
      PIDWARD_EXPECT(parsed.has_value());
      values[static_cast<std::size_t>(each.id)] = *std::move(parsed);
    }
    return values;
  }();
  const auto& value = defaults.at(static_cast<std::size_t>(id));
  return value ? &*value : nullptr;
}

}  // namespace pidward::unit
