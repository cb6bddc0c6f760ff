// The states of a service and what can happen in them: the whole machine as one table.
//
// A phase is a sub-state of systemd's (ServiceState), or a part of one that we must tell from the
// rest: `start_find` looks like `start` from outside, but the program has forked and the main
// process is being looked for. The table says for every phase and every happening what is done; the
// deeds themselves are members of ServiceMachine. Writing a pair down is the point: the compiler
// refuses a phase or a happening that somebody forgot.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/state.hpp"

namespace pidward::engine {

/// Where a service is.
enum class Phase : std::uint8_t {
  dead,
  clearing,  ///< what an earlier run left is being ended (shown as start-pre)
  condition,
  start_pre,
  idle_wait,  ///< Type=idle waits for the others (shown as start)
  start,
  start_find,  ///< the forking program is done, its main process is looked for (start)
  start_post,
  post_find,  ///< the same after ExecStartPost= (start-post)
  running,
  running_find,  ///< the main process ended; does the PID file name another? (running)
  exited,
  reload,
  reload_signal,
  reload_notify,
  stop,
  stop_watchdog,
  stop_sigterm,
  stop_sigkill,
  stop_post,
  final_watchdog,
  final_sigterm,
  final_sigkill,
  failed,
  auto_restart,
};
inline constexpr std::size_t kPhases = 25;

/// What can happen to it. Spawns that fail are exits that came early.
enum class Happening : std::uint8_t {
  start,         ///< the core wants it up
  stop,          ///< the core wants it down
  reload,        ///< the core wants its configuration read again
  spawned,       ///< a process of ours exists
  executed,      ///< and runs the program
  main_exit,     ///< the main process is gone (or never came to be)
  control_exit,  ///< the control process is gone (or never came to be)
  empty,         ///< no process is left, and no spawn is under way
  timeout,       ///< TimerKind::operation
  restart_due,
  watchdog_due,  ///< WatchdogSec= passed, or WATCHDOG=trigger
  runtime_due,
  idle_due,   ///< jobs are done, or five seconds are over
  ready,      ///< READY=1
  reloading,  ///< RELOADING=1
  stopping,   ///< STOPPING=1
  main_found,
  main_missing,
  name_owned,
  name_lost,
  unheld,         ///< the last lease ended, and KillOnLastClose= says something
  out_of_memory,  ///< the kernel killed a process of the unit
};
inline constexpr std::size_t kHappenings = 22;

/// What is done about it.
enum class Deed : std::uint8_t {
  nothing,         ///< it may happen here, and means nothing
  impossible,      ///< the core or the runtime broke its word; said in the log, and nothing done
  begin,           ///< from the top: leftovers, ExecCondition=, …
  hurry_restart,   ///< a start asked for while the restart delay runs: restart now
  start_started,   ///< Type=simple and idle are up once there is a process
  start_executed,  ///< Type=exec is up
  start_ready,     ///< Type=notify is up
  start_owned,     ///< Type=dbus is up
  start_spawn,     ///< the wait of Type=idle is over
  start_main_exit,
  start_control_exit,  ///< the forking program is done
  cleared,             ///< leftovers are gone
  clear_harder,        ///< leftovers did not go
  found,
  not_found,
  find_empty,    ///< nothing is left that could write the PID file
  next_command,  ///< of ExecCondition=, ExecStartPre=, ExecStartPost=, ExecReload=, ExecStop=, …
  note_main_exit,  ///< the control process decides when to look at it
  running_main_exit,
  running_empty,
  running_lost_name,
  settle_found,    ///< the main process handed over to another
  settle_missing,  ///< it did not
  reload_begin,
  reload_main_exit,
  reload_announced,  ///< RELOADING=1 in answer to our signal
  reload_by_notify,  ///< RELOADING=1 on its own account
  reload_done,
  reload_timeout,
  remember_notify,  ///< to be looked at once it runs
  stop_by_notify,
  abort_start,   ///< stop while starting: no ExecStop=
  abort_reload,  ///< stop while reloading: its command goes first
  end_abort,     ///< a stop does not wait for an abort after a missed watchdog
  begin_stop,
  cancel_restart,
  start_timeout,
  stop_timeout,
  stage_timeout,   ///< of the killing stages
  stage_progress,  ///< somebody is gone, or somebody came late: look again
  stage_newcomer,  ///< a process that was under way when the signal was sent gets it too
  stop_post_timeout,
  restart_now,
  watchdog_missed,
  runtime_over,
  let_go,          ///< unheld: to its end, without ExecStop=
  let_go_of_wait,  ///< unheld: no restart
  out_of_memory,
  note_out_of_memory,  ///< it is going down anyway
};

/// The table.
[[nodiscard]] Deed deed(Phase phase, Happening happening);

/// systemd's sub-state for a phase.
[[nodiscard]] ServiceState service_state(Phase phase);
std::string_view to_string(Phase phase);
std::string_view to_string(Happening happening);

/// Phases in which the watchdog runs.
[[nodiscard]] bool is_watched(Phase phase);
/// Phases that count against RuntimeMaxSec=.
[[nodiscard]] bool is_up(Phase phase);
/// Killing stages: stop-watchdog to stop-sigkill, final-watchdog to final-sigkill.
[[nodiscard]] bool is_stage(Phase phase);
[[nodiscard]] bool is_final_stage(Phase phase);
/// dead, failed, auto-restart: no process, nothing under way.
[[nodiscard]] bool is_down(Phase phase);

}  // namespace pidward::engine
