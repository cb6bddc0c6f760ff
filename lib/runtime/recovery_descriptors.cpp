// The last daemon's descriptors: each goes back to the part that had it, by what the state says of
// its name.
#include <map>

#include "base/number.hpp"
#include "engine/record.hpp"
#include "runtime/manager_impl.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kDescriptor = "fd ";

/// What is written of a descriptor of a unit's.
struct Purpose {
  std::string unit;
  std::string name;         ///< of a stored one; a connection's peer; a process' file handle
  std::uint64_t index = 0;  ///< of a listening one, or a stream, among its unit's; a connection's
  bool accepts = false;
  bool poll = false;

  explicit Purpose(std::string_view text) {
    engine::Loader from(text);
    from.text("unit", unit);
    from.text("name", name);
    from.number("index", index);
    from.flag("accepts", accepts);
    from.flag("poll", poll);
  }
};

struct Listening {
  std::vector<ListeningSocket> sockets;
  std::vector<std::string> names;
};

}  // namespace

/// The pipes that services log into, and the logger that reads them.
Status Manager::Impl::recover_logs(const StateEntries& entries) {
  constexpr std::string_view kStream = "fd log-";
  for (auto at = entries.lower_bound(kStream); at != entries.end(); ++at) {
    const auto& [key, header] = *at;
    if (!key.starts_with(kStream)) break;
    sys::Fd pipe = kept.take(key.substr(kDescriptor.size()));
    if (!pipe) continue;
    logs.restore(parse_number<std::uint64_t>(key.substr(kStream.size())).value_or(0),
                 std::move(pipe), header);
  }
  sys::Fd control = kept.take("logger");
  if (control) keeper.set("fd logger", "logger");
  return logs.open(std::move(control));
}

void Manager::Impl::recover_descriptors(const StateEntries& entries) {
  std::map<UnitId, std::map<std::uint64_t, std::pair<ListeningSocket, std::string>>> listening;
  for (auto at = entries.lower_bound(kDescriptor); at != entries.end(); ++at) {
    const auto& [key, text] = *at;
    if (!key.starts_with(kDescriptor)) break;
    const std::string name = key.substr(kDescriptor.size());
    Purpose purpose(text);
    const auto unit_name = unit::UnitName::parse(purpose.unit);
    const auto unit = unit_name ? engine.find(*unit_name) : std::nullopt;
    if (!unit) continue;
    if (name.starts_with("listen-")) {
      ListeningSocket socket;
      socket.fd = kept.take(name);
      socket.accepts = purpose.accepts;
      if (!socket.fd) continue;
      listening[*unit].emplace(purpose.index, std::pair(std::move(socket), name));
    } else if (name.starts_with("stored-")) {
      sys::Fd fd = kept.take(name);
      if (!fd) continue;
      fd_store.restore(*unit, std::move(fd), std::move(purpose.name), purpose.poll, name);
    } else if (name.starts_with("connection-")) {
      sys::Fd fd = kept.take(name);
      if (!fd) continue;
      listeners.restore_connection(*unit, purpose.index, std::move(fd), name,
                                   std::move(purpose.name));
    } else if (name.starts_with("stream-")) {
      sys::Fd fd = kept.take(name);
      if (!fd) continue;
      transient.restore_stream(*unit, purpose.index, std::move(fd), name);
    } else if (name.starts_with("scope-")) {
      // What it is to take in can be found again without a descriptor, too.
      sys::Fd fd = kept.take(name);
      if (!transient.restore_process(*unit, std::move(fd), purpose.name, name)) continue;
    } else {
      continue;
    }
    keeper.set(key, text);
  }
  if (const auto last = entries.find(kConnectionsKey); last != entries.end()) {
    listeners.numbers_given(parse_number<std::uint64_t>(last->second).value_or(0));
    keeper.set(last->first, last->second);
  }
  for (auto& [unit, sockets] : listening) {
    Listening all;
    for (auto& [index, socket] : sockets) {
      all.sockets.push_back(std::move(socket.first));
      all.names.push_back(std::move(socket.second));
    }
    listeners.restore(unit, std::move(all.sockets), std::move(all.names));
  }
}

}  // namespace pidward::runtime
