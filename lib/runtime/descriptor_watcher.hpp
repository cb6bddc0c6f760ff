// Thousands of descriptors on the loop at 16 bytes each: an epoll instance of our own, of which the
// loop knows one descriptor. (Asio's own descriptor objects weigh some hundred bytes apiece.)
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/result.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

/// Told that a watched descriptor is ready. Must outlive its watches.
class DescriptorHandler {
 public:
  virtual ~DescriptorHandler() = default;
  virtual void descriptor_ready(int fd, std::uint32_t events) = 0;
};

/// Watches descriptors it does not own, level-triggered. A watch is removed before its descriptor
/// is closed. Handlers may add and remove any watch, their own included; an event of a watch
/// removed in the same round is dropped, even when the number has been watched anew since.
class DescriptorWatcher {
 public:
  /// Called after each round of events, on the loop.
  using RoundEnd = void (*)(void* context);

  static Result<std::unique_ptr<DescriptorWatcher>> create(boost::asio::io_context& io);
  ~DescriptorWatcher();
  DescriptorWatcher(const DescriptorWatcher&) = delete;
  DescriptorWatcher& operator=(const DescriptorWatcher&) = delete;

  /// `events` as epoll(7) has them: EPOLLIN, EPOLLPRI … Errors: limit_exceeded when the kernel
  /// takes no more watches; a descriptor that cannot be waited on.
  Status add(int fd, std::uint32_t events, DescriptorHandler& handler);
  void remove(int fd);
  [[nodiscard]] std::size_t size() const { return size_; }
  void set_round_end(RoundEnd callback, void* context) {
    round_end_ = callback;
    round_context_ = context;
  }

 private:
  struct Slot {
    DescriptorHandler* handler = nullptr;
    std::uint32_t generation = 0;
  };
  static_assert(sizeof(Slot) == 16);

  DescriptorWatcher(boost::asio::io_context& io, sys::Fd epoll);
  void wait();
  void dispatch();

  boost::asio::posix::stream_descriptor epoll_;
  std::vector<Slot> slots_;  ///< by descriptor number
  std::size_t size_ = 0;
  RoundEnd round_end_ = nullptr;
  void* round_context_ = nullptr;
};

/// A watch that ends with its scope. Declare it after the descriptor it watches.
class Watch {
 public:
  Watch() = default;
  static Result<Watch> start(DescriptorWatcher& watcher, int fd, std::uint32_t events,
                             DescriptorHandler& handler);
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }

  void stop();
  explicit operator bool() const { return watcher_ != nullptr; }

 private:
  DescriptorWatcher* watcher_ = nullptr;
  int fd_ = -1;
};

}  // namespace pidward::runtime
