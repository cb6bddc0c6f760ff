// Owners for sd-bus' counted objects. Errors of sd-bus are negative errno values; they turn
// positive here and nowhere else.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <systemd/sd-bus.h>

#include "base/result.hpp"

namespace pidward::bus {

/// A connection. Letting go of the last reference closes it without flushing: nothing here waits.
struct BusDeleter {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using BusPtr = std::unique_ptr<sd_bus, BusDeleter>;

/// A counted message.
class MessageRef {
 public:
  MessageRef() = default;
  /// Takes over one reference.
  static MessageRef adopt(sd_bus_message* message) { return MessageRef(message); }
  /// Adds one reference.
  static MessageRef share(sd_bus_message* message) {
    return MessageRef(sd_bus_message_ref(message));
  }
  MessageRef(const MessageRef& other) : message_(sd_bus_message_ref(other.message_)) {}
  MessageRef(MessageRef&& other) noexcept : message_(std::exchange(other.message_, nullptr)) {}
  MessageRef& operator=(MessageRef other) noexcept {
    std::swap(message_, other.message_);
    return *this;
  }
  ~MessageRef() { sd_bus_message_unref(message_); }
  [[nodiscard]] sd_bus_message* get() const { return message_; }
  explicit operator bool() const { return message_ != nullptr; }

 private:
  explicit MessageRef(sd_bus_message* message) : message_(message) {}
  sd_bus_message* message_ = nullptr;
};

/// A registration: what it registered ends with it.
struct SlotDeleter {
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using SlotPtr = std::unique_ptr<sd_bus_slot, SlotDeleter>;

/// An sd_bus_error that frees itself.
class BusError {
 public:
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* out() { return &error_; }
  [[nodiscard]] const sd_bus_error* get() const { return &error_; }

 private:
  sd_bus_error error_{nullptr, nullptr, 0};
};

/// `result` of an sd-bus call, negative on failure, as an Error about `what`.
inline Error bus_failure(int result, std::string_view what) {
  return Error::from_errno(-result, what);
}

}  // namespace pidward::bus
