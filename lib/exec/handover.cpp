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
  for (int i = 0; i < kCount; ++i) {
    PIDWARD_TRY(sys::Fd each, numbers->idle_.duplicate());
    numbers->free_.push_back(each.get());
    numbers->end_ = std::max(numbers->end_, each.get() + 1);
    numbers->all_.push_back(std::move(each));
  }
  return numbers;
}

std::optional<LowNumbers::Held> LowNumbers::hand_over(const std::shared_ptr<LowNumbers>& numbers,
                                                      const std::vector<int>& descriptors) {
  if (numbers->free_.empty() || descriptors.empty() || descriptors.size() > kMostInMessage) {
    return std::nullopt;
  }
  auto pair = sys::make_socketpair(SOCK_DGRAM);
  if (!pair || !sys::send_message(pair->first.get(), "!", descriptors)) return std::nullopt;
  const int number = numbers->free_.back();
  if (::dup3(pair->second.get(), number, O_CLOEXEC) != number) return std::nullopt;
  numbers->free_.pop_back();
  return Held(numbers, number);
}

LowNumbers::Held& LowNumbers::Held::operator=(Held&& other) noexcept {
  if (this != &other) {
    give_back();
    numbers_ = std::move(other.numbers_);
    number_ = other.number_;
  }
  return *this;
}

void LowNumbers::Held::give_back() noexcept {
  const std::shared_ptr<LowNumbers> numbers = std::exchange(numbers_, nullptr);
  if (!numbers) return;
  // The message goes with the socket that is open there.
  if (::dup3(numbers->idle_.get(), number_, O_CLOEXEC) == number_) {
    numbers->free_.push_back(number_);
  }
}

}  // namespace pidward::exec
