#include "engine/service/rules.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>

#include <fmt/core.h>

#include "engine/machine.hpp"

namespace pidward::engine {

using unit::Directive;
using unit::Settings;

namespace {

/// systemd writes "no limit" as infinity and, in these settings, as 0.
Duration or_infinity(Duration span) {
  return span == Duration::zero() ? kInfinity : span;
}

/// The first of these that is written in the unit.
std::optional<Duration> first_set(const Settings& settings, Directive one, Directive other) {
  if (settings.is_set(one)) return or_infinity(settings.span(one));
  if (settings.is_set(other)) return or_infinity(settings.span(other));
  return std::nullopt;
}

/// "TERM"; real-time signals are "RTMIN+3".
std::string signal_word(int signal) {
  if (const char* name = sigabbrev_np(signal)) return name;
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return fmt::format("RTMIN+{}", signal - SIGRTMIN);
  return std::to_string(signal);
}

}  // namespace

unit::ServiceType service_type(const Settings& settings) {
  if (settings.is_set(Directive::Type)) {
    return settings.choice<unit::ServiceType>(Directive::Type);
  }
  if (settings.commands(Directive::ExecStart).empty()) return unit::ServiceType::oneshot;
  if (!settings.string(Directive::BusName).empty()) return unit::ServiceType::dbus;
  return unit::ServiceType::simple;
}

bool waits_for_ready(unit::ServiceType type) {
  return type == unit::ServiceType::notify || type == unit::ServiceType::notify_reload;
}

unit::NotifyAccess notify_access(const Settings& settings) {
  const auto access = settings.choice<unit::NotifyAccess>(Directive::NotifyAccess);
  if (access != unit::NotifyAccess::none) return access;
  const bool expected =
      waits_for_ready(service_type(settings)) || watchdog_interval(settings) > Duration::zero();
  return expected ? unit::NotifyAccess::main : unit::NotifyAccess::none;
}

Duration start_timeout(const Settings& settings, const EngineConfig& config) {
  if (const auto set = first_set(settings, Directive::TimeoutStartSec, Directive::TimeoutSec)) {
    return *set;
  }
  if (service_type(settings) == unit::ServiceType::oneshot) return kInfinity;
  return or_infinity(config.default_timeout_start);
}

Duration stop_timeout(const Settings& settings, const EngineConfig& config) {
  return first_set(settings, Directive::TimeoutStopSec, Directive::TimeoutSec)
      .value_or(or_infinity(config.default_timeout_stop));
}

Duration abort_timeout(const Settings& settings, const EngineConfig& config) {
  if (settings.is_set(Directive::TimeoutAbortSec)) {
    return settings.span(Directive::TimeoutAbortSec);  // 0 is no time at all
  }
  if (config.default_timeout_abort) return *config.default_timeout_abort;
  return stop_timeout(settings, config);
}

Duration longest_runtime(MachineContext& context) {
  const Duration limit = or_infinity(context.settings().span(Directive::RuntimeMaxSec));
  if (limit == kInfinity) return limit;
  const Duration extra = context.settings().span(Directive::RuntimeRandomizedExtraSec);
  if (extra <= Duration::zero() || extra == kInfinity) return limit;
  const auto range = static_cast<std::uint64_t>(extra.count()) + 1;
  return saturating_add(limit, Duration(static_cast<Duration::rep>(context.random() % range)));
}

Duration watchdog_interval(const Settings& settings) {
  const Duration span = settings.span(Directive::WatchdogSec);
  return span == kInfinity ? Duration::zero() : span;
}

int signal_of(const Settings& settings, Directive directive, int fallback) {
  const std::int64_t number = settings.integer(directive);
  return number > 0 ? static_cast<int>(number) : fallback;
}

int stop_signal(const Settings& settings, bool restarting) {
  const int usual = signal_of(settings, Directive::KillSignal, SIGTERM);
  return restarting ? signal_of(settings, Directive::RestartKillSignal, usual) : usual;
}

bool contains(const unit::ExitStatusSet& set, const ExitStatus& status) {
  const auto has = [&](const std::vector<std::uint8_t>& sorted) {
    return std::binary_search(sorted.begin(), sorted.end(), static_cast<std::uint8_t>(status.code));
  };
  if (status.kind == ExitStatus::Kind::exited) return has(set.codes);
  return status.is_signal() && has(set.signals);
}

ServiceResult judge_exit(const ExitStatus& status, CleanRule rule,
                         const unit::ExitStatusSet& success) {
  if (contains(success, status)) return ServiceResult::success;
  switch (status.kind) {
    case ExitStatus::Kind::unknown:
      return ServiceResult::success;
    case ExitStatus::Kind::exited:
      return status.code == 0 ? ServiceResult::success : ServiceResult::exit_code;
    case ExitStatus::Kind::killed: {
      const bool polite = status.code == SIGHUP || status.code == SIGINT ||
                          status.code == SIGTERM || status.code == SIGPIPE;
      const bool clean = rule == CleanRule::daemon && polite;
      return clean ? ServiceResult::success : ServiceResult::signal;
    }
    case ExitStatus::Kind::dumped:
      return ServiceResult::core_dump;
  }
  return ServiceResult::success;
}

namespace {

/// The table of systemd.service(5), one line for each policy. What it calls "timeout" stands for
/// every failure that is neither an exit code nor a signal nor the watchdog.
bool policy_says(unit::RestartPolicy policy, ServiceResult result) {
  const bool ended_well = result == ServiceResult::success;
  const bool by_signal = result == ServiceResult::signal || result == ServiceResult::core_dump;
  switch (policy) {
    case unit::RestartPolicy::no:
      return false;
    case unit::RestartPolicy::on_success:
      return ended_well;
    case unit::RestartPolicy::on_failure:
      return !ended_well;
    case unit::RestartPolicy::on_abnormal:
      return !ended_well && result != ServiceResult::exit_code;
    case unit::RestartPolicy::on_watchdog:
      return result == ServiceResult::watchdog;
    case unit::RestartPolicy::on_abort:
      return by_signal;
    case unit::RestartPolicy::always:
      return true;
  }
  return false;
}

}  // namespace

bool shall_restart(const Settings& settings, ServiceResult result,
                   const std::optional<ExitStatus>& main) {
  // A condition that said no is no end of the service at all.
  if (result == ServiceResult::exec_condition) return false;
  if (main && contains(settings.exit_statuses(Directive::RestartPreventExitStatus), *main)) {
    return false;
  }
  // Even where RestartForceExitStatus= says otherwise.
  if (result == ServiceResult::success && service_type(settings) == unit::ServiceType::oneshot) {
    return false;
  }
  if (main && contains(settings.exit_statuses(Directive::RestartForceExitStatus), *main)) {
    return true;
  }
  return policy_says(settings.choice<unit::RestartPolicy>(Directive::Restart), result);
}

Duration restart_delay(const Settings& settings, const EngineConfig& config, std::uint32_t nth) {
  const Duration first = settings.is_set(Directive::RestartSec)
                             ? settings.span(Directive::RestartSec)
                             : config.default_restart;
  const Duration last = settings.span(Directive::RestartMaxDelaySec);
  const std::uint64_t steps = settings.number(Directive::RestartSteps);
  if (steps == 0 || last == kInfinity || last <= first || nth <= 1) return first;
  if (nth > steps) return last;
  // From zero no factor leads anywhere; a microsecond stands in for it.
  const double from = static_cast<double>(std::max(first, std::min(last, Duration(1))).count());
  const double growth = static_cast<double>(last.count()) / from;
  const double part = static_cast<double>(nth - 1) / static_cast<double>(steps);
  const Duration grown(static_cast<Duration::rep>(from * std::pow(growth, part)));
  return std::clamp(grown, first, last);
}

std::vector<std::string> result_environment(ServiceResult result,
                                            const std::optional<ExitStatus>& main) {
  std::vector<std::string> environment;
  environment.push_back(fmt::format("SERVICE_RESULT={}", to_string(result)));
  if (!main) return environment;
  switch (main->kind) {
    case ExitStatus::Kind::unknown:
      break;
    case ExitStatus::Kind::exited:
      environment.emplace_back("EXIT_CODE=exited");
      environment.push_back(fmt::format("EXIT_STATUS={}", main->code));
      break;
    case ExitStatus::Kind::killed:
      environment.emplace_back("EXIT_CODE=killed");
      environment.push_back(fmt::format("EXIT_STATUS={}", signal_word(main->code)));
      break;
    case ExitStatus::Kind::dumped:
      environment.emplace_back("EXIT_CODE=dumped");
      environment.push_back(fmt::format("EXIT_STATUS={}", signal_word(main->code)));
      break;
  }
  return environment;
}

}  // namespace pidward::engine
