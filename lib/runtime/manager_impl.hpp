// The manager's inside: all parts, put together. Internal to lib/runtime.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "runtime/core.hpp"
#include "runtime/exit_kills.hpp"
#include "runtime/external_units.hpp"
#include "runtime/fd_store.hpp"
#include "runtime/freezer.hpp"
#include "runtime/kept_descriptors.hpp"
#include "runtime/listeners.hpp"
#include "runtime/loop_timer.hpp"
#include "runtime/manager.hpp"
#include "runtime/notify_socket.hpp"
#include "runtime/observers.hpp"
#include "runtime/path_watcher.hpp"
#include "runtime/pid_files.hpp"
#include "runtime/process_waits.hpp"
#include "runtime/service_spawner.hpp"
#include "runtime/signals.hpp"
#include "runtime/start_preparer.hpp"
#include "runtime/state_keeper.hpp"
#include "runtime/timer_queue.hpp"
#include "runtime/timer_stamps.hpp"
#include "runtime/unit_source.hpp"
#include "runtime/unit_stream.hpp"
#include "runtime/wall_clock.hpp"

namespace pidward::runtime {

/// Found out before anything else is made.
struct Startup {
  Config config;
  sys::KernelFeatures features;
  std::unique_ptr<DescriptorWatcher> watcher;
  unit::LoaderContext loader;
  exec::Roots roots;
  std::vector<std::string> environment;
};

struct Manager::Impl final : EventSink {
  Impl(boost::asio::io_context& the_io, Startup startup);
  ~Impl() override;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status open();

  // manager_loop.cpp: the engine's turns.
  void post(engine::Event event) override;
  void drain() override;
  void run(engine::Effects& effects, const engine::Event* event = nullptr);
  /// The observers are told of processes although nothing happens to a unit.
  void tell_soon();
  void turn_ended();
  /// Calls the engine and carries out what follows.
  template <typename Call>
  auto with_engine(Call call) {
    engine::Effects effects;
    auto result = call(engine, effects);
    run(effects);
    drain();
    return result;
  }
  void add_units(const UnitSource::Specs& specs, engine::Effects& effects);
  void remember(const LogRecord& record);
  void do_system_action(const engine::SystemAction& action);
  void watch_bus_name(const engine::WatchBusName& effect);
  void request_stop(const engine::RequestStop& effect);
  void child_doorbell();

  // manager_requests.cpp
  void request(const engine::JobRequest& request, const Reply<engine::RequestOutcome>& reply);
  /// `afresh`: nothing is taken as it was a moment ago.
  void load_units(std::vector<unit::UnitName> names, std::function<void()> done,
                  bool afresh = false);
  void reload(Reply<std::vector<unit::Diagnostic>> reply);
  void boot();

  // manager_processes.cpp
  void last_lease_ended(UnitId unit, bool started);
  void bound_process_ended(UnitId unit, pid_t pid);
  void stop_unit(UnitId unit, std::string_view kind, const std::string& why);
  /// A unit that is leased or named on the bus is not collected.
  void update_reference(UnitId unit);
  void process_ended(UnitId unit, ProcessId process);
  /// LastClose::kill_tree: a main process stands for its unit.
  Status kill_tree_of(const process::ProcessState& state);

  // manager_transient.cpp
  void collect_now();
  void make_transient(TransientRequest request, std::function<void(Result<UnitId>)> then);
  void equip_made(TransientUnit& wanted);
  Result<UnitId> add_made(TransientRequest& wanted, const UnitSource::Specs& specs);

