// Taking over from a daemon that is gone: the state it kept, the processes that are left, and what
// follows from the difference.
#include <algorithm>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "engine/record.hpp"
#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"
#include "runtime/reopen.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kUnit = "unit ";
constexpr const char* kManager = "manager";

/// What the next daemon must know of the manager itself.
struct ManagerRecord {
  bool booted = false;
  bool ends = false;
  int exit_code = 0;
  std::vector<std::pair<std::string, std::string>> environment;

  template <typename Archive, typename Self>
  static void each_field(Archive& a, Self& self) {
    a.flag("booted", self.booted);
    a.flag("ends", self.ends);
    a.number("exit", self.exit_code);
    a.list("environment", self.environment, [](auto& archive, auto& variable) {
      archive.text("name", variable.first);
      archive.text("value", variable.second);
    });
  }
};

}  // namespace

std::string Manager::Impl::manager_entry() const {
  ManagerRecord record;
  record.booted = boot_loaded || recovered_boot;
  record.ends = wanted_exit.has_value();
  record.exit_code = wanted_exit.value_or(0);
  record.environment.assign(environment.begin(), environment.end());
  engine::Saver to;
  ManagerRecord::each_field(to, record);
  return to.take();
}

void Manager::Impl::keep_manager_entry() {
  keeper.set(kManager, manager_entry());
  keeper.flush();
}

/// Before the loop runs and anybody can ask for anything.
void Manager::Impl::recover(const StateEntries& entries, bool whole) {
  std::vector<engine::UnitRecord> records;
  std::vector<unit::UnitName> names;
  for (const auto& [key, text] : entries) {
    if (!key.starts_with(kUnit)) continue;
    auto name = unit::UnitName::parse(key.substr(kUnit.size()));
    if (!name) continue;
    names.push_back(*name);
    records.push_back({*std::move(name), text});
  }
  engine::Effects effects;
  if (!names.empty()) {
    add_units(source.load_now(names), effects);
    run(effects);
  }
  engine::ProcessMap map;
  find_processes(entries, map);
  recover_descriptors(entries);
  if (!whole) find_unknown_processes(records);
  for (const UnitId unit : engine.units()) freezer.take_over(unit);
  if (const auto found = entries.find(kManager); found != entries.end()) {
    recover_manager_entry(found->second);
  }
  const std::vector<UnitId> leased = leases.recover(entries, kept);
  const auto unbound = bindings.recover(entries);
  restore_units(records, map);
  for (const UnitId unit : leased) update_reference(unit);
  leases.end_lost();
  for (const auto& [unit, pid] : unbound) bound_process_ended(unit, pid);
  // What came back and belongs to nobody any more.
  for (const std::string& name : kept.left()) kept.drop(name);
  if (records.empty()) return;
  tell_of_lost_processes();
  log(LogLevel::notice, fmt::format("Took over {} units and {} processes from the last pidward",
                                    records.size(), table.size()));
}

void Manager::Impl::recover_manager_entry(std::string_view text) {
  ManagerRecord record;
  engine::Loader from(text);
  ManagerRecord::each_field(from, record);
  if (!from.is_good()) return;
  recovered_boot = record.booted;
  if (record.ends) {
    boost::asio::post(io, [this, code = record.exit_code] { request_exit(code); });
  }
  if (record.environment.empty()) return;
  environment = {record.environment.begin(), record.environment.end()};
}

