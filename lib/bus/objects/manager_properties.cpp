// Manager: properties. The daemon's own, and those systemd has whose answer here never changes.
#include <algorithm>

#include <fmt/core.h>
#include <sys/utsname.h>

#include "bus/objects/tables.hpp"
#include "bus/services.hpp"
#include "runtime/system_facts.hpp"

namespace pidward::bus {
namespace {

std::string architecture() {
  utsname names{};
  if (::uname(&names) != 0) return {};
  const std::string machine = names.machine;
  const std::string_view known = runtime::architecture_name(machine);
  return known.empty() ? machine : std::string(known);
}

/// As systemd has it: the innermost of what we run in.
std::string virtualization_word() {
  const runtime::Virtualization& found = runtime::virtualization();
  return found.container.empty() ? found.vm : found.container;
}

std::string features_line(const sys::KernelFeatures& features) {
  std::string line;
  for (const sys::FeatureText& text : sys::feature_texts()) {
    if (!line.empty()) line += ' ';
    line += features.has(text.feature) ? '+' : '-';
    line += text.name;
  }
  return line;
}

std::uint32_t count_units(const Subject& subject, bool (*wanted)(const engine::UnitStatus&)) {
  const engine::Engine& engine = subject.manager.engine();
  const auto units = engine.units();
  return static_cast<std::uint32_t>(std::count_if(
      units.begin(), units.end(), [&](UnitId id) { return wanted(engine.status(id)); }));
}

Status set_log_level(const Subject& /*subject*/, Reader& in) {
  PIDWARD_TRY(const LogLevel level, parse_log_level(in.s()));
  set_max_log_level(level);
  return {};
}

void unset_time(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.t(0);
}
void no(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.b(false);
}
void yes(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.b(true);
}
void empty_text(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.s("");
}

constexpr Property kIdentity[] = {
    {"Version", "s", kConst, [](Writer& out, const Subject&, RowPtr) { out.s(PIDWARD_VERSION); }},
    {"Features", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(features_line(s.manager.features())); }},
    {"Virtualization", "s", kConst,
     [](Writer& out, const Subject&, RowPtr) { out.s(virtualization_word()); }},
    {"Architecture", "s", kConst,
     [](Writer& out, const Subject&, RowPtr) { out.s(architecture()); }},
    {"Tainted", "s", kConst, empty_text},
    {"UnitPath", "as", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.manager.search_path().directories); }},
    {"LogDirectory", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.log_directory()); }},
    {"RuntimeDirectory", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.config().runtime_directory); }},
    {"UnitConfigDirectory", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.search_path().config_dir); }},
    {"UnitRuntimeDirectory", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.search_path().runtime_dir); }},
    {"ConfirmSpawn", "b", kConst, no},
    {"ShowStatus", "b", kNever, no},
    {"ServiceWatchdogs", "b", kNever, yes},
    {"DefaultStandardOutput", "s", kConst,
     [](Writer& out, const Subject&, RowPtr) { out.s("journal"); }},
    {"DefaultStandardError", "s", kConst,
     [](Writer& out, const Subject&, RowPtr) { out.s("inherit"); }},
    {"WatchdogDevice", "s", kConst, empty_text},
};

constexpr Property kManagerTimes[] = {
    {"FirmwareTimestamp", "t", kConst, unset_time},
    {"FirmwareTimestampMonotonic", "t", kConst, unset_time},
    {"LoaderTimestamp", "t", kConst, unset_time},
    {"LoaderTimestampMonotonic", "t", kConst, unset_time},
    {"KernelTimestamp", "t", kConst, unset_time},
    {"KernelTimestampMonotonic", "t", kConst, unset_time},
    {"InitRDTimestamp", "t", kConst, unset_time},
    {"InitRDTimestampMonotonic", "t", kConst, unset_time},
    {"UserspaceTimestamp", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.time(s.manager.startup_time().wall); }},
    {"UserspaceTimestampMonotonic", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.time(s.manager.startup_time().mono); }},
    {"FinishTimestamp", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.time(s.manager.finished_time().wall); }},
    {"FinishTimestampMonotonic", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.time(s.manager.finished_time().mono); }},
};

constexpr Property kManagerState[] = {
    {"LogLevel", "s", kNever,
     [](Writer& out, const Subject&, RowPtr) { out.s(to_string(max_log_level())); }, nullptr,
     set_log_level},
    {"LogTarget", "s", kNever, [](Writer& out, const Subject&, RowPtr) { out.s("console"); }},
    {"NNames", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       std::size_t names = 0;
       const engine::Engine& engine = s.manager.engine();
       for (const UnitId id : engine.units()) names += 1 + engine.spec(id)->aliases.size();
       out.u(static_cast<std::uint32_t>(names));
     }},
    {"NFailedUnits", "u", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(count_units(s, [](const engine::UnitStatus& status) {
         return status.active == engine::ActiveState::failed;
       }));
     }},
    {"NJobs", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(static_cast<std::uint32_t>(s.manager.engine().jobs().size()));
     }},
    {"NInstalledJobs", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(s.manager.engine().job_counts().installed);
     }},
    {"NFailedJobs", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.u(s.manager.engine().job_counts().failed); }},
    {"Progress", "d", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       const std::size_t jobs = s.manager.engine().jobs().size();
       const std::size_t units = std::max<std::size_t>(s.manager.engine().units().size(), 1);
       out.d(jobs >= units ? 0.0 : 1.0 - static_cast<double>(jobs) / static_cast<double>(units));
     }},
    {"Environment", "as", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.manager.environment()); }},
    {"ControlGroup", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.config().control_group); }},
    {"SystemState", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(runtime::to_string(s.manager.system_state()));
     }},
    {"ExitCode", "y", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.y(static_cast<std::uint8_t>(s.services.exit_code));
     }},
};

constexpr Property kDefaults[] = {
    {"DefaultTimeoutStartUSec", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.span(s.manager.config().default_timeout_start);
     }},
    {"DefaultTimeoutStopUSec", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.span(s.manager.config().default_timeout_stop);
     }},
    {"DefaultTimeoutAbortUSec", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.span(s.manager.config().default_timeout_abort.value_or(
           s.manager.config().default_timeout_stop));
     }},
    {"DefaultRestartUSec", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.span(s.manager.config().default_restart); }},
    {"DefaultStartLimitIntervalUSec", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.span(s.manager.config().default_start_limit_interval);
     }},
    {"DefaultStartLimitBurst", "u", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(s.manager.config().default_start_limit_burst);
     }},
    {"DefaultCPUAccounting", "b", kConst, no},
    {"DefaultBlockIOAccounting", "b", kConst, no},
    {"DefaultMemoryAccounting", "b", kConst, yes},
    {"DefaultTasksAccounting", "b", kConst, yes},
    {"DefaultTarget", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.manager.config().default_target); }},
};

}  // namespace

void add_manager_properties(Interface& manager) {
  manager.add(kIdentity);
  manager.add(kManagerTimes);
  manager.add(kManagerState);
  manager.add(kDefaults);
}

}  // namespace pidward::bus
