#include "runtime/listeners.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/record.hpp"
#include "runtime/socket_address.hpp"
#include "sys/descriptor_reserve.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {

using unit::Directive;

Listeners::~Listeners() = default;

void Listeners::listen(UnitId unit) {
  if (units_.contains(unit)) {
    core_.events.post(engine::Listening{unit});
    return;
  }
  auto spec = core_.engine.spec(unit);
  if (!spec) return;
  core_.pool.run([spec] { return open_sockets(*spec); },
                 [this, unit](Result<std::vector<ListeningSocket>> sockets) {
                   opened(unit, std::move(sockets));
                   core_.events.drain();
                 });
}

void Listeners::opened(UnitId unit, Result<std::vector<ListeningSocket>> sockets) {
  const auto spec = core_.engine.spec(unit);
  if (!spec) return;
  if (!sockets) {
    to_watch_.erase(unit);
    core_.events.post(engine::ListenFailed{unit, std::move(sockets).error()});
    return;
  }
  Unit& entry = add(unit, *spec, *std::move(sockets));
  for (std::size_t i = 0; i < entry.sockets.size(); ++i) {
    entry.kept.push_back(keeper_.new_descriptor_name("listen"));
    engine::Saver purpose;
    purpose.text("unit", spec->name.str());
    purpose.number("index", i);
    purpose.flag("accepts", entry.sockets[i].accepts);
    keeper_.keep_descriptor(entry.kept.back(), entry.sockets[i].fd.get(), purpose.take());
  }
  core_.events.post(engine::Listening{unit});
  if (to_watch_.erase(unit) > 0) watch(unit, true);
}

Listeners::Unit& Listeners::add(UnitId unit, const unit::UnitSpec& spec,
                                std::vector<ListeningSocket> sockets) {
  Unit entry;
  entry.accept = spec.settings.boolean(Directive::Accept);
  entry.name = spec.descriptor_name();
  entry.sockets = std::move(sockets);
  if (!entry.accept) {
    // The service gets them as it would have made them: blocking.
    for (const ListeningSocket& socket : entry.sockets) {
      const int flags = ::fcntl(socket.fd.get(), F_GETFL);
      if (flags >= 0) ::fcntl(socket.fd.get(), F_SETFL, flags & ~O_NONBLOCK);
    }
  }
  return units_.insert_or_assign(unit, std::move(entry)).first->second;
}

void Listeners::restore(UnitId unit, std::vector<ListeningSocket> sockets,
                        std::vector<std::string> names) {
  const auto spec = core_.engine.spec(unit);
  if (spec) add(unit, *spec, std::move(sockets)).kept = std::move(names);
}

void Listeners::close(UnitId unit, bool remove_files) {
  watch(unit, false);
  if (const auto found = units_.find(unit); found != units_.end()) {
    for (const std::string& name : found->second.kept) keeper_.drop_descriptor(name);
    units_.erase(found);
  }
  if (!remove_files) return;
  auto spec = core_.engine.spec(unit);
  if (!spec) return;
  core_.pool.run(
      [spec] {
        remove_socket_files(*spec);
        return 0;
      },
      [](int) {});
}

void Listeners::watch(UnitId unit, bool watch) {
  const auto found = units_.find(unit);
  if (found == units_.end()) {
    // Asked for while the sockets are being made: a daemon takes over a unit whose own are gone.
    watch ? static_cast<void>(to_watch_.insert(unit)) : static_cast<void>(to_watch_.erase(unit));
    return;
  }
  Unit& entry = found->second;
  if (!watch) {
    for (const ListeningSocket& socket : entry.sockets) by_fd_.erase(socket.fd.get());
    entry.watches.clear();
    return;
  }
  if (!entry.watches.empty()) return;
  for (const ListeningSocket& socket : entry.sockets) {
    auto started = Watch::start(core_.watcher, socket.fd.get(), EPOLLIN, *this);
    if (!started) {
      core_.events.post(engine::ListenFailed{unit, std::move(started).error()});
      return;
    }
    by_fd_[socket.fd.get()] = unit;
    entry.watches.push_back(*std::move(started));
  }
}

std::vector<Listeners::Passed> Listeners::descriptors(UnitId unit) const {
  std::vector<Passed> result;
  const auto found = units_.find(unit);
  if (found == units_.end()) return result;
  for (const ListeningSocket& socket : found->second.sockets) {
    result.push_back({&socket.fd, found->second.name});
  }
  return result;
}

void Listeners::descriptor_ready(int fd, std::uint32_t /*events*/) {
  const auto found = by_fd_.find(fd);
  if (found == by_fd_.end()) return;
  const UnitId unit = found->second;
  if (units_.at(unit).accept) {
    accept_one(unit, fd);
    return;
  }
  // Once is enough: the socket stays readable until the service takes what waits.
  watch(unit, false);
  core_.events.post(engine::Incoming{unit, 0, {}});
}

