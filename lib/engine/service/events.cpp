// From events to happenings: who ended, who came to be, and is it still of interest?
#include <algorithm>
#include <variant>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;

namespace {

/// How many early exits are kept; more than two processes are never under way.
constexpr std::size_t kEarlyExits = 16;

std::string_view list_name(Directive list) {
  return unit::row(list).name;
}

}  // namespace

void ServiceMachine::handle(MachineContext& context, const Event& event) {
  const auto ignored = [](const auto&) {};
  std::visit(
      [&](const auto& known) {
        if constexpr (requires { this->on(context, known); }) {
          this->on(context, known);
        } else {
          ignored(known);
        }
      },
      event);
}

void ServiceMachine::on(MachineContext& c, const Spawned& event) {
  const bool is_main = main_.spawn == event.spawn;
  Child& child = is_main ? main_ : control_;
  if (!event.spawn || child.spawn != event.spawn || !child.in_flight) return;
  child.in_flight = false;
  child.process = event.process;
  if (is_main) {
    status_.main = event.process;
    status_.main_status.process = event.process;
  } else {
    status_.control = event.process;
    if (CommandStatus* record = control_record()) record->process = event.process;
    if (child.doomed) {
      c.emit(KillProcesses{.unit = c.id(), .whom = KillWhom::control, .signal = 9});
    }
  }
  c.touch();
  happen(c, Happening::spawned);
  // Its end may have been told first.
  if (!rare_) return;
  const auto early = std::find_if(rare_->early.begin(), rare_->early.end(),
                                  [&](const auto& exit) { return exit.first == event.process; });
  if (early == rare_->early.end()) return;
  const ProcessExited exit{c.id(), early->first, early->second};
  rare_->early.erase(early);
  on(c, exit);
}

void ServiceMachine::on(MachineContext& c, const Executed& event) {
  if (event.spawn && main_.spawn == event.spawn && main_.exists()) happen(c, Happening::executed);
}

void ServiceMachine::on(MachineContext& c, const SpawnFailed& event) {
  const bool is_main = main_.spawn == event.spawn;
  const Child& child = is_main ? main_ : control_;
  if (!event.spawn || child.spawn != event.spawn || !child.exists()) return;
  c.log(child.ignore_failure ? LogLevel::notice : LogLevel::error, "service-spawn-failed",
        fmt::format("{} could not be run: {}", list_name(child.list), event.error.to_string()),
        child.process);
  const ExitStatus status =
      event.exit_code > 0 ? ExitStatus{ExitStatus::Kind::exited, event.exit_code} : ExitStatus{};
  is_main ? main_ended(c, status, true) : control_ended(c, status, true);
}

void ServiceMachine::on(MachineContext& c, const OutOfMemory& /*event*/) {
  happen(c, Happening::out_of_memory);
}

void ServiceMachine::on(MachineContext& c, const ProcessExited& event) {
  if (!event.process) return;
  if (main_.process == event.process) return main_ended(c, event.status, false);
  if (control_.process == event.process) return control_ended(c, event.status, false);
  if (!main_.in_flight && !control_.in_flight) return;
  if (!rare_) rare_ = std::make_unique<Rare>();
  if (rare_->early.size() < kEarlyExits) rare_->early.emplace_back(event.process, event.status);
}

void ServiceMachine::on(MachineContext& c, const UnitEmpty& /*event*/) {
  // While a process is known or under way this is old news; whoever needs to know asks again when
  // that process is gone.
  if (main_.exists() || control_.exists()) return;
  tree_empty_ = true;
  happen(c, Happening::empty);
}

void ServiceMachine::on(MachineContext& c, const TimerFired& event) {
  switch (event.kind) {
    case TimerKind::operation:
      return happen(c, Happening::timeout);
    case TimerKind::restart:
      return happen(c, Happening::restart_due);
    case TimerKind::watchdog:
      return happen(c, Happening::watchdog_due);
    case TimerKind::runtime_max:
      return happen(c, Happening::runtime_due);
    case TimerKind::idle:
      return happen(c, Happening::idle_due);
    case TimerKind::job:
    case TimerKind::job_running:
    case TimerKind::trigger:
    case TimerKind::calendar:
    case TimerKind::retry:
      return;
  }
}

