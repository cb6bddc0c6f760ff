#include "exec/handover.hpp"

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/kernel.hpp"
#include "sys/peer.hpp"

namespace pidward::exec {

Result<std::shared_ptr<LowNumbers>> LowNumbers::keep() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < kLeastLimit) {
    return Error(Errc::limit_exceeded, "Too few descriptors are allowed to keep some low ones");
  }
  constexpr unsigned kBeyondAll = 1U << 30U;
  const long known = sys::call(SYS_close_range, kBeyondAll, ~0U, 0U);
  if (sys::is_error(known)) {
    return Error::from_errno(static_cast<int>(-known), "There is no close_range()");
  }
  auto numbers = std::make_shared<LowNumbers>();
  PIDWARD_TRY(numbers->idle_, sys::open_path("/dev/null", O_PATH));
  for (std::size_t i = 0; i < kCount; ++i) {
    PIDWARD_TRY(sys::Fd each, numbers->idle_.duplicate());
    numbers->free_.push_back(i);
    numbers->end_ = std::max(numbers->end_, each.get() + 1);
    numbers->slots_.push_back({std::move(each), {}});
  }
  return numbers;
}

bool LowNumbers::make_socket(Slot& slot) {
  auto pair = sys::make_socketpair(SOCK_DGRAM);
  if (!pair) return false;
  const int number = slot.number.get();
  if (::dup3(pair->second.get(), number, O_CLOEXEC) != number) return false;
  slot.sender = std::move(pair->first);
  return true;
}

std::optional<LowNumbers::Held> LowNumbers::hand_over(const std::shared_ptr<LowNumbers>& numbers,
                                                      const std::vector<int>& descriptors) {
  if (numbers->free_.empty() || descriptors.empty() || descriptors.size() > kMostInMessage) {
    return std::nullopt;
  }
  const std::size_t place = numbers->free_.back();
  Slot& slot = numbers->slots_[place];
  if (!slot.sender && !make_socket(slot)) return std::nullopt;
  if (!sys::send_message(slot.sender.get(), "!", descriptors)) return std::nullopt;
  numbers->free_.pop_back();
  return Held(numbers, place);
}

LowNumbers::Held& LowNumbers::Held::operator=(Held&& other) noexcept {
  if (this != &other) {
    give_back();
    numbers_ = std::move(other.numbers_);
    place_ = other.place_;
  }
  return *this;
}

void LowNumbers::Held::give_back() noexcept {
  const std::shared_ptr<LowNumbers> numbers = std::exchange(numbers_, nullptr);
  if (numbers) numbers->take_back(place_);
}

/// The child is through with it, or has ended: the next one is not to find what this one left.
void LowNumbers::take_back(std::size_t place) noexcept {
  Slot& slot = slots_[place];
  const int number = slot.number.get();
  const bool is_another_kept = !free_.empty() && slots_[free_.back()].sender;
  if (!is_another_kept) {
    sys::drop_message(number);
    free_.push_back(place);
  } else if (::dup3(idle_.get(), number, O_CLOEXEC) == number) {
    slot.sender.reset();
    free_.insert(free_.end() - 1, place);
  }
}

}  // namespace pidward::exec
