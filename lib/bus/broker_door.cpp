#include "bus/broker_door.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include <fmt/core.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.hpp"
#include "bus/object_path.hpp"
#include "bus/reader.hpp"

namespace pidward::bus {
namespace {

constexpr const char* kDriver = "org.freedesktop.DBus";
/// A broker that has just made its socket may not listen yet: so many tries, each twice as late.
constexpr unsigned kQuickAttempts = 8;
constexpr auto kFirstPause = std::chrono::milliseconds(25);
constexpr std::uint32_t kQueueForName = 0;
constexpr std::uint32_t kBecameOwner = 1;
constexpr std::uint32_t kInQueue = 2;

std::string text_of(const char* value) {
  return value == nullptr ? std::string() : value;
}

std::string default_address(unit::Scope scope) {
  if (scope == unit::Scope::system) {
    const std::string given = text_of(std::getenv("DBUS_SYSTEM_BUS_ADDRESS"));
    return given.empty() ? "unix:path=/run/dbus/system_bus_socket" : given;
  }
  const std::string given = text_of(std::getenv("DBUS_SESSION_BUS_ADDRESS"));
  if (!given.empty()) return given;
  const std::string runtime = text_of(std::getenv("XDG_RUNTIME_DIR"));
  return runtime.empty() ? std::string() : "unix:path=" + runtime + "/bus";
}

/// PATH of "unix:path=PATH[,…][;…]".
std::string path_of_address(const std::string& address) {
  constexpr std::string_view kPrefix = "unix:path=";
  if (address.compare(0, kPrefix.size(), kPrefix) != 0) return {};
  return address.substr(kPrefix.size(), address.find_first_of(",;") - kPrefix.size());
}

/// The nearest directory above `path` that is there.
std::string existing_parent(std::string path) {
  struct stat info {};
  do {
    const std::size_t slash = path.rfind('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  } while (path != "/" && (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)));
  return path;
}

}  // namespace

BrokerDoor::BrokerDoor(boost::asio::io_context& io, runtime::Manager& manager, Handlers handlers)
    : io_(io),
      manager_(manager),
      handlers_(std::move(handlers)),
      address_(default_address(manager.config().scope)),
      socket_path_(path_of_address(address_)),
      directory_(io),
      retry_(io) {}

BrokerDoor::~BrokerDoor() {
  if (directory_.is_open()) directory_.release();
  names_.clear();
  clients_.reset();
  name_request_.reset();
  if (connection_) connection_->close();
}

Status BrokerDoor::begin() {
  Status status = join();
  if (!status) wait_for_socket();
  return status;
}

Status BrokerDoor::join() {
  if (address_.empty()) {
    return Error(Errc::not_found, "there is no session bus")
        .advise("set DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR");
  }
  auto joined =
      Connection::join(io_, address_,
                       {.call = handlers_.call,
                        .lost = [this](const std::shared_ptr<Connection>& gone, const Error& why) {
                          if (gone == connection_) lost(why);
                        }});
  if (!joined) return std::move(joined).error();
  connection_ = *std::move(joined);
  handlers_.joined(connection_);
  follow_clients();
  ask_for_name();
  for (auto& [name, watch] : names_) follow(name, watch);
  return {};
}

Result<SlotPtr> BrokerDoor::ask_driver(const char* member, const std::function<void(Writer&)>& fill,
                                       std::function<void(sd_bus_message*)> answer) {
  sd_bus_message* raw = nullptr;
  const int result = sd_bus_message_new_method_call(connection_->get(), &raw, kDriver,
                                                    "/org/freedesktop/DBus", kDriver, member);
  if (result < 0) return bus_failure(result, member);
  const MessageRef message = MessageRef::adopt(raw);
  Writer out(raw);
  fill(out);
  return connection_->call(message, std::move(answer));
}

void BrokerDoor::ask_for_name() {
  auto slot = ask_driver(
      "RequestName", [](Writer& out) { out.s(kBusName).u(kQueueForName); },
      [this](sd_bus_message* answer) {
        attempts_ = 0;
        if (const sd_bus_error* problem = sd_bus_message_get_error(answer)) {
          log(LogLevel::warning, fmt::format("bus: the broker does not give us {}: {}", kBusName,
                                             text_of(problem->message)));
          return;
        }
        const std::uint32_t outcome = Reader(answer).u();
        if (outcome == kBecameOwner) {
          log(LogLevel::info, fmt::format("bus: serving {} at {}", kBusName, address_));
        } else if (outcome == kInQueue) {
          log(LogLevel::warning,
              fmt::format("bus: another process owns {}; waiting until it leaves", kBusName));
        }
      });
  if (slot) name_request_ = *std::move(slot);
}

void BrokerDoor::follow_clients() {
  // One match for all: a unique name that loses its owner is a client that left.
  auto slot = connection_->match(
      "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
      "member='NameOwnerChanged',arg2=''",
      [this](sd_bus_message* message) {
        const std::string name = Reader(message).s();
        if (!name.empty() && name[0] == ':') handlers_.client_left(name);
      });
  if (slot) clients_ = *std::move(slot);
}

void BrokerDoor::watch_name(const std::string& name, bool watch) {
  if (!watch) {
    names_.erase(name);
    return;
  }
  NameWatch& entry = names_[name];
  if (connection_) follow(name, entry);
}

void BrokerDoor::follow(const std::string& name, NameWatch& watch) {
  auto match = connection_->match(
      fmt::format("type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                  "member='NameOwnerChanged',arg0='{}'",
                  name),
      [this, name](sd_bus_message* message) {
        Reader in(message);
        in.s();
        in.s();
        owner_changed(name, in.s());
      });
  if (match) watch.match = *std::move(match);
  auto query = ask_driver(
      "GetNameOwner", [&](Writer& out) { out.s(name); },
      [this, name](sd_bus_message* answer) {
        const bool none = sd_bus_message_is_method_error(answer, nullptr) > 0;
        owner_changed(name, none ? std::string() : Reader(answer).s());
      });
  if (query) watch.query = *std::move(query);
}

void BrokerDoor::owner_changed(const std::string& name, const std::string& owner) {
  const auto watch = names_.find(name);
  if (watch == names_.end()) return;
  if (owner.empty()) return manager_.bus_name_changed(name, false, std::nullopt);
  auto query = ask_driver(
      "GetConnectionUnixProcessID", [&](Writer& out) { out.s(owner); },
      [this, name](sd_bus_message* answer) {
        const bool unknown = sd_bus_message_is_method_error(answer, nullptr) > 0;
        const std::uint32_t pid = unknown ? 0 : Reader(answer).u();
        manager_.bus_name_changed(name, true,
                                  pid == 0 ? std::nullopt : std::optional<std::uint32_t>(pid));
      });
  if (query) watch->second.query = *std::move(query);
}

void BrokerDoor::lost(const Error& why) {
  log(LogLevel::warning, fmt::format("bus: the connection to the broker at {} is lost ({}); the "
                                     "private socket stays open",
                                     address_, why.message()));
  std::vector<std::string> names;
  for (auto& [name, watch] : names_) {
    watch = NameWatch();
    names.push_back(name);
  }
  // Some of them are of no interest any more once they are gone.
  for (const std::string& name : names) manager_.bus_name_changed(name, false, std::nullopt);
  clients_.reset();
  name_request_.reset();
  connection_.reset();
  handlers_.lost();
  if (Status status = join(); !status) wait_for_socket();
}

void BrokerDoor::wait_for_socket() {
  if (address_.empty()) return;
  struct stat info {};
  const bool is_there = !socket_path_.empty() && ::stat(socket_path_.c_str(), &info) == 0;
  // A socket that refuses is one that does not listen yet, or one that was left over.
  if (socket_path_.empty() || (is_there && attempts_ < kQuickAttempts)) return try_again_soon();
  attempts_ = 0;
  if (directory_.is_open()) directory_.release();
  inotify_ = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string parent = existing_parent(socket_path_);
  if (!inotify_ || ::inotify_add_watch(inotify_.get(), parent.c_str(),
                                       IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR) < 0) {
    return try_again_soon();
  }
  boost::system::error_code problem;
  directory_.assign(inotify_.get(), problem);
  if (problem) return try_again_soon();
  wait_for_directory_event();
}

void BrokerDoor::wait_for_directory_event() {
  directory_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& problem) {
                          if (problem) return;
                          directory_.release();
                          inotify_.reset();
                          if (Status status = join(); !status) wait_for_socket();
                        });
}

void BrokerDoor::try_again_soon() {
  const unsigned doublings = std::min(attempts_++, 10U);
  retry_.expires_after(kFirstPause * (1U << doublings));
  retry_.async_wait([this](const boost::system::error_code& problem) {
    if (problem) return;
    if (Status status = join(); !status) wait_for_socket();
  });
}

}  // namespace pidward::bus
