// Leases outlive the daemon: each is a record, and a descriptor that is kept for us elsewhere.
#include <algorithm>

#include <fmt/core.h>

#include "engine/record.hpp"
#include "runtime/leases.hpp"
#include "runtime/reopen.hpp"

namespace pidward::runtime {
namespace {

using Action = process::LastClose::Action;

constexpr std::string_view kEntry = "fd lease-";

}  // namespace

/// What is written of a lease.
struct Leases::Record {
  LeaseInfo info;
  std::string unit;  ///< its name; of a lease on a unit
  bool started = false;
  std::string process;  ///< as format_process() has it

  template <typename Archive, typename Self>
  static void each_field(Archive& a, Self& self) {
    a.id("id", self.info.id);
    a.text("unit", self.unit);
    a.flag("started", self.started);
    a.process("process", self.info.process);
    a.text("who", self.process);
    a.choice("last_close", self.info.last_close.action, Action::kill_tree);
    a.number("signal", self.info.last_close.signal);
    a.number("uid", self.info.taker.uid);
    a.number("pid", self.info.taker.pid);
    a.now("since", self.info.since);
  }
};

std::string Leases::describe(const LeaseInfo& info, bool started,
                             const process::ProcessHandle& process) const {
  Record record{info, {}, started, {}};
  if (process) {
    record.process =
        format_process(keeper_.describe(process, process->unit(), process->role(), SpawnId()));
  } else if (const auto spec = core_.engine.spec(info.unit)) {
    record.unit = spec->name.str();
  }
  engine::Saver to;
  Record::each_field(to, record);
  return to.take();
}

/// The leased process: one of a unit's was found before, any other is opened here.
Result<process::ProcessHandle> Leases::find_again(const Record& record) const {
  if (const auto known = core_.table.find(record.info.process)) return known;
  const auto who =
      parse_process(fmt::format("process {}", record.info.process.number()), record.process);
  if (!who) return Error(Errc::syntax, "What is written of it makes no sense");
  PIDWARD_TRY(sys::Pidfd process, reopen(*who, core_.features, std::nullopt));
  return core_.table.open(std::move(process));
}

std::vector<UnitId> Leases::recover(const StateEntries& entries, KeptDescriptors& kept) {
  std::vector<UnitId> leased;
  for (auto at = entries.lower_bound(kEntry); at != entries.end(); ++at) {
    const auto& [key, text] = *at;
    if (!key.starts_with(kEntry)) break;
    std::string name = key.substr(key.find(' ') + 1);
    Record record;
    engine::Loader from(text);
    Record::each_field(from, record);
    if (!from.is_good()) continue;
    process::ProcessHandle process;
    if (record.info.process) {
      auto found = find_again(record);
      // It ended: nothing is left for the lease to decide.
      if (!found || !tracker_.observe(*found)) continue;
      process = *std::move(found);
      record.info.process = process->id();
      record.info.unit = process->unit();
    } else {
      const auto parsed = unit::UnitName::parse(record.unit);
      const auto unit = parsed ? core_.engine.find(*parsed) : std::nullopt;
      if (!unit) continue;
      record.info.unit = *unit;
      leased.push_back(*unit);
    }
    next_ = std::max(next_, record.info.id.number() + 1);
    sys::Fd watched = kept.take(name);
    count_in(record.info, record.started, process);
    const auto lease = [&](sys::Fd fd) {
      return process::Lease::restored(std::move(fd), process, record.info.unit);
    };
    if (watched && watch(lease(std::move(watched)), record.info, name)) {
      keeper_.set(key, text);
    } else {
      kept.drop(name);
      lost_.emplace_back(record.info, lease({}));
    }
  }
  return leased;
}

void Leases::end_lost() {
  for (const auto& [info, lease] : std::exchange(lost_, {})) {
    log(LogLevel::notice, fmt::format("Lease {} ended with the last pidward: its descriptor was "
                                      "not kept, or cannot be watched",
                                      info.id.number()));
    release(info, lease);
  }
}

}  // namespace pidward::runtime
