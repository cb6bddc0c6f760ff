// The bus side of the daemon, whole: the doors, the objects behind them and the signals they send.
#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>

#include "base/result.hpp"
#include "runtime/manager.hpp"

namespace pidward::bus {

/// Serves one Manager on the private socket and, as its configuration says, on the system or
/// session bus. Lives on the loop; create it after the Manager and destroy it before.
class Server {
 public:
  /// Opens `RUNTIME_DIRECTORY/private` and begins to look for a broker. Both references outlive the
  /// server. Errors: the socket cannot be made, another pidward serves it, or `bus: required` and
  /// no broker answers.
  static Result<std::unique_ptr<Server>> create(boost::asio::io_context& io,
                                                runtime::Manager& manager);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pidward::bus
