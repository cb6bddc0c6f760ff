#include "runtime/descriptor_watcher.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include <sys/epoll.h>

#include "base/contract.hpp"

namespace pidward::runtime {
namespace {

constexpr std::size_t kEventsPerRound = 256;

}  // namespace

Result<std::unique_ptr<DescriptorWatcher>> DescriptorWatcher::create(boost::asio::io_context& io) {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "Cannot make an epoll instance");
  return std::unique_ptr<DescriptorWatcher>(new DescriptorWatcher(io, sys::Fd(sys::adopt_fd, fd)));
}

DescriptorWatcher::DescriptorWatcher(boost::asio::io_context& io, sys::Fd epoll)
    : epoll_(io, epoll.release()) {
  wait();
}

DescriptorWatcher::~DescriptorWatcher() = default;

Status DescriptorWatcher::add(int fd, std::uint32_t events, DescriptorHandler& handler) {
  PIDWARD_EXPECT(fd >= 0);
  const auto index = static_cast<std::size_t>(fd);
  if (index >= slots_.size()) slots_.resize(index + 1);
  Slot& slot = slots_[index];
  PIDWARD_EXPECT(slot.handler == nullptr);
  ++slot.generation;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<std::uint64_t>(slot.generation) << 32U) | index;
  if (::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) != 0) {
    Error error = Error::from_errno(errno, "Cannot wait on a descriptor");
    if (errno == ENOSPC || errno == ENOMEM) return std::move(error).with_code(Errc::limit_exceeded);
    return error;
  }
  slot.handler = &handler;
  ++size_;
  return {};
}

void DescriptorWatcher::remove(int fd) {
  PIDWARD_EXPECT(fd >= 0 && static_cast<std::size_t>(fd) < slots_.size());
  Slot& slot = slots_[static_cast<std::size_t>(fd)];
  PIDWARD_EXPECT(slot.handler != nullptr);
  slot.handler = nullptr;
  ++slot.generation;
  --size_;
  ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

void DescriptorWatcher::wait() {
  epoll_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;  // the watcher is going
                      dispatch();
                      wait();
                    });
}

void DescriptorWatcher::dispatch() {
  std::array<epoll_event, kEventsPerRound> events{};
  const int count = ::epoll_wait(epoll_.native_handle(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
    const auto fd = static_cast<std::uint32_t>(key);
    if (fd >= slots_.size()) continue;
    const Slot& slot = slots_[fd];
    if (slot.handler == nullptr || slot.generation != static_cast<std::uint32_t>(key >> 32U)) {
      continue;
    }
    slot.handler->descriptor_ready(static_cast<int>(fd),
                                   events[static_cast<std::size_t>(i)].events);
  }
  if (round_end_ != nullptr) round_end_(round_context_);
}

Result<Watch> Watch::start(DescriptorWatcher& watcher, int fd, std::uint32_t events,
                           DescriptorHandler& handler) {
  PIDWARD_CHECK(watcher.add(fd, events, handler));
  Watch watch;
  watch.watcher_ = &watcher;
  watch.fd_ = fd;
  return watch;
}

Watch::Watch(Watch&& other) noexcept
    : watcher_(std::exchange(other.watcher_, nullptr)), fd_(std::exchange(other.fd_, -1)) {}

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    stop();
    watcher_ = std::exchange(other.watcher_, nullptr);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Watch::stop() {
  if (watcher_ == nullptr) return;
  std::exchange(watcher_, nullptr)->remove(fd_);
  fd_ = -1;
}

}  // namespace pidward::runtime
