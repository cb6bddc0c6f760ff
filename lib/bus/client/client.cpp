#include "bus/client/client.hpp"

#include <cerrno>
#include <cstdlib>

#include <fmt/core.h>

#include "bus/error_names.hpp"
#include "bus/object_path.hpp"

namespace pidward::bus {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

Error error_of(const sd_bus_error* error, int result, const std::string& what) {
  if (error != nullptr && error->name != nullptr) {
    const std::string text = error->message == nullptr ? error->name : error->message;
    return {error_code(error->name), text};
  }
  return Error::from_errno(-result, what);
}

int on_signal(sd_bus_message* message, void* userdata, sd_bus_error* /*error*/) {
  const char* member = sd_bus_message_get_member(message);
  if (member != nullptr && sd_bus_message_is_signal(message, nullptr, nullptr) > 0) {
    (*static_cast<Client::SignalHandler*>(userdata))(message);
  }
  return 0;
}

}  // namespace

Result<std::string> Client::socket_path(const ClientOptions& options) {
  if (!options.socket.empty()) return options.socket;
  std::string directory = options.runtime_dir;
  if (directory.empty()) directory = environment("PIDWARD_RUNTIME_DIR");
  if (directory.empty() && options.user) {
    const std::string runtime = environment("XDG_RUNTIME_DIR");
    if (runtime.empty()) {
      return Error(Errc::not_found, "XDG_RUNTIME_DIR is not set")
          .advise("log in as that user, or name the place with --runtime-dir=");
    }
    directory = runtime + "/pidward";
  }
  return (directory.empty() ? std::string("/run/pidward") : directory) + "/private";
}

Result<Client> Client::connect(const ClientOptions& options) {
  PIDWARD_TRY(const std::string path, socket_path(options));
  sd_bus* raw = nullptr;
  int result = sd_bus_new(&raw);
  if (result < 0) return bus_failure(result, "sd_bus_new");
  BusPtr bus(raw);
  // Commas and the like in a path must be escaped in an address.
  std::string escaped;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '_' || c == '-';
    escaped += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  result = sd_bus_set_address(raw, ("unix:path=" + escaped).c_str());
  if (result >= 0) result = sd_bus_negotiate_fds(raw, 1);
  if (result >= 0) result = sd_bus_start(raw);
  if (result >= 0) return Client(std::move(bus));
  const Error refused = bus_failure(result, fmt::format("cannot reach pidward at {}", path));
  const bool is_fixed = !options.socket.empty() || !options.runtime_dir.empty() ||
                        !environment("PIDWARD_RUNTIME_DIR").empty();
  if (is_fixed || (result != -ENOENT && result != -ECONNREFUSED)) {
    return Error(refused).advise("is it running?");
  }
  sd_bus* broker = nullptr;
  result = options.user ? sd_bus_open_user(&broker) : sd_bus_open_system(&broker);
  if (result < 0) return Error(refused).advise("is it running?");
  Client client((BusPtr(broker)));
  client.is_broker_ = true;
  if (!client.call(kManagerPath, "org.freedesktop.DBus.Peer", "Ping")) {
    return Error(refused).advise("is it running?");
  }
  return client;
}

Result<MessageRef> Client::call(const std::string& path, const char* interface, const char* member,
                                const std::function<void(Writer&)>& fill,
                                std::uint64_t patience_usec) {
  sd_bus_message* raw = nullptr;
  int result =
      sd_bus_message_new_method_call(bus_.get(), &raw, kBusName, path.c_str(), interface, member);
  if (result < 0) return bus_failure(result, member);
  const MessageRef message = MessageRef::adopt(raw);
  Writer out(raw);
  if (fill) fill(out);
  if (out.error() != 0) return Error::from_errno(out.error(), member);
  BusError error;
  sd_bus_message* answer = nullptr;
  result = sd_bus_call(bus_.get(), raw, patience_usec, error.out(), &answer);
  if (result < 0) return error_of(error.get(), result, member);
  return MessageRef::adopt(answer);
}

Result<MessageRef> Client::manager(const char* member, const std::function<void(Writer&)>& fill) {
  return call(kManagerPath, kManagerInterface, member, fill);
}

Result<Data> Client::property(const std::string& path, const std::string& interface,
                              const std::string& name) {
  PIDWARD_TRY(const MessageRef answer, call(path, "org.freedesktop.DBus.Properties", "Get",
                                            [&](Writer& out) { out.s(interface).s(name); }));
  Reader in(answer.get());
  Data data = read_data(in);
  if (in.error() != 0) return Error::from_errno(in.error(), name);
  return data;
}

Result<Properties> Client::properties(const std::string& path, const std::string& interface) {
  PIDWARD_TRY(const MessageRef answer, call(path, "org.freedesktop.DBus.Properties", "GetAll",
                                            [&](Writer& out) { out.s(interface); }));
  Reader in(answer.get());
  Properties all = read_properties(in);
  if (in.error() != 0) return Error::from_errno(in.error(), "reading the properties");
  return all;
}

Status Client::subscribe(SignalHandler seen) {
  handler_ = std::make_unique<SignalHandler>(std::move(seen));
  sd_bus_slot* slot = nullptr;
  int result = sd_bus_add_filter(bus_.get(), &slot, on_signal, handler_.get());
  if (result < 0) return bus_failure(result, "watching signals");
  filter_.reset(slot);
  if (!is_broker_) return {};
  result = sd_bus_add_match(
      bus_.get(), &slot, "type='signal',sender='org.pidward1',path_namespace='/org/pidward1'",
      [](sd_bus_message*, void*, sd_bus_error*) { return 0; }, nullptr);
  if (result < 0) return bus_failure(result, "watching signals");
  match_.reset(slot);
  if (const auto subscribed = manager("Subscribe"); !subscribed) return subscribed.error();
  return {};
}

void Client::unsubscribe() {
  filter_.reset();
  match_.reset();
  handler_.reset();
}

Result<bool> Client::process(std::chrono::milliseconds wait) {
  const int handled = sd_bus_process(bus_.get(), nullptr);
  if (handled < 0) return bus_failure(handled, "the connection to pidward");
  if (handled > 0) return true;
  const int woken = sd_bus_wait(
      bus_.get(), static_cast<std::uint64_t>(
                      std::chrono::duration_cast<std::chrono::microseconds>(wait).count()));
  if (woken < 0 && woken != -EINTR) return bus_failure(woken, "the connection to pidward");
  return woken > 0;
}

}  // namespace pidward::bus
