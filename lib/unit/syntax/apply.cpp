#include "unit/syntax/apply.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/enums.hpp"
#include "unit/nearest.hpp"
#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

using Severity = Diagnostic::Severity;

// A file that is not a unit file at all would complain on every line: nobody reads more than this.
constexpr std::size_t kMaxReports = 100;
constexpr std::size_t kMaxListItems = 4096;
constexpr std::string_view kWithoutEffect = "without effect in this version of pidward:";

std::optional<Dependency> dependency_of(const Row& row) {
  for (std::size_t i = 0; i < kDependencies; ++i) {
    const auto kind = static_cast<Dependency>(i);
    if (to_string(kind) == row.name) return kind;
  }
  return std::nullopt;
}

/// Without such a line the unit would be another one than its author wrote: it must not start (as
/// in systemd).
bool failure_is_fatal(const Row& row, std::string_view text) {
  constexpr std::array kFatal{
      Directive::User,       Directive::Group,       Directive::SupplementaryGroups,
      Directive::SocketUser, Directive::SocketGroup, Directive::RootDirectory};
  if (row.syntax == Syntax::exec) return true;
  if (row.syntax == Syntax::working_directory) return !text.starts_with('-');
  return std::find(kFatal.begin(), kFatal.end(), row.id) != kFatal.end();
}

/// A directive without effect that asks for nothing: PrivateTmp=no.
bool asks_for_nothing(const Row& row, const Value& value) {
  if (const bool* const boolean = std::get_if<bool>(&value);
      boolean != nullptr && row.default_text.empty()) {
    return !*boolean;
  }
  const Value* const by_default = default_value(row.id);
  return by_default != nullptr && *by_default == value;
}

std::size_t list_size(const Value& value) {
  return std::visit(
      [](const auto& held) -> std::size_t {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, RawText>) {
          return held.lines.size();
        } else if constexpr (requires { held.begin(); } && !std::is_same_v<Held, std::string>) {
          return held.size();
        } else {
          return 1;
        }
      },
      value);
}

/// In a template such a value cannot be judged before there is an instance.
bool needs_instance(std::string_view text) {
  return text.find("%i") != std::string_view::npos || text.find("%I") != std::string_view::npos ||
         text.find("%f") != std::string_view::npos;
}

}  // namespace

Applier::Applier(const ReadContext& context, std::string_view file, UnitSpec& into)
    : context_(context), file_(file), into_(into) {}

void Applier::report(Severity severity, TextPosition at, std::string message, std::string advice) {
  const bool first_error = severity == Severity::error && !error_reported_;
  if (++reported_ > kMaxReports && !first_error) {
    if (reported_ == kMaxReports + 1) {
      into_.diagnostics.push_back({Severity::note,
                                   {std::string(file_), at.line, 0},
                                   "there is more to say about this file, which is left out",
                                   {}});
    }
    return;
  }
  error_reported_ = error_reported_ || severity == Severity::error;
  into_.diagnostics.push_back(
      {severity, {std::string(file_), at.line, at.column}, std::move(message), std::move(advice)});
}

bool Applier::has_section(Section section) const {
  return section == Section::Unit || section == Section::Install ||
         own_section(context_.name.type()) == section;
}

void Applier::bad_section(std::string_view name, TextPosition at, bool as_error) {
  if (name.starts_with("X-")) return;
  const Severity severity = as_error || context_.strict ? Severity::error : Severity::warning;
  const std::string_view type = to_string(context_.name.type());
  if (parse_section(name)) {
    return report(severity, at,
                  fmt::format("a {} has no section [{}]; it is left out", type, name));
  }
  NearestWord nearest(name);
  for (std::size_t i = 0; i < kSections; ++i) {
    if (has_section(static_cast<Section>(i))) nearest.consider(to_string(static_cast<Section>(i)));
  }
  const auto near = nearest.get();
  report(severity, at, fmt::format("there is no section [{}]; it is left out", shortened(name)),
         near ? fmt::format("Did you mean [{}]?", *near) : "Sections of your own begin with X-.");
}

