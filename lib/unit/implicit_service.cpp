// What services and sockets imply: systemd.service(5), systemd.socket(5), and for both
// systemd.exec(5).
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

#include "unit/dependency.hpp"
#include "unit/implicit.hpp"

namespace pidward::unit::detail {
namespace {

/// A service that does not say its type: D-Bus with a bus name, otherwise simple, or oneshot with
/// nothing to run.
void infer_type(UnitSpec& spec) {
  Settings& settings = spec.settings;
  if (settings.is_set(Directive::Type)) return;
  ServiceType type = ServiceType::simple;
  if (!settings.string(Directive::BusName).empty()) {
    type = ServiceType::dbus;
  } else if (settings.commands(Directive::ExecStart).empty()) {
    type = ServiceType::oneshot;
  }
  settings.set(Directive::Type, static_cast<std::int64_t>(type));
}

/// Who may speak to the notify socket when the unit needs one and does not say.
void infer_notify_access(UnitSpec& spec, ServiceType type) {
  Settings& settings = spec.settings;
  const bool needs_socket = type == ServiceType::notify || type == ServiceType::notify_reload ||
                            settings.span(Directive::WatchdogSec) > Duration::zero() ||
                            settings.number(Directive::FileDescriptorStoreMax) > 0;
  if (needs_socket &&
      settings.choice<NotifyAccess>(Directive::NotifyAccess) == NotifyAccess::none) {
    settings.set(Directive::NotifyAccess, static_cast<std::int64_t>(NotifyAccess::main));
  }
}

/// Input that is given and not asked for is what is meant.
void infer_input(Settings& settings) {
  if (settings.is_set(Directive::StandardInput)) return;
  const Value* data = settings.find(kInputDataStore);
  const auto* bytes = data == nullptr ? nullptr : std::get_if<std::string>(data);
  if (bytes == nullptr || bytes->empty()) return;
  settings.set(Directive::StandardInput,
               StreamTarget{static_cast<std::int64_t>(StandardInput::data), {}});
}

/// "inherit" goes with an input that has another end to write to, and is the default there; with
/// any other input it is what the manager's default is (systemd.exec(5), and what systemd makes of
/// it).
void infer_output(Settings& settings) {
  const StreamTarget* const input = settings.stream(Directive::StandardInput);
  const auto kind =
      input == nullptr ? StandardInput::null : static_cast<StandardInput>(input->kind);
  const bool has_other_end = kind == StandardInput::tty || kind == StandardInput::tty_force ||
                             kind == StandardInput::tty_fail || kind == StandardInput::socket ||
                             kind == StandardInput::fd;
  const bool is_set = settings.is_set(Directive::StandardOutput);
  const StreamTarget inherited{static_cast<std::int64_t>(StandardOutput::inherit), {}};
  if (has_other_end) {
    if (!is_set) settings.set(Directive::StandardOutput, inherited);
  } else if (is_set && *settings.stream(Directive::StandardOutput) == inherited) {
    settings.unset(Directive::StandardOutput);
  }
}

const std::vector<ExecDirectory>& exec_directories(const Settings& settings, Directive id) {
  static const std::vector<ExecDirectory> kNone;
  const Value* value = settings.get(id);
  const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<ExecDirectory>>(value);
  return list == nullptr ? kNone : *list;
}

void add_directory_mounts(UnitSpec& spec, const ImplicitContext& context) {
  const SpecifierContext& roots = *context.specifiers;
  const std::array<std::pair<Directive, const std::string*>, 5> kinds{
      {{Directive::RuntimeDirectory, &roots.runtime_root},
       {Directive::StateDirectory, &roots.state_root},
       {Directive::CacheDirectory, &roots.cache_root},
       {Directive::LogsDirectory, &roots.logs_root},
       {Directive::ConfigurationDirectory, &roots.config_root}}};
  for (const auto& [id, root] : kinds) {
    for (const ExecDirectory& directory : exec_directories(spec.settings, id)) {
      add_mounts_for(spec, context, fmt::format("{}/{}", *root, directory.path), Origin::implicit,
                     true);
    }
  }
}

bool is_true(const Settings& settings, Directive id) {
  const Value* value = settings.get(id);
  if (value == nullptr) return false;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  if (const auto* word = std::get_if<std::string>(value)) return !word->empty() && *word != "no";
  return false;
}

/// A bus name alone asks for nothing: what merely has one may start before there is a bus.
void add_dbus(UnitSpec& spec, ServiceType type) {
  if (type != ServiceType::dbus) return;
  add_edge(spec, Dependency::Requires, Origin::implicit, "dbus.socket");
  add_edge(spec, Dependency::After, Origin::implicit, "dbus.socket");
}

void add_listen_mounts(UnitSpec& spec, const ImplicitContext& context) {
  const Value* value = spec.settings.get(kListenStore);
  const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<SocketListen>>(value);
  if (list == nullptr) return;
  for (const SocketListen& listen : *list) {
    add_mounts_for(spec, context, listen.address, Origin::implicit, true);
  }
}

/// Accept=no: the socket starts one service, Service= or its namesake. Accept=yes: an instance each
/// time, which nobody can name yet.
void add_activated_service(UnitSpec& spec) {
  if (spec.settings.boolean(Directive::Accept)) return;
  UnitName service = spec.name.with_type(UnitType::service);
  Origin origin = Origin::implicit;
  if (const std::string& text = spec.settings.string(Directive::Service); !text.empty()) {
    const auto named = UnitName::parse(text);
    if (!named) return;
    service = *named;
    origin = Origin::file;
  }
  add_edge(spec, Dependency::Triggers, origin, service);
  add_edge(spec, Dependency::Before, Origin::implicit, service);
}

}  // namespace

void add_exec_dependencies(UnitSpec& spec, const ImplicitContext& context) {
  const Settings& settings = spec.settings;
  std::string_view working = settings.string(Directive::WorkingDirectory);
  if (working.substr(0, 1) != "-") add_mounts_for(spec, context, working, Origin::implicit, true);
  add_mounts_for(spec, context, settings.string(Directive::RootDirectory), Origin::implicit, true);
  add_mounts_for(spec, context, settings.string(Directive::RootImage), Origin::implicit, true);
  if (context.specifiers != nullptr) add_directory_mounts(spec, context);
  if (context.scope == Scope::user) return;
  for (const Directive id :
       {Directive::StateDirectory, Directive::CacheDirectory, Directive::LogsDirectory}) {
    // These must be writable, which the root file system may become late.
    if (!exec_directories(settings, id).empty()) {
      add_edge(spec, Dependency::After, Origin::implicit, "systemd-remount-fs.service");
    }
  }
  if (is_true(settings, Directive::PrivateTmp)) {
    add_mounts_for(spec, context, "/tmp", Origin::implicit, true);
    add_mounts_for(spec, context, "/var/tmp", Origin::implicit, true);
    add_edge(spec, Dependency::After, Origin::implicit, "systemd-tmpfiles-setup.service");
  }
  if (const std::string& space = settings.string(Directive::LogNamespace); !space.empty()) {
    if (const auto socket =
            UnitName::parse(fmt::format("systemd-journald@{}.socket", escape(space)))) {
      add_edge(spec, Dependency::Requires, Origin::implicit, *socket);
      add_edge(spec, Dependency::After, Origin::implicit, *socket);
    }
  } else if (settings.goes_to_log(Directive::StandardOutput) ||
             settings.goes_to_log(Directive::StandardError)) {
    add_edge(spec, Dependency::After, Origin::implicit, "systemd-journald.socket");
  }
}

void complete_service(UnitSpec& spec, const ImplicitContext& context) {
  infer_type(spec);
  const auto type = spec.settings.choice<ServiceType>(Directive::Type);
  if (type == ServiceType::oneshot && !spec.settings.is_set(Directive::TimeoutStartSec)) {
    spec.settings.set(Directive::TimeoutStartSec, kInfinity);
  }
  infer_notify_access(spec, type);
  infer_oom_policy(spec.settings);
  infer_input(spec.settings);
  infer_output(spec.settings);
  add_exec_dependencies(spec, context);
  add_slice(spec, context);
  add_dbus(spec, type);
  if (!spec.settings.boolean(Directive::DefaultDependencies)) return;
  if (context.scope == Scope::system) {
    add_sysinit(spec, context);
  } else {
    add_edge(spec, Dependency::Requires, Origin::defaulted, "basic.target");
  }
  add_edge(spec, Dependency::After, Origin::defaulted, "basic.target");
  add_shutdown(spec);
}

void complete_socket(UnitSpec& spec, const ImplicitContext& context) {
  add_activated_service(spec);
  add_listen_mounts(spec, context);
  if (const std::string& device = spec.settings.string(Directive::BindToDevice);
      !device.empty() && device != "lo") {
    if (const auto name =
            UnitName::parse(fmt::format("sys-subsystem-net-devices-{}.device", escape(device)))) {
      add_edge(spec, Dependency::BindsTo, Origin::implicit, *name);
      add_edge(spec, Dependency::After, Origin::implicit, *name);
    }
  }
  if (socket_runs_commands(spec.settings)) add_exec_dependencies(spec, context);
  add_slice(spec, context);
  if (!spec.settings.boolean(Directive::DefaultDependencies)) return;
  add_edge(spec, Dependency::Before, Origin::defaulted, "sockets.target");
  add_sysinit(spec, context);
  add_shutdown(spec);
}

}  // namespace pidward::unit::detail

namespace pidward::unit {

bool socket_runs_commands(const Settings& settings) {
  constexpr std::array kCommands{Directive::ExecStartPre, Directive::ExecStartPost,
                                 Directive::ExecStopPre, Directive::ExecStopPost};
  return std::ranges::any_of(
      kCommands, [&settings](Directive each) { return !settings.commands(each).empty(); });
}

}  // namespace pidward::unit
