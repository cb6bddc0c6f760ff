// What is to be done about it. The runtime carries effects out in order; none of them reports back
// by return value, only by events.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.hpp"
#include "engine/event.hpp"

namespace pidward::engine {

/// Evaluate Condition…=/Assert…= lines, make the unit's control group and count what an earlier run
/// left in it. Answered by StartPrepared, always. `kill_leftovers`: SIGKILL what is found before
/// answering.
struct PrepareStart {
  UnitId unit;
  InvocationId invocation;
  bool kill_leftovers = false;
};
/// Start one command of the unit. Answered by Spawned (then Executed or SpawnFailed) or by
/// SpawnFailed.
struct Spawn {
  SpawnId spawn;
  UnitId unit;
  ProcessRole role = ProcessRole::main;
  unit::Directive list = unit::Directive::ExecStart;
  std::uint32_t index = 0;
  InvocationId invocation;
  std::vector<std::string>
      environment;         ///< what the engine knows: SERVICE_RESULT=, WATCHDOG_USEC= …
  ProcessId main_process;  ///< becomes $MAINPID and $MAINPIDFDID
  bool pass_notify_socket = false;
  std::vector<UnitId> sockets;   ///< socket units whose descriptors the process inherits, in order
  std::uint64_t connection = 0;  ///< an accepted connection, or 0
};
enum class KillWhom : std::uint8_t {
  main,
  control,
  main_and_control,
  all,           ///< the whole tree
  all_but_main,  ///< the tree without the main and the control process
};
/// Send `signal` (then SIGCONT, then SIGHUP, as asked) to these processes of the unit, each by
/// pidfd; SIGKILL for all goes through cgroup.kill where there is one. Afterwards, as for
/// WatchEmpty: UnitEmpty comes once the tree is empty.
struct KillProcesses {
  UnitId unit;
  KillWhom whom = KillWhom::all;
  int signal = 0;
  bool also_continue = false;
  bool also_hangup = false;
};
/// Send UnitEmpty when no process of the unit is left, at once if that is so now.
struct WatchEmpty {
  UnitId unit;
};
struct ArmTimer {
  UnitId unit;
  TimerKind kind = TimerKind::operation;
  MonoTime at;
  std::uint64_t generation = 0;
  /// Wait for this on the wall clock, wherever it is set meanwhile; `at` is what that is as of now.
  std::optional<WallTime> wall{};
};
struct DisarmTimer {
  UnitId unit;
  TimerKind kind = TimerKind::operation;
};
/// Send WallClockChanged and TimeZoneChanged when they happen, as long as any unit wants them.
struct WatchClock {
  UnitId unit;
  bool watch = true;
};
/// When a timer with Persistent=yes last elapsed, in this or an earlier life of the manager.
/// Answered by TimerStampRead.
struct ReadTimerStamp {
  UnitId unit;
};
struct StoreTimerStamp {
  UnitId unit;
  WallTime last{};
};
/// Watch the paths of a path unit (anew). Answered by PathsWatched, and by PathTriggered once one
/// of them is as it is wanted; what is watched from then on does not matter.
struct WatchPaths {
  UnitId unit;
  std::uint64_t generation = 0;  ///< grows with each
  bool initial = false;          ///< the unit is being started: MakeDirectory=
};
struct UnwatchPaths {
  UnitId unit;
};
/// Find the main process of a forking service: from PIDFile= (when `pid_file` is set: read, opened,
/// verified to be in the unit and not us; while the file is missing or wrong the runtime watches it
/// and answers when that changes), or by guess when exactly one process is left in the unit. `wait`
/// false: answer now, whatever it is.
struct FindMainProcess {
  UnitId unit;
  bool from_pid_file = false;
  bool wait = false;
};
struct WatchBusName {
  UnitId unit;
  bool watch = true;
  std::string name{};  ///< a scope's controller; empty: BusName=
};
/// Ask the controller of a scope to end it. One that cannot be asked is one that is gone:
/// BusNameChanged.
struct RequestStop {
  UnitId unit;
  std::string controller;
};
struct Listen {
  UnitId unit;
};
struct CloseListen {
  UnitId unit;
  bool remove_files = false;  ///< RemoveOnStop=
};
/// Poll (or stop polling) the unit's listening descriptors for Incoming.
struct WatchListen {
  UnitId unit;
  bool watch = true;
};
struct CloseConnection {
  std::uint64_t connection = 0;
};
/// Throw away what waits on the listening descriptors (FlushPending=, or a trigger that cannot be
/// served).
struct FlushListen {
  UnitId unit;
};
/// Answer with ExternalState, now and on change.
struct ObserveExternal {
  UnitId unit;
  bool observe = true;
};
/// The unit is down: remove its control group and, as their Preserve= says, its runtime
/// directories and stored descriptors; forget its processes. `restarting`: it is about to come back
/// (RuntimeDirectoryPreserve=restart, FileDescriptorStorePreserve=restart).
struct CleanUp {
  UnitId unit;
  bool restarting = false;
};
/// Put the descriptors that came with a notification into the unit's store
/// (FileDescriptorStoreMax=). Answered by DescriptorsStored when their number changes.
struct StoreDescriptors {
  UnitId unit;
  std::uint64_t descriptors = 0;
  std::string name;
  bool poll = true;  ///< drop one as soon as it hangs up
};
/// Close all descriptors of that name in the unit's store.
struct RemoveDescriptors {
  UnitId unit;
  std::string name;
};
struct UnitAdded {
  UnitId unit;
};
/// Properties may have changed: emit PropertiesChanged (coalesced by the runtime to one per turn).
struct UnitChanged {
  UnitId unit;
};
struct UnitRemoved {
  UnitId unit;
  unit::UnitName name;
  std::vector<unit::UnitName> aliases = {};
};
struct JobAdded {
  JobId job;
  UnitId unit;
};
struct JobChanged {
  JobId job;
};
struct JobRemoved {
  JobId job;
  UnitId unit;
  JobResult result = JobResult::done;
};
struct Log {
  LogRecord record;
};
/// SuccessAction=, FailureAction=, StartLimitAction=, or a special target reached.
struct SystemAction {
  unit::EmergencyAction action = unit::EmergencyAction::none;
  std::optional<int> exit_status;
  std::string reason;
};
/// The engine needs this unit and does not have it (an Accept=yes instance, a unit named by
/// OnFailure= with %n …): load its closure and hand it to Engine::add().
struct LoadUnit {
  unit::UnitName name;
};

using Effect =
    std::variant<PrepareStart, Spawn, KillProcesses, WatchEmpty, ArmTimer, DisarmTimer, WatchClock,
                 ReadTimerStamp, StoreTimerStamp, WatchPaths, UnwatchPaths, FindMainProcess,
                 WatchBusName, RequestStop, Listen, CloseListen, WatchListen, CloseConnection,
                 FlushListen, ObserveExternal, CleanUp, StoreDescriptors, RemoveDescriptors,
                 UnitAdded, UnitChanged, UnitRemoved, JobAdded, JobChanged, JobRemoved, Log,
                 SystemAction, LoadUnit>;
using Effects = std::vector<Effect>;

}  // namespace pidward::engine