void ServiceMachine::on(MachineContext& c, const DescriptorsStored& event) {
  status_.stored_descriptors = event.count;
  c.touch();
}

void ServiceMachine::on(MachineContext& c, const MainProcessFound& event) {
  // The process that just ended is no answer.
  if (phase_ == Phase::running_find && event.process == status_.main_status.process) {
    return happen(c, Happening::main_missing);
  }
  happen(c, Happening::main_found, {.process = event.process, .alien = event.alien});
}

void ServiceMachine::on(MachineContext& c, const MainProcessMissing& event) {
  happen(c, Happening::main_missing, {.why = &event.error});
}

void ServiceMachine::on(MachineContext& c, const BusNameChanged& event) {
  if (bus_owned_ == event.owned) return;
  bus_owned_ = event.owned;
  happen(c, event.owned ? Happening::name_owned : Happening::name_lost);
}

void ServiceMachine::on(MachineContext& c, const HoldersGone& /*event*/) {
  if (c.settings().choice<unit::KillOnLastClose>(Directive::KillOnLastClose) ==
      unit::KillOnLastClose::no) {
    return;
  }
  happen(c, Happening::unheld);
}

/// The main process is gone: `status`, or it never ran because its spawn failed.
void ServiceMachine::main_ended(MachineContext& c, const ExitStatus& status, bool never_ran) {
  const bool is_oneshot = service_type(c.settings()) == unit::ServiceType::oneshot;
  ServiceResult result = judge_exit(status, is_oneshot ? CleanRule::command : CleanRule::daemon,
                                    c.settings().exit_statuses(Directive::SuccessExitStatus));
  if (never_ran && status.kind == ExitStatus::Kind::unknown) result = ServiceResult::resources;
  const Child ended = std::exchange(main_, {});
  status_.main = {};
  status_.main_is_alien = false;
  status_.main_status.exited = c.now();
  status_.main_status.status = status;
  main_exited_ = true;
  if (!never_ran) {
    const bool silent =
        result == ServiceResult::success && status.kind != ExitStatus::Kind::unknown;
    c.log(silent ? LogLevel::debug : LogLevel::notice, "service-exited",
          fmt::format("Main process ended: {}{}", status.to_string(),
                      result != ServiceResult::success && ended.ignore_failure ? ", ignored" : ""),
          ended.process);
  }
  if (ended.ignore_failure && result != ServiceResult::resources) result = ServiceResult::success;
  forget_early();
  c.touch();
  happen(c, Happening::main_exit,
         {.result = result, .status = status, .ended = ended, .never_ran = never_ran});
}

void ServiceMachine::control_ended(MachineContext& c, const ExitStatus& status, bool never_ran) {
  const Child ended = std::exchange(control_, {});
  // The program of a forking service is its daemon's first process; all others are commands.
  const CleanRule rule =
      ended.list == Directive::ExecStart ? CleanRule::daemon : CleanRule::command;
  ServiceResult result =
      judge_exit(status, rule, c.settings().exit_statuses(Directive::SuccessExitStatus));
  if (never_ran && status.kind == ExitStatus::Kind::unknown) result = ServiceResult::resources;
  status_.control = {};
  if (CommandStatus* record = control_record()) {
    record->exited = c.now();
    record->status = status;
  }
  if (!never_ran && result != ServiceResult::success) {
    c.log(LogLevel::notice, "service-command-failed",
          fmt::format("{} ended: {}{}", list_name(ended.list), status.to_string(),
                      ended.ignore_failure ? ", ignored" : ""),
          ended.process);
  }
  if (ended.ignore_failure && result != ServiceResult::resources) result = ServiceResult::success;
  forget_early();
  c.touch();
  happen(c, Happening::control_exit,
         {.result = result, .status = status, .ended = ended, .never_ran = never_ran});
}

void ServiceMachine::forget_early() {
  if (rare_ && !main_.in_flight && !control_.in_flight) rare_->early.clear();
}

}  // namespace pidward::engine
