#include "bus/connection.hpp"

#include <cerrno>
#include <exception>

#include <boost/asio/post.hpp>
#include <fmt/core.h>
#include <poll.h>

#include "base/log.hpp"
#include "bus/memory.hpp"

namespace pidward::bus {
namespace {

constexpr int kMessagesATurn = 16;

/// What a slot carries: freed by sd-bus together with the slot.
using Callback = std::function<void(sd_bus_message*)>;
void free_callback(void* userdata) {
  delete static_cast<Callback*>(userdata);
}

/// sd-bus is C: nothing may be thrown through it.
int run_callback(sd_bus_message* message, void* userdata, sd_bus_error* /*error*/) {
  try {
    // The callback may let go of the slot that owns it.
    const Callback callback = *static_cast<Callback*>(userdata);
    callback(message);
  } catch (const std::exception& problem) {
    log(LogLevel::error, fmt::format("bus: a message could not be handled: {}", problem.what()));
  }
  return 0;
}

SlotPtr hand_over(sd_bus_slot* slot, std::unique_ptr<Callback> callback) {
  sd_bus_slot_set_userdata(slot, callback.release());
  sd_bus_slot_set_destroy_callback(slot, free_callback);
  return SlotPtr(slot);
}

}  // namespace

Connection::Connection(boost::asio::io_context& io, BusPtr bus, Handlers handlers)
    : io_(io), bus_(std::move(bus)), handlers_(std::move(handlers)), descriptor_(io), timer_(io) {}

Connection::~Connection() {
  close();
}

Result<std::shared_ptr<Connection>> Connection::serve(boost::asio::io_context& io, sys::Fd socket,
                                                      const sys::Credentials& peer,
                                                      Handlers handlers) {
  sd_bus* raw = nullptr;
  int result = checked(sd_bus_new(&raw));
  if (result < 0) return bus_failure(result, "sd_bus_new");
  BusPtr bus(raw);
  sd_id128_t id{};
  result = sd_id128_randomize(&id);
  if (result >= 0) result = sd_bus_set_fd(raw, socket.get(), socket.get());
  if (checked(result) < 0) return bus_failure(result, "sd_bus_set_fd");
  static_cast<void>(socket.release());  // sd-bus closes it from now on
  result = sd_bus_set_description(raw, "private");
  // Who it is was read from the socket; what the client claims while authenticating does not count.
  if (result >= 0) result = sd_bus_set_anonymous(raw, 1);
  if (result >= 0) result = sd_bus_set_server(raw, 1, id);
  if (result >= 0) result = sd_bus_negotiate_fds(raw, 1);
  if (result >= 0) result = sd_bus_set_sender(raw, "org.pidward1");
  if (checked(result) < 0) return bus_failure(result, "setting up a private connection");
  auto self = std::shared_ptr<Connection>(new Connection(io, std::move(bus), std::move(handlers)));
  self->peer_ = peer;
  PIDWARD_CHECK(self->start());
  return self;
}

Result<std::shared_ptr<Connection>> Connection::join(boost::asio::io_context& io,
                                                     const std::string& address,
                                                     Handlers handlers) {
  sd_bus* raw = nullptr;
  int result = checked(sd_bus_new(&raw));
  if (result < 0) return bus_failure(result, "sd_bus_new");
  BusPtr bus(raw);
  result = sd_bus_set_description(raw, "broker");
  if (result >= 0) result = sd_bus_set_address(raw, address.c_str());
  if (result >= 0) result = sd_bus_set_bus_client(raw, 1);
  if (result >= 0) result = sd_bus_negotiate_fds(raw, 1);
  if (checked(result) < 0) return bus_failure(result, fmt::format("bus address {}", address));
  auto self = std::shared_ptr<Connection>(new Connection(io, std::move(bus), std::move(handlers)));
  self->is_broker_ = true;
  PIDWARD_CHECK(self->start());
  return self;
}

Status Connection::start() {
  sd_bus_slot* slot = nullptr;
  const int added = sd_bus_add_fallback(
      bus_.get(), &slot, "/",
      [](sd_bus_message* message, void* userdata, sd_bus_error* /*error*/) -> int {
        auto* self = static_cast<Connection*>(userdata);
        try {
          return self->handlers_.call(self->shared_from_this(), message);
        } catch (const std::exception& problem) {
          log(LogLevel::error, fmt::format("bus: a call could not be handled: {}", problem.what()));
          return -ENOMEM;
        }
      },
      this);
  if (checked(added) < 0) return bus_failure(added, "sd_bus_add_fallback");
  filter_.reset(slot);
  const int started = checked(sd_bus_start(bus_.get()));
  if (started < 0)
    return bus_failure(started, is_broker_ ? "connecting to the bus" : "sd_bus_start");
  wake();
  return {};
}

std::uint64_t Connection::queued() const {
  std::uint64_t count = 0;
  return sd_bus_get_n_queued_write(bus_.get(), &count) < 0 ? 0 : count;
}

bool Connection::send(sd_bus_message* message) {
  if (!bus_) return false;
  const int result = checked(sd_bus_send(bus_.get(), message, nullptr));
  if (result < 0) {
    if (result != -ENOTCONN && result != -ECONNRESET && result != -EPIPE) {
      log(LogLevel::warning, bus_failure(result, "bus: a message could not be sent").to_string());
    }
    wake();
    return false;
  }
  wake();
  return true;
}

Result<SlotPtr> Connection::call(const MessageRef& message,
                                 std::function<void(sd_bus_message*)> reply,
                                 std::uint64_t patience_usec) {
  if (!bus_) return Error::from_errno(ENOTCONN, "bus call");
  auto callback = std::make_unique<Callback>(std::move(reply));
  sd_bus_slot* slot = nullptr;
  const int result = sd_bus_call_async(bus_.get(), &slot, message.get(), run_callback,
                                       callback.get(), patience_usec);
  if (checked(result) < 0) return bus_failure(result, "bus call");
  wake();
  return hand_over(slot, std::move(callback));
}

Result<SlotPtr> Connection::match(const std::string& rule,
                                  std::function<void(sd_bus_message*)> seen) {
  if (!bus_) return Error::from_errno(ENOTCONN, "bus match");
  auto callback = std::make_unique<Callback>(std::move(seen));
  sd_bus_slot* slot = nullptr;
  const int result = sd_bus_add_match_async(bus_.get(), &slot, rule.c_str(), run_callback, nullptr,
                                            callback.get());
  if (checked(result) < 0) return bus_failure(result, "bus match");
  wake();
  return hand_over(slot, std::move(callback));
}

void Connection::wake() {
  if (is_turn_posted_ || !bus_) return;
  is_turn_posted_ = true;
  boost::asio::post(io_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->is_turn_posted_ = false;
      self->turn();
    }
  });
}

