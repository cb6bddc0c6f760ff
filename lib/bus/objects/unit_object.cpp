// Unit: methods every unit has, and the properties that are state and not settings.
#include <fmt/core.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

using engine::JobType;

template <JobType Type, bool Reload = false>
void request(const CallPtr& call) {
  const std::string mode = call->in().s();
  request_job(call, {.unit = name_of(call->services(), call->unit),
                     .type = Type,
                     .mode = mode,
                     .reload_if_possible = Reload});
}

void enqueue(const CallPtr& call) {
  const std::string type = call->in().s();
  enqueue_job(call, name_of(call->services(), call->unit), type, call->in().s());
}

void kill(const CallPtr& call) {
  const std::string whom = call->in().s();
  kill_unit(call, call->unit, whom, call->in().i());
}

void reset_failed(const CallPtr& call) {
  reply_status(call, call->services().manager.reset_failed(call->unit));
}

void set_properties(const CallPtr& call) {
  const bool runtime = call->in().b();
  set_unit_properties(call, name_of(call->services(), call->unit), runtime);
}

void clean_unit(const CallPtr& call) {
  clean(call, call->unit, call->in().as());
}
template <bool Freeze>
void freeze_unit(const CallPtr& call) {
  freeze(call, call->unit, Freeze);
}

void ref(const CallPtr& call) {
  add_reference(call, call->unit);
}
void unref(const CallPtr& call) {
  drop_reference(call, call->unit);
}

constexpr Method kUnitObjectMethods[] = {
    {"Start", "s", "mode", "o", "job", kChange, request<JobType::start>},
    {"Stop", "s", "mode", "o", "job", kChange, request<JobType::stop>},
    {"Reload", "s", "mode", "o", "job", kChange, request<JobType::reload>},
    {"Restart", "s", "mode", "o", "job", kChange, request<JobType::restart>},
    {"TryRestart", "s", "mode", "o", "job", kChange, request<JobType::try_restart>},
    {"ReloadOrRestart", "s", "mode", "o", "job", kChange, request<JobType::restart, true>},
    {"ReloadOrTryRestart", "s", "mode", "o", "job", kChange, request<JobType::try_restart, true>},
    {"EnqueueJob", "ss", "job_type,job_mode", "uososa(uosos)",
     "job_id,job_path,unit_id,unit_path,job_type,affected_jobs", kChange, enqueue},
    {"Kill", "si", "whom,signal", "", "", kChange, kill},
    {"ResetFailed", "", "", "", "", kChange, reset_failed},
    {"SetProperties", "ba(sv)", "runtime,properties", "", "", kChange, set_properties},
    {"Clean", "as", "mask", "", "", kChange, clean_unit},
    {"Freeze", "", "", "", "", kChange, freeze_unit<true>},
    {"Thaw", "", "", "", "", kChange, freeze_unit<false>},
    {"Ref", "", "", "", "", kChange, ref},
    {"Unref", "", "", "", "", kChange, unref},
};

void write_conditions(Writer& out, const Subject& subject, bool asserts) {
  const engine::UnitStatus& status = *subject.unit;
  const Now checked = asserts ? status.assert_checked : status.condition_checked;
  const bool passed = asserts ? status.assert_result : status.condition_result;
  // After a failure the line that failed is known, and of the others nothing.
  const int others = checked.mono != MonoTime() && passed ? 1 : 0;
  const std::string failed = passed ? std::string() : subject.manager.failed_condition(status.id);
  out.open_array("(sbbsi)");
  for (const unit::Condition& condition : subject.settings().conditions()) {
    if (condition.is_assert != asserts) continue;
    const std::string name = (asserts ? "Assert" : "Condition") + condition.kind;
    const std::string line = fmt::format("{}={}{}{}", name, condition.trigger ? "|" : "",
                                         condition.negate ? "!" : "", condition.parameter);
    out.open_struct("sbbsi")
        .s(name)
        .b(condition.trigger)
        .b(condition.negate)
        .s(condition.parameter)
        .i(line == failed ? -1 : others)
        .close();
  }
  out.close();
}

std::string_view load_error_name(unit::LoadState state) {
  using unit::LoadState;
  switch (state) {
    case LoadState::not_found:
      return "org.pidward1.NoSuchUnit";
    case LoadState::bad_setting:
      return "org.pidward1.BadUnitSetting";
    case LoadState::error:
      return "org.pidward1.LoadFailed";
    case LoadState::masked:
      return "org.pidward1.UnitMasked";
    case LoadState::stub:
    case LoadState::loaded:
    case LoadState::merged:
      return "";
  }
  return "";
}

void write_load_error(Writer& out, const Subject& subject) {
  const auto error = subject.spec().load_error();
  const std::string_view name = load_error_name(subject.spec().load_state);
  out.open_struct("ss").s(name).s(error && !name.empty() ? error->to_string() : "").close();
}

void write_job(Writer& out, const Subject& subject) {
  const JobId job = subject.unit->job;
  out.open_struct("uo").u(job.number()).o(job_path(job)).close();
}

