#include "exec/handover.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/kernel.hpp"

namespace pidward::exec {
namespace {

bool send(int socket, const std::vector<int>& descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * LowNumbers::kMostInMessage)> control{};
  const std::size_t size = sizeof(int) * descriptors.size();
  char something = 0;
  iovec data{&something, 1};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(size);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(header), descriptors.data(), size);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace

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
  if (!pair || !send(pair->first.get(), descriptors)) return std::nullopt;
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
