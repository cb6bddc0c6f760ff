// The engine's turns: events in, effects carried out in order, observers told at the end.
#include <csignal>

#include <boost/asio/post.hpp>
#include <fmt/core.h>
#include <malloc.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"

namespace pidward::runtime {
namespace {

// Inactive units that nobody holds are dropped this long after the last change: one wake-up for all
// of a burst.
constexpr std::chrono::seconds kCollectionDelay(10);
// How long an orphan that ended may stay a zombie.
constexpr std::chrono::milliseconds kOrphanDelay(20);
constexpr std::size_t kComplaintsKept = 4;

/// Reading and starting many units leaves holes in the heap that nothing fills soon.
void give_memory_back() {
  constexpr std::size_t kMuch = 256U << 10U;
  static std::size_t known = 0;  // holes smaller than a page, which stay
  if (::mallinfo2().fordblks < known + kMuch) return;
  ::malloc_trim(0);
  known = ::mallinfo2().fordblks;
}

/// Carries one effect out.
class Runner {
 public:
  explicit Runner(Manager::Impl& impl) : impl_(impl) {}

  void operator()(const engine::PrepareStart& effect) {
    impl_.complaints_of.erase(effect.unit);
    impl_.preparer->prepare(effect);
  }
  void operator()(const engine::Spawn& effect) {
    if (!impl_.answer_recovered(effect)) impl_.spawner->spawn(effect);
  }
  void operator()(const engine::KillProcesses& effect) {
    // A frozen process would not act on the signals of a stop.
    const bool stops = impl_.engine.status(effect.unit).active != engine::ActiveState::active;
    if (stops) impl_.freezer.release(effect.unit);
    impl_.tree.kill(effect);
  }
  void operator()(const engine::WatchEmpty& effect) { impl_.tree.watch_empty(effect.unit); }
  void operator()(const engine::ArmTimer& effect) {
    if (effect.wall) return impl_.wall_clock.arm(effect.unit, *effect.wall, effect.generation);
    impl_.timers.arm(effect.unit, effect.kind, effect.at, effect.generation);
  }
  void operator()(const engine::DisarmTimer& effect) {
    if (effect.kind == engine::TimerKind::calendar) return impl_.wall_clock.disarm(effect.unit);
    impl_.timers.disarm(effect.unit, effect.kind);
  }
  void operator()(const engine::WatchClock& effect) {
    impl_.wall_clock.watch(effect.unit, effect.watch);
  }
  void operator()(const engine::WatchPaths& effect) { impl_.paths.watch(effect); }
  void operator()(const engine::UnwatchPaths& effect) { impl_.paths.unwatch(effect.unit); }
  void operator()(const engine::ReadTimerStamp& effect) { impl_.stamps.read(effect.unit); }
  void operator()(const engine::StoreTimerStamp& effect) {
    impl_.stamps.store(effect.unit, effect.last);
  }
  void operator()(const engine::FindMainProcess& effect) { impl_.pid_files.find(effect); }
  void operator()(const engine::WatchBusName& effect) { impl_.watch_bus_name(effect); }
  void operator()(const engine::RequestStop& effect) { impl_.request_stop(effect); }
  void operator()(const engine::Listen& effect) { impl_.listeners.listen(effect.unit); }
  void operator()(const engine::CloseListen& effect) {
    impl_.listeners.close(effect.unit, effect.remove_files);
  }
  void operator()(const engine::WatchListen& effect) {
    impl_.listeners.watch(effect.unit, effect.watch);
  }
  void operator()(const engine::CloseConnection& effect) {
    impl_.listeners.close_connection(effect.connection);
  }
  void operator()(const engine::FlushListen& effect) { impl_.listeners.flush(effect.unit); }
  void operator()(const engine::ObserveExternal& effect) {
    impl_.external.observe(effect.unit, effect.observe);
  }
  void operator()(const engine::CleanUp& effect) {
    impl_.pid_files.forget(effect.unit);
    if (!effect.restarting) impl_.bindings.forget(effect.unit);
    if (!effect.restarting) impl_.exit_kills.forget(effect.unit);
    if (!effect.restarting) impl_.transient.close_streams(effect.unit);
    impl_.freezer.forget(effect.unit);
    impl_.fd_store.clean_up(effect.unit, effect.restarting);
    impl_.preparer->clean_up(effect);
  }
  void operator()(const engine::StoreDescriptors& effect) { impl_.fd_store.store(effect); }
  void operator()(const engine::RemoveDescriptors& effect) { impl_.fd_store.remove(effect); }
  void operator()(const engine::UnitAdded& effect) {
    if (const auto spec = impl_.engine.spec(effect.unit)) {
      impl_.observers.unit_added(effect.unit, spec->name);
    }
  }
  void operator()(const engine::UnitChanged& effect) {
    impl_.observers.unit_changed(effect.unit);
    const auto spec = impl_.engine.spec(effect.unit);
    if (!spec || !spec->transient) return;
    const engine::ActiveState state = impl_.engine.status(effect.unit).active;
    if (state != engine::ActiveState::inactive) impl_.transient.forget_processes(effect.unit);
    impl_.collect_soon = impl_.collect_soon || state == engine::ActiveState::inactive ||
                         state == engine::ActiveState::failed;
  }
  void operator()(const engine::UnitRemoved& effect) {
    impl_.source.known().remove(effect.name);
    for (const unit::UnitName& alias : effect.aliases) impl_.source.known().remove(alias);
    impl_.transient.removed(effect.unit, effect.name);
    impl_.preparer->forget(effect.unit);
    impl_.named_on_bus.erase(effect.unit);
    impl_.leases.forget(effect.unit);
    impl_.exit_kills.forget(effect.unit);
    impl_.complaints_of.erase(effect.unit);
    impl_.fd_store.forget(effect.unit);
    impl_.observers.unit_removed(effect.unit, effect.name);
  }
  void operator()(const engine::JobAdded& effect) {
    ++impl_.jobs;
    remember_name(effect.unit);
    impl_.observers.job_added(effect.job, effect.unit, name_);
  }
  void operator()(const engine::JobChanged& effect) { impl_.observers.job_changed(effect.job); }
  void operator()(const engine::JobRemoved& effect) {
    if (impl_.jobs > 0) --impl_.jobs;
    remember_name(effect.unit);
    impl_.observers.job_removed(effect.job, effect.unit, name_, effect.result);
  }
  void operator()(const engine::Log& effect) { log(effect.record); }
  void operator()(const engine::SystemAction& effect) { impl_.do_system_action(effect); }
  void operator()(const engine::LoadUnit& effect) {
    impl_.load_units({effect.name}, [] {});
  }