constexpr Property kNames[] = {
    {"Id", "s", kConst, [](Writer& out, const Subject& s, RowPtr) { out.s(s.spec().name.str()); }},
    {"Names", "as", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.open_array("s").s(s.spec().name.str());
       for (const unit::UnitName& alias : s.spec().aliases) out.s(alias.str());
       out.close();
     }},
    {"Following", "s", kNever, [](Writer& out, const Subject&, RowPtr) { out.s(""); }},
    {"Description", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       const std::string& text = s.settings().string(unit::Directive::Description);
       out.s(text.empty() ? s.spec().name.str() : text);
     }},
    {"LoadState", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.s(unit::to_string(s.spec().load_state)); }},
    {"ActiveState", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(engine::to_string(s.unit->active)); }},
    {"FreezerState", "s", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(runtime::to_string(s.manager.freezer_state(s.unit->id)));
     }},
    {"SubState", "s", kEmits, [](Writer& out, const Subject& s, RowPtr) { out.s(s.unit->sub); }},
    {"FragmentPath", "s", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.s(s.spec().fragment ? s.spec().fragment->path : std::string());
     }},
    {"DropInPaths", "as", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.open_array("s");
       for (const unit::SourceFile& file : s.spec().dropins) out.s(file.path);
       out.close();
     }},
    {"UnitFileState", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.files.state); }},
    {"UnitFilePreset", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.files.preset); }},
};

#define PIDWARD_TIME(name, member)                                                   \
  {name, "t", kEmits,                                                                \
   [](Writer& out, const Subject& s, RowPtr) { out.time(s.unit->member.wall); }},    \
  {                                                                                  \
    name "Monotonic", "t", kEmits,                                                   \
        [](Writer& out, const Subject& s, RowPtr) { out.time(s.unit->member.mono); } \
  }

constexpr Property kTimes[] = {
    PIDWARD_TIME("StateChangeTimestamp", state_changed),
    PIDWARD_TIME("InactiveExitTimestamp", inactive_exit),
    PIDWARD_TIME("ActiveEnterTimestamp", active_enter),
    PIDWARD_TIME("ActiveExitTimestamp", active_exit),
    PIDWARD_TIME("InactiveEnterTimestamp", inactive_enter),
    PIDWARD_TIME("ConditionTimestamp", condition_checked),
    PIDWARD_TIME("AssertTimestamp", assert_checked),
};
#undef PIDWARD_TIME

constexpr Property kState[] = {
    {"CanStart", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.b(s.manager.engine().can_start(s.unit->id));
     }},
    {"CanStop", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.b(s.manager.engine().can_stop(s.unit->id)); }},
    {"CanReload", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.b(s.manager.engine().can_reload(s.unit->id));
     }},
    {"CanIsolate", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.b(s.manager.engine().can_isolate(s.unit->id));
     }},
    {"CanClean", "as", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.manager.cleanable(s.unit->id)); }},
    {"CanFreeze", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.b(!s.manager.control_group(s.unit->id).empty());
     }},
    {"Job", "(uo)", kEmits, [](Writer& out, const Subject& s, RowPtr) { write_job(out, s); }},
    {"NeedDaemonReload", "b", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.b(s.files.changed); }},
    {"Markers", "as", kNever, [](Writer& out, const Subject&, RowPtr) { out.empty("as"); }},
    {"ConditionResult", "b", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.b(s.unit->condition_result); }},
    {"AssertResult", "b", kEmits,
     [](Writer& out, const Subject& s, RowPtr) { out.b(s.unit->assert_result); }},
    {"Conditions", "a(sbbsi)", kInvalidates,
     [](Writer& out, const Subject& s, RowPtr) { write_conditions(out, s, false); }},
    {"Asserts", "a(sbbsi)", kInvalidates,
     [](Writer& out, const Subject& s, RowPtr) { write_conditions(out, s, true); }},
    {"LoadError", "(ss)", kConst,
     [](Writer& out, const Subject& s, RowPtr) { write_load_error(out, s); }},
    {"Diagnostics", "a(ssuus)", kConst,
     [](Writer& out, const Subject& s, RowPtr) { write_diagnostics(out, s.spec().diagnostics); }},
    {"Transient", "b", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.b(s.spec().transient); }},
    {"Perpetual", "b", kConst, [](Writer& out, const Subject&, RowPtr) { out.b(false); }},
    {"InvocationID", "ay", kEmits,
     [](Writer& out, const Subject& s, RowPtr) {
       const InvocationId& id = s.unit->invocation;
       id.is_null() ? out.empty("ay") : out.ay(id.bytes);
     }},
    {"Refs", "as", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.services.clients.holders(s.unit->id)); }},
    {"ActivationDetails", "a(ss)", kEmits,
     [](Writer& out, const Subject&, RowPtr) { out.empty("a(ss)"); }},
    {"FailureMessages", "as", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.manager.complaints(s.unit->id)); }},
    {"StartTriesLeft", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.u(s.unit->start_tries_left); }},
};

template <unit::Dependency Kind>
void write_related(Writer& out, const Subject& subject, RowPtr /*row*/) {
  const engine::Engine& engine = subject.manager.engine();
  out.open_array("s");
  for (const UnitId other : engine.related(subject.unit->id, Kind)) {
    out.s(engine.spec(other)->name.str());
  }
  out.close();
}

template <std::size_t Kind = 0>
void add_dependencies(Interface& interface) {
  if constexpr (Kind < unit::kDependencies) {
    constexpr auto kKind = static_cast<unit::Dependency>(Kind);
    interface.add(Property{.name = unit::to_string(kKind),
                           .type = "as",
                           .announce = Announce::constant,
                           .write = write_related<kKind>});
    add_dependencies<Kind + 1>(interface);
  }
}

}  // namespace

void add_unit_methods(Interface& unit) {
  unit.add(kUnitObjectMethods);
}

void add_unit_properties(Interface& unit) {
  unit.add(kNames);
  unit.add(kTimes);
  unit.add(kState);
}

void add_dependency_properties(Interface& unit) {
  add_dependencies(unit);
}

}  // namespace pidward::bus
