// The imperative shell around the engine: one event loop, no blocking call on it. Carries effects
// out, brings the world's events in, and is what the bus talks to.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/log.hpp"
#include "engine/engine.hpp"
#include "process/process_table.hpp"
#include "runtime/config.hpp"
#include "runtime/leases.hpp"
#include "runtime/process_details.hpp"
#include "runtime/transient_units.hpp"
#include "runtime/unit_resources.hpp"
#include "sys/features.hpp"
#include "unit/install.hpp"
#include "unit/loader.hpp"

namespace pidward::runtime {

/// Told of what changed, on the loop, once per turn and object. Observers outlive their
/// registration.
class ManagerObserver {
 public:
  virtual ~ManagerObserver() = default;
  virtual void unit_added(UnitId, const unit::UnitName&) {}
  virtual void unit_removed(UnitId, const unit::UnitName&) {}
  virtual void unit_changed(UnitId) {}
  virtual void job_added(JobId, UnitId, const unit::UnitName&) {}
  virtual void job_changed(JobId) {}
  virtual void job_removed(JobId, UnitId, const unit::UnitName&, engine::JobResult) {}
  virtual void reloading(bool /*begins*/) {}
  virtual void unit_files_changed() {}
  virtual void startup_finished() {}
  /// A process came into the table: a unit's, or a foreign one that somebody opened. It can be
  /// asked about with Manager::find_process() within this call, even if it has ended since.
  virtual void process_added(ProcessId) {}
  /// A process in the table ended. Within this call its details have the exit status.
  virtual void process_exited(ProcessId) {}
  /// A bus name some unit waits for (Type=dbus) or is looked after by (Controller of a scope); the
  /// bus layer watches it and calls Manager::bus_name_changed().
  virtual void watch_bus_name(const std::string& /*name*/, bool /*watch*/) {}
  /// Asks the owner of a bus name to end a scope. True: it was sent.
  virtual bool request_stop(UnitId, const std::string& /*controller*/) { return false; }
};

struct JobSubmission {
  std::string unit;  ///< as the caller wrote it; must be a full, valid unit name
  engine::JobType type = engine::JobType::start;
  unit::JobMode mode = unit::JobMode::replace;
  bool reload_if_possible = false;
};

/// One process as `ps`, GetUnitProcesses and the status tree show it.
struct ProcessInfo {
  ProcessId id;
  std::uint32_t pid = 0;  ///< for display only
  std::uint32_t parent = 0;
  UnitId unit;
  process::Role role{};
  std::string control_group;
  std::string command;
};

/// What LeaseUnit asks for: the job as in submit(), and who asks.
struct LeaseRequest {
  std::string unit;
  unit::JobMode mode = unit::JobMode::replace;
  LeaseTaker taker;
};

enum class SystemState : std::uint8_t {
  initializing,
  starting,
  running,
  degraded,
  maintenance,
  stopping
};
std::string_view to_string(SystemState state);

class Manager {
 public:
  struct Impl;  ///< of the layer's own files
  /// `io` outlives the manager. Errors say what could not be set up and what to do about it.
  static Result<std::unique_ptr<Manager>> create(boost::asio::io_context& io, Config config);
  /// end().
  virtual ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// Puts everything in order and lets go of it; nothing else may be called then. False: a thread
  /// is held up by something that does not answer, a dead mount say. It works with what is its own,
  /// but of the process nothing is to be taken down around it: _exit ends both.
  bool end();

  /// Starts what the configuration says is started first: default.target, or `boot_units`. Tells
  /// whoever started us that we are ready once those jobs are under way.
  void boot();

  template <typename T>
  using Reply = std::function<void(Result<T>)>;

