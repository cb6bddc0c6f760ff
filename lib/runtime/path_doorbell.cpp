#include "runtime/path_doorbell.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pidward::runtime {
namespace {

constexpr std::uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr unsigned kKernelGroup = 1;  // NETLINK_KOBJECT_UEVENT: what the kernel itself says

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// The nearest directory above `path` that is there: where the next step towards it will show.
std::string nearest_directory(std::string path) {
  do {
    const std::size_t slash = path.rfind('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  } while (path != "/" && !is_directory(path));
  return path;
}

void drain(int fd) {
  std::array<char, 4096> buffer{};
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

}  // namespace

Status PathDoorbell::watch(std::vector<std::string> paths) {
  paths_ = std::move(paths);
  PIDWARD_CHECK(look_at_directories());
  return listen_to_kernel();
}

Status PathDoorbell::look_at_directories() {
  inotify_watch_.stop();
  inotify_.reset();
  if (paths_.empty()) return {};
  inotify_ = sys::Fd(sys::adopt_fd, ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) return Error::from_errno(errno, "Cannot watch directories");
  for (const std::string& path : paths_) {
    // One that goes away meanwhile is told by the directory above it, or found by the next look.
    ::inotify_add_watch(inotify_.get(), nearest_directory(path).c_str(), kChanges);
  }
  PIDWARD_TRY(inotify_watch_, Watch::start(watcher_, inotify_.get(), EPOLLIN, *this));
  return {};
}

Status PathDoorbell::listen_to_kernel() {
  const bool wanted = std::ranges::any_of(
      paths_, [](const std::string& path) { return path.starts_with("/sys/"); });
  if (wanted == static_cast<bool>(kernel_)) return {};
  kernel_watch_.stop();
  kernel_.reset();
  if (!wanted) return {};
  PIDWARD_TRY(kernel_,
              sys::make_socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  if (::bind(kernel_.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT: socket API
             sizeof address) != 0) {
    return Error::from_errno(errno, "Cannot listen to the kernel's device events");
  }
  PIDWARD_TRY(kernel_watch_, Watch::start(watcher_, kernel_.get(), EPOLLIN, *this));
  return {};
}

void PathDoorbell::descriptor_ready(int fd, std::uint32_t /*events*/) {
  drain(fd);
  // A step nearer, or one back: first look there, then ask, so that nothing falls in between.
  if (inotify_ && fd == inotify_.get()) static_cast<void>(look_at_directories());
  ring_();
}

}  // namespace pidward::runtime
