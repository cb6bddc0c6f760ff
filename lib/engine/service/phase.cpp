// What phases and happenings are called, and what kinds of phases there are.
#include "engine/service/phase.hpp"

namespace pidward::engine {

ServiceState service_state(Phase phase) {
  switch (phase) {
    using enum Phase;
    case dead:
      return ServiceState::dead;
    case clearing:
      return ServiceState::start_pre;
    case condition:
      return ServiceState::condition;
    case start_pre:
      return ServiceState::start_pre;
    case idle_wait:
      return ServiceState::start;
    case start:
      return ServiceState::start;
    case start_find:
      return ServiceState::start;
    case start_post:
      return ServiceState::start_post;
    case post_find:
      return ServiceState::start_post;
    case running:
      return ServiceState::running;
    case running_find:
      return ServiceState::running;
    case exited:
      return ServiceState::exited;
    case reload:
      return ServiceState::reload;
    case reload_signal:
      return ServiceState::reload_signal;
    case reload_notify:
      return ServiceState::reload_notify;
    case stop:
      return ServiceState::stop;
    case stop_watchdog:
      return ServiceState::stop_watchdog;
    case stop_sigterm:
      return ServiceState::stop_sigterm;
    case stop_sigkill:
      return ServiceState::stop_sigkill;
    case stop_post:
      return ServiceState::stop_post;
    case final_watchdog:
      return ServiceState::final_watchdog;
    case final_sigterm:
      return ServiceState::final_sigterm;
    case final_sigkill:
      return ServiceState::final_sigkill;
    case failed:
      return ServiceState::failed;
    case auto_restart:
      return ServiceState::auto_restart;
  }
  return ServiceState::dead;
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    using enum Phase;
    case dead:
      return "dead";
    case clearing:
      return "clearing";
    case condition:
      return "condition";
    case start_pre:
      return "start-pre";
    case idle_wait:
      return "idle-wait";
    case start:
      return "start";
    case start_find:
      return "start-find";
    case start_post:
      return "start-post";
    case post_find:
      return "post-find";
    case running:
      return "running";
    case running_find:
      return "running-find";
    case exited:
      return "exited";
    case reload:
      return "reload";
    case reload_signal:
      return "reload-signal";
    case reload_notify:
      return "reload-notify";
    case stop:
      return "stop";
    case stop_watchdog:
      return "stop-watchdog";
    case stop_sigterm:
      return "stop-sigterm";
    case stop_sigkill:
      return "stop-sigkill";
    case stop_post:
      return "stop-post";
    case final_watchdog:
      return "final-watchdog";
    case final_sigterm:
      return "final-sigterm";
    case final_sigkill:
      return "final-sigkill";
    case failed:
      return "failed";
    case auto_restart:
      return "auto-restart";
  }
  return "?";
}

std::string_view to_string(Happening happening) {
  switch (happening) {
    using enum Happening;
    case start:
      return "start";
    case stop:
      return "stop";
    case reload:
      return "reload";
    case spawned:
      return "spawned";
    case executed:
      return "executed";
    case main_exit:
      return "main-exit";
    case control_exit:
      return "control-exit";
    case empty:
      return "empty";
    case timeout:
      return "timeout";
    case restart_due:
      return "restart-due";
    case watchdog_due:
      return "watchdog-due";
    case runtime_due:
      return "runtime-due";
    case idle_due:
      return "idle-due";
    case ready:
      return "ready";
    case reloading:
      return "reloading";
    case stopping:
      return "stopping";
    case main_found:
      return "main-found";
    case main_missing:
      return "main-missing";
    case name_owned:
      return "name-owned";
    case name_lost:
      return "name-lost";
    case unheld:
      return "unheld";
    case out_of_memory:
      return "out-of-memory";
  }
  return "?";
}

bool is_watched(Phase phase) {
  using enum Phase;
  return phase == start_post || phase == post_find || phase == running || phase == running_find ||
         phase == reload || phase == reload_signal || phase == reload_notify;
}

bool is_up(Phase phase) {
  using enum Phase;
  return phase == running || phase == running_find || phase == reload || phase == reload_signal ||
         phase == reload_notify;
}

bool is_final_stage(Phase phase) {
  using enum Phase;
  return phase == final_watchdog || phase == final_sigterm || phase == final_sigkill;
}

bool is_stage(Phase phase) {
  using enum Phase;
  return phase == stop_watchdog || phase == stop_sigterm || phase == stop_sigkill ||
         is_final_stage(phase);
}

bool is_down(Phase phase) {
  using enum Phase;
  return phase == dead || phase == failed || phase == auto_restart;
}

}  // namespace pidward::engine
