// One service: from `start` to the last of its processes, and back again.
//
// A service has at most two processes that pidward watches by name: the main process, which is the
// service, and a control process, which runs one Exec…= line after the other. Everything else in
// its control group is counted only ("empty" or not). phase.hpp has the phases and the table of
// what is done when; this class has the deeds. A life goes like this:
//
//   dead → clearing → condition → start-pre → start → start-post → running → stop → stop-sigterm →
//   stop-sigkill → stop-post → final-sigterm → final-sigkill → dead or failed → auto-restart
//
// and every part that has nothing to do is passed over without being seen.
//
// Where systemd's documentation leaves room, this is what we do:
// - Processes of an earlier run are ended before the first command: KillSignal=, then after
//   TimeoutStopSec= FinalKillSignal=. With KillMode=process or none they are left alone, as the
//   unit asks for it; with SendSIGKILL=no the start is refused, as systemd.kill(5) says. Always
//   with a warning.
// - A killing stage with KillMode=control-group ends with the last process of the unit, with
//   `mixed` the rest is killed as soon as the main process is gone. ExecStopPost= therefore runs in
//   an empty house, and nobody is signalled twice.
// - ExecStop= runs whenever the service was up, also after its main process crashed.
// - A command of ExecCondition= that cannot be run fails the start; only what it says itself skips.
// - A main process whose end nobody can tell us (not our child, on an old kernel) ended well.
// - A start that a person asks for while the restart delay runs cuts the delay short.
// - The end of the last lease (KillOnLastClose=) is a stop without ExecStop=: nobody is left to
// ask.
//
// Two things are never assumed: that answers come in order (an exit may precede the news of the
// spawn it belongs to), and that a process that was asked for exists (a signal is sent again to who
// was under way when it was sent).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/machine.hpp"
#include "engine/service/phase.hpp"

namespace pidward::engine {

class ServiceMachine final : public Machine {
 public:
  ServiceMachine();
  ~ServiceMachine() override;

  [[nodiscard]] ActiveState active() const override;
  [[nodiscard]] std::string_view sub() const override;
  StartOutcome start(MachineContext& context, std::uint32_t leftovers) override;
  [[nodiscard]] bool needs_preparation() const override { return true; }
  [[nodiscard]] bool starts_afresh() const override {
    return phase_ == Phase::auto_restart && restart_is_due_;
  }
  [[nodiscard]] bool is_settling() const override {
    return active() == ActiveState::active && phase_ != Phase::running && phase_ != Phase::exited;
  }
  void stop(MachineContext& context) override;
  void job_gone(MachineContext& context) override;
  void reload(MachineContext& context) override;
  [[nodiscard]] bool can_reload(const unit::UnitSpec& spec) const override;
  void handle(MachineContext& context, const Event& event) override;
  void start_limit_hit(MachineContext& context) override;
  void preparation_failed(MachineContext& context, const Error& error) override;
  void reset_failed(MachineContext& context) override;
  Status kill(MachineContext& context, KillWhom whom, int signal) override;
  void jobs_idle(MachineContext& context) override;
  void removed(MachineContext& context) override;
  /// Stored descriptors keep it in memory.
  [[nodiscard]] bool may_collect() const override { return status_.stored_descriptors == 0; }
  /// What a service would save that runs and of which only the main process is known.
  static void save_running(Saver& to, ProcessId main, Now now);
  void save(Saver& to) const override;
  void load(Loader& from) override;
  void resume(MachineContext& context) override;
  [[nodiscard]] const ServiceStatus* service_status() const override { return &status_; }

  /// For a socket unit with Accept=yes: the connection that the next ExecStart= process gets. Owned
  /// by the machine from here on: handed to the process, or closed when the service goes down
  /// without one.
  void take_connection(MachineContext& context, std::uint64_t connection);
  /// It has the connection, and no process has it yet.
  [[nodiscard]] bool awaits_connection(std::uint64_t connection) const {
    return connection_ == connection || (main_.in_flight && main_.connection == connection);
  }
  [[nodiscard]] Phase phase() const { return phase_; }

