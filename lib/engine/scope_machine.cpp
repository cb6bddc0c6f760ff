// Scopes: a control group with processes that somebody else started (systemd.scope(5)). Where that
// somebody has a name on the bus and gave it, the end of the scope is his to bring about.
#include <csignal>
#include <optional>

#include <fmt/core.h>

#include "engine/record.hpp"
#include "engine/service/rules.hpp"
#include "engine/simple_machines.hpp"

namespace pidward::engine {
namespace {

using unit::Directive;

enum class ScopeState : std::uint8_t {
  dead,
  running,
  stop_sigterm,
  stop_sigkill,
  failed,
  abandoned
};

class ScopeMachine final : public Machine {
 public:
  [[nodiscard]] ActiveState active() const override;
  [[nodiscard]] std::string_view sub() const override;
  [[nodiscard]] bool needs_preparation() const override { return true; }
  StartOutcome start(MachineContext& context, std::uint32_t) override {
    status_.result = ServiceResult::success;
    enter(context, ScopeState::running);
    context.emit(WatchEmpty{context.id()});
    watch_controller(context, true);
    if (const Duration limit = longest_runtime(context); limit != kInfinity) {
      context.arm(TimerKind::runtime_max, saturating_add(context.now().mono, limit));
    }
    return {};
  }
  void stop(MachineContext& context) override { wind_down(context); }
  void handle(MachineContext& context, const Event& event) override;
  void preparation_failed(MachineContext& context, const Error&) override {
    status_.result = ServiceResult::resources;
    enter(context, ScopeState::failed);
  }
  void reset_failed(MachineContext& context) override {
    status_.result = ServiceResult::success;
    if (state_ == ScopeState::failed) enter(context, ScopeState::dead);
  }
  Status kill(MachineContext& context, KillWhom /*whom*/, int signal) override {
    if (active() != ActiveState::active && active() != ActiveState::deactivating) {
      return Error(Errc::no_such_process,
                   fmt::format("{} has no processes to signal", context.spec().name.str()));
    }
    context.emit(KillProcesses{context.id(), KillWhom::all, signal});
    return {};
  }
  Status abandon(MachineContext& context) override {
    if (!is_up()) {
      return Error(Errc::unit_inactive,
                   fmt::format("{} is not running, cannot abandon", context.spec().name.str()));
    }
    forget_controller(context);
    if (state_ == ScopeState::running) enter(context, ScopeState::abandoned);
    return {};
  }
  void set_controller(MachineContext& context, std::string name) override {
    status_.controller = std::move(name);
    context.touch();
  }
  [[nodiscard]] const ScopeStatus* scope_status() const override { return &status_; }
  void save(Saver& to) const override { each_field(to, *this); }
  void load(Loader& from) override { each_field(from, *this); }
  void resume(MachineContext& context) override {
    if (is_inactive_or_failed(active())) return;
    watch_controller(context, true);
    // Whether a controller was asked is not known; it is asked again once it is found.
    const bool is_controllers = state_ == ScopeState::stop_sigterm && !status_.controller.empty();
    if (is_up() || is_controllers) {
      context.emit(WatchEmpty{context.id()});
    } else {
      signal(context, state_);
    }
  }

