// What happens in the world, as the engine is told. Every event names what it is about by strong
// ids; an event about something that has moved on (an older spawn, a disarmed timer) is recognised
// by its id and ignored.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/state.hpp"
#include "unit/calendar/time_zone.hpp"

namespace pidward::engine {

/// Each unit has at most one timer of a kind armed.
enum class TimerKind : std::uint8_t {
  operation,
  restart,
  watchdog,
  runtime_max,
  job,
  job_running,
  trigger,   ///< On…Sec= of a timer
  calendar,  ///< OnCalendar= of a timer: waits on the wall clock
  idle,
  retry,  ///< the core's own: Upholds= and StopWhenUnneeded= that were held back for a while
};

/// Answer to PrepareStart.
struct StartPrepared {
  UnitId unit;
  bool conditions_ok = true;
  bool asserts_ok = true;
  std::string failed_condition;  ///< "ConditionPathExists=/etc/x", of whichever failed first
  std::uint32_t leftovers = 0;   ///< processes of an earlier run found in the unit's control group
  std::optional<Error> error;    ///< the control group could not be made …
};
/// A process was made for this spawn.
struct Spawned {
  SpawnId spawn;
  ProcessId process;
};
/// exec succeeded: the program itself runs. Follows Spawned.
struct Executed {
  SpawnId spawn;
};
/// The spawn came to nothing: either no process was made, or it failed before exec (then
/// ProcessExited does not follow). `exit_code` is systemd's 200–243 (systemd.exec(5)) of the step
/// that failed.
struct SpawnFailed {
  SpawnId spawn;
  int exit_code = 0;
  Error error;
};
/// The kernel killed one or more processes of the unit for lack of memory (its memory.events).
/// Comes before the ProcessExited of such a process, if the engine knows it.
struct OutOfMemory {
  UnitId unit;
};
/// A process of the unit's that the engine knows of (spawned, found or announced) ended.
struct ProcessExited {
  UnitId unit;
  ProcessId process;
  ExitStatus status;
};
/// No process of the unit is left. Answer to KillProcesses and WatchEmpty; also sent when it
/// happens on its own. Comes after the answers to the unit's spawns (Executed or SpawnFailed) and
/// after the ProcessExited of its processes.
struct UnitEmpty {
  UnitId unit;
};
struct TimerFired {
  UnitId unit;
  TimerKind kind;
  std::uint64_t generation = 0;  ///< as armed
};

/// One datagram on the notify socket, parsed and with its sender identified; nothing about access
/// is decided yet.
struct NotifyMessage {
  bool ready = false, reloading = false, stopping = false, watchdog = false,
       watchdog_trigger = false;
  std::optional<std::string> status;
  std::optional<int> error_number;
  std::optional<ProcessId>
      main_process;  ///< MAINPID= or MAINPIDFDID=, opened and verified by the runtime
  std::optional<Duration> watchdog_interval;  ///< WATCHDOG_USEC=
  std::optional<Duration> extend_timeout;     ///< EXTEND_TIMEOUT_USEC=
  std::optional<MonoTime> monotonic;          ///< MONOTONIC_USEC=
  bool store_descriptors = false;             ///< FDSTORE=1
  bool remove_descriptors = false;            ///< FDSTOREREMOVE=1
  bool poll_descriptors = true;               ///< false: FDPOLL=0
  std::string descriptor_name;                ///< FDNAME=, valid or empty
  std::uint64_t descriptors = 0;  ///< what came along; held by the runtime until it is stored
};
struct Notified {
  UnitId unit;
  ProcessId sender;  ///< none if it could not be identified
  ProcessRole sender_role = ProcessRole::other;
  NotifyMessage message;
};

/// The unit's descriptor store has so many descriptors now.
struct DescriptorsStored {
  UnitId unit;
  std::uint32_t count = 0;
};

/// Answers to FindMainProcess.
struct MainProcessFound {
  UnitId unit;
  ProcessId process;
  bool alien = false;  ///< not our child
};
struct MainProcessMissing {
  UnitId unit;
  Error error;  ///< why: no such file, not a number, dead, not ours …
};

struct BusNameChanged {
  UnitId unit;
  bool owned = false;
  ProcessId owner;  ///< when known
};

/// Answers to Listen.
struct Listening {
  UnitId unit;
};
struct ListenFailed {
  UnitId unit;
  Error error;
};
/// Something waits on a socket unit's descriptors. With Accept=yes the runtime holds the accepted
/// connection under `connection` until a Spawn takes it or CloseConnection drops it.
struct Incoming {
  UnitId unit;
  std::uint64_t connection = 0;
  std::string peer;  ///< for the instance's name: "127.0.0.1:22-127.0.0.1:4711"
};
/// A mount, swap or device unit: what is true of the system now. Answer to ObserveExternal, and on
/// change.
struct ExternalState {
  UnitId unit;
  bool present = false;
};
/// Answer to WatchPaths: the paths are watched, or why they cannot be.
struct PathsWatched {
  UnitId unit;
  std::uint64_t generation = 0;  ///< as in WatchPaths
  std::optional<Error> error{};
};
/// A watched path is as its unit wants it, or changed. After PathsWatched.
struct PathTriggered {
  UnitId unit;
  std::uint64_t generation = 0;
  std::string path;
};
/// Answer to ReadTimerStamp.
struct TimerStampRead {
  UnitId unit;
  WallTime last{};  ///< zero: there is no record
};
/// The last lease on a unit with KillOnLastClose= ended.
struct HoldersGone {
  UnitId unit;
};
/// Somebody set the clock. Sent while a unit watches it (WatchClock).
struct WallClockChanged {};
/// Sent while a unit watches the clock.
struct TimeZoneChanged {
  unit::TimeZonePtr zone;  ///< never nullptr
};

using Event = std::variant<StartPrepared, Spawned, Executed, SpawnFailed, OutOfMemory,
                           ProcessExited, UnitEmpty, TimerFired, Notified, DescriptorsStored,
                           MainProcessFound, MainProcessMissing, BusNameChanged, Listening,
                           ListenFailed, Incoming, ExternalState, PathsWatched, PathTriggered,
                           TimerStampRead, HoldersGone, WallClockChanged, TimeZoneChanged>;

}  // namespace pidward::engine
