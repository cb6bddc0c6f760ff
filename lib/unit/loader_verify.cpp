#include "unit/loader_verify.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/core.h>

namespace pidward::unit {
namespace {

class Verifier {
 public:
  explicit Verifier(UnitSpec& spec) : spec_(spec), settings_(spec.settings) {}

  void any();
  void service();
  void socket();
  void timer();
  void path();
  void slice();

 private:
  void refuse(std::string message, std::string advice = {}, std::uint32_t line = 0) {
    say(Diagnostic::Severity::error, std::move(message), std::move(advice), line);
  }
  void warn(std::string message, std::string advice = {}) {
    say(Diagnostic::Severity::warning, std::move(message), std::move(advice), 0);
  }
  void say(Diagnostic::Severity severity, std::string message, std::string advice,
           std::uint32_t line) {
    Location where{spec_.fragment ? spec_.fragment->path : std::string(), line};
    spec_.diagnostics.push_back(
        {severity, std::move(where), std::move(message), std::move(advice)});
  }
  void isolate_mode(Directive mode, Dependency kind, std::string_view name);
  void commands();
  void oneshot();
  void forking_and_dbus();
  void limits();
  [[nodiscard]] bool is_empty(Directive store) const;
  [[nodiscard]] bool kills_group(bool mixed_too) const;

