#include "runtime/notify_socket.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

// Datagrams read in one turn of the loop, so that a flood of them leaves room for everything else.
constexpr int kPerTurn = 64;
constexpr int kReceiveBuffer = 8 << 20;
constexpr const char* kKeptName = "notify";

void warn(const Core& core, UnitId unit, std::string message) {
  const auto spec = core.engine.spec(unit);
  if (spec) log_about(LogLevel::warning, *spec, "notify-rejected", std::move(message));
}

engine::ProcessRole role_of(const Core& core, UnitId unit, ProcessId process) {
  const engine::UnitStatus status = core.engine.status(unit);
  if (status.service == nullptr || !process) return engine::ProcessRole::other;
  if (process == status.service->main) return engine::ProcessRole::main;
  if (process == status.service->control) return engine::ProcessRole::control;
  return engine::ProcessRole::other;
}

}  // namespace

NotifySocket::NotifySocket(Core& core, UnitTree& tree, ProcessTracker& tracker, FdStore& fd_store)
    : core_(core), tree_(tree), tracker_(tracker), fd_store_(fd_store) {}

NotifySocket::~NotifySocket() {
  if (socket_) ::unlink(path_.c_str());
}

Status NotifySocket::open(KeptDescriptors& kept) {
  path_ = core_.config.runtime_directory + "/notify";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) {
    return Error(Errc::invalid_argument, fmt::format("The path {} is too long for a socket", path_))
        .advise("Choose a shorter runtime directory");
  }
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  socket_ = kept.take(kKeptName);
  if (socket_ && ::access(path_.c_str(), F_OK) == 0) {
    PIDWARD_TRY(watch_, Watch::start(core_.watcher, socket_.get(), EPOLLIN, *this));
    return {};
  }
  PIDWARD_TRY(socket_, sys::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK));
  ::unlink(path_.c_str());
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT: the socket API
             sizeof address) != 0) {
    return Error::from_errno(errno, fmt::format("Cannot bind {}", path_));
  }
  // Services of any user may write; who they are is asked of the kernel.
  if (::chmod(path_.c_str(), 0777) != 0) {
    return Error::from_errno(errno, fmt::format("Cannot open {} to all", path_));
  }
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  PIDWARD_CHECK(sys::enable_sender_identity(socket_.get(), core_.features));
  PIDWARD_TRY(watch_, Watch::start(core_.watcher, socket_.get(), EPOLLIN, *this));
  kept.keep(kKeptName, socket_.get());
  return {};
}

void NotifySocket::descriptor_ready(int fd, std::uint32_t /*events*/) {
  for (int i = 0; i < kPerTurn; ++i) {
    // It leaves the socket only when what it says is written down.
    auto message = sys::peek_message(fd, kNotifyMaxBytes);
    if (!message) {
      log(LogLevel::warning,
          fmt::format("Cannot read the notify socket: {}", message.error().to_string()));
      return;
    }
    if (!*message) return;
    handle(**std::move(message));
    sys::drop_message(fd);
  }
}

void NotifySocket::handle(sys::Message message) {
  const std::optional<UnitId> unit = message.sender ? tree_.unit_of(*message.sender) : std::nullopt;
  if (!unit) {
    // The first of each power of two: a stranger cannot fill the log.
    ++strangers_;
    if ((strangers_ & (strangers_ - 1)) == 0) {
      log(LogLevel::warning,
          fmt::format("Ignored a notification of process {} of user {}, which is in no unit ({} so "
                      "far)",
                      message.credentials ? message.credentials->pid : 0,
                      message.credentials ? message.credentials->uid : 0, strangers_));
    }
    return;
  }
  if (message.truncated) {
    warn(core_, *unit, fmt::format("Ignored a notification longer than {} bytes", kNotifyMaxBytes));
    return;
  }
  auto parsed = parse_notify(message.bytes);
  if (!parsed) {
    warn(core_, *unit, fmt::format("Ignored a notification: {}", parsed.error().message()));
    return;
  }
  for (const std::string& complaint : parsed->complaints) warn(core_, *unit, complaint);

  const auto sender = core_.table.open(*std::move(message.sender));
  engine::Notified event;
  event.unit = *unit;
  if (sender) event.sender = (*sender)->id();
  event.sender_role = role_of(core_, *unit, event.sender);
  if (parsed->main_pid || parsed->main_pidfd_id || parsed->main_pidfd) {
    parsed->message.main_process = main_process(*parsed, message, *unit);
  }
  std::uint64_t held = 0;
  if (parsed->message.store_descriptors) {
    if (message.control_truncated) {
      warn(core_, *unit, "Some descriptors for the store did not arrive: there were too many");
    }
    held = fd_store_.hold(std::exchange(message.fds, {}));
  }
  parsed->message.descriptors = held;
  event.message = std::move(parsed->message);
  core_.events.post(std::move(event));
  // A barrier's descriptor closes with `message`, which is after all that was said before it.
  core_.events.drain();
  fd_store_.release(held);
}

std::optional<ProcessId> NotifySocket::main_process(const ParsedNotify& parsed,
                                                    sys::Message& message, UnitId unit) {
  const bool privileged = message.credentials && message.credentials->uid == 0;
  process::Expectation expected = tree_.expectation(unit);
  // root may name a main process outside the unit, as in systemd.
  if (privileged) expected = {};
  Result<process::ProcessHandle> handle = Error(Errc::invalid_argument, "no process is named");
  if (parsed.main_pidfd && !message.fds.empty()) {
    auto pidfd = sys::Pidfd::from_untrusted(std::move(message.fds.front()));
    const Status fits = pidfd ? process::verify(*pidfd, expected) : Status(pidfd.error());
    handle =
        fits ? core_.table.open(*std::move(pidfd)) : Result<process::ProcessHandle>(fits.error());
  } else if (parsed.main_pid) {
    handle = process::open_pid_verified(core_.table, *parsed.main_pid, expected);
  } else if (parsed.main_pidfd_id) {
    const auto known = core_.table.find(*parsed.main_pidfd_id);
    if (known) handle = known;
  }
  if (handle && parsed.main_pidfd_id && core_.features.has(sys::Feature::pidfs) &&
      (*handle)->id() != *parsed.main_pidfd_id) {
    handle = Error(Errc::process_mismatch, "MAINPID= and MAINPIDFDID= name different processes");
  }
  if (!handle) {
    warn(core_, unit, fmt::format("Ignored MAINPID=: {}", handle.error().to_string()));
    return std::nullopt;
  }
  if (Status tracked = tracker_.add(*handle, unit, process::Role::other); !tracked) {
    warn(core_, unit, fmt::format("Ignored MAINPID=: {}", tracked.error().to_string()));
    return std::nullopt;
  }
  return (*handle)->id();
}

}  // namespace pidward::runtime
