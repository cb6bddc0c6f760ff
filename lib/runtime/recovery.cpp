// Taking over from a daemon that is gone: the state it kept, the processes that are left, and what
// follows from the difference.
#include <algorithm>
#include <cerrno>
#include <csignal>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "base/number.hpp"
#include "engine/record.hpp"
#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "runtime/reopen.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kUnit = "unit ";
constexpr const char* kManager = "manager";
constexpr std::string_view kOomKills = "oom ";

/// What the next daemon must know of the manager itself.
struct ManagerRecord {
  bool booted = false;
  bool ends = false;
  int exit_code = 0;
  engine::JobCounts jobs;
  std::vector<std::pair<std::string, std::string>> environment;

  template <typename Archive, typename Self>
  static void each_field(Archive& a, Self& self) {
    a.flag("booted", self.booted);
    a.flag("ends", self.ends);
    a.number("exit", self.exit_code);
    a.number("jobs_installed", self.jobs.installed);
    a.number("jobs_failed", self.jobs.failed);
    a.list("environment", self.environment, [](auto& archive, auto& variable) {
      archive.text("name", variable.first);
      archive.text("value", variable.second);
    });
  }
};

/// `renamed` may still grow, and is to outlive it.
engine::ProcessMap new_ids(const std::unordered_map<ProcessId, ProcessId>& renamed) {
  return [&renamed](ProcessId id) {
    const auto found = renamed.find(id);
    return found == renamed.end() ? id : found->second;
  };
}

CgroupTree::OomKills find_oom_kills(const StateEntries& entries) {
  CgroupTree::OomKills kills;
  for (auto at = entries.lower_bound(kOomKills); at != entries.end(); ++at) {
    const std::string_view key = at->first;
    if (!key.starts_with(kOomKills)) break;
    kills.emplace(parse_number<std::uint64_t>(key.substr(kOomKills.size())).value_or(0),
                  parse_number<std::uint64_t>(at->second).value_or(0));
  }
  return kills;
}

/// The kernel could not, at the moment; it says nothing of the process.
bool is_shortage(const Error& error) {
  const int why = error.sys_errno();
  return why == EMFILE || why == ENFILE || why == ENOMEM || why == ENOSPC;
}

}  // namespace

std::string Manager::Impl::manager_entry() const {
  ManagerRecord record;
  record.booted = boot_loaded || recovered_boot;
  record.ends = wanted_exit.has_value();
  record.exit_code = wanted_exit.value_or(0);
  record.jobs = engine.job_counts();
  record.environment.assign(environment.begin(), environment.end());
  engine::Saver to;
  ManagerRecord::each_field(to, record);
  return to.take();
}

void Manager::Impl::keep_manager_entry() {
  keeper.set(kManager, manager_entry());
  keeper.flush();
}

void Manager::Impl::keep_oom_kills(std::uint64_t group, std::uint64_t kills) {
  const std::string key = fmt::format("{}{}", kOomKills, group);
  kills > 0 ? keeper.set(key, std::to_string(kills)) : keeper.remove_entry(key);
}

/// Begins to read the files of the units that are on record, beside whatever else is to be found
/// out.
void Manager::Impl::read_left_units(const std::vector<std::string_view>& keys, LeftUnits& left) {
  std::vector<unit::UnitName> names;
  for (const std::string_view key : keys) {
    if (!key.starts_with(kUnit)) continue;
    if (auto name = unit::UnitName::parse(key.substr(kUnit.size()))) {
      names.push_back(*std::move(name));
    }
  }
  if (!left.specs) left.specs = std::make_unique<UnitStream>(source);
  left.specs->read(std::move(names));
}

void Manager::Impl::find_left_records(const StateEntries& entries, LeftUnits& left) {
  for (auto at = entries.lower_bound(kUnit); at != entries.end(); ++at) {
    const auto& [key, text] = *at;
    if (!key.starts_with(kUnit)) break;
    auto name = unit::UnitName::parse(key.substr(kUnit.size()));
    if (name) left.records.push_back({*std::move(name), text});
  }
  // Then nothing is read, either.
  if (left.records.empty()) left.specs.reset();
}