  UnitSpec& spec_;
  const Settings& settings_;
};

/// Fits both an absolute path and a name that is looked for in ExecSearchPath=.
bool is_executable_name(const std::string& path) {
  if (path.empty() || path == "." || path == "..") return false;
  return path.front() == '/' || path.find('/') == std::string::npos;
}

bool Verifier::is_empty(Directive store) const {
  const Value* value = settings_.find(store);
  if (value == nullptr) return true;
  if (const auto* listens = std::get_if<std::vector<SocketListen>>(value)) return listens->empty();
  if (const auto* triggers = std::get_if<std::vector<Trigger>>(value)) return triggers->empty();
  return false;
}

bool Verifier::kills_group(bool mixed_too) const {
  const auto mode = settings_.choice<KillMode>(Directive::KillMode);
  return mode == KillMode::control_group || (mixed_too && mode == KillMode::mixed);
}

void Verifier::isolate_mode(Directive mode, Dependency kind, std::string_view name) {
  if (settings_.choice<JobMode>(mode) != JobMode::isolate) return;
  const auto count =
      std::count_if(spec_.dependencies.begin(), spec_.dependencies.end(),
                    [kind](const DependencyEdge& edge) { return edge.kind == kind; });
  if (count > 1) {
    refuse(fmt::format("{}= names {} units although {}JobMode=isolate allows one. Refusing.", name,
                       count, name));
  }
}

void Verifier::any() {
  isolate_mode(Directive::OnFailureJobMode, Dependency::OnFailure, "OnFailure");
  isolate_mode(Directive::OnSuccessJobMode, Dependency::OnSuccess, "OnSuccess");
  const Duration running = settings_.span(Directive::JobRunningTimeoutSec);
  if (settings_.is_set(Directive::JobRunningTimeoutSec) &&
      settings_.is_set(Directive::JobTimeoutSec) && running != kInfinity &&
      running > settings_.span(Directive::JobTimeoutSec)) {
    warn("JobRunningTimeoutSec= is longer than JobTimeoutSec= and has no effect");
  }
}

void Verifier::commands() {
  constexpr std::array<Directive, 8> kLists{Directive::ExecCondition, Directive::ExecStartPre,
                                            Directive::ExecStart,     Directive::ExecStartPost,
                                            Directive::ExecReload,    Directive::ExecStop,
                                            Directive::ExecStopPost,  Directive::ExecStopPre};
  for (const Directive id : kLists) {
    for (const ExecCommand& command : settings_.commands(id)) {
      if (is_executable_name(command.path)) continue;
      refuse(fmt::format("{}= runs \"{}\", which is neither an absolute path nor the name of a "
                         "program. Refusing.",
                         row(id).name, command.path),
             {}, command.line);
    }
  }
}

void Verifier::oneshot() {
  const auto restart = settings_.choice<RestartPolicy>(Directive::Restart);
  if (restart == RestartPolicy::always || restart == RestartPolicy::on_success) {
    refuse(fmt::format(
               "Service has Restart={}, which isn't allowed for Type=oneshot services. Refusing.",
               restart == RestartPolicy::always ? "always" : "on-success"),
           "Use Restart=on-failure, or a timer that starts the service again");
  }
  if (settings_.choice<ServiceExitType>(Directive::ExitType) == ServiceExitType::cgroup) {
    refuse("Service has ExitType=cgroup, which isn't allowed for Type=oneshot services. Refusing.");
  }
  if (settings_.span(Directive::RuntimeMaxSec) != kInfinity &&
      settings_.is_set(Directive::RuntimeMaxSec)) {
    warn("RuntimeMaxSec= has no effect in combination with Type=oneshot",
         "TimeoutStartSec= bounds a oneshot");
  }
}

void Verifier::forking_and_dbus() {
  const auto type = settings_.choice<ServiceType>(Directive::Type);
  if (type == ServiceType::dbus && settings_.string(Directive::BusName).empty()) {
    refuse("Service has Type=dbus but no BusName=. Refusing.",
           "Name the bus name the service takes");
  }
  if (!settings_.string(Directive::PAMName).empty() && !kills_group(true)) {
    refuse("Service has PAMName= and therefore needs KillMode=control-group or mixed. Refusing.");
  }
}

void Verifier::limits() {
  if (settings_.span(Directive::RuntimeRandomizedExtraSec) > Duration::zero() &&
      settings_.span(Directive::RuntimeMaxSec) == kInfinity) {
    warn("RuntimeRandomizedExtraSec= has no effect without RuntimeMaxSec=");
  }
  if (settings_.is_set(Directive::RestartSteps) !=
      settings_.is_set(Directive::RestartMaxDelaySec)) {
    warn("RestartSteps= and RestartMaxDelaySec= have an effect only together");
  }
  if (settings_.is_set(Directive::RestartMaxDelaySec) &&
      settings_.span(Directive::RestartMaxDelaySec) < settings_.span(Directive::RestartSec)) {
    warn("RestartMaxDelaySec= is shorter than RestartSec= and has no effect");
  }
  if (settings_.string(Directive::USBFunctionDescriptors).empty() !=
      settings_.string(Directive::USBFunctionStrings).empty()) {
    warn("USBFunctionDescriptors= and USBFunctionStrings= have an effect only together");
  }
}

void Verifier::service() {
  commands();
  const auto type = settings_.choice<ServiceType>(Directive::Type);
  const bool start = !settings_.commands(Directive::ExecStart).empty();
  const bool stop = !settings_.commands(Directive::ExecStop).empty();
  const bool action =
      settings_.choice<EmergencyAction>(Directive::SuccessAction) != EmergencyAction::none;
  if (!start && !stop && !action) {
    refuse("Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.");
  } else if (type != ServiceType::oneshot && !start && !action) {
    refuse("Service has no ExecStart=, which is allowed for Type=oneshot services only. Refusing.");
  } else if (!start && !action && !settings_.boolean(Directive::RemainAfterExit)) {
    refuse(
        "Service has no ExecStart= and no SuccessAction=, and does not have RemainAfterExit=yes. "
        "Refusing.");
  }
  if (type != ServiceType::oneshot && settings_.commands(Directive::ExecStart).size() > 1) {
    refuse(
        "Service has more than one ExecStart=, which is allowed for Type=oneshot services only. "
        "Refusing.",
        "A drop-in that means to replace the command first says ExecStart= with nothing behind it",
        settings_.commands(Directive::ExecStart)[1].line);
  }
  if (type == ServiceType::oneshot) oneshot();
  forking_and_dbus();
  limits();
}

bool can_accept(const SocketListen& listen) {
  return listen.type == "Stream" || listen.type == "SequentialPacket";
}

void Verifier::socket() {
  commands();
  if (is_empty(kListenStore)) {
    refuse(
        "Socket unit has no Listen setting (ListenStream=, ListenDatagram=, ListenFIFO=, ...). "
        "Refusing.");
    return;
  }
  const auto& listens = std::get<std::vector<SocketListen>>(*settings_.find(kListenStore));
  if (settings_.boolean(Directive::Accept)) {
    const auto wrong = std::find_if_not(listens.begin(), listens.end(), can_accept);
    if (wrong != listens.end()) {
      refuse(fmt::format("Accept=yes, but Listen{}={} has no connections to accept. Refusing.",
                         wrong->type, wrong->address));
    }
    if (settings_.number(Directive::MaxConnections) == 0) refuse("MaxConnections= is 0. Refusing.");
    if (!settings_.string(Directive::Service).empty()) {
      refuse("Service= cannot be given together with Accept=yes. Refusing.",
             "Each connection gets an instance of the template with the socket's name");
    }
  }
  if (!settings_.string(Directive::PAMName).empty() && !kills_group(false)) {
    refuse("Socket unit has PAMName= and therefore needs KillMode=control-group. Refusing.");
  }
  const auto in_file_system =
      std::count_if(listens.begin(), listens.end(), [](const SocketListen& listen) {
        return listen.address.substr(0, 1) == "/" &&
               (listen.type == "Stream" || listen.type == "Datagram" ||
                listen.type == "SequentialPacket" || listen.type == "FIFO");
      });
  if (!settings_.words(Directive::Symlinks).empty() && in_file_system != 1) {
    refuse(fmt::format(
        "Symlinks= needs exactly one socket or FIFO in the file system, there are {}. Refusing.",
        in_file_system));
  }
}

void Verifier::timer() {
  if (is_empty(kTimerStore) && !settings_.boolean(Directive::OnClockChange) &&
      !settings_.boolean(Directive::OnTimezoneChange)) {
    refuse("Timer unit says no time at which it elapses. Refusing.",
           "OnCalendar=, OnBootSec= and the like do");
  }
}

void Verifier::path() {
  if (is_empty(kPathStore)) {
    refuse("Path unit names no path to watch. Refusing.",
           "PathExists=, PathChanged= and the like do");
  }
}

void Verifier::slice() {
  const std::string_view stem = spec_.name.stem();
  if (stem == "-") return;
  if (stem.front() == '-' || stem.back() == '-' || stem.find("--") != std::string_view::npos ||
      stem.find('@') != std::string_view::npos) {
    refuse(fmt::format(
        "{} is not a valid slice name: each dash opens a level below a named one. Refusing.",
        spec_.name.str()));
  }
}

}  // namespace

void verify_unit(UnitSpec& spec) {
  Verifier verifier(spec);
  verifier.any();
  switch (spec.name.type()) {
    case UnitType::service:
      verifier.service();
      break;
    case UnitType::socket:
      verifier.socket();
      break;
    case UnitType::timer:
      verifier.timer();
      break;
    case UnitType::path:
      verifier.path();
      break;
    case UnitType::slice:
      verifier.slice();
      break;
    case UnitType::target:
    case UnitType::scope:
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::device:
      break;
  }
}

}  // namespace pidward::unit
