// One method call under way: what it is about, who made it, and the one answer it gets, now or
// later.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "bus/connection.hpp"
#include "bus/object_path.hpp"
#include "bus/reader.hpp"
#include "bus/sdbus.hpp"
#include "bus/writer.hpp"
#include "process/process_table.hpp"

namespace pidward::bus {

struct Services;

class Call : public std::enable_shared_from_this<Call> {
 public:
  /// Nothing when too many calls of this connection wait for their answer; the caller was told.
  static std::shared_ptr<Call> begin(Services& services, std::shared_ptr<Connection> connection,
                                     sd_bus_message* message);
  /// A call that got no answer gets one here: dropping a call silently would hang its caller.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] Services& services() const { return services_; }
  [[nodiscard]] Connection& connection() const { return *connection_; }
  [[nodiscard]] sd_bus_message* message() const { return message_.get(); }
  [[nodiscard]] Reader& in() { return in_; }
  [[nodiscard]] std::string_view interface() const;
  [[nodiscard]] std::string_view member() const;
  [[nodiscard]] std::string_view path() const;
  /// The caller's unique name on a broker; empty on the private socket.
  [[nodiscard]] std::string_view sender() const;
  /// A name for the caller that is stable while it is connected, for references and subscriptions.
  [[nodiscard]] std::string client() const;

  /// Who called; known once the caller was found to be allowed to change something.
  std::optional<uid_t> uid;
  /// The unit, job or process of the object that was called; none on other objects.
  UnitId unit;
  JobId job;
  process::ProcessHandle process;

  void reply(const std::function<void(Writer&)>& fill);
  void reply() {
    reply([](Writer&) {});
  }
  void fail(const Error& error);
  void fail(std::string_view name, const std::string& text);

 private:
  Call(Services& services, std::shared_ptr<Connection> connection, sd_bus_message* message);
  void finish(sd_bus_message* answer);
  Services& services_;
  std::shared_ptr<Connection> connection_;
  MessageRef message_;
  Reader in_;
  bool is_answered_ = false;
  bool is_counted_ = false;
};
using CallPtr = std::shared_ptr<Call>;

}  // namespace pidward::bus