 private:
  void remember_name(UnitId unit) {
    if (const auto spec = impl_.engine.spec(unit)) name_ = spec->name;
  }

  Manager::Impl& impl_;
  unit::UnitName name_ = *unit::UnitName::parse("unknown.target");
};

}  // namespace

void Manager::Impl::remember(const LogRecord& record) {
  if (record.level > LogLevel::warning) return;
  const auto name = unit::UnitName::parse(record.unit);
  const auto unit = name ? engine.find(*name) : std::nullopt;
  if (!unit) return;
  std::deque<std::string>& complaints = complaints_of[*unit];
  complaints.push_back(record.message);
  if (complaints.size() > kComplaintsKept) complaints.pop_front();
}

void Manager::Impl::post(engine::Event event) {
  queue.push_back(std::move(event));
}

void Manager::Impl::run(engine::Effects& effects, const engine::Event* event) {
  // What units were found to be is written already.
  if (!recovering) keeper.engine_changed(effects, event);
  Runner runner(*this);
  const bool outer = !std::exchange(draining, true);
  // An effect may add to the queue, never to this list.
  for (const engine::Effect& effect : effects) std::visit(runner, effect);
  effects.clear();
  if (outer) draining = false;
}

void Manager::Impl::drain() {
  if (draining) return;
  draining = true;
  groups.forget_looks();
  timers.hold();
  logs.hold();
  engine::Effects effects;
  // A delay of nothing is over at once; those that follow from it are for the next turn.
  bool more = true;
  for (bool first = true; more; first = false) {
    while (!queue.empty()) {
      const engine::Event event = std::move(queue.front());
      queue.pop_front();
      engine.handle(event, now(), effects);
      run(effects, &event);
    }
    more = first && timers.fire_due(mono_now());
  }
  draining = false;
  turn_ended();
}

void Manager::Impl::tell_soon() {
  if (std::exchange(telling_soon, true)) return;
  boost::asio::post(io, [this] {
    telling_soon = false;
    observers.flush();
  });
}

void Manager::Impl::turn_ended() {
  for (const std::string& key : std::exchange(unheard, {})) keeper.remove_entry(key);
  // Before anybody is told.
  keeper.flush();
  groups.forget_looks();
  timers.release();
  logs.release();
  observers.flush();
  if (boot_loaded && booting && jobs == 0) {
    booting = false;
    finished = true;
    finished_at = now();
    observers.tell([](ManagerObserver& observer) { observer.startup_finished(); });
  }
  check_exit();
  if (std::exchange(collect_soon, false)) {
    // Behind what the observers queued for later: their last news of the unit comes before its end.
    boost::asio::post(io, [this] { collect_now(); });
  }
  if (collection_armed || wanted_exit) return;
  collection_armed = true;
  collection.expires_after(kCollectionDelay);
  collection.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    engine::Effects effects;
    engine.collect(now(), effects);
    run(effects);
    observers.flush();
    collection_armed = false;
    keeper.at_rest();
    give_memory_back();
  });
}

