// A small system in memory for tests of the loader and of the install operations.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "unit/install.hpp"
#include "unit/loader.hpp"
#include "unit/memory_source.hpp"

namespace pidward::unit::test {

inline UnitName name(std::string_view text) {
  return *UnitName::parse(text);
}

inline SpecifierContext specifiers() {
  SpecifierContext out;
  out.architecture = "x86-64";
  out.boot_id = "b00t";
  out.machine_id = "mach1ne";
  out.host_name = "box.example";
  out.short_host_name = "box";
  out.kernel_release = "6.1.0";
  out.user_name = "root";
  out.group_name = "root";
  out.home = "/root";
  out.shell = "/bin/sh";
  out.os_id = "debian";
  out.os_version_id = "12";
  out.runtime_root = "/run";
  out.state_root = "/var/lib";
  out.cache_root = "/var/cache";
  out.logs_root = "/var/log";
  out.config_root = "/etc";
  out.tmp_root = "/tmp";
  out.var_tmp_root = "/var/tmp";
  out.credentials_root = "/run/credentials";
  return out;
}

struct Tree {
  static constexpr const char* kEtc = "/etc/pidward/system/";
  static constexpr const char* kRun = "/run/pidward/system/";
  static constexpr const char* kUsr = "/usr/lib/pidward/system/";
  static constexpr const char* kLib = "/usr/lib/systemd/system/";
  static constexpr const char* kSystemd = "/etc/systemd/system/";

  MemorySource files;
  Scope scope = Scope::system;
  Settings defaults;

  static std::string service(const std::string& more = {}) {
    return "[Unit]\n" + more + "[Service]\nExecStart=/bin/true\n";
  }
  LoaderContext context() const {
    LoaderContext out;
    out.files = &files;
    SearchPathOptions options;
    options.scope = scope;
    options.home = "/home/me";
    options.xdg_runtime_dir = "/run/user/1000";
    out.path = make_search_path(options);
    out.scope = scope;
    out.specifiers = specifiers();
    out.defaults = defaults;
    return out;
  }
  UnitSpecPtr load(std::string_view unit) const { return UnitLoader(context()).load(name(unit)); }
  std::string state(std::string_view unit) const {
    auto state = unit_file_state(context(), name(unit));
    return state ? *state : "error: " + state.error().message();
  }
  Result<InstallPlan> plan(InstallRequest request) const {
    return plan_install(context(), request);
  }
  /// Plans and carries out; the changes as "+path -> target" and "-path".
  std::vector<std::string> install(InstallRequest request) {
    auto plan = plan_install(context(), request);
    if (!plan) return {"error: " + plan.error().message()};
    std::vector<std::string> out;
    for (const InstallChange& change : plan->changes) {
      out.push_back(change.type == "symlink" ? "+" + change.path + " -> " + change.target
                                             : "-" + change.path);
    }
    if (auto done = apply(*plan, files); !done) out.push_back("error: " + done.error().message());
    return out;
  }
};

inline bool has(const UnitSpec& spec, Dependency kind, std::string_view other) {
  return std::any_of(
      spec.dependencies.begin(), spec.dependencies.end(),
      [&](const DependencyEdge& edge) { return edge.kind == kind && edge.other.str() == other; });
}

/// All messages of one severity, in one string.
inline std::string said(const UnitSpec& spec, Diagnostic::Severity severity) {
  std::string out;
  for (const Diagnostic& found : spec.diagnostics) {
    if (found.severity == severity) out += found.to_string() + "\n";
  }
  return out;
}
inline std::string errors(const UnitSpec& spec) {
  return said(spec, Diagnostic::Severity::error);
}
inline std::string warnings(const UnitSpec& spec) {
  return said(spec, Diagnostic::Severity::warning);
}

inline std::vector<std::string> texts(const std::vector<UnitName>& names) {
  std::vector<std::string> out;
  for (const UnitName& each : names) out.push_back(each.str());
  return out;
}

}  // namespace pidward::unit::test