void Applier::assign(Section section, const IniAssignment& assignment, bool unknown_is_error) {
  // What mounts and the like say is for others to read.
  const bool foreign =
      section == Section::Mount || section == Section::Automount || section == Section::Swap;
  if (foreign || assignment.key.starts_with("X-")) return;
  const Row* const row = find_row(section, assignment.key);
  if (row == nullptr) return unknown_key(section, assignment, unknown_is_error);
  const Alias* const alias =
      assignment.key == row->name ? nullptr : find_alias(section, assignment.key);
  if (alias != nullptr && !alias->note.empty())
    report(Severity::note, assignment.key_at, std::string(alias->note));
  if (row->effect == Effect::ignored) return;
  if (assignment.value.empty() && row->syntax != Syntax::capabilities)
    return reset(section, *row, assignment);
  if (assignment.key == "OnFailureIsolate" && row->id == Directive::OnFailureJobMode) {
    IniAssignment modern = assignment;
    const auto isolate = parse_value(unit::row(Directive::AllowIsolate), assignment.value);
    if (isolate) modern.value = std::get<bool>(*isolate) ? "isolate" : "replace";
    return parse_and_store(section, *row, modern);
  }
  parse_and_store(section, *row, assignment);
}

void Applier::unknown_key(Section section, const IniAssignment& assignment, bool as_error) {
  if (reported_ > kMaxReports && (error_reported_ || !(as_error || context_.strict))) return;
  std::string advice;
  for (std::size_t i = 0; i < kSections && advice.empty(); ++i) {
    const auto other = static_cast<Section>(i);
    if (has_section(other) && find_row(other, assignment.key) != nullptr) {
      advice = fmt::format("It belongs in [{}].", to_string(other));
    }
  }
  if (const auto near = nearest_name(section, assignment.key); advice.empty() && near) {
    advice = fmt::format("Did you mean {}=?", *near);
  }
  report(as_error || context_.strict ? Severity::error : Severity::warning, assignment.key_at,
         fmt::format("there is no {}= in [{}]; the line is left out", shortened(assignment.key),
                     to_string(section)),
         std::move(advice));
}

void Applier::reset(Section section, const Row& row, const IniAssignment& assignment) {
  if (row.syntax == Syntax::unit_names) {
    return report(Severity::note, assignment.key_at,
                  fmt::format("{}= cannot be reset: the empty value has no effect", row.name),
                  "Dependencies can only be added.");
  }
  if (row.syntax == Syntax::conditions) {
    const bool asserts = row.name.starts_with("Assert");
    ConditionList left = into_.settings.conditions();
    std::erase_if(left, [asserts](const Condition& each) { return each.is_assert == asserts; });
    into_.settings.unset(kConditionStore);
    if (!left.empty()) into_.settings.set(kConditionStore, std::move(left));
    return;
  }
  if (row.syntax == Syntax::delegate) {
    // On, with no controllers (systemd.resource-control(5)).
    return into_.settings.set(row.id, std::vector<std::string>());
  }
  if (row.id == Directive::TimeoutSec && section == Section::Service) {
    into_.settings.unset(Directive::TimeoutStartSec);
    into_.settings.unset(Directive::TimeoutStopSec);
    return;
  }
  into_.settings.unset(stored_under(row.id));
}

void Applier::parse_and_store(Section section, const Row& row, const IniAssignment& assignment) {
  std::vector<ParseNote> notes;
  ParseContext parse;
  parse.name = &context_.name;
  parse.specifiers = context_.specifiers;
  parse.fragment_path =
      context_.fragment_path.empty() ? file_ : std::string_view(context_.fragment_path);
  parse.line = assignment.value_at.line;
  parse.notes = &notes;
  parse.zones = context_.zones;
  auto value = parse_value(row, assignment.value, parse);
  if (context_.name.is_template() && needs_instance(assignment.value)) {
    notes.clear();
    if (!value) return;
  }
  const bool fatal = failure_is_fatal(row, assignment.value);
  for (ParseNote& note : notes) {
    // A command with '-' in front that cannot be read is dropped on purpose.
    const bool serious = note.dropped && fatal && row.syntax != Syntax::exec;
    const Severity severity = serious        ? Severity::error
                              : note.dropped ? Severity::warning
                                             : Severity::note;
    report(severity, assignment.value_at,
           fmt::format("{}=: {}{}", row.name, note.message,
                       note.dropped && !serious ? "; it is left out" : ""),
           std::move(note.advice));
  }
  if (!value) {
    return report(fatal ? Severity::error : Severity::warning, assignment.value_at,
                  fmt::format("{}=: {}{}", row.name, value.error().message(),
                              fatal ? "" : "; the line is left out"),
                  value.error().advice());
  }
  store(section, row, assignment.value, *std::move(value), assignment.value_at);
}