std::string Listeners::peer_name(int connection) {
  sockaddr_storage local{};
  sockaddr_storage remote{};
  socklen_t local_length = sizeof local;
  socklen_t remote_length = sizeof remote;
  ::getsockname(connection, reinterpret_cast<sockaddr*>(&local), &local_length);    // NOLINT
  ::getpeername(connection, reinterpret_cast<sockaddr*>(&remote), &remote_length);  // NOLINT
  if (local.ss_family == AF_UNIX) {
    const auto peer = sys::peer_credentials(connection);
    return peer ? fmt::format("{}-{}", peer->pid, peer->uid) : "unknown";
  }
  return fmt::format("{}-{}", format_socket_address(local, local_length),
                     format_socket_address(remote, remote_length));
}

void Listeners::accept_one(UnitId unit, int fd) {
  sys::Fd connection(sys::adopt_fd, ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) {
    const int why = errno;
    if (why == EAGAIN || why == EINTR || why == ECONNABORTED) return;
    const auto spec = core_.engine.spec(unit);
    if (spec) {
      log_about(LogLevel::error, *spec, "accept-failed",
                Error::from_errno(why, "Cannot accept a connection").to_string());
    }
    // Without descriptors or memory the socket would stay readable and the loop would spin.
    core_.events.post(engine::ListenFailed{unit, Error::from_errno(why, "Cannot accept")});
    watch(unit, false);
    return;
  }
  // Nobody else has it: it is kept before anything is asked about it.
  const int accepted = connection.get();
  engine::Incoming event{unit, next_connection_++, {}};
  keep_connection(unit, event.connection, std::move(connection));
  if (Status room = sys::check_reserve(accepted, sys::DescriptorUse::service); !room) {
    const auto spec = core_.engine.spec(unit);
    if (spec) {
      log_about(LogLevel::error, *spec, "connection-refused",
                "A connection is refused: " + room.error().to_string());
    }
    close_connection(event.connection);
    return;
  }
  Connection& kept = connections_.at(event.connection);
  event.peer = kept.peer = peer_name(accepted);
  keeper_.describe_descriptor(kept.kept, purpose_of(event.connection));
  core_.events.post(std::move(event));
}

std::string Listeners::purpose_of(std::uint64_t number) const {
  const Connection& connection = connections_.at(number);
  const auto spec = core_.engine.spec(connection.unit);
  engine::Saver purpose;
  purpose.text("unit", spec ? spec->name.str() : std::string());
  purpose.number("index", number);
  purpose.text("name", connection.peer);
  return purpose.take();
}

/// Written at once: from here on it is known to have come.
void Listeners::keep_connection(UnitId unit, std::uint64_t number, sys::Fd fd) {
  const auto added = connections_.emplace(
      number, Connection{unit, std::move(fd), keeper_.new_descriptor_name("connection"), {}});
  const Connection& connection = added.first->second;
  keeper_.keep_descriptor(connection.kept, connection.fd.get(), purpose_of(number));
  keeper_.set(kConnectionsKey, std::to_string(number));
  keeper_.flush();
}

void Listeners::restore_connection(UnitId unit, std::uint64_t connection, sys::Fd fd,
                                   std::string kept, std::string peer) {
  numbers_given(connection);
  if (peer.empty()) peer = peer_name(fd.get());
  connections_.emplace(connection,
                       Connection{unit, std::move(fd), std::move(kept), std::move(peer)});
}

void Listeners::tell_connections() {
  for (const auto& [number, connection] : connections_) {
    core_.events.post(engine::Incoming{connection.unit, number, connection.peer});
  }
}

const sys::Fd* Listeners::connection(std::uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : &found->second.fd;
}

void Listeners::close_connection(std::uint64_t connection) {
  const auto found = connections_.extract(connection);
  if (!found.empty()) keeper_.drop_descriptor(found.mapped().kept);
}

void Listeners::flush(UnitId unit) {
  const auto found = units_.find(unit);
  if (found == units_.end()) return;
  constexpr int kMost = 4096;
  std::array<char, 4096> buffer{};
  for (const ListeningSocket& socket : found->second.sockets) {
    // Only what is there: nothing here may wait, whatever mode the descriptor is in.
    for (int i = 0; i < kMost; ++i) {
      pollfd waiting{socket.fd.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 0) != 1) break;
      if (socket.accepts) {
        const sys::Fd dropped(sys::adopt_fd,
                              ::accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!dropped) break;
      } else if (::read(socket.fd.get(), buffer.data(), buffer.size()) <= 0) {
        break;
      }
    }
  }
}

}  // namespace pidward::runtime