/// Whether what is on record stays true. Where ids of processes are our own, all have others now.
bool Manager::Impl::goes_on(bool whole) const {
  return whole && features.has(sys::Feature::pidfs);
}

/// Before the loop runs and anybody can ask for anything.
Status Manager::Impl::recover(const StateEntries& entries, bool whole, LeftUnits units) {
  std::vector<LeftProcess> left = open_kept_processes(entries);
  std::vector<engine::UnitRecord>& records = units.records;
  const std::size_t count = records.size();
  Renamed renamed;
  if (whole) groups.set_known_oom_kills(find_oom_kills(entries));
  PIDWARD_CHECK(take_over_units(units, std::move(left), whole, renamed));
  if (!kept.is_same_process()) groups.kill_marked();
  recover_descriptors(entries);
  find_unknown_processes(records, whole);
  if (const auto found = entries.find(kManager); found != entries.end()) {
    recover_manager_entry(found->second);
  }
  const std::vector<UnitId> leased = leases.recover(entries, kept);
  const auto unbound = bindings.recover(entries);
  units.specs.reset();
  restore_units(records, new_ids(renamed), goes_on(whole) ? entries : StateEntries());
  lost_mains.clear();
  groups.set_known_oom_kills({});
  for (const UnitId unit : leased) update_reference(unit);
  leases.end_lost();
  for (const auto& [unit, pid] : unbound) bound_process_ended(unit, pid);
  listeners.tell_connections();
  if (!kept.is_same_process()) end_what_was_to_die();
  // What came back and belongs to nobody any more.
  for (const std::string& name : kept.left()) kept.drop(name);
  if (count == 0) return {};
  tell_of_lost_processes();
  log(LogLevel::notice, fmt::format("Took over {} units and {} processes from the last pidward",
                                    count, table.size()));
  return {};
}

void Manager::Impl::recover_manager_entry(std::string_view text) {
  ManagerRecord record;
  engine::Loader from(text);
  ManagerRecord::each_field(from, record);
  if (!from.is_good()) return;
  recovered_boot = record.booted;
  engine.continue_counts(record.jobs);
  if (record.ends) {
    boost::asio::post(io, [this, code = record.exit_code] { request_exit(code); });
  }
  if (record.environment.empty()) return;
  environment = {record.environment.begin(), record.environment.end()};
}

/// What is on record of processes. One that was kept for us is the process itself, and knows how it
/// ended. (What the kernel kills with its last descriptor is taken as a child, with its unit.)
std::vector<Manager::Impl::LeftProcess> Manager::Impl::open_kept_processes(
    const StateEntries& entries) {
  std::vector<LeftProcess> left;
  for (const auto& [key, text] : entries) {
    auto record = parse_process(key, text);
    if (!record) continue;
    LeftProcess& process = left.emplace_back(LeftProcess{*std::move(record), std::nullopt});
    if (process.record.autokilled) continue;
    sys::Fd fd = kept.take(pidfd_name(process.record.id));
    if (!fd) continue;
    process.kept = table.reopen(sys::Pidfd(std::move(fd)), process.record.id, process.record.pid);
  }
  return left;
}

/// Adds the units as they are read, and meanwhile takes over the processes of each and loads its
/// record; what is left in `units` is for later. Errors: a process cannot be opened now, and may
/// well be there; then everything stays as it is for another pidward.
Status Manager::Impl::take_over_units(LeftUnits& units, std::vector<LeftProcess> left, bool whole,
                                      Renamed& renamed) {
  std::unordered_multimap<std::string_view, LeftProcess*> waiting;
  for (LeftProcess& process : left) waiting.emplace(process.record.unit, &process);
  std::unordered_map<std::string_view, engine::UnitRecord*> records;
  for (engine::UnitRecord& record : units.records) records.emplace(record.unit.str(), &record);
  const engine::ProcessMap map = new_ids(renamed);
  while (units.specs) {
    const UnitSource::Specs some = units.specs->next();
    if (some.empty()) break;
    engine::Effects effects;
    add_units(some, effects);
    run(effects);
    for (const unit::UnitSpecPtr& spec : some) {
      const auto [first, last] = waiting.equal_range(spec->name.str());
      for (auto at = first; at != last; ++at) {
        PIDWARD_CHECK(take_over_process(*at->second, renamed));
      }
      waiting.erase(first, last);
      // Of one whose main process is lost there may be more to be found out.
      const auto record = records.find(spec->name.str());
      if (!whole || record == records.end() || lost_mains.contains(spec->name)) continue;
      if (!engine.load_record(*record->second, map)) record_makes_no_sense(spec->name);
      record->second->text.clear();
    }
  }
  std::erase_if(units.records, [](const auto& record) { return record.text.empty(); });
  // The unit has another name by now, or is gone.
  for (const auto& [name, process] : waiting) {
    PIDWARD_CHECK(take_over_process(*process, renamed));
  }
  return {};
}

