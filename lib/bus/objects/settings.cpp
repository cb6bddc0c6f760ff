// Settings on the bus: made from the directive table, so that a new row is a new property.
#include <algorithm>
#include <charconv>
#include <deque>

#include <sys/resource.h>

#include "bus/objects/tables.hpp"
#include "engine/service/rules.hpp"
#include "engine/trigger_limit.hpp"
#include "exec/limits.hpp"
#include "runtime/resource_control.hpp"

namespace pidward::bus {
namespace {

using unit::Directive;
using unit::Row;
using unit::Syntax;
using unit::Value;

/// The value set or the default; nullptr when there is neither.
const Value* value_of(const Subject& subject, const Row& row) {
  return subject.settings().get(unit::stored_under(row.id));
}

std::string word_of(const Row& row, std::int64_t index) {
  if (index < 0 || static_cast<std::size_t>(index) >= row.choices.size()) return {};
  return std::string(row.choices[static_cast<std::size_t>(index)]);
}

/// Text for "s".
struct AsText {
  const Row& row;
  std::string operator()(bool value) const { return value ? "yes" : "no"; }
  std::string operator()(std::int64_t value) const {
    return row.choices.empty() ? std::to_string(value) : word_of(row, value);
  }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const unit::Boxed<unit::StreamTarget>& value) const {
    return word_of(row, (*value).kind);
  }
  std::string operator()(const std::vector<std::string>& value) const { return join(value); }
  std::string operator()(const unit::RawText& value) const { return join(value.lines); }
  template <typename T>
  std::string operator()(const T& /*value*/) const {
    return {};
  }
  static std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) {
      if (!out.empty()) out += ' ';
      out += word;
    }
    return out;
  }
};

/// A number for "t", "u", "i" and so on; nothing where the value is none.
struct AsNumber {
  std::optional<std::uint64_t> operator()(bool value) const { return value ? 1 : 0; }
  std::optional<std::uint64_t> operator()(std::int64_t value) const {
    return static_cast<std::uint64_t>(value);
  }
  std::optional<std::uint64_t> operator()(std::uint64_t value) const { return value; }
  std::optional<std::uint64_t> operator()(Duration value) const { return to_bus_usec(value); }
  std::optional<std::uint64_t> operator()(const unit::ResourceLimit& value) const {
    return value.hard;
  }
  std::optional<std::uint64_t> operator()(const unit::RawText& value) const {
    if (value.lines.empty()) return std::nullopt;
    return parse(value.lines.back());
  }
  std::optional<std::uint64_t> operator()(const std::string& value) const { return parse(value); }
  template <typename T>
  std::optional<std::uint64_t> operator()(const T& /*value*/) const {
    return std::nullopt;
  }
  static std::optional<std::uint64_t> parse(const std::string& text) {
    if (text == "infinity") return UINT64_MAX;
    std::uint64_t number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error != std::errc()) return std::nullopt;
    if (end == last) return number;
    // "512M": the units of sizes, to the base of 1024.
    constexpr std::string_view kUnits = "KMGTPE";
    const std::size_t unit = kUnits.find(*end);
    if (unit == std::string_view::npos || end + 1 != last) return std::nullopt;
    const std::size_t shift = 10 * (unit + 1);
    return number > UINT64_MAX >> shift ? UINT64_MAX : number << shift;
  }
};

struct AsBool {
  bool operator()(bool value) const { return value; }
  bool operator()(std::int64_t value) const { return value != 0; }
  bool operator()(const std::string& value) const {
    return value == "yes" || value == "true" || value == "on" || value == "1";
  }
  bool operator()(const std::vector<std::string>& value) const {
    return value.size() != 1 || value.front() != "no";
  }
  template <typename T>
  bool operator()(const T& /*value*/) const {
    return false;
  }
};

struct AsStrings {
  std::vector<std::string> operator()(const std::vector<std::string>& value) const { return value; }
  std::vector<std::string> operator()(const unit::RawText& value) const { return value.lines; }
  std::vector<std::string> operator()(const std::vector<unit::ExecDirectory>& value) const {
    std::vector<std::string> out;
    for (const unit::ExecDirectory& directory : value) out.push_back(directory.path);
    return out;
  }
  std::vector<std::string> operator()(const std::string& value) const {
    return value.empty() ? std::vector<std::string>() : std::vector<std::string>{value};
  }
  template <typename T>
  std::vector<std::string> operator()(const T& /*value*/) const {
    return {};
  }
};

