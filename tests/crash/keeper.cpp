#include "crash/keeper.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/patience.hpp"
#include "sys/clone.hpp"
#include "sys/peer.hpp"
#include "sys/reaper.hpp"

namespace pidward::test {
namespace {

constexpr int kFirstPassed = 3;
const int kReadyPatience = test::patience_ms();
constexpr int kSyscallStop = SIGTRAP | 0x80;

struct Launch {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<int> fds;
  std::string log;
  allocation_board* board = nullptr;
};

int become_daemon(void* argument) {
  auto& launch = *static_cast<Launch*>(argument);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log = ::open(launch.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(log, STDERR_FILENO);
  const int count = static_cast<int>(launch.fds.size());
  for (int i = 0; i < count; ++i) {
    int& fd = launch.fds[static_cast<std::size_t>(i)];
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstPassed + count);
  }
  for (int i = 0; i < count; ++i) {
    ::dup2(launch.fds[static_cast<std::size_t>(i)], kFirstPassed + i);
  }
  if (count > 0) launch.environment.push_back(fmt::format("LISTEN_PID={}", ::getpid()));
  if (launch.board != nullptr) launch.board->process = ::getpid();
  std::vector<char*> arguments;
  for (std::string& word : launch.arguments) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  for (std::string& entry : launch.environment) ::putenv(entry.data());
  ::execv(arguments[0], arguments.data());
  return 127;
}

std::string value_of(const std::string& text, const std::string& key) {
  const std::string line = "\n" + text + "\n";
  const std::size_t at = line.find("\n" + key + "=");
  if (at == std::string::npos) return {};
  const std::size_t start = at + key.size() + 2;
  return line.substr(start, line.find('\n', start) - start);
}

/// Whether each thread of it waits for something.
bool all_asleep(pid_t pid) {
  std::error_code problem;
  bool any = false;
  std::filesystem::directory_iterator threads(fmt::format("/proc/{}/task", pid), problem);
  for (; !problem && threads != std::filesystem::directory_iterator(); threads.increment(problem)) {
    std::ifstream file(threads->path() / "stat");
    std::string text;
    std::getline(file, text);
    // The name before the state may have anything in it.
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos || text.compare(name_end, 3, ") S") != 0) return false;
    any = true;
  }
  return any && !problem;
}

/// What was written to the file behind `offset`.
std::string text_behind(const std::string& path, std::uintmax_t offset) {
  std::ifstream file(path);
  file.seekg(static_cast<std::streamoff>(offset));
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Keeper::Keeper(Options options) : options_(std::move(options)) {
  static_cast<void>(sys::become_subreaper());
  notify_ = sys::Fd(sys::adopt_fd, ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = options_.directory + "/keeper";
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int room = 8 << 20;
  ::setsockopt(notify_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror("bind");
  }
  if (!options_.preload.empty()) open_board();
}

void Keeper::open_board() {
  const std::string path = options_.directory + "/board";
  const sys::Fd file(sys::adopt_fd, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file || ::ftruncate(file.get(), sizeof *board_) != 0) return std::perror("board");
  void* const memory =
      ::mmap(nullptr, sizeof *board_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory != MAP_FAILED) board_ = static_cast<allocation_board*>(memory);
}

Keeper::~Keeper() {
  if (daemon_) static_cast<void>(daemon_.send_signal(SIGKILL));
}

void Keeper::collect_messages() {
  for (;;) {
    auto message = sys::receive_message(notify_.get(), 4096);
    if (!message || !*message) return;
    const std::string& text = (*message)->bytes;
    if (value_of(text, "READY") == "1") ready_ = true;
    if (!options_.keeps_descriptors) continue;
    const std::string name = value_of(text, "FDNAME");
    if (value_of(text, "FDSTOREREMOVE") == "1") {
      std::erase_if(stored_, [&](const auto& entry) { return entry.first == name; });
    } else if (value_of(text, "FDSTORE") == "1") {
      for (sys::Fd& fd : (*message)->fds) stored_.emplace_back(name, std::move(fd));
    }
  }
}

void Keeper::reap_strangers() {
  for (;;) {
    const auto ended = sys::next_ended_child();
    if (!ended || !*ended) return;
    const auto inode = (*ended)->pidfd.inode();
    const auto own = daemon_ ? daemon_.inode() : Result<std::uint64_t>(std::uint64_t{0});
    if (inode && own && *inode == *own) return;
    static_cast<void>((*ended)->pidfd.reap());
  }
}

bool Keeper::launch() {
  ready_ = false;
  Launch launch;
  launch.board = board_;
  if (board_ != nullptr) {
    board_->countdown = -1;
    launch.environment.push_back("LD_PRELOAD=" + options_.preload);
    launch.environment.push_back("FAIL_ALLOCATION_BOARD=" + options_.directory + "/board");
  }
  launch.arguments = options_.command;
  launch.log = options_.directory + "/daemon.log";
  launch.environment.push_back("NOTIFY_SOCKET=" + options_.directory + "/keeper");
  if (options_.keeps_descriptors) launch.environment.emplace_back("FDSTORE=16384");
  std::string names;
  for (const auto& [name, fd] : stored_) {
    names += (names.empty() ? "" : ":") + name;
    launch.fds.push_back(fd.get());
  }
  if (!stored_.empty()) {
    launch.environment.push_back("LISTEN_FDNAMES=" + names);
    launch.environment.push_back("LISTEN_FDS=" + std::to_string(stored_.size()));
  }
  auto stack = sys::ChildStack::create(1 << 20);
  sys::CloneRequest request;
  request.share_memory = false;
  auto child = sys::spawn_on_stack(request, *stack, become_daemon, &launch);
  if (!child) return false;
  daemon_ = std::move(child->pidfd);
  pid_ = child->pid;
  return true;
}

/// Takes what it says; false when it said nothing for so long, or ended.
bool Keeper::wait(int milliseconds) {
  pollfd waits[2] = {{notify_.get(), POLLIN, 0}, {daemon_.get(), POLLIN, 0}};
  const int ready = ::poll(waits, 2, milliseconds);
  collect_messages();
  return ready > 0 && waits[1].revents == 0;
}

bool Keeper::wait_until_ready() {
  while (!ready_) {
    if (wait(kReadyPatience)) continue;
    kill();
    return false;
  }
  return true;
}

bool Keeper::look_after(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (;;) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::microseconds(0)) return true;
    using std::chrono::milliseconds;
    if (left < milliseconds(2)) {
      ::usleep(static_cast<useconds_t>(left / std::chrono::microseconds(1)));
      continue;
    }
    static_cast<void>(wait(static_cast<int>(
        std::min(std::chrono::duration_cast<milliseconds>(left), milliseconds(20)).count())));
    if (const auto ended = daemon_.has_ended(); !ended || *ended) return false;
    reap_strangers();
  }
}

void Keeper::kill() {
  static_cast<void>(daemon_.send_signal(SIGKILL));
  pollfd wait{daemon_.get(), POLLIN, 0};
  ::poll(&wait, 1, kReadyPatience);
  static_cast<void>(daemon_.reap());
  daemon_ = sys::Pidfd();
  collect_messages();
  reap_strangers();
}

bool Keeper::kill_at(std::size_t kill_at, const std::function<void()>& work, std::size_t& seen) {
  // The daemon's main thread alone: the children it makes and its workers run on as they are.
  if (::ptrace(PTRACE_SEIZE, pid_, nullptr, PTRACE_O_TRACESYSGOOD) != 0 ||
      ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0) {
    fmt::print(stderr, "cannot trace: {}\n", std::strerror(errno));
    return false;
  }
  std::atomic<bool> done = false;
  std::thread worker;
  seen = 0;
  bool killed = false;
  int quiet = 0;
  constexpr int kQuietRounds = 150;
  for (;;) {
    int status = 0;
    const pid_t who = ::waitpid(pid_, &status, WNOHANG | __WALL);
    if (who == 0) {
      ::usleep(200);
      collect_messages();
      reap_strangers();
      if (done && ++quiet > kQuietRounds) break;
      continue;
    }
    if (who < 0 || WIFEXITED(status) || WIFSIGNALED(status)) {
      killed = true;
      break;
    }
    quiet = 0;
    if (!worker.joinable()) {
      worker = std::thread([&] {
        work();
        done = true;
      });
    }
    const int signal = WSTOPSIG(status);
    const bool is_syscall = signal == kSyscallStop;
    if (is_syscall && seen++ == kill_at) {
      static_cast<void>(daemon_.send_signal(SIGKILL));
      killed = true;
      ::waitpid(pid_, &status, __WALL);
      break;
    }
    const bool is_group_stop = status >> 16 != 0;
    const long pass = is_syscall || is_group_stop ? 0 : signal;
    ::ptrace(PTRACE_SYSCALL, pid_, nullptr, pass);
  }
  if (killed) {
    daemon_ = sys::Pidfd();
    collect_messages();
    reap_strangers();
  } else {
    // Detaching needs it stopped.
    int status = 0;
    ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
    ::waitpid(pid_, &status, __WALL);
    ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
  }
  if (worker.joinable()) worker.join();
  return killed;
}

Keeper::Failure Keeper::fail_at(std::size_t fail_at, const std::function<void()>& work) {
  if (board_ == nullptr) return Failure::not_reached;
  const std::string log = options_.directory + "/daemon.log";
  std::error_code problem;
  const std::uintmax_t logged = std::filesystem::file_size(log, problem);
  board_->seen = 0;
  board_->countdown = static_cast<long long>(fail_at);
  std::atomic<bool> done = false;
  std::thread worker([&] {
    work();
    done = true;
  });
  const auto is_gone = [this] {
    const auto ended = daemon_.has_ended();
    return !ended || *ended;
  };
  // Quiet when it has neither said nor allocated anything for a while.
  constexpr int kQuietRounds = 30;
  long long seen = -1;
  for (int quiet = 0; !is_gone() && board_->countdown >= 0 && quiet < kQuietRounds; ++quiet) {
    static_cast<void>(wait(2));
    reap_strangers();
    if (!done || std::exchange(seen, board_->seen.load()) != board_->seen) quiet = 0;
  }
  const bool failed = board_->countdown < 0;
  // What ends now does not wait for anything before, however late it gets a processor; what goes on
  // does.
  constexpr int kAsleepRounds = 5;
  const auto deadline = std::chrono::steady_clock::now() + test::patience();
  for (int asleep = 0; failed && asleep < kAsleepRounds && !is_gone();) {
    static_cast<void>(wait(1));
    reap_strangers();
    asleep = all_asleep(pid_) ? asleep + 1 : 0;
    if (std::chrono::steady_clock::now() > deadline) break;
  }
  board_->countdown = -1;
  Failure outcome = failed ? Failure::survived : Failure::not_reached;
  if (is_gone()) {
    const auto end = daemon_.peek();
    const bool by_itself = end && *end && (*end)->status.kind == ExitStatus::Kind::exited &&
                           (*end)->status.code == EXIT_FAILURE;
    // With these words it ends where it is: what lets go of things on its way says something else.
    const bool says_so =
        text_behind(log, problem ? 0 : logged).find("There is no memory left") != std::string::npos;
    outcome = failed && by_itself && says_so ? Failure::ended : Failure::crashed;
    kill();
  }
  worker.join();
  return outcome;
}

std::vector<std::string> Keeper::kept(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const auto& [name, fd] : stored_) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

std::optional<int> Keeper::stop() {
  if (!daemon_) return std::nullopt;
  static_cast<void>(daemon_.send_signal(SIGTERM));
  pollfd wait{daemon_.get(), POLLIN, 0};
  if (::poll(&wait, 1, kReadyPatience) != 1) return std::nullopt;
  const auto end = daemon_.reap();
  daemon_ = sys::Pidfd();
  if (!end || !*end || (*end)->status.kind != ExitStatus::Kind::exited) return std::nullopt;
  return (*end)->status.code;
}

}  // namespace pidward::test
