// One socket unit: addresses that are listened on so that a service need not run until it is
// wanted.
//
//   dead → start-pre → start (the runtime binds) → start-post → listening ⇄ running → stop-pre →
//   stop-post → final-sigterm → final-sigkill → dead or failed
//
// With Accept=no the unit is `listening` while its service is down: traffic starts the service,
// which inherits the descriptors, and the unit is `running`, not looking at them, until the service
// has ended. With Accept=yes the unit stays `listening` and hands every connection to an instance
// of its service, named after the connection; instances.cpp has that part.
//
// A service that may not be started any more (its start limit) takes the socket down with it,
// otherwise the waiting traffic would start it again at once, for ever. So does traffic beyond
// TriggerLimitBurst=.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/machine.hpp"
#include "engine/unit.hpp"

namespace pidward::engine {

/// What can happen to a socket unit.
enum class SocketHappening : std::uint8_t {
  stop,
  spawned,
  control_exit,
  empty,
  timeout,
  bound,
  bind_failed,
  traffic,
  service_down,
  service_up,
};
inline constexpr std::size_t kSocketHappenings = 10;
inline constexpr std::size_t kSocketStateCount = 13;

/// What is done about it.
enum class SocketDeed : std::uint8_t {
  nothing,     ///< it may happen here, and means nothing
  impossible,  ///< the core broke its word; ignored
  next_command,
  post,  ///< bound: ExecStartPost=
  fail_bind,
  trigger,  ///< start the service, or hand it the connection
  refuse,   ///< traffic that came too late
  listen_again,
  yield,        ///< the service runs: the descriptors are its business
  close_first,  ///< stop while starting: end the command, then close
  begin_stop,
  stage_newcomer,
  stage_progress,
  timed_out,
};
[[nodiscard]] SocketDeed deed(SocketState state, SocketHappening happening);

class SocketMachine final : public Machine {
 public:
  explicit SocketMachine(const unit::UnitSpec& spec);

  [[nodiscard]] ActiveState active() const override { return active_state(status_.state); }
  [[nodiscard]] std::string_view sub() const override { return to_string(status_.state); }
  StartOutcome start(MachineContext& context, std::uint32_t leftovers) override;
  [[nodiscard]] bool needs_preparation() const override { return has_commands_; }
  void stop(MachineContext& context) override;
  void handle(MachineContext& context, const Event& event) override;
  void start_limit_hit(MachineContext& context) override;
  void preparation_failed(MachineContext& context, const Error& error) override;
  void reset_failed(MachineContext& context) override;
  Status kill(MachineContext& context, KillWhom whom, int signal) override;
  void settings_replaced(MachineContext& context) override;
  void triggered_changed(MachineContext& context, UnitId triggered) override;
  void unit_loaded(MachineContext& context, UnitId loaded) override;
  /// An instance whose connection waits has nobody else to close it.
  [[nodiscard]] bool may_collect() const override { return connections_.empty(); }
  void save(Saver& to) const override;
  void load(Loader& from) override;
  void resume(MachineContext& context) override;
  [[nodiscard]] const SocketStatus* socket_status() const override { return &status_; }

 private:
  struct Control {
    SpawnId spawn;
    ProcessId process;
    unit::Directive list = unit::Directive::ExecStartPre;
    std::uint32_t index = 0;
    bool in_flight = false;
    bool ignore_failure = false;
    [[nodiscard]] bool exists() const { return in_flight || process; }
  };
  struct Connection {
    std::uint64_t number = 0;
    std::string source;  ///< the peer's address without its port
    unit::UnitName instance;
    std::optional<UnitId> unit;  ///< once loaded
  };

  // machine.cpp
  void happen(MachineContext& c, SocketHappening happening);
  void carry_out(MachineContext& c, SocketDeed what);
  void set_state(MachineContext& c, SocketState next);
  void note(std::string_view result);
  void arm(MachineContext& c);
  void refuse_start(MachineContext& c, std::string_view result, std::string why);
  void enter_start(MachineContext& c);
  void enter_listening(MachineContext& c);
  void stop_pre(MachineContext& c, std::string_view result);
  void close(MachineContext& c);
  void stage(MachineContext& c, SocketState next);
  void signal_stage(MachineContext& c);
  void stage_progress(MachineContext& c);
  void leave_stage(MachineContext& c);
  void timed_out(MachineContext& c);
  void enter_dead(MachineContext& c);

  // record.cpp: outliving the process
  struct Instance {
    std::uint64_t connection = 0;
    std::string source;
    std::string unit;
  };
  template <typename Archive, typename Self>
  static void each_field(Archive& archive, Self& self);

  // commands.cpp
  [[nodiscard]] Spawn spawn_effect(MachineContext& c) const;
  void spawn(MachineContext& c, unit::Directive list, std::uint32_t index);
  bool run_list(MachineContext& c, unit::Directive list, SocketState state);
  void control_event(MachineContext& c, const Event& event);
  void control_ended(MachineContext& c, std::string_view result);
  void next_command(MachineContext& c);

  // instances.cpp
  [[nodiscard]] std::optional<UnitId> service(MachineContext& c) const;
  void incoming(MachineContext& c, const Incoming& event);
  bool within_limit(MachineContext& c);
  void start_service(MachineContext& c);
  void accept(MachineContext& c, const Incoming& event);
  void refuse(MachineContext& c, const Incoming& event, std::string_view why);
  void hand_over(MachineContext& c, Connection& connection);
  void forget_instance(MachineContext& c, UnitId instance);

  SocketStatus status_;
  Control control_;
  Control ended_;                  ///< the control process of the event at hand
  std::string_view ended_result_;  ///< and what came of it
  std::vector<std::pair<ProcessId, ExitStatus>> early_;
  std::vector<Connection> connections_;
  std::vector<Instance> restored_;  ///< between load() and resume()
  RateLimit trigger_limit_;
  bool has_commands_ = false;
  bool tree_empty_ = true;
  bool open_ = false;  ///< Listen was asked for, CloseListen not yet
};

}  // namespace pidward::engine
