// Manager: unit files and what enable, mask and their like do to them.
#include <algorithm>

#include <fmt/core.h>
#include <fnmatch.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

using unit::InstallOperation;
using unit::InstallPlan;
using unit::InstallRequest;

void write_changes(Writer& out, const std::vector<unit::InstallChange>& changes) {
  out.open_array("(sss)");
  for (const unit::InstallChange& change : changes) {
    out.open_struct("sss").s(change.type).s(change.path).s(change.target).close();
  }
  out.close();
}

/// Carries `request` out; the answer begins with carries_install_info where `with_info`.
void install(const CallPtr& call, const InstallRequest& request, bool with_info) {
  call->services().manager.install(request, [call, with_info](const Result<InstallPlan>& plan) {
    if (!plan) return call->fail(plan.error());
    call->reply([&](Writer& out) {
      if (with_info) out.b(plan->carries_install_info);
      write_changes(out, plan->changes);
    });
  });
}

/// (as files, b runtime[, b force])
template <InstallOperation Operation, bool HasForce, bool WithInfo>
void simple(const CallPtr& call) {
  InstallRequest request{.operation = Operation, .names = call->in().as()};
  request.runtime = call->in().b();
  if (HasForce) request.force = call->in().b();
  install(call, request, WithInfo);
}

constexpr std::uint64_t kRuntime = 1;
constexpr std::uint64_t kForce = 2;
constexpr std::uint64_t kPortable = 4;

template <InstallOperation Operation, bool WithInfo>
void with_flags(const CallPtr& call) {
  InstallRequest request{.operation = Operation, .names = call->in().as()};
  const std::uint64_t flags = call->in().t();
  if ((flags & ~(kRuntime | kForce | kPortable)) != 0) {
    return call->fail(Error(Errc::invalid_argument, "Invalid 'flags' parameter."));
  }
  request.runtime = (flags & kRuntime) != 0;
  request.force = (flags & kForce) != 0;
  install(call, request, WithInfo);
}

template <bool All>
void preset_with_mode(const CallPtr& call) {
  InstallRequest request{.operation = InstallOperation::preset, .names = {}};
  if (!All) request.names = call->in().as();
  const std::string mode = call->in().s();
  if (mode == "enable-only") {
    request.preset_mode = unit::PresetMode::enable_only;
  } else if (mode == "disable-only") {
    request.preset_mode = unit::PresetMode::disable_only;
  } else if (!mode.empty() && mode != "full") {
    return call->fail(Error(Errc::invalid_argument, fmt::format("Preset mode {} invalid", mode)));
  }
  request.runtime = call->in().b();
  request.force = call->in().b();
  // No names are all unit files, which is for PresetAllUnitFiles to ask.
  if (!All && request.names.empty()) {
    return call->reply([](Writer& out) {
      out.b(false);
      write_changes(out, {});
    });
  }
  install(call, request, !All);
}

/// The links that disabling the unit would remove.
void get_links(const CallPtr& call) {
  InstallRequest request{.operation = InstallOperation::disable, .names = {call->in().s()}};
  request.runtime = call->in().b();
  call->services().manager.plan_install(request, [call](const Result<InstallPlan>& plan) {
    if (!plan) return call->fail(plan.error());
    call->reply([&](Writer& out) {
      out.open_array("s");
      for (const unit::InstallChange& change : plan->changes) {
        if (change.type == "unlink") out.s(change.path);
      }
      out.close();
    });
  });
}

void revert(const CallPtr& call) {
  install(call, {.operation = InstallOperation::revert, .names = call->in().as()}, false);
}

void add_dependency(const CallPtr& call) {
  InstallRequest request{.operation = InstallOperation::add_wants, .names = call->in().as()};
  request.target = call->in().s();
  const std::string type = call->in().s();
  request.runtime = call->in().b();
  request.force = call->in().b();
  if (type == "Requires") {
    request.operation = InstallOperation::add_requires;
  } else if (type != "Wants") {
    return call->fail(
        Error(Errc::invalid_argument,
              fmt::format("Dependency type {} invalid, expecting Wants or Requires", type)));
  }
  install(call, request, false);
}

void reply_files(const CallPtr& call, const std::vector<std::string>& states,
                 const std::vector<std::string>& patterns) {
  using Entries = std::vector<unit::UnitFileEntry>;
  call->services().manager.list_unit_files([=](const Result<Entries>& entries) {
    if (!entries) return call->fail(entries.error());
    call->reply([&](Writer& out) {
      out.open_array("(ss)");
      for (const unit::UnitFileEntry& entry : *entries) {
        const std::string name = entry.path.substr(entry.path.rfind('/') + 1);
        const bool state_fits =
            states.empty() || std::count(states.begin(), states.end(), entry.state) > 0;
        const bool name_fits =
            patterns.empty() ||
            std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
              return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
            });
        if (!state_fits || !name_fits) continue;
        out.open_struct("ss").s(entry.path).s(entry.state).close();
      }
      out.close();
    });
  });
}