/// What systemd shows where nothing is set: infinity for weights and bounds of cgroups, and 0 for
/// what is protected.
std::uint64_t unset_number(const Row& row) {
  if (row.bus_name.ends_with("MemoryMin") || row.bus_name.ends_with("MemoryLow")) return 0;
  return row.bus_type == "t" && (row.sections & section_bit(unit::Section::Slice)) != 0 ? UINT64_MAX
                                                                                        : 0;
}

void write_number(Writer& out, std::string_view type, std::uint64_t number) {
  switch (type[0]) {
    case 'y':
      out.y(static_cast<std::uint8_t>(number));
      return;
    case 'q':
      out.q(static_cast<std::uint16_t>(number));
      return;
    case 'i':
      out.i(static_cast<std::int32_t>(number));
      return;
    case 'u':
      out.u(number > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(number));
      return;
    case 'x':
      out.x(static_cast<std::int64_t>(number));
      return;
    default:
      out.t(number);
      return;
  }
}

/// A set of processor numbers as a bit mask, least significant byte first.
std::vector<std::uint8_t> bit_mask(const std::vector<std::string>& numbers) {
  std::vector<std::uint8_t> mask;
  for (const std::string& text : numbers) {
    const auto number = AsNumber::parse(text);
    if (!number || *number > 65535) continue;
    if (mask.size() <= *number / 8) mask.resize(*number / 8 + 1);
    mask[*number / 8] = static_cast<std::uint8_t>(mask[*number / 8] | (1U << (*number % 8)));
  }
  return mask;
}

void write_bytes(Writer& out, const Value& value) {
  if (const auto* words = std::get_if<std::vector<std::string>>(&value)) {
    out.ay(bit_mask(*words));
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    out.ay(std::vector<std::uint8_t>(text->begin(), text->end()));
  } else {
    out.empty("ay");
  }
}

void write_statuses(Writer& out, const unit::ExitStatusSet& set) {
  out.open_struct("aiai").open_array("i");
  for (const std::uint8_t code : set.codes) out.i(code);
  out.close().open_array("i");
  for (const std::uint8_t signal : set.signals) out.i(signal);
  out.close().close();
}

/// "(bas)": a list, and whether it is one of what is allowed. A leading ~ says what is not.
void write_filter(Writer& out, const std::vector<std::string>& lines) {
  std::vector<std::string> words;
  bool allows = true;
  for (const std::string& line : lines) {
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t end = std::min(line.find(' ', at), line.size());
      if (end > at) words.push_back(line.substr(at, end - at));
      at = end + 1;
    }
  }
  if (!words.empty() && words[0][0] == '~') {
    allows = false;
    words[0].erase(0, 1);
    if (words[0].empty()) words.erase(words.begin());
  }
  out.open_struct("bas").b(allows && !words.empty()).as(words).close();
}

/// A port alone is one of every address.
std::string with_host(const std::string& address) {
  const bool is_port = address.find_first_not_of("0123456789") == std::string::npos;
  return is_port ? "[::]:" + address : address;
}

void write_pairs(Writer& out, const Value& value) {
  out.open_array("(ss)");
  if (const auto* listens = std::get_if<std::vector<unit::SocketListen>>(&value)) {
    for (const unit::SocketListen& each : *listens) {
      out.open_struct("ss").s(each.type).s(with_host(each.address)).close();
    }
  } else if (const auto* triggers = std::get_if<std::vector<unit::Trigger>>(&value)) {
    for (const unit::Trigger& each : *triggers) {
      out.open_struct("ss").s(each.base).s(each.expression).close();
    }
  }
  out.close();
}

/// "a(sb)": paths whose leading '-' lets them be missing.
void write_optional_paths(Writer& out, const std::vector<std::string>& paths) {
  out.open_array("(sb)");
  for (const std::string& path : paths) {
    const bool optional = !path.empty() && path[0] == '-';
    out.open_struct("sb").s(optional ? path.substr(1) : path).b(optional).close();
  }
  out.close();
}

/// "(bs)": a label whose leading '-' lets it fail.
void write_label(Writer& out, const std::string& text) {
  const bool ignore = !text.empty() && text[0] == '-';
  out.open_struct("bs").b(ignore).s(ignore ? text.substr(1) : text).close();
}