void Applier::store(Section section, const Row& row, std::string_view text, Value value,
                    TextPosition at) {
  warn_without_effect(row, value, at);
  if (row.syntax == Syntax::unit_names) {
    add_dependencies(row, std::get<std::vector<std::string>>(value), at);
    if (row.id == Directive::Sockets) store_merged(row, std::move(value), at);
    return;
  }
  if (row.id == Directive::Unit && into_.settings.is_set(row.id)) {
    return report(Severity::warning, at,
                  fmt::format("Unit=: {} is activated already; the line is left out",
                              into_.settings.string(row.id)),
                  "An empty Unit= in front makes it count.");
  }
  if (row.syntax == Syntax::capabilities)
    return store_capabilities(row, text, std::get<std::uint64_t>(value));
  if (row.id == Directive::TimeoutSec && section == Section::Service) {
    into_.settings.set(Directive::TimeoutStartSec, value);
    into_.settings.set(Directive::TimeoutStopSec, std::move(value));
    return;
  }
  store_merged(row, std::move(value), at);
}

void Applier::store_merged(const Row& row, Value value, TextPosition at) {
  const Directive id = stored_under(row.id);
  const Value* const before = into_.settings.find(id);
  if (before == nullptr) {
    if (list_size(value) > 0) into_.settings.set(id, std::move(value));
    return;
  }
  if (list_size(*before) >= kMaxListItems) {
    return report(Severity::error, at,
                  fmt::format("{}= has more than {} entries", row.name, kMaxListItems));
  }
  Value merged = *before;
  merge_value(row, merged, std::move(value));
  into_.settings.set(id, std::move(merged));
}

/// systemd.exec(5), CapabilityBoundingSet=: the first line sets, later ones add, with '~' they take
/// away; an empty set, written "" or "~", starts anew.
void Applier::store_capabilities(const Row& row, std::string_view text, std::uint64_t parsed) {
  const bool invert = text.starts_with('~');
  const std::uint64_t named = invert ? ~parsed : parsed;
  const std::uint64_t initial = row.id == Directive::CapabilityBoundingSet ? ~std::uint64_t{0} : 0;
  const Value* const before = into_.settings.find(row.id);
  const std::uint64_t current = before == nullptr ? initial : std::get<std::uint64_t>(*before);
  std::uint64_t set = parsed;
  if (named != 0 && current != initial) set = invert ? current & parsed : current | parsed;
  into_.settings.set(row.id, set);
}

void Applier::add_dependencies(const Row& row, const std::vector<std::string>& names,
                               TextPosition at) {
  for (const std::string& text : names) {
    auto name = UnitName::parse(text);
    if (!name) continue;
    if (*name == into_.name) {
      report(Severity::warning, at,
             fmt::format("{}=: {} cannot depend on itself; it is left out", row.name, text));
      continue;
    }
    if (row.id == Directive::Sockets && name->type() != UnitType::socket) {
      report(Severity::warning, at,
             fmt::format("Sockets=: {} is not a socket unit; it is left out", text));
      continue;
    }
    if (row.id == Directive::Sockets) {
      into_.dependencies.push_back({Dependency::Wants, Origin::file, *name});
      into_.dependencies.push_back({Dependency::TriggeredBy, Origin::file, *name});
      into_.dependencies.push_back({Dependency::After, Origin::file, *std::move(name)});
    } else if (const auto kind = dependency_of(row)) {
      into_.dependencies.push_back({*kind, Origin::file, *std::move(name)});
    }
  }
}

void Applier::warn_without_effect(const Row& row, const Value& value, TextPosition at) {
  if (row.effect != Effect::none_yet || asks_for_nothing(row, value)) return;
  const std::string setting = fmt::format("{}=", row.name);
  auto list =
      std::find_if(into_.diagnostics.begin(), into_.diagnostics.end(),
                   [](const Diagnostic& each) { return each.severity == Severity::unsupported; });
  if (list == into_.diagnostics.end()) {
    report(Severity::unsupported, at,
           fmt::format("{} {} (line {})", kWithoutEffect, setting, at.line));
    return;
  }
  if (list->message.find(fmt::format(" {} (", setting)) != std::string::npos) return;
  list->message += list->where.file == file_ ? fmt::format(", {} (line {})", setting, at.line)
                                             : fmt::format(", {} ({}:{})", setting, file_, at.line);
}

void Applier::finish() {
  auto& edges = into_.dependencies;
  std::sort(edges.begin(), edges.end(), [](const DependencyEdge& a, const DependencyEdge& b) {
    if (a.kind != b.kind) return a.kind < b.kind;
    if (a.other != b.other) return a.other < b.other;
    return a.origin < b.origin;
  });
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
}

}  // namespace pidward::unit
