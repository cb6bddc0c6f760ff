#include "exec/gate.hpp"

#include <utility>

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace pidward::exec {

Result<Gate> Gate::create() {
  const long address = sys::call(SYS_mmap, nullptr, sizeof(GateWords), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sys::is_error(address)) {
    return Error::from_errno(static_cast<int>(-address), "No memory for a child's gate");
  }
  Gate gate;
  gate.words_ = reinterpret_cast<GateWords*>(address);  // NOLINT: mmap's result is an address
  return gate;
}

Gate::Gate(Gate&& other) noexcept : words_(std::exchange(other.words_, nullptr)) {}

Gate& Gate::operator=(Gate&& other) noexcept {
  if (this != &other) {
    unmap();
    words_ = std::exchange(other.words_, nullptr);
  }
  return *this;
}

Gate::~Gate() {
  unmap();
}

void Gate::unmap() noexcept {
  if (words_ != nullptr) sys::call(SYS_munmap, words_, sizeof(GateWords));
  words_ = nullptr;
}

void Gate::reset(GateState state) {
  *words_ = GateWords{};
  __atomic_store(&words_->state, &state, __ATOMIC_RELEASE);
}

void Gate::announce_record(int fd, std::uint64_t size) {
  words_->record_fd = fd;
  __atomic_store_n(&words_->recorded_size, size, __ATOMIC_RELEASE);
}

void Gate::decide(GateState decision) {
  GateState before = GateState::closed;
  __atomic_load(&words_->state, &before, __ATOMIC_ACQUIRE);
  if (before != GateState::closed && before != GateState::waited_at) return;
  __atomic_exchange(&words_->state, &decision, &before, __ATOMIC_ACQ_REL);
  if (before != GateState::waited_at) return;
  sys::call(SYS_futex, &words_->state, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace pidward::exec