 private:
  /// The main or the control process.
  struct Child {
    SpawnId spawn{};      ///< none when it was found and not spawned
    ProcessId process{};  ///< none while the spawn is unanswered
    std::uint32_t index = 0;
    unit::Directive list = unit::Directive::ExecStart;
    bool in_flight = false;        ///< spawned by us, and not answered yet
    bool ignore_failure = false;   ///< '-'
    bool doomed = false;           ///< killed, or to be killed as soon as it exists
    std::uint64_t connection = 0;  ///< what it was given, as Spawn has it
    [[nodiscard]] bool exists() const { return in_flight || process; }
  };
  /// What came with a happening. Only the fields that it speaks of are set.
  struct News {
    ServiceResult result = ServiceResult::success;  ///< of the process that ended
    ExitStatus status{};
    Child ended{};
    bool never_ran = false;  ///< its spawn failed
    ProcessId process{};     ///< main_found
    bool alien = false;
    const Error* why = nullptr;
  };
  enum class Notice : std::uint8_t { none, ready, reloading, stopping };
  enum class Progress : std::uint8_t { waiting, over, kill_the_rest };
  /// What hardly any service ever needs.
  struct Rare {
    std::vector<std::pair<ProcessId, ExitStatus>> early;  ///< exits that preceded their spawns
    ProcessId refused;                                    ///< the last sender we warned about
  };

  // machine.cpp: the table at work, and what all deeds use
  void happen(MachineContext& c, Happening happening);
  void happen(MachineContext& c, Happening happening, const News& news);
  void carry_out(MachineContext& c, Deed what, const News& news);
  void set_phase(MachineContext& c, Phase next, ChangeFlags flags = {});
  void arm_operation(MachineContext& c, Duration span);
  void note(ServiceResult result);
  [[nodiscard]] std::optional<ExitStatus> main_exit() const;
  void go_down(MachineContext& c, ServiceResult result, std::string why);

  // record.cpp: outliving the process
  template <typename Archive, typename Self>
  static void each_field(Archive& archive, Self& self);
  void resume_child(MachineContext& c, ProcessRole role);
  void resume_phase(MachineContext& c);

  // events.cpp: from events to happenings
  void on(MachineContext& c, const Spawned& event);
  void on(MachineContext& c, const Executed& event);
  void on(MachineContext& c, const SpawnFailed& event);
  void on(MachineContext& c, const OutOfMemory& event);
  void on(MachineContext& c, const ProcessExited& event);
  void on(MachineContext& c, const UnitEmpty& event);
  void on(MachineContext& c, const TimerFired& event);
  void on(MachineContext& c, const Notified& event);
  void on(MachineContext& c, const DescriptorsStored& event);
  void on(MachineContext& c, const MainProcessFound& event);
  void on(MachineContext& c, const MainProcessMissing& event);
  void on(MachineContext& c, const BusNameChanged& event);
  void on(MachineContext& c, const HoldersGone& event);
  void main_ended(MachineContext& c, const ExitStatus& status, bool never_ran);
  void control_ended(MachineContext& c, const ExitStatus& status, bool never_ran);
  void forget_early();

  // commands.cpp: spawning
  void spawn(MachineContext& c, ProcessRole role, unit::Directive list, std::uint32_t index);
  [[nodiscard]] Spawn spawn_effect(MachineContext& c, ProcessRole role, const Child& child);
  bool run_list(MachineContext& c, unit::Directive list, Phase phase, Duration timeout);
  void next_command(MachineContext& c, const News& news);
  void list_done(MachineContext& c, const News& news);
  void adopt(MachineContext& c, ProcessId process, bool alien);
  CommandStatus* control_record();

  // start.cpp
  void begin(MachineContext& c, std::uint32_t leftovers);
  bool deal_with_leftovers(MachineContext& c, std::uint32_t leftovers);
  void clear_harder(MachineContext& c);
  void enter_condition(MachineContext& c);
  void condition_done(MachineContext& c, const News& news);
  void enter_start_pre(MachineContext& c);
  void enter_start(MachineContext& c);
  void start_spawn(MachineContext& c);
  void start_main_exit(MachineContext& c, const News& news);
  void start_control_exit(MachineContext& c, const News& news);
  void look_for_main(MachineContext& c, Phase phase, bool wait);
  void not_found(MachineContext& c, const News& news);
  void find_empty(MachineContext& c);
  void enter_start_post(MachineContext& c);
  void after_start_post(MachineContext& c);
  void start_too_slow(MachineContext& c);