Status Manager::Impl::take_over_process(LeftProcess& process, Renamed& renamed) {
  const ProcessRecord& record = process.record;
  const auto name = unit::UnitName::parse(record.unit);
  const auto unit = name ? engine.find(*name) : std::nullopt;
  if (!unit) {
    if (process.kept) kept.drop(pidfd_name(record.id));
    return {};
  }
  std::optional<std::string> group;
  if (groups.is_available()) {
    const auto spec = engine.spec(*unit);
    const bool is_new = !groups.has(*unit);
    const auto taken = spec ? groups.take_over(*unit, *spec)
                            : Result<sys::CgroupDir>(Error(Errc::no_such_unit, "It is gone"));
    if (!taken && is_shortage(taken.error())) {
      return Error(taken.error()).within(fmt::format("Cannot take over {}", record.unit));
    }
    if (taken) group = groups.path(*unit);
    if (taken && is_new) freezer.take_over(*unit);
  }
  const auto handle = process.kept ? *process.kept : reopen_process(record, *unit, group);
  Status tracked = handle ? tracker.add(*handle, *unit, record.role) : Status(handle.error());
  if (tracked) {
    renamed.emplace(record.id, (*handle)->id());
    if (record.spawn) recovered_spawns.emplace(record.spawn, (*handle)->id());
    return {};
  }
  if (is_shortage(tracked.error())) {
    return std::move(tracked).error().within(
        fmt::format("Cannot take over process {} of {}", record.pid, record.unit));
  }
  if (tracked.error().code() != Errc::no_such_process) {
    log(LogLevel::warning, tracked.error().to_string());
  }
  // Where ids are our own, the old one may be another process's soon: one that nobody has.
  constexpr std::uint64_t kNobody = std::uint64_t{1} << 63U;
  const ProcessId gone =
      features.has(sys::Feature::pidfs) ? record.id : ProcessId(kNobody | record.id.number());
  renamed.emplace(record.id, gone);
  if (record.role == process::Role::main) {
    ProcessId& lost = lost_mains[*name];
    lost = std::max(lost, record.id);
  }
  // It was made, and is not to be made again.
  if (record.spawn) {
    recovered_spawns.emplace(record.spawn, gone);
    lost_spawns.emplace(record.spawn, record);
  }
  return {};
}

Result<process::ProcessHandle> Manager::Impl::reopen_process(
    const ProcessRecord& record, UnitId unit, const std::optional<std::string>& group) {
  sys::Fd held = record.autokilled ? kept.take(pidfd_name(record.id)) : sys::Fd();
  if (held) {
    PIDWARD_TRY(sys::Pidfd process, sys::Pidfd::from_untrusted(std::move(held)));
    return table.adopt_child(std::move(process), unit, record.role, process::Collected::by_kernel);
  }
  PIDWARD_TRY(sys::Pidfd process, reopen(record, features, group));
  return table.reopen(std::move(process), record.id, record.pid);
}

