// The other end of the bus, for programs: calls that wait for their answer, and signals.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "bus/client/data.hpp"
#include "bus/reader.hpp"
#include "bus/sdbus.hpp"
#include "bus/writer.hpp"

namespace pidward::bus {

struct ClientOptions {
  bool user = false;
  std::string socket;       ///< this socket and nothing else
  std::string runtime_dir;  ///< its `private`, and nothing else
};

/// A connection of a program to a daemon. Blocks; not for the daemon's loop.
class Client {
 public:
  /// The private socket, or, where no place was named and nobody serves it, the bus. The place is
  /// $PIDWARD_RUNTIME_DIR, /run/pidward or $XDG_RUNTIME_DIR/pidward. Errors: nobody is there.
  static Result<Client> connect(const ClientOptions& options);
  /// Where connect() looks for the private socket.
  static Result<std::string> socket_path(const ClientOptions& options);

  /// Calls `interface`.`member` on `path`. The error has the kind its D-Bus name stands for.
  Result<MessageRef> call(const std::string& path, const char* interface, const char* member,
                          const std::function<void(Writer&)>& fill = {},
                          std::uint64_t patience_usec = kPatienceUsec);
  /// How long an answer may take unless the caller says otherwise: some come when a reload of ten
  /// thousand units is done. UINT64_MAX: for ever.
  static constexpr std::uint64_t kPatienceUsec = 600ULL * 1000 * 1000;
  /// call() on the manager.
  Result<MessageRef> manager(const char* member, const std::function<void(Writer&)>& fill = {});
  /// One property.
  Result<Data> property(const std::string& path, const std::string& interface,
                        const std::string& name);
  /// Those of one interface, or of all with an empty name.
  Result<Properties> properties(const std::string& path, const std::string& interface = {});

  using SignalHandler = std::function<void(sd_bus_message*)>;
  /// From now on `seen` gets every signal of the daemon's, from within process().
  Status subscribe(SignalHandler seen);
  /// `seen` gets nothing any more.
  void unsubscribe();
  /// Handles what has arrived and waits for more, at most so long. False when nothing came.
  Result<bool> process(std::chrono::milliseconds wait);
  [[nodiscard]] sd_bus* get() const { return bus_.get(); }

 private:
  explicit Client(BusPtr bus) : bus_(std::move(bus)) {}
  BusPtr bus_;
  SlotPtr filter_, match_;
  std::unique_ptr<SignalHandler> handler_;
  bool is_broker_ = false;
};

}  // namespace pidward::bus
