// A lease: a descriptor a client holds. As long as anybody holds a copy of it, the process or the
// unit it was taken on is held too; release, crash and SIGKILL of the holder look alike from here.
#pragma once

#include <optional>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "process/process_table.hpp"
#include "sys/fd.hpp"

namespace pidward::process {

/// A lease, numbered from 1. Never reused while the daemon runs.
using LeaseId = StrongId<struct LeaseIdTag, std::uint64_t>;

class Lease {
 public:
  struct Pair;
  /// A lease that holds `process`, and the client's end of it. The handle is closed when this
  /// object goes.
  static Result<Pair> on_process(ProcessHandle process);
  /// A lease on a unit: what its end means is the caller's to decide.
  static Result<Pair> on_unit(UnitId unit);

  /// A lease again, from the descriptor to be watched that another pidward had of it. No process: a
  /// lease on the unit.
  static Lease restored(sys::Fd watched, ProcessHandle process, UnitId unit);

  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&&) noexcept = default;

  /// To be watched for hang-up: no client end is left then. Clients may write, which nobody reads:
  /// do not watch for input, or a client keeps the loop busy.
  [[nodiscard]] int watch_fd() const { return watched_.get(); }
  /// Whether every client end is closed. Never waits.
  [[nodiscard]] Result<bool> is_over() const;
  [[nodiscard]] const ProcessHandle& process() const { return process_; }
  [[nodiscard]] UnitId unit() const { return unit_; }

 private:
  Lease() = default;
  static Result<Pair> make(ProcessHandle process, UnitId unit);

  sys::Fd watched_;
  ProcessHandle process_;
  UnitId unit_;
};

struct Lease::Pair {
  Lease lease;
  sys::Fd client_end;  ///< close-on-exec; to be sent to the client and closed here
};

}  // namespace pidward::process