void Manager::Impl::child_doorbell() {
  // Whose pidfd is waited on has been collected. What is left is nobody's, and to find it the
  // kernel goes through all our children: not for each one that ends, and not before its restart.
  if (std::exchange(child_ended, false) && !std::exchange(orphans_armed, true)) {
    orphans.expires_after(kOrphanDelay);
    orphans.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      orphans_armed = false;
      tracker.reap();
      drain();
    });
  }
  drain();
}

void Manager::Impl::add_units(const UnitSource::Specs& specs, engine::Effects& effects) {
  for (const unit::UnitSpecPtr& spec : specs) {
    source.known().add(*spec);
    transient.note(*spec);
    for (const unit::Diagnostic& found : spec->diagnostics) {
      using Severity = unit::Diagnostic::Severity;
      if (found.severity == Severity::note) continue;
      const LogLevel level =
          found.severity == Severity::error ? LogLevel::error : LogLevel::warning;
      log_about(level, *spec, "unit-file", found.to_string());
    }
  }
  engine.add(specs, now(), effects);
}

void Manager::Impl::watch_bus_name(const engine::WatchBusName& effect) {
  const auto spec = engine.spec(effect.unit);
  if (!spec) return;
  const std::string& name =
      effect.name.empty() ? spec->settings.string(unit::Directive::BusName) : effect.name;
  if (name.empty()) return;
  std::set<UnitId>& waiting = bus_names[name];
  const bool had = !waiting.empty();
  if (effect.watch) {
    waiting.insert(effect.unit);
  } else {
    waiting.erase(effect.unit);
  }
  const bool has = !waiting.empty();
  if (!has) bus_names.erase(name);
  if (had == has) return;
  observers.tell([&](ManagerObserver& observer) { observer.watch_bus_name(name, has); });
}

void Manager::Impl::request_stop(const engine::RequestStop& effect) {
  freezer.release(effect.unit);
  bool sent = false;
  observers.tell([&](ManagerObserver& observer) {
    sent = observer.request_stop(effect.unit, effect.controller) || sent;
  });
  if (!sent) post(engine::BusNameChanged{effect.unit, false, {}});
}

void Manager::Impl::do_system_action(const engine::SystemAction& action) {
  log(LogLevel::notice, fmt::format("{}", action.reason));
  switch (action.action) {
    case unit::EmergencyAction::none:
      return;
    case unit::EmergencyAction::exit:
      request_exit(action.exit_status.value_or(0));
      return;
    case unit::EmergencyAction::exit_force:
      request_exit(action.exit_status.value_or(0));
      kill_everything();
      return;
    case unit::EmergencyAction::reboot:
    case unit::EmergencyAction::reboot_force:
    case unit::EmergencyAction::reboot_immediate:
    case unit::EmergencyAction::poweroff:
    case unit::EmergencyAction::poweroff_force:
    case unit::EmergencyAction::poweroff_immediate:
      // Restarting or halting the machine is its init's business; in a container, ending is all
      // there is.
      if (::getpid() == 1) {
        request_exit(action.exit_status.value_or(0));
      } else {
        log(LogLevel::error, "pidward is not the init of this system and leaves its power alone");
      }
      return;
  }
}

}  // namespace pidward::runtime