void write_value(Writer& out, const Row& row, const Value& value) {
  const std::string_view type = row.bus_type;
  if (type == "b") {
    out.b(std::visit(AsBool(), value));
  } else if (type == "s") {
    const std::string text = std::visit(AsText{row}, value);
    // '!' is how systemd shows that the directory may be missing.
    const bool may_be_missing = row.syntax == Syntax::working_directory && text.starts_with('-');
    out.s(may_be_missing ? "!" + text.substr(1) : text);
  } else if (type.size() == 1 &&
             std::string_view("yqiuxt").find(type[0]) != std::string_view::npos) {
    const auto number = row.syntax == Syntax::resource
                            ? runtime::resource_number(row.id, std::get<std::string>(value),
                                                       runtime::machine_size())
                            : std::visit(AsNumber(), value);
    write_number(out, type, number.value_or(unset_number(row)));
  } else if (type == "as") {
    out.as(std::visit(AsStrings(), value));
  } else if (type == "ay") {
    write_bytes(out, value);
  } else if (const auto* statuses = unit::boxed<unit::ExitStatusSet>(value);
             type == "(aiai)" && statuses != nullptr) {
    write_statuses(out, *statuses);
  } else if (type == "a(sb)") {
    write_optional_paths(out, std::visit(AsStrings(), value));
  } else if (type == "a(ss)") {
    write_pairs(out, value);
  } else if (type == "(bas)") {
    write_filter(out, std::visit(AsStrings(), value));
  } else if (type == "(bs)") {
    write_label(out, std::visit(AsText{row}, value));
  } else {
    out.empty(type);
  }
}

/// Limit…= that is not set is the manager's own, which children inherit.
unit::ResourceLimit inherited_limit(const Row& row) {
  const auto resource = exec::resource_of(row.id);
  rlimit limit{};
  if (resource && ::getrlimit(static_cast<__rlimit_resource>(*resource), &limit) == 0) {
    return {.soft = limit.rlim_cur, .hard = limit.rlim_max};
  }
  return {.soft = UINT64_MAX, .hard = UINT64_MAX};
}

unit::ResourceLimit limit_of(const Subject& subject, const Row& row) {
  const Value* value = value_of(subject, row);
  const auto* limit = value == nullptr ? nullptr : std::get_if<unit::ResourceLimit>(value);
  return limit == nullptr ? inherited_limit(row) : *limit;
}

void write_hard_limit(Writer& out, const Subject& subject, const Row* row) {
  out.t(limit_of(subject, *row).hard);
}
void write_soft_limit(Writer& out, const Subject& subject, const Row* row) {
  out.t(limit_of(subject, *row).soft);
}

/// "a(sst)": the symbolic links of RuntimeDirectory= and its like; the flags are none.
void write_symlinks(Writer& out, const Subject& subject, const Row* row) {
  const Value* value = value_of(subject, *row);
  const auto* list =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::ExecDirectory>>(value);
  out.open_array("(sst)");
  if (list != nullptr) {
    for (const unit::ExecDirectory& directory : *list) {
      for (const std::string& link : directory.symlinks) {
        out.open_struct("sst").s(directory.path).s(link).t(0).close();
      }
    }
  }
  out.close();
}

void write_descriptor_name(Writer& out, const Subject& subject, const Row* row) {
  const unit::StreamTarget* const target = subject.settings().stream(row->id);
  const bool is_fd = target != nullptr && word_of(*row, target->kind) == "fd";
  out.s(is_fd ? target->argument : "");
}

/// Names made here live as long as the tables that refer to them: as long as the process.
std::string_view lasting(std::string text) {
  static std::deque<std::string> names;
  for (const std::string& known : names) {
    if (known == text) return known;
  }
  return names.emplace_back(std::move(text));
}

void write_delegated(Writer& out, const Subject& subject, const Row* /*row*/) {
  const auto delegated = runtime::delegated_controllers(subject.settings());
  out.open_array("s");
  for (const std::string_view each : delegated.value_or(std::vector<std::string_view>())) {
    out.s(each);
  }
  out.close();
}