  // running.cpp
  [[nodiscard]] bool is_good(MachineContext& c) const;
  void enter_running(MachineContext& c, ChangeFlags flags = {});
  void running_main_exit(MachineContext& c, const News& news);
  void main_lost(MachineContext& c);
  void arm_watchdog(MachineContext& c);
  void arm_runtime(MachineContext& c);
  void reload_begin(MachineContext& c);
  void reload_commands_done(MachineContext& c, ServiceResult result);
  void reload_timeout(MachineContext& c);
  void finish_reload(MachineContext& c, ServiceResult result);
  void wait_for_ready(MachineContext& c, Phase phase);
  void watchdog_missed(MachineContext& c);
  void runtime_over(MachineContext& c);
  void out_of_memory(MachineContext& c);

  // stop.cpp
  void begin_stop(MachineContext& c, ServiceResult result);
  void abort_reload(MachineContext& c, ServiceResult result);
  void begin_stop_commands(MachineContext& c);
  void stop_by_notify(MachineContext& c);
  void let_go(MachineContext& c);
  [[nodiscard]] unit::KillMode kill_mode(MachineContext& c) const;
  void enter_stage(MachineContext& c, Phase stage, ServiceResult result);
  void stop_waiting(MachineContext& c, bool final);
  [[nodiscard]] Progress look(MachineContext& c, Phase stage) const;
  void leave_stage(MachineContext& c, Phase stage);
  void signal_stage(MachineContext& c);
  void stage_progress(MachineContext& c);
  void stage_timeout(MachineContext& c);
  void escalate(MachineContext& c, unit::Directive mode, bool final, ServiceResult result);
  void enter_stop_post(MachineContext& c, ServiceResult result);
  void cancel_restart(MachineContext& c);

  // down.cpp
  void enter_dead(MachineContext& c, ServiceResult result);
  void schedule_restart(MachineContext& c);
  void restart_now(MachineContext& c);

  // notify.cpp
  [[nodiscard]] bool admits(MachineContext& c, const Notified& event);
  void notify_main(MachineContext& c, const Notified& event);
  void notify_extend(MachineContext& c, Duration span);
  void notify_watchdog(MachineContext& c, const NotifyMessage& message);
  void notify_reloading(MachineContext& c, const NotifyMessage& message);
  void notify_store(MachineContext& c, const NotifyMessage& message);

  ServiceStatus status_;
  Child main_;
  Child control_;
  MonoTime deadline_{};          ///< of the operation timer, before any extension
  MonoTime runtime_deadline_{};  ///< the same of RuntimeMaxSec=
  MonoTime reload_begun_{};
  std::uint64_t connection_ = 0;
  std::unique_ptr<Rare> rare_;
  Phase phase_ = Phase::dead;
  Notice notice_ = Notice::none;
  ServiceResult lost_result_ =
      ServiceResult::success;  ///< in running_find: of the main process that ended
  bool tree_empty_ = true;     ///< told so, and nothing spawned since
  bool main_known_ = false;    ///< this activation has had a main process
  bool main_exited_ = false;   ///< and it ended: status_.main_status says how
  bool bus_owned_ = false;
  bool stop_wanted_ = false;      ///< by a job: no automatic restart
  bool stop_is_restart_ = false;  ///< RestartKillSignal= counts
  bool let_go_ = false;           ///< by its last holder: KillOnLastClose= beats KillMode=
  bool signalled_ = false;        ///< the current stage sent its signal
  bool cleared_hard_ = false;
  bool counts_restarts_ = false;  ///< the next start is an automatic one
  bool kept_for_start_ = false;   ///< the last clean-up left what the next start was to find
  bool restart_is_due_ = false;   ///< RestartMode=direct: start() goes on from auto-restart
  bool idle_type_ = false;        ///< Type=idle is active as soon as it begins
};

}  // namespace pidward::engine
