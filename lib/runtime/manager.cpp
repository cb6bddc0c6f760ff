#include "runtime/manager.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include <boost/asio/post.hpp>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "runtime/system_facts.hpp"
#include "sys/descriptor_reserve.hpp"
#include "sys/proc.hpp"
#include "sys/reaper.hpp"

namespace pidward::runtime {
namespace {

engine::EngineConfig engine_config(const Config& config, const unit::SpecifierContext& specifiers) {
  engine::EngineConfig result;
  result.random = [device = std::make_shared<std::random_device>()] {
    return (static_cast<std::uint64_t>((*device)()) << 32U) | (*device)();
  };
  result.default_timeout_start = config.default_timeout_start;
  result.default_timeout_stop = config.default_timeout_stop;
  result.default_timeout_abort = config.default_timeout_abort;
  result.default_restart = config.default_restart;
  result.default_start_limit_interval = config.default_start_limit_interval;
  result.default_start_limit_burst = config.default_start_limit_burst;
  result.is_user_manager = config.scope == unit::Scope::user;
  result.startup = mono_now();
  // A container counts from its own start, not from its host's.
  if (!virtualization().container.empty()) result.boot = result.startup;
  result.local_zone = read_local_zone();
  result.machine_seed = std::hash<std::string>{}(specifiers.machine_id);
  return result;
}

// What a thousand services and more take: 64 KiB of the kernel's memory.
constexpr int kDescriptorsAtOnce = 8192;

// One descriptor for each process and each log pipe: as many as we may have. Services get the limit
// we were given. What a supervisor gives us as its service is meant for us, though: programs that
// use select(2), or close all there may be, expect the kernel's soft limit.
void raise_descriptor_limit(unit::Settings& defaults) {
  constexpr std::uint64_t kKernelsSoftLimit = 1024;
  const rlimit given = sys::raise_descriptor_limit();
  const auto number = [](rlim_t value) {
    return value == RLIM_INFINITY ? UINT64_MAX : static_cast<std::uint64_t>(value);
  };
  const bool is_service = variable("SYSTEMD_EXEC_PID") == std::to_string(::getpid());
  const std::uint64_t soft = number(given.rlim_cur);
  defaults.set(unit::Directive::LimitNOFILE,
               unit::ResourceLimit{is_service ? std::min(soft, kKernelsSoftLimit) : soft,
                                   number(given.rlim_max)});
  sys::make_room_for_descriptors(kDescriptorsAtOnce);
}

// What a service is given of the daemon's own block: as a system manager next to nothing, as a
// user's all but what was said to us alone.
std::vector<std::string> initial_environment(const Config& config) {
  std::vector<std::string> block;
  if (config.scope == unit::Scope::user) {
    static constexpr std::string_view kOurs[] = {"NOTIFY_SOCKET=",  "FDSTORE=",
                                                 "INVOCATION_ID=",  "JOURNAL_STREAM=",
                                                 "LISTEN_PID=",     "LISTEN_FDS=",
                                                 "LISTEN_FDNAMES=", "MAINPID=",
                                                 "MAINPIDFDID=",    "WATCHDOG_PID=",
                                                 "WATCHDOG_USEC=",  "SYSTEMD_EXEC_PID=",
                                                 "MANAGERPID=",     "PIDWARD_DISABLE_FEATURES="};
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      const bool ours = std::ranges::any_of(
          kOurs, [text](std::string_view name) { return text.starts_with(name); });
      if (!ours) block.emplace_back(text);
    }
  } else {
    block.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (const char* language = std::getenv("LANG"))
      block.push_back(std::string("LANG=") + language);
  }
  block.insert(block.end(), config.default_environment.begin(), config.default_environment.end());
  return block;
}

// Transient units and what set-property wrote for now belong to one daemon: they are in its runtime
// directory. What it wrote for good is beside its unit files.
void put_own_directories_first(const Config& config, unit::SearchPath& path) {
  path.transient_dir = config.runtime_directory + "/transient";
  const bool is_user = config.scope == unit::Scope::user;
  path.runtime_control_dir =
      config.runtime_directory + (is_user ? "/user" : "/system") + ".control";
  if (!config.unit_path.empty()) {
    path.control_dir = path.config_dir + ".control";
    // Links that are to last until the next boot are ours alone too.
    path.runtime_dir = config.runtime_directory + (is_user ? "/user" : "/system");
    std::erase(path.directories, path.runtime_dir);
    const auto config_dir = std::ranges::find(path.directories, path.config_dir);
    path.directories.insert(
        config_dir == path.directories.end() ? path.directories.begin() : std::next(config_dir),
        path.runtime_dir);
  }
  for (const std::string& own : {path.transient_dir, path.runtime_control_dir, path.control_dir}) {
    std::erase(path.directories, own);
    path.directories.insert(path.directories.begin(), own);
  }
}

unit::LoaderContext loader_context(const Config& config) {
  unit::LoaderContext context;
  context.scope = config.scope;
  context.strict = config.strict_units;
  context.specifiers = specifier_context(config.scope);
  unit::SearchPathOptions options;
  options.scope = config.scope;
  // A running systemd keeps its units to itself.
  options.include_systemd =
      config.systemd_directories && ::access("/run/systemd/system", F_OK) != 0;
  options.home = context.specifiers.home;
  options.xdg_config_home = variable("XDG_CONFIG_HOME");
  options.xdg_data_home = variable("XDG_DATA_HOME");
  options.xdg_runtime_dir = variable("XDG_RUNTIME_DIR");
  options.override_path = config.unit_path;
  context.path = unit::make_search_path(options);
  put_own_directories_first(config, context.path);
  raise_descriptor_limit(context.defaults);
  return context;
}

exec::Roots exec_roots(const unit::SpecifierContext& specifiers) {
  exec::Roots roots;
  roots.runtime = specifiers.runtime_root;
  roots.state = specifiers.state_root;
  roots.cache = specifiers.cache_root;
  roots.logs = specifiers.logs_root;
  roots.configuration = specifiers.config_root;
  return roots;
}

void write_to_stderr(const LogRecord& record) {
  // One write, so that lines of several processes do not mix. journald reads the level prefix.
  static const bool kOnJournal = !variable("JOURNAL_STREAM").empty();
  const std::string level = kOnJournal ? fmt::format("<{}>", static_cast<unsigned>(record.level))
                                       : fmt::format("{}: ", to_string(record.level));
  const std::string line = fmt::format("{}{}{}{}\n", level, record.unit,
                                       record.unit.empty() ? "" : ": ", record.message);
  const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(written);
}

}  // namespace

