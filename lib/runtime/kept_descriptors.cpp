#include "runtime/kept_descriptors.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/system_facts.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {
namespace {

constexpr int kFirstPassed = 3;
constexpr std::size_t kMostWaiting = 16384;

std::uint64_t trailing_number(std::string_view name) {
  const std::size_t dash = name.rfind('-');
  std::uint64_t number = 0;
  if (dash == std::string_view::npos) return 0;
  std::from_chars(name.data() + dash + 1, name.data() + name.size(), number);
  return number;
}

// Not polled: a pidfd hangs up when its process is gone, and then it is needed most.
std::string store_message(const std::string& name) {
  return fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name);
}

}  // namespace

std::vector<std::pair<std::string, sys::Fd>> take_listen_fds() {
  std::vector<std::pair<std::string, sys::Fd>> taken;
  const bool ours = variable("LISTEN_PID") == std::to_string(::getpid());
  const std::string count_text = variable("LISTEN_FDS");
  const std::string all_names = variable("LISTEN_FDNAMES");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}) {
    ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  }
  int count = 0;
  std::from_chars(count_text.data(), count_text.data() + count_text.size(), count);
  if (!ours) return taken;
  std::string_view names = all_names;
  for (int fd = kFirstPassed; fd < kFirstPassed + count; ++fd) {
    const std::size_t end = std::min(names.find(':'), names.size());
    const std::string_view name = names.substr(0, end);
    names.remove_prefix(std::min(end + 1, names.size()));
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
    taken.emplace_back(name, sys::Fd(sys::adopt_fd, fd));
  }
  return taken;
}

KeptDescriptors::KeptDescriptors(Core& core) : core_(core) {}
KeptDescriptors::~KeptDescriptors() = default;

std::string KeptDescriptors::hand_over() {
  std::string text;
  for (const auto& [name, fd] : kept_) {
    if (::fcntl(fd, F_SETFD, 0) == 0) text += fmt::format("{}={}\n", name, fd);
  }
  return text;
}

void KeptDescriptors::take_back() {
  for (const auto& [name, fd] : kept_) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void KeptDescriptors::open(std::string_view handover) {
  same_process_ = variable(kHandoverVariable) == std::to_string(::getpid());
  ::unsetenv(kHandoverVariable);  // NOLINT(concurrency-mt-unsafe): before any thread
  while (same_process_ && !handover.empty()) {
    const std::size_t end = std::min(handover.find('\n'), handover.size());
    const std::string_view line = handover.substr(0, end);
    handover.remove_prefix(std::min(end + 1, handover.size()));
    const std::size_t equals = line.find('=');
    int fd = -1;
    if (equals == std::string_view::npos) continue;
    std::from_chars(line.data() + equals + 1, line.data() + line.size(), fd);
    if (fd < kFirstPassed || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
    const std::string name(line.substr(0, equals));
    next_ = std::max(next_, trailing_number(name) + 1);
    returned_.insert_or_assign(name, sys::Fd(sys::adopt_fd, fd));
  }
  for (auto& [name, fd] : take_listen_fds()) {
    next_ = std::max(next_, trailing_number(name) + 1);
    returned_.insert_or_assign(std::move(name), std::move(fd));
  }
  const std::string path = variable("NOTIFY_SOCKET");
  const std::string room = variable("FDSTORE");
  if (path.empty()) return;
  const auto address = parse_socket_address(path);
  auto socket = sys::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  if (!address || !socket || ::connect(socket->get(), address->get(), address->length) != 0) {
    log(LogLevel::warning,
        fmt::format("Cannot tell our own state, and nobody keeps descriptors for us: {} cannot be "
                    "reached",
                    path));
    return;
  }
  socket_ = *std::move(socket);
  keeps_ = !room.empty() && room != "0";
}

sys::Fd KeptDescriptors::take(std::string_view name) {
  const auto found = returned_.find(name);
  if (found == returned_.end()) return {};
  sys::Fd fd = std::move(found->second);
  kept_.insert_or_assign(std::string(name), fd.get());
  returned_.erase(found);
  return fd;
}

std::vector<std::string> KeptDescriptors::left() const {
  std::vector<std::string> names;
  for (const auto& [name, fd] : returned_) names.push_back(name);
  return names;
}

std::string KeptDescriptors::new_name(std::string_view kind) {
  return fmt::format("{}-{}", kind, next_++);
}

void KeptDescriptors::keep(const std::string& name, int fd) {
  kept_.insert_or_assign(name, fd);
  keep_elsewhere(name, fd);
}

void KeptDescriptors::keep_elsewhere(const std::string& name, int fd) {
  if (keeps_) send(store_message(name), fd);
}

void KeptDescriptors::drop_elsewhere(const std::string& name, bool was_sent) {
  // One that came back, or that was handed over in vain, is here nevertheless.
  const bool known = kept_.erase(name) > 0;
  send_drop(name, was_sent || known);
}

void KeptDescriptors::give(const std::string& name, int fd) {
  // Who executed itself anew had given it before.
  const bool is_there = same_process_ && !given_.contains(name);
  given_.insert(name);
  if (!keeps_) return;
  if (is_there) send(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), -1);
  send(store_message(name), fd);
}

void KeptDescriptors::drop(const std::string& name) {
  send_drop(name, kept_.erase(name) > 0 || returned_.erase(name) > 0 || given_.erase(name) > 0);
}

void KeptDescriptors::send_drop(const std::string& name, bool was_sent) {
  if (!keeps_ || !was_sent) return;
  // One that still waits to be sent would stay open for nothing.
  const std::string waiting = store_message(name);
  const auto unsent =
      std::erase_if(outgoing_, [&](const Outgoing& message) { return message.text == waiting; });
  if (unsent == 0) send(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), -1);
}

void KeptDescriptors::tell(std::string state) {
  send(std::move(state), -1);
}

void KeptDescriptors::send(std::string text, int fd) {
  if (!socket_) return;
  if (outgoing_.empty() && push(text, fd)) return;
  Outgoing message{std::move(text), sys::Fd()};
  if (fd >= 0) {
    sys::Fd copy(sys::adopt_fd, ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstPassed));
    if (!copy) return;
    message.fd = std::move(copy);
  }
  if (outgoing_.size() >= kMostWaiting) {
    log(LogLevel::warning, "Whoever started us does not read what we send any more");
    outgoing_.clear();
  }
  outgoing_.push_back(std::move(message));
  if (watch_) return;
  if (auto watch = Watch::start(core_.watcher, socket_.get(), EPOLLOUT, *this)) {
    watch_ = *std::move(watch);
  }
}

bool KeptDescriptors::push(std::string_view text, int fd) {
  std::vector<int> fds;
  if (fd >= 0) fds.push_back(fd);
  const Status sent = sys::send_message(socket_.get(), text, fds);
  if (sent) return true;
  const int why = sent.error().sys_errno();
  return why != EAGAIN && why != ENOBUFS && why != ETOOMANYREFS;
}

void KeptDescriptors::descriptor_ready(int /*fd*/, std::uint32_t /*events*/) {
  while (!outgoing_.empty()) {
    if (!push(outgoing_.front().text, outgoing_.front().fd.get())) return;
    outgoing_.pop_front();
  }
  watch_.stop();
}

}  // namespace pidward::runtime