 private:
  template <typename Archive, typename Self>
  static void each_field(Archive& archive, Self& self) {
    archive.choice("state", self.state_, ScopeState::abandoned);
    archive.choice("result", self.status_.result, ServiceResult::exec_condition);
    archive.text("controller", self.status_.controller);
  }
  [[nodiscard]] bool is_up() const {
    return state_ == ScopeState::running || state_ == ScopeState::abandoned;
  }
  void enter(MachineContext& context, ScopeState to) {
    const ActiveState from = active();
    state_ = to;
    context.changed(from, active());
  }
  /// The first thing that went wrong is what is told.
  void went_wrong(ServiceResult result) {
    if (status_.result == ServiceResult::success) status_.result = result;
  }
  void wind_down(MachineContext& context);
  void out_of_memory(MachineContext& context);
  void arm_stop(MachineContext& context);
  void signal(MachineContext& context, ScopeState to,
              Directive first_signal = Directive::KillSignal);
  void end(MachineContext& context);
  void let_go(MachineContext& context);
  void watch_controller(MachineContext& context, bool watch) {
    if (status_.controller.empty()) return;
    context.emit(WatchBusName{context.id(), watch, status_.controller});
  }
  void ask_controller(MachineContext& context);
  void forget_controller(MachineContext& context);
  void controller_changed(MachineContext& context, bool owned);
  ScopeState state_ = ScopeState::dead;
  bool asked_ = false;  ///< the controller, by this process
  ScopeStatus status_;
};

ActiveState ScopeMachine::active() const {
  switch (state_) {
    case ScopeState::dead:
      return ActiveState::inactive;
    case ScopeState::running:
    case ScopeState::abandoned:
      return ActiveState::active;
    case ScopeState::stop_sigterm:
    case ScopeState::stop_sigkill:
      return ActiveState::deactivating;
    case ScopeState::failed:
      return ActiveState::failed;
  }
  return ActiveState::inactive;
}

std::string_view ScopeMachine::sub() const {
  switch (state_) {
    case ScopeState::dead:
      return "dead";
    case ScopeState::running:
      return "running";
    case ScopeState::abandoned:
      return "abandoned";
    case ScopeState::stop_sigterm:
      return "stop-sigterm";
    case ScopeState::stop_sigkill:
      return "stop-sigkill";
    case ScopeState::failed:
      return "failed";
  }
  return "dead";
}

void ScopeMachine::arm_stop(MachineContext& context) {
  const auto& settings = context.settings();
  context.disarm(TimerKind::runtime_max);
  const Duration limit = stop_timeout(settings, context.config());
  context.arm(TimerKind::operation, saturating_add(context.now().mono, limit));
}

/// The controller ends the scope in its own way; where there is none, the first signal does.
void ScopeMachine::wind_down(MachineContext& context) {
  if (status_.controller.empty()) return signal(context, ScopeState::stop_sigterm);
  arm_stop(context);
  ask_controller(context);
  enter(context, ScopeState::stop_sigterm);
}

void ScopeMachine::ask_controller(MachineContext& context) {
  asked_ = true;
  context.emit(RequestStop{context.id(), status_.controller});
}

void ScopeMachine::forget_controller(MachineContext& context) {
  if (status_.controller.empty()) return;
  watch_controller(context, false);
  status_.controller.clear();
  context.touch();
}

void ScopeMachine::controller_changed(MachineContext& context, bool owned) {
  if (status_.controller.empty()) return;
  const bool stopping = state_ == ScopeState::stop_sigterm;
  if (owned) {
    if (stopping && !asked_) ask_controller(context);
    return;
  }
  context.log(LogLevel::debug, "scope-controller-gone",
              fmt::format("The controller {} left the bus", status_.controller));
  forget_controller(context);
  // What was asked of it nobody will do now.
  if (stopping) signal(context, ScopeState::stop_sigterm);
}

void ScopeMachine::signal(MachineContext& context, ScopeState to, Directive first_signal) {
  const auto& settings = context.settings();
  const bool first = to == ScopeState::stop_sigterm;
  int number = first ? SIGTERM : SIGKILL;
  if (first) {
    for (const Directive each : {Directive::KillSignal, first_signal}) {
      if (settings.get(each) != nullptr) number = static_cast<int>(settings.integer(each));
    }
  }
  arm_stop(context);
  context.emit(KillProcesses{context.id(), KillWhom::all, number, first,
                             first && settings.boolean(Directive::SendSIGHUP)});
  enter(context, to);
}

/// The last lease ended. A scope has no main process: `main` means the same as `control-group`.
void ScopeMachine::let_go(MachineContext& context) {
  const auto policy = context.settings().choice<unit::KillOnLastClose>(Directive::KillOnLastClose);
  if (!is_up() || policy == unit::KillOnLastClose::no) return;
  context.log(LogLevel::notice, "scope-unheld", "The last lease on the scope ended");
  signal(context, ScopeState::stop_sigterm, Directive::LastCloseSignal);
}

void ScopeMachine::end(MachineContext& context) {
  context.disarm(TimerKind::operation);
  context.disarm(TimerKind::runtime_max);
  context.emit(CleanUp{context.id(), false});
  forget_controller(context);
  const bool good = status_.result == ServiceResult::success;
  enter(context, good ? ScopeState::dead : ScopeState::failed);
}

/// OOMPolicy= (systemd.scope(5)). `kill` is the kernel's work, which has ended all of it.
void ScopeMachine::out_of_memory(MachineContext& context) {
  const auto policy = context.settings().choice<unit::OomPolicy>(Directive::OOMPolicy);
  if (policy == unit::OomPolicy::go_on || state_ == ScopeState::abandoned) return;
  went_wrong(ServiceResult::oom_kill);
  if (state_ == ScopeState::stop_sigkill) return context.touch();
  context.log(LogLevel::error, "scope-out-of-memory",
              "The kernel killed a process of the scope for lack of memory; stopping it, as "
              "OOMPolicy= says");
  signal(context,
         state_ == ScopeState::running ? ScopeState::stop_sigterm : ScopeState::stop_sigkill);
}

void ScopeMachine::handle(MachineContext& context, const Event& event) {
  const ActiveState now = active();
  if (is_inactive_or_failed(now)) return;
  if (std::holds_alternative<UnitEmpty>(event)) return end(context);
  if (std::holds_alternative<HoldersGone>(event)) return let_go(context);
  if (std::holds_alternative<OutOfMemory>(event)) return out_of_memory(context);
  if (const auto* const name = std::get_if<BusNameChanged>(&event)) {
    return controller_changed(context, name->owned);
  }
  const auto* const timer = std::get_if<TimerFired>(&event);
  if (timer == nullptr) return;
  if (is_up() && timer->kind == TimerKind::runtime_max) {
    went_wrong(ServiceResult::timeout);
    context.log(LogLevel::warning, "scope-timeout", "The scope ran longer than RuntimeMaxSec=");
    return wind_down(context);
  }
  if (timer->kind != TimerKind::operation) return;
  if (state_ == ScopeState::stop_sigterm) {
    went_wrong(ServiceResult::timeout);
    context.log(LogLevel::warning, "scope-timeout", "The scope did not end in time: SIGKILL");
    return signal(context, ScopeState::stop_sigkill);
  }
  context.log(LogLevel::error, "scope-unkillable", "The scope outlives SIGKILL; still waiting");
}

}  // namespace

std::unique_ptr<Machine> make_scope_machine() {
  return std::make_unique<ScopeMachine>();
}

}  // namespace pidward::engine