void add_setting(Interface& interface, const Row& row) {
  Property property{.name = row.bus_name,
                    .type = row.bus_type,
                    .announce = row.changeable ? Announce::never : Announce::constant,
                    .write = write_setting,
                    .setting = &row};
  const std::string name(row.bus_name);
  if (row.syntax == Syntax::exec) {
    property.announce = Announce::invalidates;
    property.write = write_commands;
    interface.add(property);
    property.name = lasting(name + "Ex");
    property.type = "a(sasasttttuii)";
    property.write = write_commands_ex;
  } else if (row.syntax == Syntax::limit) {
    property.write = write_hard_limit;
    interface.add(property);
    property.name = lasting(name + "Soft");
    property.write = write_soft_limit;
  } else if (row.syntax == Syntax::exec_directories) {
    interface.add(property);
    if (row.id == Directive::ConfigurationDirectory) return;
    property.name = lasting(name + "Symlink");
    property.type = "a(sst)";
    property.write = write_symlinks;
  } else if (row.syntax == Syntax::delegate) {
    interface.add(property);
    property.name = "DelegateControllers";
    property.type = "as";
    property.write = write_delegated;
  } else if (row.syntax == Syntax::stream_input || row.syntax == Syntax::stream_output) {
    interface.add(property);
    property.name = lasting(name + "FileDescriptorName");
    property.write = write_descriptor_name;
  }
  interface.add(property);
}

/// What holds for a setting that the unit leaves open, where that is not the table's default:
/// pidward.yaml's word, what depends on other settings, and systemd's -1 for none.
std::optional<std::uint64_t> number_where_unset(const Subject& subject, const Row& row) {
  const unit::Settings& settings = subject.settings();
  if (settings.is_set(row.id)) return std::nullopt;
  const engine::EngineConfig& config = subject.manager.engine().config();
  const auto is = [&row](Directive directive) { return row.id == directive; };
  if (is(Directive::StartLimitBurst)) return config.default_start_limit_burst;
  if (is(Directive::TriggerLimitBurst)) return engine::trigger_burst(subject.spec());
  if (is(Directive::LogLevelMax) || is(Directive::Mark) || is(Directive::Priority)) {
    return static_cast<std::uint64_t>(-1);
  }
  if (is(Directive::CPUSchedulingPriority)) {
    const auto policy = settings.integer(Directive::CPUSchedulingPolicy);
    return policy == SCHED_FIFO || policy == SCHED_RR ? 1 : 0;
  }
  std::optional<Duration> span;
  if (is(Directive::JobRunningTimeoutSec)) span = settings.span(Directive::JobTimeoutSec);
  if (is(Directive::TimeoutStartSec)) span = engine::start_timeout(settings, config);
  if (is(Directive::TimeoutStopSec)) span = engine::stop_timeout(settings, config);
  if (is(Directive::TimeoutAbortSec)) span = engine::abort_timeout(settings, config);
  if (is(Directive::TimeoutSec)) span = config.default_timeout_start;
  if (is(Directive::RestartSec)) span = config.default_restart;
  if (is(Directive::StartLimitIntervalSec)) span = config.default_start_limit_interval;
  if (is(Directive::TriggerLimitIntervalSec)) span = engine::trigger_interval(subject.spec());
  return span ? std::optional(to_bus_usec(*span)) : std::nullopt;
}

/// The same for texts and truth values. Nothing: what the table says.
bool write_where_unset(Writer& out, const Subject& subject, const Row& row) {
  if (subject.settings().is_set(row.id)) return false;
  if (row.id == Directive::FileDescriptorName) {
    out.s(subject.spec().descriptor_name());
  } else if (row.id == Directive::IgnoreOnIsolate) {
    out.b(subject.spec().ignores_isolate());
  } else {
    return false;
  }
  return true;
}

}  // namespace

void write_setting(Writer& out, const Subject& subject, const unit::Row* row) {
  if (const auto number = number_where_unset(subject, *row)) {
    return write_number(out, row->bus_type, *number);
  }
  if (write_where_unset(out, subject, *row)) return;
  const Value* value = value_of(subject, *row);
  if (value != nullptr) return write_value(out, *row, *value);
  if (row->bus_type == "t" && row->syntax != Syntax::capabilities) {
    out.t(unset_number(*row));
  } else if (row->syntax == Syntax::exit_code) {
    out.i(-1);
  } else if (row->id == Directive::RestartKillSignal) {
    out.i(static_cast<std::int32_t>(subject.settings().integer(Directive::KillSignal)));
  } else {
    out.empty(row->bus_type);
  }
}

void add_settings(Interface& interface, unit::Section section) {
  for (const unit::Row& row : unit::directive_table()) {
    const bool here = (row.sections & unit::section_bit(section)) != 0;
    // In [Service] it stands for two others.
    if (row.id == Directive::TimeoutSec && section == unit::Section::Service) continue;
    if (here && !row.bus_name.empty() && !row.bus_type.empty()) add_setting(interface, row);
  }
}

}  // namespace pidward::bus
