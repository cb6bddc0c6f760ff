#include "process/lease.hpp"

#include <poll.h>
#include <sys/syscall.h>

#include "sys/check.hpp"

namespace pidward::process {

Result<Lease::Pair> Lease::on_process(ProcessHandle process) {
  const UnitId unit = process ? process->unit() : UnitId();
  return make(std::move(process), unit);
}

Result<Lease::Pair> Lease::on_unit(UnitId unit) {
  return make(ProcessHandle(), unit);
}

// A pipe: the client holds the write end, so the read end hangs up with its last copy. Anything
// written is ignored.
Result<Lease::Pair> Lease::make(ProcessHandle process, UnitId unit) {
  PIDWARD_TRY(sys::Pipe pipe, sys::make_pipe());
  Lease lease;
  lease.watched_ = std::move(pipe.read_end);
  lease.process_ = std::move(process);
  lease.unit_ = unit;
  return Pair{std::move(lease), std::move(pipe.write_end)};
}

Lease Lease::restored(sys::Fd watched, ProcessHandle process, UnitId unit) {
  Lease lease;
  lease.watched_ = std::move(watched);
  lease.process_ = std::move(process);
  lease.unit_ = unit;
  return lease;
}

Result<bool> Lease::is_over() const {
  pollfd watched{watched_.get(), POLLIN, 0};
  const timespec no_time{};
  PIDWARD_TRY([[maybe_unused]] const long ready,
              sys::checked(sys::call_retrying(SYS_ppoll, &watched, 1, &no_time, nullptr, 0),
                           "Cannot poll a lease"));
  return (watched.revents & POLLHUP) != 0;
}

}  // namespace pidward::process