  // recovery.cpp: what an earlier daemon left
  /// A process that is on record, and what our parent kept of it.
  struct LeftProcess {
    ProcessRecord record;
    std::optional<Result<process::ProcessHandle>> kept;
  };
  struct LeftUnits {
    std::vector<engine::UnitRecord> records;
    std::unique_ptr<UnitStream> specs;  ///< none where there are no records
  };
  /// What became of processes that were on record, by the id that they had.
  using Renamed = std::unordered_map<ProcessId, ProcessId>;
  void read_left_units(const std::vector<std::string_view>& keys, LeftUnits& left);
  static void find_left_records(const StateEntries& entries, LeftUnits& left);
  std::vector<LeftProcess> open_kept_processes(const StateEntries& entries);
  void keep_oom_kills(std::uint64_t group, std::uint64_t kills);
  [[nodiscard]] bool goes_on(bool whole) const;
  Status recover(const StateEntries& entries, bool whole, LeftUnits units);
  Status take_over_units(LeftUnits& units, std::vector<LeftProcess> left, bool whole,
                         Renamed& renamed);
  Status take_over_process(LeftProcess& process, Renamed& renamed);
  Result<process::ProcessHandle> reopen_process(const ProcessRecord& record, UnitId unit,
                                                const std::optional<std::string>& group);
  void find_unknown_processes(std::vector<engine::UnitRecord>& records, bool whole);
  void restore_units(const std::vector<engine::UnitRecord>& records, const engine::ProcessMap& map,
                     const StateEntries& was);
  void record_makes_no_sense(const unit::UnitName& name);
  void tell_of_lost_processes();
  [[nodiscard]] bool has_main_process(const unit::UnitName& name);
  bool is_older_than_lost(const unit::UnitName& name, const sys::Pidfd& process);
  Result<process::ProcessHandle> adopt_labelled(const sys::Pidfd& member, UnitId unit);
  process::ProcessHandle find_spawned(const engine::Spawn& effect);
  void end_what_was_to_die();
  // recovery_descriptors.cpp
  Status recover_logs(const StateEntries& entries);
  void recover_descriptors(const StateEntries& entries);
  [[nodiscard]] bool answer_recovered(const engine::Spawn& effect);
  void recover_manager_entry(std::string_view text);
  [[nodiscard]] std::string manager_entry() const;
  void keep_manager_entry();

  // manager_exit.cpp
  void handle_signal(int signal);
  void request_exit(int code);
  void kill_everything();
  void check_exit();
  [[nodiscard]] SystemState state() const;

  boost::asio::io_context& io;
  Config config;
  sys::KernelFeatures features;
  std::unique_ptr<DescriptorWatcher> watcher;
  WorkerPool pool;
  process::ProcessTable table;
  engine::Engine engine;
  Core core;
  KeptDescriptors kept;
  StateKeeper keeper;
  UnitSource source;
  TransientUnits transient;
  Observers observers;
  CgroupTree groups;
  ProcessTracker tracker;
  UnitTree tree;
  Freezer freezer;
  Leases leases;
  ProcessWaits waits;
  Bindings bindings;
  LogRouter logs;
  Listeners listeners;
  ExternalUnits external;
  PidFiles pid_files;
  FdStore fd_store;
  ExitKills exit_kills;
  NotifySocket notify;
  TimerQueue timers;
  PathWatcher paths;
  WallClock wall_clock;
  TimerStamps stamps;
  Signals signals;
  std::unique_ptr<ServiceSpawner> spawner;
  std::unique_ptr<StartPreparer> preparer;
  exec::Roots roots;
  std::map<std::string, std::string> environment;

  std::unordered_map<SpawnId, ProcessId> recovered_spawns;
  std::unordered_map<SpawnId, ProcessRecord> lost_spawns;  ///< the record of what came of them
  std::vector<std::string> unheard;  ///< records of processes, kept until the end of this turn
  std::map<unit::UnitName, ProcessId> lost_mains;  ///< recorded, and not there any more
  bool recovering = false;
  bool recovered_boot = false;  ///< the last daemon had asked for the first units
  std::deque<engine::Event> queue;
  bool draining = false;
  bool child_ended = false;
  std::size_t jobs = 0;
  bool booting = false;      ///< boot() was called and its jobs have not all ended
  bool boot_loaded = false;  ///< its units are in the engine
  bool boot_failed = false;  ///< one of them could not even be asked for
  bool finished = false;
  Now started_at{}, finished_at{};
  std::optional<int> wanted_exit;  ///< stopping, and then exiting with this
  std::optional<int> exit_code;
  bool exit_requested_jobs = false;
  std::map<std::string, std::set<UnitId>> bus_names;
  std::unordered_set<UnitId> named_on_bus;
  std::unordered_map<UnitId, std::deque<std::string>> complaints_of;
  LoopTimer collection;
  bool collection_armed = false;
  LoopTimer orphans;
  bool orphans_armed = false;
  bool telling_soon = false;  ///< see tell_soon()
  bool collect_soon = false;  ///< a transient unit went down: it goes without delay
  std::thread::id loop_thread = std::this_thread::get_id();
};

}  // namespace pidward::runtime
