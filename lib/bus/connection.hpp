// One sd-bus connection driven by the loop.
//
// sd-bus says before every wait what it waits for: a descriptor, events and an absolute deadline.
// All three may have changed, so each turn reads them again and makes new waits; a generation
// number voids those of the turn before. Nothing here waits: sd-bus is only asked to process what
// is there.
//
// Two bounds keep one client from costing the others: a turn handles a few messages and then goes
// to the end of the loop's queue, and a client that does not read is first not read from and, when
// signals have piled up all the same, disconnected.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/result.hpp"
#include "bus/sdbus.hpp"
#include "runtime/loop_timer.hpp"
#include "sys/fd.hpp"
#include "sys/peer.hpp"

namespace pidward::bus {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Handlers {
    /// A method call. Returns >0 when it is answered or will be.
    std::function<int(const std::shared_ptr<Connection>&, sd_bus_message*)> call;
    /// The connection is gone. Told once, from the loop, never from within another call.
    std::function<void(const std::shared_ptr<Connection>&, const Error&)> lost;
  };
  /// Messages waiting to be written: above the first, the peer is not read from; above the second,
  /// it is disconnected.
  static constexpr std::uint64_t kPauseAbove = 64;
  static constexpr std::uint64_t kDropAbove = 4096;
  /// Method calls that are waiting for their answer, for each connection.
  static constexpr unsigned kMaxCallsUnderWay = 1024;

  /// The server's side of an accepted peer-to-peer connection; `peer` is who made it.
  static Result<std::shared_ptr<Connection>> serve(boost::asio::io_context& io, sys::Fd socket,
                                                   const sys::Credentials& peer, Handlers handlers);
  /// A client of the broker at `address`. Never waits: what is sent before the broker answered is
  /// queued.
  static Result<std::shared_ptr<Connection>> join(boost::asio::io_context& io,
                                                  const std::string& address, Handlers handlers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] sd_bus* get() const { return bus_.get(); }
  [[nodiscard]] bool is_open() const { return bus_ != nullptr; }
  [[nodiscard]] bool is_broker() const { return is_broker_; }
  /// Who is at the other end; only for peer-to-peer connections.
  [[nodiscard]] const sys::Credentials& peer() const { return peer_; }

  /// Queues a message, which may have been made for another connection. False when it is gone.
  bool send(sd_bus_message* message);
  /// Calls a method without waiting. `reply` is null when the connection ended first. The slot
  /// withdraws the call when it goes. `patience_usec`: how long an answer may take; 0: as usual.
  [[nodiscard]] Result<SlotPtr> call(const MessageRef& message,
                                     std::function<void(sd_bus_message*)> reply,
                                     std::uint64_t patience_usec = 0);
  /// A broker's match; `seen` gets every message that matches while the slot lives.
  [[nodiscard]] Result<SlotPtr> match(const std::string& rule,
                                      std::function<void(sd_bus_message*)> seen);
  /// Tells the loop that something was queued or is to be done.
  void wake();
  /// Ends the connection; no handler is called from now on.
  void close();

  /// Counts a call whose answer comes later; false when there are too many.
  bool begin_call();
  void end_call();

 private:
  Connection(boost::asio::io_context& io, BusPtr bus, Handlers handlers);
  Status start();
  void turn();
  void wait();
  void fail(const Error& why);
  void shut();
  void release_descriptor();
  [[nodiscard]] std::uint64_t queued() const;
  [[nodiscard]] bool is_paused() const { return !is_broker_ && queued() > kPauseAbove; }

  boost::asio::io_context& io_;
  BusPtr bus_;
  SlotPtr filter_;
  Handlers handlers_;
  sys::Credentials peer_;
  boost::asio::posix::stream_descriptor descriptor_;
  runtime::LoopTimer timer_;
  std::uint64_t generation_ = 0;
  unsigned calls_ = 0;
  bool is_broker_ = false;
  bool is_turn_posted_ = false;
};

}  // namespace pidward::bus