/// Opens every process of the records that is still there.
void Manager::Impl::find_processes(const StateEntries& entries, engine::ProcessMap& map) {
  auto renamed = std::make_shared<std::unordered_map<ProcessId, ProcessId>>();
  for (const auto& [key, text] : entries) {
    const auto record = parse_process(key, text);
    if (!record) continue;
    const auto name = unit::UnitName::parse(record->unit);
    const auto unit = name ? engine.find(*name) : std::nullopt;
    if (!unit) continue;
    std::optional<std::string> group;
    if (groups.is_available()) {
      const auto spec = engine.spec(*unit);
      if (spec && groups.ensure(*unit, *spec)) group = groups.path(*unit);
    }
    // One that was kept for us is the process itself, and knows how it ended.
    sys::Fd held = kept.take(pidfd_name(record->id));
    const bool autokilled = record->autokilled && held;
    auto process =
        held ? sys::Pidfd::from_untrusted(std::move(held)) : reopen(*record, features, group);
    auto handle = !process     ? Result<process::ProcessHandle>(process.error())
                  : autokilled ? table.adopt_child(*std::move(process), *unit, record->role,
                                                   process::Collected::by_kernel)
                               : table.open(*std::move(process));
    Status tracked = handle ? tracker.add(*handle, *unit, record->role) : Status(handle.error());
    if (!tracked) {
      if (tracked.error().code() != Errc::no_such_process) {
        log(LogLevel::warning, tracked.error().to_string());
      }
      // Where ids are our own, the old one may be another process's soon: one that nobody has.
      constexpr std::uint64_t kNobody = std::uint64_t{1} << 63U;
      const ProcessId gone =
          features.has(sys::Feature::pidfs) ? record->id : ProcessId(kNobody | record->id.number());
      renamed->emplace(record->id, gone);
      // It was made, and is not to be made again.
      if (record->spawn) recovered_spawns.emplace(record->spawn, gone);
      continue;
    }
    renamed->emplace(record->id, (*handle)->id());
    if (record->spawn) recovered_spawns.emplace(record->spawn, (*handle)->id());
  }
  map = [renamed](ProcessId id) {
    const auto found = renamed->find(id);
    return found == renamed->end() ? id : found->second;
  };
}

/// Processes with our label whose unit has no record: the state was lost, they were not.
void Manager::Impl::find_unknown_processes(std::vector<engine::UnitRecord>& records) {
  if (!groups.is_available()) return;
  const auto members = groups.base().processes(true);
  if (!members) return;
  std::unordered_set<std::string> known;
  for (const engine::UnitRecord& record : records) known.insert(record.unit.str());
  for (const sys::Pidfd& member : *members) {
    const auto label = read_label(member);
    if (!label || label->role != process::Role::main) continue;
    auto name = unit::UnitName::parse(label->unit);
    if (!name || name->type() != unit::UnitType::service) continue;
    if (!known.insert(name->str()).second) continue;
    engine::Effects effects;
    add_units(source.load_now({*name}), effects);
    run(effects);
    const auto unit = engine.find(*name);
    const auto spec = unit ? engine.spec(*unit) : nullptr;
    auto copy = member.duplicate();
    if (!spec || !copy || !groups.ensure(*unit, *spec)) continue;
    const auto path = sys::cgroup_path_of(member);
    if (!path || !sys::cgroup_is_within(*path, groups.path(*unit))) continue;
    const auto handle = table.open(*std::move(copy));
    if (!handle || !tracker.add(*handle, *unit, process::Role::main)) continue;
    log_about(LogLevel::warning, *spec, "taken-over",
              "Runs, and nothing else is known of it: the state of the last pidward is lost");
    records.push_back(
        {*name, engine::record_of_running_service((*handle)->id(), label->invocation, now())});
  }
}

void Manager::Impl::restore_units(const std::vector<engine::UnitRecord>& records,
                                  const engine::ProcessMap& map) {
  tracker.set_keeper(&keeper);
  engine::Effects effects;
  for (const unit::UnitName& bad : engine.restore(records, map, now(), effects)) {
    log(LogLevel::warning,
        fmt::format("What was kept of {} makes no sense; it begins anew", bad.str()));
  }
  // Before anything is done: the new state, and who is there.
  StateEntries others;
  // Of the spawns only those that are still waited for: the engine gives out the other numbers
  // anew.
  std::unordered_map<ProcessId, SpawnId> spawns;
  for (const engine::Effect& effect : effects) {
    const auto* const spawn = std::get_if<engine::Spawn>(&effect);
    if (spawn == nullptr) continue;
    const auto found = recovered_spawns.find(spawn->spawn);
    if (found != recovered_spawns.end()) spawns.emplace(found->second, found->first);
  }
  for (const process::ProcessHandle& handle : table.all()) {
    if (!handle->unit()) continue;
    const auto spawn = spawns.find(handle->id());
    const std::string name = pidfd_name(handle->id());
    if (handle->role() != process::Role::other && !kept.is_kept(name)) {
      kept.keep(name, handle->pidfd().get());
    }
    keeper.expect_process(handle->id(), spawn == spawns.end() ? SpawnId() : spawn->second);
  }
  others.emplace(kManager, manager_entry());
  keeper.begin(others);
  run(effects);
  recovered_spawns.clear();
}

bool Manager::Impl::answer_recovered(const engine::Spawn& effect) {
  const auto found = recovered_spawns.find(effect.spawn);
  if (found == recovered_spawns.end()) return false;
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