/// Main processes with our label that no record speaks of, because what was written of them is
/// lost: they are not. What is written of their units is older than they are.
void Manager::Impl::find_unknown_processes(std::vector<engine::UnitRecord>& records, bool whole) {
  if (!groups.is_available()) return;
  std::vector<sys::Pidfd> members;
  const auto add = [&members](Result<std::vector<sys::Pidfd>> found) {
    if (found) std::ranges::move(*found, std::back_inserter(members));
  };
  if (!whole) add(groups.base().processes(true));
  // A file that was cut off behind a change looks whole.
  for (const auto& [name, main] : lost_mains) {
    const auto unit = engine.find(name);
    const auto group =
        unit ? groups.group(*unit) : Result<sys::CgroupDir>(Error(Errc::not_found, ""));
    if (whole && group) add(group->processes(true));
  }
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < records.size(); ++i) known.emplace(records[i].unit.str(), i);
  std::unordered_set<std::string> found;
  for (const sys::Pidfd& member : members) {
    const auto label = read_label(member);
    if (!label || label->role != process::Role::main) continue;
    const auto tracked = table.find(member);
    if (tracked && *tracked && tracker.is_tracked((*tracked)->id())) continue;
    auto name = unit::UnitName::parse(label->unit);
    if (!name || name->type() != unit::UnitType::service) continue;
    if (has_main_process(*name) || is_older_than_lost(*name, member)) continue;
    if (!found.insert(name->str()).second) continue;
    engine::Effects effects;
    if (!engine.find(*name)) add_units(source.load_now({*name}), effects);
    run(effects);
    const auto unit = engine.find(*name);
    const auto spec = unit ? engine.spec(*unit) : nullptr;
    if (!spec || !groups.take_over(*unit, *spec)) continue;
    const auto handle = adopt_labelled(member, *unit);
    if (!handle) continue;
    log_about(LogLevel::warning, *spec, "taken-over",
              "Runs, and nothing else is known of it: the state of the last pidward is lost");
    engine::UnitRecord record{
        *name, engine::record_of_running_service((*handle)->id(), label->invocation, now())};
    keeper.mark(*unit);
    const auto old = known.find(name->str());
    if (old == known.end()) {
      records.push_back(std::move(record));
    } else {
      records[old->second] = std::move(record);
    }
  }
}

bool Manager::Impl::has_main_process(const unit::UnitName& name) {
  const auto unit = engine.find(name);
  if (!unit) return false;
  const auto processes = table.processes_of(*unit);
  return std::ranges::any_of(processes, [this](const process::ProcessHandle& handle) {
    return handle->role() == process::Role::main && tracker.is_tracked(handle->id());
  });
}

/// Inodes of processes are numbered as they are made. One that was left behind by an earlier run of
/// the unit is not its main process again.
bool Manager::Impl::is_older_than_lost(const unit::UnitName& name, const sys::Pidfd& process) {
  const auto lost = lost_mains.find(name);
  const auto inode = process.inode();
  return lost != lost_mains.end() && (!inode || ProcessId(*inode) < lost->second);
}

/// Takes a process that says it is the unit's, and is in its group.
Result<process::ProcessHandle> Manager::Impl::adopt_labelled(const sys::Pidfd& member,
                                                             UnitId unit) {
  PIDWARD_TRY(const std::string path, sys::cgroup_path_of(member));
  if (!sys::cgroup_is_within(path, groups.path(unit))) {
    return Error(Errc::process_mismatch, "It is in another group");
  }
  PIDWARD_TRY(sys::Pidfd copy, member.duplicate());
  PIDWARD_TRY(process::ProcessHandle handle, table.open(std::move(copy)));
  PIDWARD_CHECK(tracker.add(handle, unit, process::Role::main));
  return handle;
}

/// The process that came of a spawn which is still waited for, though its record is lost.
process::ProcessHandle Manager::Impl::find_spawned(const engine::Spawn& effect) {
  const auto spec = engine.spec(effect.unit);
  const auto group = groups.group(effect.unit);
  const auto members =
      group ? group->processes(true) : Result<std::vector<sys::Pidfd>>(group.error());
  if (!spec || !members || effect.role != engine::ProcessRole::main) return {};
  for (const sys::Pidfd& member : *members) {
    const auto label = read_label(member);
    if (!label || label->role != process::Role::main || label->unit != spec->name.str() ||
        label->invocation != effect.invocation) {
      continue;
    }
    if (auto handle = adopt_labelled(member, effect.unit)) return *std::move(handle);
  }
  return {};
}

