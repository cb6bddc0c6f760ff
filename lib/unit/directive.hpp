// The directive table: the only place that knows a directive. The rows are in lib/unit/table/*.inc,
// one file for each section; the readers, D-Bus properties, transient units, `show`, the YAML
// schema, the reference page and the list of what is not supported are made from it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "unit/name.hpp"
#include "unit/value.hpp"

namespace pidward::unit {

enum class Section : std::uint8_t {
  Unit,
  Install,
  Service,
  Socket,
  Timer,
  Path,
  Slice,
  Scope,
  /* known by name */ Mount,
  Automount,
  Swap
};
std::string_view to_string(Section section);

/// How a directive's text is read and which alternative of Value it becomes.
enum class Syntax : std::uint8_t {
  boolean,          ///< bool
  integer,          ///< int64, decimal
  unsigned_number,  ///< uint64, decimal, "infinity" where the row says so
  size,             ///< uint64 bytes, K M G T (base 1024), "infinity"
  seconds,          ///< Duration, bare number = seconds
  timeout,          ///< Duration as above, but 0 means infinity
  nanoseconds,      ///< uint64
  mode,             ///< int64, octal
  signal,           ///< int64, name or number
  choice,           ///< int64, index into Row::choices
  tristate,         ///< string: "yes", "no" or one of Row::choices, normalised (ProtectSystem= …)
  string,           ///< string, specifiers expanded
  path,             ///< string, absolute, specifiers expanded, simplified
  words,            ///< vector<string>, systemd.syntax quoting, specifiers expanded
  paths,            ///< vector<string>, absolute, '-' and '+' prefixes kept
  unit_name,        ///< string, one unit
  unit_names,       ///< dependencies: goes to UnitSpec::dependencies, not to Settings
  environment,      ///< vector<string> "KEY=VALUE", later ones win
  environment_files,  ///< vector<string>, '-' prefix kept
  exec,               ///< ExecList
  conditions,         ///< ConditionList
  exit_statuses,      ///< ExitStatusSet
  limit,              ///< ResourceLimit
  stream_input,       ///< StreamTarget over kStandardInputNames
  stream_output,      ///< StreamTarget over kStandardOutputNames
  exec_directories,   ///< vector<ExecDirectory>
  socket_listen,      ///< vector<SocketListen>
  trigger,            ///< vector<Trigger>
  working_directory,  ///< string: path, "~", with a leading '-' kept
  capabilities,       ///< uint64 bit set of CAP_*; '~' inverts
  secure_bits,        ///< int64
  cpu_set,            ///< vector<string> of cpu numbers, ranges expanded
  nice,               ///< int64 -20..19
  oom_score_adjust,   ///< int64 -1000..1000
  cpu_priority,       ///< int64 0..99, SCHED_FIFO and SCHED_RR
  io_priority,        ///< int64 0..7
  exit_code,          ///< int64 0..255
  search_path,        ///< vector<string>, absolute, written with colons between
  input_text,  ///< string of bytes, every line adds its text and a newline (StandardInputText=)
  input_data,  ///< string of bytes, every line adds what its base64 decodes to (StandardInputData=)
  delegate,    ///< vector<string>: controllers, "yes" for all or "no"; empty: on, with none
  resource,    ///< string: an amount, "infinity", "idle" or a share like "12.5%", normalised
  raw,         ///< RawText
};

/// What the directive does in this version of pidward.
enum class Effect : std::uint8_t {
  full,     ///< as documented
  ignored,  ///< accepted without a word, as systemd itself does (its NOTSUPPORTED and compatibility
            ///< names)
  none_yet,  ///< parsed and shown; using it logs one warning with file and line
};

/// Generated from the rows: one enumerator per directive, named as it is written
/// (Directive::ExecStart).
enum class Directive : std::uint16_t {
#define PIDWARD_DIRECTIVE(name, ...) name,
#include "unit/table/all.inc"
#undef PIDWARD_DIRECTIVE
  count_
};

struct Row {
  Directive id;
  std::string_view name;   ///< as written: "ExecStart"
  std::uint16_t sections;  ///< bit set of 1 << Section
  Syntax syntax;
  Effect effect;
  std::string_view default_text;  ///< in the directive's own syntax; empty: unset
  std::string_view
      bus_name;  ///< D-Bus property, empty: not on the bus; "RestartUSec" of RestartSec=
  std::string_view bus_type;  ///< its D-Bus signature
  /// For Syntax::choice, tristate and streams: the words. An empty word is a number without a name.
  std::span<const std::string_view> choices;
  bool changeable;           ///< set-property may change it while the unit runs
  std::string_view summary;  ///< one line for the reference page and the schema
};

/// A name systemd accepts for a directive that is called otherwise today (BindTo= for BindsTo=), or
/// that moved to another section ([Service] StartLimitBurst= is [Unit]'s).
struct Alias {
  std::uint16_t sections;  ///< where the old name is accepted
  std::string_view name;
  Directive target;
  std::string_view note;  ///< a sentence for whoever still writes the old name; empty: none
};

[[nodiscard]] constexpr std::uint16_t section_bit(Section section) {
  return static_cast<std::uint16_t>(1U << static_cast<unsigned>(section));
}
inline constexpr std::size_t kSections = 11;
/// The section written as "[NAME]", without the brackets.
std::optional<Section> parse_section(std::string_view name);
/// The section of units of this type alone: [Service]; nothing for targets and devices.
std::optional<Section> own_section(UnitType type);

/// Directives whose lines form one list together keep it in the Settings under one of them: all
/// Condition…= and Assert…= lines, all Listen…= lines, all triggers of a timer, all watched paths,
/// StandardInputText= and …Data=.
inline constexpr Directive kConditionStore = Directive::ConditionPathExists;
inline constexpr Directive kListenStore = Directive::ListenStream;
inline constexpr Directive kTimerStore = Directive::OnCalendar;
inline constexpr Directive kPathStore = Directive::PathExists;
inline constexpr Directive kInputDataStore = Directive::StandardInputData;
/// The directive under which the value of `id` is kept: itself, or one of the stores above.
Directive stored_under(Directive id);

/// All rows, indexed by Directive.
std::span<const Row> directive_table();
std::span<const Alias> alias_table();
const Row& row(Directive id);
/// Finds `name` in `section`; also knows systemd's compatibility aliases (BindTo= is BindsTo=).
const Row* find_row(Section section, std::string_view name);
/// The alias entry if `name` is one in `section`; for its note.
const Alias* find_alias(Section section, std::string_view name);
/// The row whose D-Bus property is `bus_name`, among those of `section`; for transient units and
/// set-property.
const Row* find_bus_row(Section section, std::string_view bus_name);
/// The known name in `section` nearest to a mistyped one, or nothing when none is near.
std::optional<std::string_view> nearest_name(Section section, std::string_view mistyped);
/// The default of a directive as a Value (parsed once), or nullptr when unset by default.
const Value* default_value(Directive id);

}  // namespace pidward::unit
