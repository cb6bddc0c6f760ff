// What the settings of a service mean, as plain functions: which exit is clean, what Restart= says
// to it, how long to wait. No state here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "unit/spec.hpp"

namespace pidward::engine {

class MachineContext;

/// Type=; unset it is oneshot without ExecStart=, dbus with BusName=, and simple otherwise.
[[nodiscard]] unit::ServiceType service_type(const unit::Settings& settings);
/// notify and notify-reload.
[[nodiscard]] bool waits_for_ready(unit::ServiceType type);
/// NotifyAccess=, where `none` means main for services that are expected to notify.
[[nodiscard]] unit::NotifyAccess notify_access(const unit::Settings& settings);

/// TimeoutStartSec= and its fallbacks; oneshot services have none by default. 0 is infinity.
[[nodiscard]] Duration start_timeout(const unit::Settings& settings, const EngineConfig& config);
[[nodiscard]] Duration stop_timeout(const unit::Settings& settings, const EngineConfig& config);
/// TimeoutAbortSec= or its default; where neither is set it is the stop timeout.
[[nodiscard]] Duration abort_timeout(const unit::Settings& settings, const EngineConfig& config);
/// RuntimeMaxSec= and a random part of RuntimeRandomizedExtraSec=, of services and scopes; infinity
/// where there is none. 0 is infinity.
[[nodiscard]] Duration longest_runtime(MachineContext& context);
/// WatchdogSec=; zero where there is none.
[[nodiscard]] Duration watchdog_interval(const unit::Settings& settings);

/// KillSignal=, or RestartKillSignal= where that is set and the stop is half of a restart.
[[nodiscard]] int stop_signal(const unit::Settings& settings, bool restarting);
/// A directive that names a signal.
[[nodiscard]] int signal_of(const unit::Settings& settings, unit::Directive directive,
                            int fallback);

/// Which rules of a clean exit apply: a daemon may end by SIGHUP, SIGINT, SIGTERM and SIGPIPE; a
/// command only by exit code 0. SuccessExitStatus= adds to both (systemd.service(5)).
enum class CleanRule : std::uint8_t { daemon, command };
/// success, exit_code, signal or core_dump. An unknown end counts as success, as systemd counts it.
[[nodiscard]] ServiceResult judge_exit(const ExitStatus& status, CleanRule rule,
                                       const unit::ExitStatusSet& success);
[[nodiscard]] bool contains(const unit::ExitStatusSet& set, const ExitStatus& status);

/// Restart= and its exit status lists, for a service that ended with `result`. `main` is how its
/// main process ended, if it did (systemd.service(5), table "Exit causes and the effect of the
/// Restart= settings").
[[nodiscard]] bool shall_restart(const unit::Settings& settings, ServiceResult result,
                                 const std::optional<ExitStatus>& main);
/// The pause before automatic restart number `nth`, counted from 1: RestartSec=, growing in
/// RestartSteps= geometric steps to RestartMaxDelaySec=.
[[nodiscard]] Duration restart_delay(const unit::Settings& settings, const EngineConfig& config,
                                     std::uint32_t nth);

/// SERVICE_RESULT=, and EXIT_CODE= and EXIT_STATUS= when the main process has ended
/// (systemd.exec(5)).
[[nodiscard]] std::vector<std::string> result_environment(ServiceResult result,
                                                          const std::optional<ExitStatus>& main);

}  // namespace pidward::engine
