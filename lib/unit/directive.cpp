#include "unit/directive.hpp"

#include <algorithm>
#include <array>
#include <vector>

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

/// Positions in the table, sorted by name. Names are unique in it, so one index serves all
/// sections.
constexpr std::array<std::uint16_t, kRows> kByName = [] {
  std::array<std::uint16_t, kRows> order{};
  for (std::size_t i = 0; i < kRows; ++i) order[i] = static_cast<std::uint16_t>(i);
  std::sort(order.begin(), order.end(),
            [](std::uint16_t a, std::uint16_t b) { return kTable[a].name < kTable[b].name; });
  return order;
}();

/// The default of each row that has one.
struct Defaults {
  static constexpr std::uint16_t kNone = UINT16_MAX;
  std::array<std::uint16_t, kRows> places{};  ///< in `values`
  std::vector<Value> values;

  Defaults() {
    values.reserve(static_cast<std::size_t>(
        std::ranges::count_if(kTable, [](const Row& each) { return !each.default_text.empty(); })));
    for (std::size_t i = 0; i < kRows; ++i) {
      places[i] = kNone;
      if (kTable[i].default_text.empty()) continue;
      Result<Value> parsed = parse_value(kTable[i], kTable[i].default_text);
      PIDWARD_EXPECT(parsed.has_value());
      places[i] = static_cast<std::uint16_t>(values.size());
      values.push_back(*std::move(parsed));
    }
  }
};

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
  const auto* const found =
      std::ranges::lower_bound(kByName, name, {}, [](std::uint16_t at) { return kTable[at].name; });
  if (found != kByName.end() && kTable[*found].name == name &&
      (kTable[*found].sections & section_bit(section)) != 0) {
    return &kTable[*found];
  }
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
  static const Defaults kDefaults;
  const std::uint16_t place = kDefaults.places.at(static_cast<std::size_t>(id));
  return place == Defaults::kNone ? nullptr : &kDefaults.values[place];
}

}  // namespace pidward::unit
