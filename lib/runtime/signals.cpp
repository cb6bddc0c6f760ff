#include "runtime/signals.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace pidward::runtime {

namespace {

sigset_t ours() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  if (::getpid() == 1) sigaddset(&set, SIGRTMIN + 3);
  return set;
}

}  // namespace

void Signals::block() {
  const sigset_t set = ours();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Status Signals::open(DescriptorWatcher& watcher) {
  block();
  const sigset_t set = ours();
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = sys::Fd(sys::adopt_fd, ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) return Error::from_errno(errno, "Cannot make a signal descriptor");
  PIDWARD_TRY(watch_, Watch::start(watcher, fd_.get(), EPOLLIN, *this));
  return {};
}

void Signals::descriptor_ready(int fd, std::uint32_t /*events*/) {
  // Room for one of each that we block: what is more would be another round's.
  std::array<signalfd_siginfo, 8> signals{};
  const ssize_t size = ::read(fd, signals.data(), sizeof signals);
  if (size <= 0) return;
  const std::size_t count = static_cast<std::size_t>(size) / sizeof signals[0];
  for (std::size_t i = 0; i < count; ++i) callback_(static_cast<int>(signals.at(i).ssi_signo));
}

}  // namespace pidward::runtime