void list_all(const CallPtr& call) {
  reply_files(call, {}, {});
}
void list_by_patterns(const CallPtr& call) {
  const std::vector<std::string> states = call->in().as();
  reply_files(call, states, call->in().as());
}

void get_state(const CallPtr& call) {
  const std::string name = call->in().s();
  call->services().manager.unit_file_state(name, [call, name](const Result<std::string>& state) {
    if (state) return call->reply([&](Writer& out) { out.s(*state); });
    const Errc code = state.error().code();
    if (code != Errc::no_such_unit && code != Errc::not_found) return call->fail(state.error());
    call->fail(Error(Errc::not_found, fmt::format("Unit file {} does not exist.", name)));
  });
}

void get_preset(const CallPtr& call) {
  const std::string name = call->in().s();
  call->services().manager.unit_file_preset(name, [call](const Result<std::string>& preset) {
    if (!preset) return call->fail(preset.error());
    call->reply([&](Writer& out) { out.s(*preset); });
  });
}

void get_default_target(const CallPtr& call) {
  const std::string name = "default.target";
  call->services().manager.load(name, [call](const Result<UnitId>& unit) {
    if (!unit) return call->fail(unit.error());
    call->reply([&](Writer& out) { out.s(name_of(call->services(), *unit)); });
  });
}

void set_default_target(const CallPtr& call) {
  const std::string name = call->in().s();
  const bool force = call->in().b();
  call->services().manager.set_default_target(name, force, [call](const Result<InstallPlan>& plan) {
    if (!plan) return call->fail(plan.error());
    call->reply([&](Writer& out) { write_changes(out, plan->changes); });
  });
}

using Op = InstallOperation;
constexpr Method kFileMethods[] = {
    {"ListUnitFiles", "", "", "a(ss)", "unit_files", kRead, list_all},
    {"ListUnitFilesByPatterns", "asas", "states,patterns", "a(ss)", "unit_files", kRead,
     list_by_patterns},
    {"GetUnitFileState", "s", "file", "s", "state", kRead, get_state},
    {"GetUnitFilePreset", "s", "file", "s", "preset", kRead, get_preset},
    {"EnableUnitFiles", "asbb", "files,runtime,force", "ba(sss)", "carries_install_info,changes",
     kChange, simple<Op::enable, true, true>},
    {"DisableUnitFiles", "asb", "files,runtime", "a(sss)", "changes", kChange,
     simple<Op::disable, false, false>},
    {"EnableUnitFilesWithFlags", "ast", "files,flags", "ba(sss)", "carries_install_info,changes",
     kChange, with_flags<Op::enable, true>},
    {"DisableUnitFilesWithFlags", "ast", "files,flags", "a(sss)", "changes", kChange,
     with_flags<Op::disable, false>},
    {"ReenableUnitFiles", "asbb", "files,runtime,force", "ba(sss)", "carries_install_info,changes",
     kChange, simple<Op::reenable, true, true>},
    {"LinkUnitFiles", "asbb", "files,runtime,force", "a(sss)", "changes", kChange,
     simple<Op::link, true, false>},
    {"PresetUnitFiles", "asbb", "files,runtime,force", "ba(sss)", "carries_install_info,changes",
     kChange, simple<Op::preset, true, true>},
    {"PresetUnitFilesWithMode", "assbb", "files,mode,runtime,force", "ba(sss)",
     "carries_install_info,changes", kChange, preset_with_mode<false>},
    {"PresetAllUnitFiles", "sbb", "mode,runtime,force", "a(sss)", "changes", kChange,
     preset_with_mode<true>},
    {"GetUnitFileLinks", "sb", "name,runtime", "as", "links", kRead, get_links},
    {"MaskUnitFiles", "asbb", "files,runtime,force", "a(sss)", "changes", kChange,
     simple<Op::mask, true, false>},
    {"UnmaskUnitFiles", "asb", "files,runtime", "a(sss)", "changes", kChange,
     simple<Op::unmask, false, false>},
    {"RevertUnitFiles", "as", "files", "a(sss)", "changes", kChange, revert},
    {"AddDependencyUnitFiles", "asssbb", "files,target,type,runtime,force", "a(sss)", "changes",
     kChange, add_dependency},
    {"GetDefaultTarget", "", "", "s", "name", kRead, get_default_target},
    {"SetDefaultTarget", "sb", "name,force", "a(sss)", "changes", kChange, set_default_target},
};

constexpr Signal kFileSignals[] = {{"UnitFilesChanged", "", ""}};

}  // namespace

void add_unit_files(Interface& manager) {
  manager.add(kFileMethods);
  manager.add(kFileSignals);
}

}  // namespace pidward::bus