  /// Loads what `submission` needs (off the loop), then asks the engine. The reply comes on the
  /// loop, later.
  void submit(const JobSubmission& submission, Reply<engine::RequestOutcome> reply);
  /// Loads a unit by name (LoadUnit): never fails for a valid name, the load state says what was
  /// found.
  void load(const std::string& name, Reply<UnitId> reply);
  /// daemon-reload: reads every unit again off the loop, then swaps all of them in one step. The
  /// reply carries what the loader complained of, in file order.
  void reload(Reply<std::vector<unit::Diagnostic>> reply);
  /// StartTransientUnit: makes units out of text and starts the first of them. Errors: the name is
  /// taken, what is wrong with the text, and those of submit(); nothing is left of the units then.
  void start_transient(TransientRequest request, Reply<engine::RequestOutcome> reply);
  /// The same, held by a lease from the start: it is stopped when the last copy of the descriptor
  /// is closed. Errors also as lease_unit().
  void hold_transient(TransientRequest request, LeaseTaker taker, Reply<UnitLease> reply);
  /// SetUnitProperties: writes the drop-ins (for good, or until the next boot with `runtime`; a
  /// transient unit's live as long as it), reads the unit again and puts its settings into effect.
  void set_properties(const std::string& name, bool runtime, std::vector<DropInText> files,
                      Reply<UnitId> reply);
  /// Unit file operations, off the loop.
  void install(const unit::InstallRequest& request, Reply<unit::InstallPlan> reply);
  /// What install() would change, and nothing is changed.
  void plan_install(const unit::InstallRequest& request, Reply<unit::InstallPlan> reply);
  void list_unit_files(Reply<std::vector<unit::UnitFileEntry>> reply);
  void unit_file_state(const std::string& name, Reply<std::string> reply);
  /// "enabled", "disabled" or "ignored", as the preset files have it (UnitFilePreset); off the
  /// loop.
  void unit_file_preset(const std::string& name, Reply<std::string> reply);
  /// Makes default.target a link to `name` in the configuration directory; off the loop. Errors: no
  /// such unit file, a default.target that is no link and `force` is false.
  void set_default_target(const std::string& name, bool force, Reply<unit::InstallPlan> reply);
  /// Whether files changed since the unit was loaded (NeedDaemonReload), looked up off the loop.
  void needs_reload(UnitId unit, Reply<bool> reply);

  /// Somebody on the bus holds a reference to the unit (Ref, RefUnit), or the last one went: see
  /// Engine::set_referenced().
  void set_referenced(UnitId unit, bool referenced);

  Status cancel(JobId job);
  void cancel_all_jobs();
  Status reset_failed(UnitId unit);
  void reset_failed_all();
  Status kill(UnitId unit, engine::KillWhom whom, int signal);

  [[nodiscard]] const engine::Engine& engine() const;
  /// What pidward had to complain of since the unit was last started, oldest first: why a start
  /// failed, in sentences. The newest few are kept.
  [[nodiscard]] std::vector<std::string> complaints(UnitId unit) const;
  [[nodiscard]] const process::ProcessTable& processes() const;
  [[nodiscard]] std::vector<ProcessInfo> list_processes(std::optional<UnitId> unit) const;
  /// Control group of the unit as the bus shows it: "/system.slice/nginx.service", empty when it
  /// has none.
  [[nodiscard]] std::string control_group(UnitId unit) const;
  [[nodiscard]] std::optional<UnitId> unit_of_process(ProcessId process) const;
  /// Opens `pid`, verifies it is alive and ours, and says which unit it is in. Errors: no such
  /// process, not in a unit.
  [[nodiscard]] Result<UnitId> unit_by_pid(std::uint32_t pid);
  /// PID of a process in the table, for display and for MainPID; 0 when it is gone.
  [[nodiscard]] std::uint32_t pid_of(ProcessId process) const;

  // Processes by inode. A handle keeps a process's entry, exit status included: hold one for as
  // long as a client may ask. Whether a client may do what it asks is for the caller to say.

  /// A handle on a process that is in the table or in a unit's tree. no_such_process otherwise,
  /// with the number in the message.
  Result<process::ProcessHandle> find_process(ProcessId process);
  /// Takes in a process by a descriptor that came from outside. It need not be in a unit; its end
  /// is watched while somebody holds a handle. Errors: not a pidfd, a thread's, a process outside
  /// our pid namespace, one that was collected already on a kernel that cannot tell which it was.
  Result<process::ProcessHandle> open_process(sys::Fd pidfd);
  /// The same by number: opened, found alive, and found to have had the number then.
  Result<process::ProcessHandle> open_process_by_pid(std::uint32_t pid);
  [[nodiscard]] ProcessDetails details(const process::ProcessHandle& process) const;
  /// All processes in the table and in units' trees (or in one unit's), by pid.
  [[nodiscard]] std::vector<ProcessDetails> list_process_details(std::optional<UnitId> unit);
  /// A pidfd to give away, which neither keeps the process nor kills it when it closes.
  [[nodiscard]] Result<sys::Fd> pidfd_for_client(const process::ProcessHandle& process) const;
  /// Signals one process. Errors as may_act_on(); no such signal.
  Status signal_process(const process::ProcessHandle& process, int signal);
  /// Signals it and its descendants, each by pidfd; SIGKILL leaves none behind. Errors
  /// also: pidward itself is below the process, no descriptors are left.
  Status signal_tree(const process::ProcessHandle& process, int signal);
  /// Calls back on the loop, later, once the process has ended and its status is known or never
  /// will be. Dropping the ticket cancels.
  [[nodiscard]] WaitTicket wait_for_end(const process::ProcessHandle& process,
                                        std::function<void(ExitStatus)> done);

