#include <utility>

#include "base/contract.hpp"
#include "process/process_table.hpp"

namespace pidward::process {

ProcessHandle::ProcessHandle(ProcessState* state) noexcept : state_(state) {
  ++state_->handles_;
}

ProcessHandle::ProcessHandle(const ProcessHandle& other) noexcept : state_(other.state_) {
  if (state_ != nullptr) ++state_->handles_;
}

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)) {}

ProcessHandle& ProcessHandle::operator=(ProcessHandle other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

void ProcessHandle::set_unit(UnitId unit) const {
  PIDWARD_EXPECT(state_ != nullptr);
  if (state_->table_ == nullptr) {
    state_->unit_ = unit;
    return;
  }
  state_->table_->unlink(*state_);
  state_->unit_ = unit;
  state_->table_->link(*state_);
}

Status ProcessHandle::send_signal(int signal) const {
  PIDWARD_EXPECT(state_ != nullptr);
  return state_->pidfd_.send_signal(signal);
}

void ProcessHandle::run_last_close() const noexcept {
  PIDWARD_EXPECT(state_ != nullptr);
  // The policy of a table that was shut down has run.
  if (state_->table_ == nullptr) return;
  const ProcessHandle held = *this;  // a policy may close handles
  state_->table_->run_policy(*state_, std::exchange(state_->last_close_, {}));
}

void ProcessHandle::close() noexcept {
  ProcessState* state = std::exchange(state_, nullptr);
  if (state == nullptr || --state->handles_ > 0) return;
  if (state->table_ != nullptr) {
    state->table_->last_handle_closed(state);
  } else {
    delete state;  // the table gave it to its handles when it was shut down
  }
}

}  // namespace pidward::process
