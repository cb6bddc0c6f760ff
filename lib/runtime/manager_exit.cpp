// How the manager ends: everything stopped in order, within one transaction, then the loop.
#include <csignal>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kExitTarget = "pidward-exit.target";

bool is_down(engine::ActiveState state) {
  return state == engine::ActiveState::inactive || state == engine::ActiveState::failed;
}

}  // namespace

std::string_view to_string(SystemState state) {
  switch (state) {
    case SystemState::initializing:
      return "initializing";
    case SystemState::starting:
      return "starting";
    case SystemState::running:
      return "running";
    case SystemState::degraded:
      return "degraded";
    case SystemState::maintenance:
      return "maintenance";
    case SystemState::stopping:
      return "stopping";
  }
  return "unknown";
}

SystemState Manager::Impl::state() const {
  if (wanted_exit) return SystemState::stopping;
  if (booting) return boot_loaded ? SystemState::starting : SystemState::initializing;
  for (const UnitId unit : engine.units()) {
    if (engine.status(unit).active == engine::ActiveState::failed) return SystemState::degraded;
  }
  return boot_failed ? SystemState::degraded : SystemState::running;
}

void Manager::Impl::handle_signal(int signal) {
  if (signal == SIGCHLD) {
    child_ended = true;
    return;
  }
  if (signal == SIGHUP) {
    log(LogLevel::notice, "SIGHUP: reading all units again");
    reload([](const Result<std::vector<unit::Diagnostic>>& complaints) {
      if (!complaints) return;
      for (const unit::Diagnostic& found : *complaints) log(LogLevel::warning, found.to_string());
    });
    return;
  }
  if (!wanted_exit) {
    log(LogLevel::notice, "Asked to end: stopping every unit");
    request_exit(0);
  } else {
    log(LogLevel::warning, "Asked to end once more: killing what is left");
    kill_everything();
  }
}

void Manager::Impl::request_exit(int code) {
  if (std::exchange(wanted_exit, code)) return;
  keep_manager_entry();
  kept.tell("STOPPING=1");
  collection.cancel();
  // A target that conflicts with all there is and comes after it: one transaction, in order, and
  // nothing can be started into it.
  auto spec = std::make_shared<unit::UnitSpec>(*unit::UnitName::parse(kExitTarget));
  spec->load_state = unit::LoadState::loaded;
  spec->transient = true;
  std::vector<JobId> pointless;  // for a device to show up, say, which nobody needs any more
  for (const UnitId unit : engine.units()) {
    const engine::UnitStatus status = engine.status(unit);
    if (status.spec == nullptr) continue;
    if (!unit::is_managed(status.spec->name.type())) {
      if (status.job) pointless.push_back(status.job);
      continue;
    }
    if (status.spec->name.type() == unit::UnitType::slice) continue;
    if (is_down(status.active) && !status.job) continue;
    for (const auto kind : {unit::Dependency::Conflicts, unit::Dependency::After}) {
      spec->dependencies.push_back({kind, unit::Origin::implicit, status.spec->name});
    }
  }
  const UnitSource::Specs specs{spec};
  auto outcome = with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
    for (const JobId job : pointless) static_cast<void>(the_engine.cancel(job, now(), effects));
    the_engine.add(specs, now(), effects);
    engine::JobRequest wanted{spec->name};
    wanted.mode = unit::JobMode::replace_irreversibly;
    wanted.manual = false;
    return the_engine.request(wanted, now(), effects);
  });
  if (!outcome) {
    log(LogLevel::error, "Cannot stop in order: " + outcome.error().to_string());
    kill_everything();
  }
  exit_requested_jobs = true;
  boost::asio::post(io, [this] { drain(); });
}

void Manager::Impl::kill_everything() {
  for (const UnitId unit : engine.units()) {
    if (tree.is_empty(unit)) continue;
    tree.kill({unit, engine::KillWhom::all, SIGKILL});
  }
  drain();
}

void Manager::Impl::check_exit() {
  if (!wanted_exit || exit_code || !exit_requested_jobs || jobs > 0) return;
  for (const UnitId unit : engine.units()) {
    const engine::UnitStatus status = engine.status(unit);
    const bool stopping = status.active == engine::ActiveState::deactivating ||
                          status.active == engine::ActiveState::activating;
    if (stopping && status.spec != nullptr && unit::is_managed(status.spec->name.type())) return;
  }
  exit_code = wanted_exit;
  boost::asio::post(io, [this] { io.stop(); });
}

}  // namespace pidward::runtime