  /// Starts a unit and holds it: see leases.hpp for what the end of the last lease means. Errors as
  /// submit(), and no descriptors left.
  void lease_unit(const LeaseRequest& request, Reply<UnitLease> reply);
  /// See Leases::on_process().
  Result<ProcessLease> lease_process(const process::ProcessHandle& process,
                                     process::LastClose last_close, LeaseTaker taker);
  [[nodiscard]] std::vector<LeaseInfo> list_leases() const;
  /// Leases on a unit.
  [[nodiscard]] std::size_t lease_count(UnitId unit) const;
  /// Stops the unit as by a stop job when the process ends. Holds until the unit is down; a unit
  /// may be bound to several. Errors: the unit is not up or coming up (unit_inactive), as
  /// open_process() and may_act_on(); the process is one of the unit's own (invalid_argument).
  Status bind_to_process(UnitId unit, sys::Fd pidfd);
  /// The processes the unit is bound to.
  [[nodiscard]] std::vector<ProcessId> bound_to(UnitId unit) const;
  /// Which means hold the unit's tree together here and now.
  [[nodiscard]] UnitMeans means(UnitId unit) const;

  /// What the unit uses now, read from its control group.
  [[nodiscard]] ResourceCounters resources(UnitId unit) const;
  /// Moves processes into the unit's group, or one below it ("/a/b"), and makes them the unit's
  /// (AttachProcessesToUnit). Errors: the unit is not up, or does not delegate its group.
  Status attach_processes(UnitId unit, const std::string& subgroup,
                          std::vector<sys::Pidfd> processes);
  /// AbandonScope: nobody looks after the scope any more; it ends when it is empty. Errors: it is
  /// not running, it is no scope.
  Status abandon_scope(UnitId unit);
  /// Effective user and group of a process in the table that has not ended.
  [[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint32_t>> credentials_of(
      ProcessId process) const;
  /// The Condition…= or Assert…= line that kept the unit from starting the last time; empty: none.
  [[nodiscard]] std::string failed_condition(UnitId unit) const;
  /// The unit a process is in. Errors: none.
  [[nodiscard]] Result<UnitId> unit_of(const sys::Pidfd& process) const;
  [[nodiscard]] FreezerState freezer_state(UnitId unit) const;
  /// FreezeUnit and ThawUnit; the reply comes when the kernel has done it. Errors: the unit is not
  /// active or has a job, there is no control group to freeze.
  void freeze(UnitId unit, bool freeze, Reply<UnitId> reply);
  /// "runtime", "state", "cache", "logs", "configuration": what clean() would find.
  [[nodiscard]] std::vector<std::string> cleanable(UnitId unit) const;
  /// CleanUnit: removes those directories of a unit that is down, off the loop. "all" is all of
  /// them, no word cache and runtime. Errors: it is not down, it has none of these.
  void clean(UnitId unit, const std::vector<std::string>& what, Reply<UnitId> reply);

  [[nodiscard]] const sys::KernelFeatures& features() const;
  [[nodiscard]] const Config& config() const;
  [[nodiscard]] const unit::SearchPath& search_path() const;
  [[nodiscard]] SystemState system_state() const;
  /// The manager's environment block: sorted "KEY=VALUE".
  [[nodiscard]] std::vector<std::string> environment() const;
  Status set_environment(const std::vector<std::string>& assignments);
  void unset_environment(const std::vector<std::string>& names);
  /// Where a unit's log lines are, for `logs`.
  [[nodiscard]] std::string log_directory() const;
  [[nodiscard]] Now startup_time() const;
  [[nodiscard]] Now finished_time() const;

  /// Told by the bus layer.
  void bus_name_changed(const std::string& name, bool owned,
                        std::optional<std::uint32_t> owner_pid);
  /// daemon-reexec: the program is executed anew in this process, and takes over from itself.
  /// Returns only if that could not be done; then nothing has changed.
  Status reexecute();
  /// Stop everything in order (shutdown.target semantics), then let run() return with this exit
  /// code.
  void request_exit(int exit_code);
  [[nodiscard]] std::optional<int> exit_code() const;

  void add_observer(ManagerObserver* observer);
  void remove_observer(ManagerObserver* observer);

 private:
  explicit Manager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pidward::runtime
