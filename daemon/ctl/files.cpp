// enable, disable, mask and their like; the default target.
#include <cstdlib>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

void print_changes(const Session& session, const bus::Data& changes) {
  if (session.options().quiet) return;
  for (const bus::Data& change : changes.items) {
    if (change.items[0].text == "symlink") {
      fmt::print(stderr, "Created symlink {} \u2192 {}.\n", change.items[1].text,
                 change.items[2].text);
    } else if (change.items[0].text == "unlink") {
      fmt::print(stderr, "Removed {}.\n", change.items[1].text);
    } else {
      fmt::print(stderr, "{} {}\n", change.items[0].text, change.items[1].text);
    }
  }
}

struct FileVerb {
  const char* verb;
  const char* method;
  bool has_force;
  bool has_info;
};
constexpr FileVerb kVerbs[] = {
    {"enable", "EnableUnitFiles", true, true},
    {"disable", "DisableUnitFiles", false, false},
    {"reenable", "ReenableUnitFiles", true, true},
    {"mask", "MaskUnitFiles", true, false},
    {"unmask", "UnmaskUnitFiles", false, false},
    {"link", "LinkUnitFiles", true, false},
    {"preset", "PresetUnitFilesWithMode", true, true},
};

int reload(Session& session) {
  if (session.options().no_reload) return kSuccess;
  const auto answer = session.client().manager("Reload");
  return answer ? kSuccess : report(answer.error());
}

/// The answer to a request, once its changes are told.
int done(Session& session, const bus::MessageRef& answer) {
  bus::Reader in(answer.get());
  print_changes(session, bus::read_data(in));
  return reload(session);
}

int revert(Session& session, const std::vector<std::string>& names) {
  const auto answer =
      session.client().manager("RevertUnitFiles", [&](bus::Writer& out) { out.as(names); });
  return answer ? done(session, *answer) : report(answer.error());
}

std::string base_name(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  constexpr std::string_view kYaml = ".yaml";
  if (name.size() > kYaml.size() && name.ends_with(kYaml)) name.resize(name.size() - kYaml.size());
  return name;
}

/// Paths stay paths, but for verbs that go by the name; names are made whole.
std::vector<std::string> file_names(Session& session, int& status) {
  const std::string& verb = session.options().verb;
  const bool by_name = verb == "disable" || verb == "preset";
  std::vector<std::string> out;
  for (const std::string& typed : session.options().names) {
    if (by_name && typed.find('/') != std::string::npos) {
      out.push_back(base_name(typed));
      if (!session.options().quiet) {
        fmt::print(stderr, "Warning: {} goes by the name of a unit, {}, and not by its path.\n",
                   verb, out.back());
      }
      continue;
    }
    if (typed.find('/') != std::string::npos) {
      char* absolute = ::realpath(typed.c_str(), nullptr);
      out.emplace_back(absolute == nullptr ? typed.c_str() : absolute);
      std::free(absolute);  // NOLINT(cppcoreguidelines-no-malloc): realpath(3) allocates so
      continue;
    }
    const auto name = unit::UnitName::mangle(typed);
    if (!name) {
      status = report(name.error());
      continue;
    }
    out.push_back(name->str());
  }
  return out;
}

int apply_now(Session& session, const std::vector<std::string>& names) {
  const std::string& verb = session.options().verb;
  std::vector<std::string> units;
  for (const std::string& name : names) units.push_back(base_name(name));
  if (verb == "enable" || verb == "reenable") return change_units(session, "start", units);
  if (verb == "disable" || verb == "mask") return change_units(session, "stop", units);
  complain("--now is for enable, reenable, disable and mask");
  return kFailure;
}

}  // namespace

int run_unit_files(Session& session) {
  const Options& options = session.options();
  int status = kSuccess;
  const std::vector<std::string> names = file_names(session, status);
  if (names.empty()) {
    complain(fmt::format("{} needs the name of a unit", options.verb));
    return kFailure;
  }
  if (options.verb == "revert") return revert(session, names);
  for (const FileVerb& verb : kVerbs) {
    if (options.verb != verb.verb) continue;
    const auto answer = session.client().manager(verb.method, [&](bus::Writer& out) {
      out.as(names);
      if (options.verb == "preset") out.s(options.preset_mode);
      out.b(options.runtime);
      if (verb.has_force) out.b(options.force);
    });
    if (!answer) return report(answer.error());
    bus::Reader in(answer->get());
    const bool has_info = !verb.has_info || in.b();
    print_changes(session, bus::read_data(in));
    if (!has_info && !options.quiet && options.verb != "preset") {
      fmt::print(stderr,
                 "The unit files have no [Install] section: they are not meant to be enabled, but "
                 "started by other units, sockets, timers or by hand.\n");
    }
    const int reloaded = reload(session);
    if (reloaded != kSuccess) return reloaded;
    return options.now ? apply_now(session, names) : status;
  }
  return kFailure;
}

int run_default_target(Session& session) {
  if (session.options().verb == "get-default") {
    const auto answer = session.client().manager("GetDefaultTarget");
    if (!answer) return report(answer.error());
    fmt::print("{}\n", bus::Reader(answer->get()).s());
    return kSuccess;
  }
  if (session.options().names.size() != 1) {
    complain("set-default takes exactly one target");
    return kFailure;
  }
  const auto name = unit::UnitName::mangle(session.options().names[0], unit::UnitType::target);
  if (!name) return report(name.error());
  const auto answer = session.client().manager(
      "SetDefaultTarget", [&](bus::Writer& out) { out.s(name->str()).b(true); });
  return answer ? done(session, *answer) : report(answer.error());
}

int run_preset_all(Session& session) {
  const Options& options = session.options();
  const auto answer = session.client().manager("PresetAllUnitFiles", [&](bus::Writer& out) {
    out.s(options.preset_mode).b(options.runtime).b(options.force);
  });
  return answer ? done(session, *answer) : report(answer.error());
}

int run_add_dependency(Session& session) {
  const Options& options = session.options();
  if (options.names.size() < 2) {
    complain(fmt::format("{} takes a target and at least one unit", options.verb));
    return kFailure;
  }
  const auto target = unit::UnitName::mangle(options.names[0], unit::UnitType::target);
  if (!target) return report(target.error());
  std::vector<std::string> units;
  for (auto typed = options.names.begin() + 1; typed != options.names.end(); ++typed) {
    const auto name = unit::UnitName::mangle(*typed);
    if (!name) return report(name.error());
    units.push_back(name->str());
  }
  const auto answer = session.client().manager("AddDependencyUnitFiles", [&](bus::Writer& out) {
    out.as(units).s(target->str()).s(options.verb == "add-wants" ? "Wants" : "Requires");
    out.b(options.runtime).b(options.force);
  });
  return answer ? done(session, *answer) : report(answer.error());
}

}  // namespace pidward::ctl