void Connection::turn() {
  if (!bus_) return;
  if (!is_broker_ && queued() > kDropAbove) {
    return fail(Error(Errc::limit_exceeded,
                      fmt::format("{} messages wait and the client reads none", queued())));
  }
  for (int handled = 0; handled < kMessagesATurn; ++handled) {
    const int result = sd_bus_process(bus_.get(), nullptr);
    if (!bus_) return;  // a handler closed us
    if (result < 0) return fail(bus_failure(result, "bus connection"));
    if (result == 0 || is_paused()) return wait();
  }
  wake();  // there may be more, but the others come first
}

void Connection::wait() {
  const std::uint64_t generation = ++generation_;
  const int fd = sd_bus_get_fd(bus_.get());
  const int events = sd_bus_get_events(bus_.get());
  std::uint64_t deadline = UINT64_MAX;
  const int timed = sd_bus_get_timeout(bus_.get(), &deadline);
  if (fd < 0 || events < 0 || timed < 0) {
    return fail(bus_failure(fd < 0 ? fd : events < 0 ? events : timed, "bus connection"));
  }
  if (descriptor_.is_open() && descriptor_.native_handle() != fd) release_descriptor();
  boost::system::error_code problem;
  if (!descriptor_.is_open()) descriptor_.assign(fd, problem);
  if (!problem && descriptor_.is_open()) descriptor_.cancel(problem);
  if (problem) return fail(Error::from_errno(problem.value(), "watching the bus"));

  const auto then = [weak = weak_from_this(), generation](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (self && self->generation_ == generation && !self->is_turn_posted_) self->turn();
  };
  using Wait = boost::asio::posix::stream_descriptor;
  if ((events & POLLIN) != 0 && !is_paused()) descriptor_.async_wait(Wait::wait_read, then);
  if ((events & POLLOUT) != 0) descriptor_.async_wait(Wait::wait_write, then);
  if (deadline != UINT64_MAX && !is_paused()) {
    // steady_clock is CLOCK_MONOTONIC, the clock of sd-bus' deadlines.
    timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(deadline)));
    timer_.async_wait(then);
  } else {
    timer_.cancel();
  }
}

void Connection::release_descriptor() {
  // The descriptor belongs to sd-bus; Asio only stops watching it.
  if (descriptor_.is_open()) descriptor_.release();
}

void Connection::fail(const Error& why) {
  const auto self = shared_from_this();
  shut();
  boost::asio::post(io_, [self, why] {
    if (self->handlers_.lost) self->handlers_.lost(self, why);
  });
}

void Connection::close() {
  handlers_ = {};
  shut();
}

void Connection::shut() {
  ++generation_;
  release_descriptor();
  timer_.cancel();
  filter_.reset();
  bus_.reset();
}

bool Connection::begin_call() {
  if (calls_ >= kMaxCallsUnderWay) return false;
  ++calls_;
  return true;
}
void Connection::end_call() {
  --calls_;
}

}  // namespace pidward::bus