Manager::Impl::Impl(boost::asio::io_context& the_io, Startup startup)
    : io(the_io),
      config(std::move(startup.config)),
      features(startup.features),
      watcher(std::move(startup.watcher)),
      pool(io),
      table(features),
      engine(engine_config(config, startup.loader.specifiers)),
      core{io, config, features, *watcher, pool, table, *this, engine},
      kept(core),
      keeper(core, kept, sys::boot_id().value_or("unknown")),
      source(pool, std::move(startup.loader)),
      transient(keeper, source.context().path.transient_dir),
      groups(core),
      tracker(core),
      tree(core, groups, tracker),
      freezer(groups),
      leases(core, tracker, keeper),
      waits(core, tracker),
      bindings(core, waits, keeper),
      logs(core, keeper),
      listeners(core, keeper),
      external(core),
      pid_files(core, tree, tracker),
      fd_store(core, keeper),
      exit_kills(core, groups, kept),
      notify(core, tree, tracker, fd_store),
      timers(io,
             [this](const engine::TimerFired& fired) {
               post(fired);
               drain();
             }),
      paths(core),
      wall_clock(core),
      stamps(core),
      signals([this](int signal) { handle_signal(signal); }),
      roots(std::move(startup.roots)),
      started_at(now()),
      collection(io),
      orphans(io) {
  for (const std::string& entry : startup.environment) {
    const std::size_t equals = entry.find('=');
    environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
}

Manager::Impl::~Impl() {
  // Whatever waits for a result is told, while all of us is there, that none will come.
  pool.stop();
  set_log_sink(write_to_stderr);
  watcher->set_round_end(nullptr, nullptr);
  // While everything a policy needs is there.
  table.shutdown(process::ProcessTable::Leftovers::run_policies);
  table.set_newcomer({});
}

Status Manager::Impl::open() {
  PIDWARD_CHECK(make_directories(config.runtime_directory));
  PIDWARD_CHECK(make_directories(config.log_directory));
  bool whole = false;
  StateEntries left;  // outlives the thread of `units`, which reads it
  LeftUnits units;
  if (keeper.is_there_any()) units.specs = std::make_unique<UnitStream>(source);
  left = keeper.take_over(whole, [&](const auto& keys) { read_left_units(keys, units); });
  if (units.specs && goes_on(whole)) units.specs->then([&] { keeper.prepare(left); });
  const auto handover = left.find(kHandoverKey);
  kept.open(handover == left.end() ? std::string_view() : handover->second);
  PIDWARD_CHECK(sys::become_subreaper());
  set_log_sink([this, door = pool.door(), loop = loop_thread](const LogRecord& record) {
    write_to_stderr(record);
    if (record.unit.empty()) return;
    if (std::this_thread::get_id() == loop) {
      remember(record);
      logs.note(record);
    } else {
      // By then we may be gone, and the door closed.
      door->post([this, record] { logs.note(record); });
    }
  });
  find_left_records(left, units);
  watcher->set_round_end([](void* self) { static_cast<Manager::Impl*>(self)->child_doorbell(); },
                         this);
  groups.open();
  if (!groups.is_available()) {
    log(LogLevel::notice, fmt::format("Running without control groups: {}", groups.why_not()));
  }
  PIDWARD_CHECK(signals.open(*watcher));
  PIDWARD_CHECK(recover_logs(left));
  PIDWARD_CHECK(notify.open(kept));
  groups.set_change_callback([this](UnitId unit) {
    if (freezer.group_changed(unit)) observers.unit_changed(unit);
  });
  groups.set_empty_callback([this](UnitId unit) { tree.group_empty(unit); });
  groups.set_out_of_memory_callback([this](UnitId unit) { post(engine::OutOfMemory{unit}); });
  groups.set_oom_kills_callback(
      [this](std::uint64_t group, std::uint64_t kills) { keep_oom_kills(group, kills); });
  tracker.set_hooks(
      [this](ProcessId process) {
        // Why it died is to be known before that it did.
        if (const auto handle = table.find(process); handle && handle->unit()) {
          groups.look_for_out_of_memory(handle->unit());
        }
        return spawner->settle(process);
      },
      [this](UnitId unit, ProcessId process) { process_ended(unit, process); });
  table.set_newcomer([this](ProcessId process) {
    if (observers.empty()) return;
    observers.process_added(table.find(process));
    tell_soon();
  });
  table.set_tree_killer([this](const process::ProcessState& state) {
    const Status killed = kill_tree_of(state);
    if (killed) return;
    log(LogLevel::warning, fmt::format("Cannot kill the tree of process {}: {}", state.pid(),
                                       killed.error().to_string()));
  });
  leases.set_released([this](UnitId unit, bool started) { last_lease_ended(unit, started); });
  bindings.set_ended([this](UnitId unit, const process::ProcessState& process) {
    bound_process_ended(unit, process.pid());
  });
  spawner = std::make_unique<ServiceSpawner>(
      core, ServiceSpawner::Parts{groups, tracker, logs, listeners, fd_store, keeper, exit_kills},
      ServiceSpawner::Surroundings{roots, notify.path(),
                                   [this] {
                                     std::vector<std::string> block;
                                     for (const auto& [key, value] : environment) {
                                       block.push_back(fmt::format("{}={}", key, value));
                                     }
                                     return block;
                                   },
                                   [this](UnitId unit) { return transient.streams(unit); }});
  spawner->set_answered([this](UnitId unit) { tree.spawn_answered(unit); });
  tree.set_spawning([this](UnitId unit) { return spawner->is_spawning(unit); });
  preparer = std::make_unique<StartPreparer>(
      core, groups, tracker, tree,
      StartPreparer::Surroundings{roots,
                                  [this] {
                                    ConditionContext context;
                                    for (const auto& [key, value] : environment) {
                                      context.environment.push_back(
                                          fmt::format("{}={}", key, value));
                                    }
                                    if (groups.mount()) {
                                      context.control_group_directory = groups.mount()->path;
                                      context.unified_control_groups = groups.mount()->unified;
                                    }
                                    return context;
                                  },
                                  [this](UnitId unit) { return transient.take_processes(unit); }});
  return recover(left, whole, std::move(units));
}

Manager::Manager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Manager::~Manager() {
  end();
}

bool Manager::end() {
  if (!impl_) return true;
  // Whoever ended us in order has nothing to come back to.
  if (impl_->exit_code) impl_->keeper.remove();
  impl_->logs.close();
  impl_->groups.close();
  const bool all_ended = impl_->pool.stop();
  impl_.reset();
  return all_ended;
}

Result<std::unique_ptr<Manager>> Manager::create(boost::asio::io_context& io, Config config) {
  set_max_log_level(config.log_level);
  set_log_sink(write_to_stderr);
  ::umask(0022);
  PIDWARD_CHECK(sys::fill_standard_fds());
  Startup startup;
  PIDWARD_TRY(startup.features, sys::KernelFeatures::probe(config.disabled_features));
  PIDWARD_CHECK(startup.features.check_required());
  PIDWARD_TRY(startup.watcher, DescriptorWatcher::create(io));
  startup.loader = loader_context(config);
  startup.roots = exec_roots(startup.loader.specifiers);
  startup.environment = initial_environment(config);
  startup.config = std::move(config);
  auto impl = std::make_unique<Impl>(io, std::move(startup));
  PIDWARD_CHECK(impl->open());
  return std::unique_ptr<Manager>(new Manager(std::move(impl)));
}

}  // namespace pidward::runtime
