// The notify protocol (sd_notify(3)): who may speak, and what the words do.
#include <algorithm>

#include <fmt/core.h>

#include "engine/service/machine.hpp"
#include "engine/service/rules.hpp"

namespace pidward::engine {

using unit::Directive;
using unit::NotifyAccess;

void ServiceMachine::on(MachineContext& c, const Notified& event) {
  if (is_down(phase_) || !admits(c, event)) return;
  const NotifyMessage& message = event.message;
  if (message.main_process) notify_main(c, event);
  if (message.status) status_.status_text = *message.status;
  if (message.error_number) status_.status_errno = *message.error_number;
  if (message.watchdog_interval) {
    status_.watchdog_interval =
        *message.watchdog_interval == kInfinity ? Duration::zero() : *message.watchdog_interval;
  }
  if (message.extend_timeout) notify_extend(c, *message.extend_timeout);
  notify_store(c, message);
  c.touch();
  if (message.reloading) notify_reloading(c, message);
  if (message.ready) {
    notice_ = Notice::ready;
    happen(c, Happening::ready);
  }
  if (message.stopping) {
    notice_ = Notice::stopping;
    happen(c, Happening::stopping);
  }
  notify_watchdog(c, message);
}

/// NotifyAccess=, against what the sender is to us. Our own book beats the runtime's for a process
/// that was the main process a moment ago.
bool ServiceMachine::admits(MachineContext& c, const Notified& event) {
  const NotifyAccess access = notify_access(c.settings());
  ProcessRole role = event.sender_role;
  if (event.sender && event.sender == main_.process) {
    role = ProcessRole::main;
  } else if (event.sender && event.sender == control_.process) {
    role = ProcessRole::control;
  } else if (role == ProcessRole::main && main_.process) {
    role = ProcessRole::other;
  }
  bool admitted = false;
  switch (access) {
    case NotifyAccess::none:
      break;
    case NotifyAccess::main:
      admitted = role == ProcessRole::main;
      break;
    case NotifyAccess::exec:
      admitted = role != ProcessRole::other;
      break;
    case NotifyAccess::all:
      admitted = true;
      break;
  }
  if (admitted && event.sender) return true;
  if (!rare_) rare_ = std::make_unique<Rare>();
  if (event.sender && rare_->refused == event.sender) return false;
  rare_->refused = event.sender;
  const std::string who =
      event.sender ? fmt::format("process {} ({})", event.sender.number(), to_string(role))
                   : std::string("a sender that could not be identified");
  c.log(LogLevel::warning, "service-notify-refused",
        fmt::format("A notification from {} is ignored: NotifyAccess= is {}", who,
                    unit::kNotifyAccessNames.at(static_cast<std::size_t>(access))),
        event.sender);
  return false;
}

/// MAINPID= and MAINPIDFDID=.
void ServiceMachine::notify_main(MachineContext& c, const Notified& event) {
  const ProcessId process = *event.message.main_process;
  if (!process || process == main_.process) return;
  if (process == control_.process) {
    return c.log(LogLevel::warning, "service-main-refused",
                 "The control process was announced as main process; ignored", process);
  }
  switch (phase_) {
    case Phase::start:
    case Phase::start_post:
    case Phase::running:
    case Phase::reload:
    case Phase::reload_signal:
    case Phase::reload_notify:
      // A spawn that is not answered cannot be replaced: its process would be nobody's.
      if (!main_.in_flight) adopt(c, process, true);
      return;
    case Phase::start_find:
    case Phase::post_find:
    case Phase::running_find:
      return happen(c, Happening::main_found, {.process = process, .alien = true});
    case Phase::dead:
    case Phase::clearing:
    case Phase::condition:
    case Phase::start_pre:
    case Phase::idle_wait:
    case Phase::exited:
    case Phase::stop:
    case Phase::stop_watchdog:
    case Phase::stop_sigterm:
    case Phase::stop_sigkill:
    case Phase::stop_post:
    case Phase::final_watchdog:
    case Phase::final_sigterm:
    case Phase::final_sigkill:
    case Phase::failed:
    case Phase::auto_restart:
      return c.log(
          LogLevel::debug, "service-main-refused",
          fmt::format("A main process announced in state {} is ignored", to_string(status_.state)),
          process);
  }
}

/// EXTEND_TIMEOUT_USEC=: the current operation may take until then, and never less than it may
/// anyhow.
void ServiceMachine::notify_extend(MachineContext& c, Duration span) {
  const MonoTime until = span == kInfinity ? MonoTime::max() : saturating_add(c.now().mono, span);
  if (c.armed(TimerKind::operation) && deadline_ != MonoTime::max()) {
    c.arm(TimerKind::operation, std::max(deadline_, until));
  }
  if (c.armed(TimerKind::runtime_max)) {
    c.arm(TimerKind::runtime_max, std::max(runtime_deadline_, until));
  }
}

void ServiceMachine::notify_watchdog(MachineContext& c, const NotifyMessage& message) {
  if (message.watchdog_trigger) {
    c.log(LogLevel::error, "service-watchdog", "The service asks for its own watchdog action",
          main_.process);
    return happen(c, Happening::watchdog_due);
  }
  if (is_watched(phase_) && (message.watchdog || message.watchdog_interval)) arm_watchdog(c);
}

/// FDSTORE=1 and FDSTOREREMOVE=1. A message that asks for both removes, as in systemd.
void ServiceMachine::notify_store(MachineContext& c, const NotifyMessage& message) {
  if (message.remove_descriptors) {
    return c.emit(RemoveDescriptors{.unit = c.id(), .name = message.descriptor_name});
  }
  if (!message.store_descriptors || message.descriptors == 0) return;
  if (c.settings().number(Directive::FileDescriptorStoreMax) == 0) {
    return c.log(LogLevel::notice, "service-descriptors-refused",
                 "Descriptors for the store are refused: FileDescriptorStoreMax= is 0",
                 main_.process);
  }
  c.emit(
      StoreDescriptors{.unit = c.id(),
                       .descriptors = message.descriptors,
                       .name = message.descriptor_name.empty() ? "stored" : message.descriptor_name,
                       .poll = message.poll_descriptors});
}

/// RELOADING=1. In answer to our signal it must be younger than the signal.
void ServiceMachine::notify_reloading(MachineContext& c, const NotifyMessage& message) {
  const bool asked =
      phase_ == Phase::reload_signal ||
      (phase_ == Phase::reload && service_type(c.settings()) == unit::ServiceType::notify_reload);
  if (asked && (!message.monotonic || *message.monotonic < reload_begun_)) {
    return c.log(LogLevel::debug, "service-reload-stale",
                 "RELOADING=1 without a MONOTONIC_USEC= of this reload is ignored", main_.process);
  }
  notice_ = Notice::reloading;
  happen(c, Happening::reloading);
}

}  // namespace pidward::engine
