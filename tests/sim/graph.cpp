#include "sim/graph.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/core.h>

#include "unit/calendar/calendar.hpp"
#include "unit/enums.hpp"

namespace pidward::sim {
namespace {

using unit::Dependency;
using unit::Directive;
using unit::Origin;
using unit::Settings;
using unit::UnitName;
using unit::UnitSpec;
using unit::UnitType;

unit::ExecCommand command(Random& random) {
  unit::ExecCommand made;
  made.path = "/bin/thing";
  made.argv = {"/bin/thing"};
  made.ignore_failure = random.chance(15);
  return made;
}

void maybe_commands(Settings& settings, Directive list, std::uint64_t percent, Random& random) {
  if (!random.chance(percent)) return;
  unit::ExecList commands;
  for (std::uint64_t i = 0; i <= random.below(2); ++i) commands.push_back(command(random));
  settings.set(list, commands);
}

void maybe_span(Settings& settings, Directive directive, std::uint64_t percent, Random& random) {
  if (!random.chance(percent)) return;
  static const std::vector<Duration> kSpans{Duration(0), std::chrono::milliseconds(100),
                                            std::chrono::seconds(1), std::chrono::seconds(30),
                                            kInfinity};
  settings.set(directive, random.pick(kSpans));
}

void fill_kill(Settings& settings, Random& random) {
  if (random.chance(30)) {
    settings.set(Directive::KillMode, static_cast<std::int64_t>(random.below(4)));
  }
  if (random.chance(10)) settings.set(Directive::SendSIGKILL, false);
  if (random.chance(10)) settings.set(Directive::SendSIGHUP, true);
  if (random.chance(10)) settings.set(Directive::KillSignal, std::int64_t{SIGINT});
}

void fill_service(Settings& settings, Random& random) {
  const auto type = static_cast<unit::ServiceType>(random.below(8));
  settings.set(Directive::Type, static_cast<std::int64_t>(type));
  unit::ExecList starts{command(random)};
  if (type == unit::ServiceType::oneshot && random.chance(40)) starts.push_back(command(random));
  settings.set(Directive::ExecStart, starts);
  maybe_commands(settings, Directive::ExecCondition, 8, random);
  maybe_commands(settings, Directive::ExecStartPre, 20, random);
  maybe_commands(settings, Directive::ExecStartPost, 20, random);
  maybe_commands(settings, Directive::ExecReload, 40, random);
  maybe_commands(settings, Directive::ExecStop, 25, random);
  maybe_commands(settings, Directive::ExecStopPost, 20, random);
  const bool oneshot = type == unit::ServiceType::oneshot;
  // systemd refuses Restart=always and on-success for oneshots; the loader does so here.
  auto restart = static_cast<std::int64_t>(random.below(7));
  if (oneshot && (restart == 1 || restart == 6)) restart = 2;
  if (random.chance(60)) settings.set(Directive::Restart, restart);
  if (random.chance(15)) settings.set(Directive::RestartMode, std::int64_t{1});
  if (random.chance(30)) settings.set(Directive::RemainAfterExit, true);
  if (random.chance(10)) settings.set(Directive::RestartSteps, std::uint64_t{3});
  if (random.chance(10)) settings.set(Directive::RestartMaxDelaySec, Duration(10'000'000));
  maybe_span(settings, Directive::RestartSec, 40, random);
  maybe_span(settings, Directive::TimeoutStartSec, 30, random);
  maybe_span(settings, Directive::TimeoutStopSec, 30, random);
  maybe_span(settings, Directive::TimeoutAbortSec, 10, random);
  maybe_span(settings, Directive::RuntimeMaxSec, 10, random);
  maybe_span(settings, Directive::WatchdogSec, 10, random);
  if (random.chance(20)) {
    settings.set(Directive::NotifyAccess, static_cast<std::int64_t>(random.below(4)));
  }
  if (type == unit::ServiceType::dbus)
    settings.set(Directive::BusName, std::string("org.example.X"));
  if (type == unit::ServiceType::forking && random.chance(60)) {
    settings.set(Directive::PIDFile, std::string("/run/thing.pid"));
  }
  if (random.chance(10)) settings.set(Directive::ExitType, std::int64_t{1});
  if (random.chance(10)) settings.set(Directive::TimeoutStopFailureMode, std::int64_t{1});
  fill_kill(settings, random);
}

void fill_timer(Settings& settings, Random& random) {
  static const std::vector<std::string> kBases{"OnActiveSec", "OnBootSec", "OnStartupSec",
                                               "OnUnitActiveSec", "OnUnitInactiveSec"};
  std::vector<unit::Trigger> triggers;
  for (std::uint64_t i = 0; i <= random.below(2); ++i) {
    triggers.push_back({random.pick(kBases), std::chrono::seconds(1 + random.below(60)), {}});
  }
  static const std::vector<std::string> kEvents{"*:*", "hourly", "daily UTC", "*:*:0/20",
                                                "2001-01-01"};
  if (random.chance(40)) {
    auto calendar = unit::parse_calendar(random.pick(kEvents), nullptr);
    triggers.push_back({"OnCalendar",
                        {},
                        unit::format_calendar(*calendar),
                        std::make_shared<const unit::Calendar>(*std::move(calendar))});
  }
  settings.set(unit::kTimerStore, triggers);
  for (const Directive flag : {Directive::Persistent, Directive::OnClockChange,
                               Directive::OnTimezoneChange, Directive::FixedRandomDelay}) {
    if (random.chance(25)) settings.set(flag, true);
  }
  if (random.chance(30)) settings.set(Directive::RemainAfterElapse, false);
  maybe_span(settings, Directive::RandomizedDelaySec, 20, random);
}

void fill_unit(Settings& settings, Random& random) {
  const auto flag = [&](Directive directive, std::uint64_t percent) {
    if (random.chance(percent)) settings.set(directive, true);
  };
  flag(Directive::StopWhenUnneeded, 8);
  flag(Directive::RefuseManualStart, 4);
  flag(Directive::RefuseManualStop, 4);
  flag(Directive::AllowIsolate, 20);
  flag(Directive::IgnoreOnIsolate, 10);
  maybe_span(settings, Directive::JobTimeoutSec, 8, random);
  maybe_span(settings, Directive::JobRunningTimeoutSec, 8, random);
  if (random.chance(20)) {
    settings.set(Directive::StartLimitBurst, std::uint64_t{1 + random.below(4)});
  }
  if (random.chance(15)) {
    settings.set(Directive::OnFailureJobMode, static_cast<std::int64_t>(random.below(3)));
  }
  if (random.chance(10)) settings.set(Directive::CollectMode, std::int64_t{1});
}

void fill(UnitSpec& spec, Random& random) {
  fill_unit(spec.settings, random);
  if (spec.name.type() == UnitType::service) fill_service(spec.settings, random);
  if (spec.name.type() == UnitType::timer) fill_timer(spec.settings, random);
  if (spec.name.type() == UnitType::scope) fill_kill(spec.settings, random);
  if (spec.name.type() == UnitType::path && random.chance(40)) {
    spec.settings.set(Directive::TriggerLimitBurst, std::uint64_t{1 + random.below(3)});
  }
  if (spec.name.type() == UnitType::socket) {
    spec.settings.set(Directive::ListenStream,
                      std::vector<unit::SocketListen>{{"Stream", "/run/thing.sock"}});
    if (spec.name.prefix().starts_with("accept")) spec.settings.set(Directive::Accept, true);
    maybe_commands(spec.settings, Directive::ExecStartPre, 15, random);
    maybe_commands(spec.settings, Directive::ExecStopPost, 15, random);
  }
}

Dependency random_kind(Random& random) {
  static const std::vector<Dependency> kKinds{
      Dependency::Requires,  Dependency::Requires,        Dependency::Wants,
      Dependency::Wants,     Dependency::BindsTo,         Dependency::Requisite,
      Dependency::PartOf,    Dependency::Upholds,         Dependency::Conflicts,
      Dependency::After,     Dependency::After,           Dependency::Before,
      Dependency::OnFailure, Dependency::OnSuccess,       Dependency::PropagatesReloadTo,
      Dependency::After,     Dependency::PropagatesStopTo};
  return random.pick(kKinds);
}

UnitName name_of(std::string text) {
  return *UnitName::parse(text);
}

void connect(UnitSpec& spec, const std::vector<UnitName>& names, Random& random) {
  for (const UnitName& other : names) {
    if (other == spec.name || !random.chance(22)) continue;
    const Dependency kind = random_kind(random);
    spec.dependencies.push_back({kind, Origin::file, other});
    const bool needs = kind == Dependency::Requires || kind == Dependency::BindsTo;
    if (needs && random.chance(60)) {
      spec.dependencies.push_back({Dependency::After, Origin::file, other});
    }
  }
  if (random.chance(3)) {
    spec.dependencies.push_back({Dependency::Wants, Origin::file, name_of("nowhere.service")});
  }
  const UnitType type = spec.name.type();
  if (type == UnitType::timer || type == UnitType::socket || type == UnitType::path) {
    std::vector<UnitName> services;
    std::copy_if(names.begin(), names.end(), std::back_inserter(services),
                 [](const UnitName& name) { return name.type() == UnitType::service; });
    if (!services.empty() && !spec.name.prefix().starts_with("accept")) {
      spec.dependencies.push_back({Dependency::Triggers, Origin::implicit, random.pick(services)});
    }
  }
  std::sort(spec.dependencies.begin(), spec.dependencies.end(), [](const auto& a, const auto& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.other < b.other;
  });
}

std::string random_name(std::uint64_t index, Random& random) {
  const std::uint64_t dice = random.below(100);
  if (dice < 62) return fmt::format("u{}.service", index);
  if (dice < 76) return fmt::format("u{}.target", index);
  if (dice < 82) return fmt::format("u{}.timer", index);
  if (dice < 85) return fmt::format("u{}.path", index);
  if (dice < 91) return fmt::format("{}{}.socket", random.chance(60) ? "accept" : "u", index);
  if (dice < 93) return fmt::format("u{}.slice", index);
  if (dice < 95) return fmt::format("u{}.scope", index);
  if (dice < 98) return fmt::format("u{}.mount", index);
  return fmt::format("u{}.device", index);
}

}  // namespace

std::vector<unit::UnitSpecPtr> random_graph(Random& random) {
  std::vector<UnitName> names;
  const std::uint64_t count = 2 + random.below(8);
  for (std::uint64_t i = 0; i < count; ++i) names.push_back(name_of(random_name(i, random)));
  std::vector<unit::UnitSpecPtr> specs;
  for (const UnitName& name : names) {
    auto spec = std::make_shared<UnitSpec>(name);
    const std::uint64_t dice = random.below(100);
    spec->load_state = unit::LoadState::loaded;
    if (dice < 3) spec->load_state = unit::LoadState::masked;
    if (dice == 4) spec->load_state = unit::LoadState::bad_setting;
    fill(*spec, random);
    connect(*spec, names, random);
    specs.push_back(std::move(spec));
  }
  return specs;
}

unit::UnitSpecPtr edited(const UnitSpec& spec, Random& random) {
  auto copy = std::make_shared<UnitSpec>(spec);
  // A limit that changes would make old starts count by a new measure.
  const auto burst = copy->settings.find(Directive::StartLimitBurst);
  std::optional<unit::Value> kept;
  if (burst != nullptr) kept = *burst;
  copy->settings = {};
  fill(*copy, random);
  copy->settings.unset(Directive::StartLimitBurst);
  if (kept) copy->settings.set(Directive::StartLimitBurst, *kept);
  return copy;
}

unit::UnitSpecPtr instance_of(const UnitName& name) {
  auto spec = std::make_shared<UnitSpec>(name);
  spec->load_state = unit::LoadState::loaded;
  unit::ExecCommand start;
  start.path = "/bin/per-connection";
  start.argv = {start.path};
  spec->settings.set(Directive::ExecStart, unit::ExecList{start});
  spec->settings.set(Directive::CollectMode, std::int64_t{1});
  return spec;
}

}  // namespace pidward::sim
