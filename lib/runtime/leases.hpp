// Who holds what: leases on units and on single processes. A lease is the far end of a pipe whose
// near end is watched here: when the last copy of it closes, in whatever process and for whatever
// reason, the loop is told at once.
//
// What the end of the last lease means:
// - for a process, the strictest policy its leases were taken with: nothing, a signal, or SIGKILL
//   for its whole tree;
// - for a unit, its KillOnLastClose=. With `no`, a unit that a lease started is stopped as by
//   `stop`, and one that ran already for somebody else is left alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "process/lease.hpp"
#include "runtime/process_tracker.hpp"
#include "runtime/state_keeper.hpp"

namespace pidward::runtime {

/// Who asked for a lease. For lists and logs: the descriptor may have been passed on since.
struct LeaseTaker {
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;  ///< as it was then; 0: unknown
};

/// One lease as ListLeases shows it.
struct LeaseInfo {
  process::LeaseId id;
  UnitId unit;                    ///< leased, or of the leased process; may be none
  ProcessId process;              ///< none for a lease on a unit
  process::LastClose last_close;  ///< of a lease on a process, as it was taken
  LeaseTaker taker;
  Now since;
};

/// The answer to LeaseUnit. `descriptor` is the only copy: whoever passes it on closes it here.
struct UnitLease {
  JobId job;
  process::LeaseId lease;
  sys::Fd descriptor;
};
/// The answer to LeaseProcess.
struct ProcessLease {
  process::LeaseId lease;
  sys::Fd descriptor;
};

class Leases final : private DescriptorHandler {
 public:
  /// Told when the last lease on a unit ended; `started`: the unit was started by a lease.
  using Released = std::function<void(UnitId, bool started)>;

  Leases(Core& core, ProcessTracker& tracker, StateKeeper& keeper);
  ~Leases() override;
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  void set_released(Released released) { released_ = std::move(released); }

  /// A lease on a unit. `starts_it`: the unit is down and the caller starts it.
  Result<UnitLease> on_unit(UnitId unit, bool starts_it, LeaseTaker taker);
  /// A lease on a process, which is held and watched from here on. With several, the strictest
  /// policy counts until the last one ends. Errors as may_act_on(); invalid_argument for a signal
  /// number that is none.
  Result<ProcessLease> on_process(const process::ProcessHandle& process,
                                  process::LastClose last_close, LeaseTaker taker);

  /// Takes a lease back before anybody got it: as if it had not been.
  void cancel(process::LeaseId lease);

  /// The leases that the last pidward gave out, by what it wrote down of them and what was kept of
  /// them for us. Returns the units that are leased again.
  std::vector<UnitId> recover(const StateEntries& entries, KeptDescriptors& kept);
  /// Once the units are as they were: leases that nobody kept ended with the last pidward.
  void end_lost();

  [[nodiscard]] std::vector<LeaseInfo> list() const;
  /// Leases on the unit itself, or on the process.
  [[nodiscard]] std::size_t count(UnitId unit) const;
  [[nodiscard]] std::size_t count(ProcessId process) const;
  /// The unit is gone: its leases mean nothing any more. They stay until they are closed.
  void forget(UnitId unit) { units_.erase(unit); }

 private:
  struct Entry;
  struct Record;
  struct Held {
    std::size_t leases = 0;
    bool started = false;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  Result<sys::Fd> keep(process::Lease::Pair pair, LeaseInfo& info, bool started);
  Status watch(process::Lease lease, const LeaseInfo& info, std::string name);
  void count_in(const LeaseInfo& info, bool started, const process::ProcessHandle& process);
  void release(const LeaseInfo& info, const process::Lease& lease);
  [[nodiscard]] std::string describe(const LeaseInfo& info, bool started,
                                     const process::ProcessHandle& process) const;
  Result<process::ProcessHandle> find_again(const Record& record) const;

  Core& core_;
  ProcessTracker& tracker_;
  StateKeeper& keeper_;
  Released released_;
  std::unordered_map<int, std::unique_ptr<Entry>> by_fd_;
  std::unordered_map<UnitId, Held> units_;
  std::unordered_map<ProcessId, std::size_t> processes_;
  std::vector<std::pair<LeaseInfo, process::Lease>> lost_;
  std::uint64_t next_ = 1;
};

/// Whether a process may be leased, signalled on a client's behalf or bound to: no_such_process for
/// one that has ended or is outside our pid namespace, process_mismatch for pidward itself and
/// PID 1, not_supported for a kernel thread, which no signal reaches. With its whole tree it may
/// not be acted on if pidward is in that: process_mismatch.
enum class Extent : std::uint8_t { process, tree };
Status may_act_on(const sys::Pidfd& process, Extent extent = Extent::process);

}  // namespace pidward::runtime