void Manager::Impl::record_makes_no_sense(const unit::UnitName& name) {
  log(LogLevel::warning,
      fmt::format("What was kept of {} makes no sense; it begins anew", name.str()));
  if (const auto unit = engine.find(name)) keeper.mark(*unit);
}

void Manager::Impl::restore_units(const std::vector<engine::UnitRecord>& records,
                                  const engine::ProcessMap& map, const StateEntries& was) {
  tracker.set_keeper(&keeper);
  engine::Effects effects;
  for (const unit::UnitName& bad : engine.restore(records, map, now(), effects)) {
    record_makes_no_sense(bad);
  }
  // Before anything is done: the new state, and who is there.
  StateEntries others;
  // Of the spawns only those that are still waited for: the engine gives out the other numbers
  // anew. What came of one is on record until its unit has heard, or it would be made again.
  std::unordered_map<ProcessId, SpawnId> spawns;
  for (const engine::Effect& effect : effects) {
    const auto* const spawn = std::get_if<engine::Spawn>(&effect);
    if (spawn == nullptr) continue;
    const auto found = recovered_spawns.find(spawn->spawn);
    if (found != recovered_spawns.end()) spawns.emplace(found->second, found->first);
    const auto lost = lost_spawns.find(spawn->spawn);
    if (lost == lost_spawns.end()) continue;
    others.emplace(unheard.emplace_back(process_key(lost->second.id)),
                   format_process(lost->second));
  }
  for (const process::ProcessHandle& handle : table.all()) {
    if (!handle->unit()) continue;
    const auto spawn = spawns.find(handle->id());
    const std::string name = pidfd_name(handle->id());
    if (handle->role() != process::Role::other && !kept.is_kept(name)) {
      kept.keep(name, handle->pidfd().get());
    }
    keeper.expect_process(handle->id(), spawn == spawns.end() ? SpawnId() : spawn->second);
    if (const auto spec = engine.spec(handle->unit())) {
      exit_kills.started(handle->unit(), *spec, handle->id());
    }
  }
  others.emplace(kManager, manager_entry());
  keeper.begin(others, was, effects);
  recovering = true;
  run(effects);
  recovering = false;
  recovered_spawns.clear();
  lost_spawns.clear();
}

/// Processes of KillOnManagerExit= that got out of it: the signal that tells a child of its
/// parent's death can be taken back.
void Manager::Impl::end_what_was_to_die() {
  for (const UnitId unit : engine.units()) {
    const auto spec = engine.spec(unit);
    if (!spec || spec->name.type() != unit::UnitType::service ||
        !spec->settings.boolean(unit::Directive::KillOnManagerExit) ||
        !(tracker.has_living(unit) || groups.is_populated(unit))) {
      continue;
    }
    log_about(LogLevel::notice, *spec, "outlived-manager",
              "Outlived the last pidward, which it is not to do: it is killed");
    tree.kill({unit, engine::KillWhom::all, SIGKILL});
  }
}

bool Manager::Impl::answer_recovered(const engine::Spawn& effect) {
  auto found = recovered_spawns.find(effect.spawn);
  if (found == recovered_spawns.end() && recovering) {
    const process::ProcessHandle spawned = find_spawned(effect);
    if (spawned) found = recovered_spawns.emplace(effect.spawn, spawned->id()).first;
  }
  if (found == recovered_spawns.end()) return false;
  // Its process has it.
  if (effect.connection != 0) listeners.close_connection(effect.connection);
  post(engine::Spawned{effect.spawn, found->second});
  post(engine::Executed{effect.spawn});
  if (!tracker.is_tracked(found->second)) {
    post(engine::ProcessExited{effect.unit, found->second, {}});
  }
  return true;
}

/// Processes that units believe in and that are not there: they ended, and nobody can say how.
void Manager::Impl::tell_of_lost_processes() {
  for (const UnitId unit : engine.units()) {
    const engine::UnitStatus status = engine.status(unit);
    const auto look = [&](ProcessId process) {
      if (!process || tracker.is_tracked(process)) return;
      post(engine::ProcessExited{unit, process, {}});
    };
    if (status.service != nullptr) {
      look(status.service->main);
      look(status.service->control);
    }
    if (status.socket != nullptr) look(status.socket->control);
  }
}

}  // namespace pidward::runtime
