#include "runtime/signals.hpp"

#include <cerrno>
#include <csignal>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace pidward::runtime {

Status Signals::open(DescriptorWatcher& watcher) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  if (::getpid() == 1) sigaddset(&set, SIGRTMIN + 3);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = sys::Fd(sys::adopt_fd, ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) return Error::from_errno(errno, "Cannot make a signal descriptor");
  PIDWARD_TRY(watch_, Watch::start(watcher, fd_.get(), EPOLLIN, *this));
  return {};
}

void Signals::descriptor_ready(int fd, std::uint32_t /*events*/) {
  signalfd_siginfo info{};
  while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    callback_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace pidward::runtime
