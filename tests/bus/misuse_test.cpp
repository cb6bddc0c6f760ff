// Misuse: descriptors that are no process's, processes that nobody may act on, and a daemon whose
// descriptors run out. Each gets a sentence, costs the daemon no descriptor, and hurts nobody.
#include <csignal>
#include <future>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "bus/bus_fixture.hpp"
#include "support/tiers.hpp"
#include "sys/live_child.hpp"

namespace pidward::test {
namespace {

using ::testing::HasSubstr;

constexpr int kPidfdThread = O_EXCL;  // PIDFD_THREAD of Linux 6.9

class Misuse : public BusFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    daemon_environment.push_back(std::string("PIDWARD_DISABLE_FEATURES=") + GetParam());
    unit("web.service", std::string(kSleeper) + "Type=exec\n");
    start();
    client_.emplace(this->client());
    run_job(*client_, "StartUnit", "web.service");
    before_ = descriptors();
  }
  void TearDown() override {
    EXPECT_EQ(
        client_->property(bus::unit_path("web.service"), bus::kUnitInterface, "ActiveState")->text,
        "active");
    EXPECT_TRUE(comes_back_to(*client_, before_)) << "the daemon keeps descriptors";
  }

  /// What a call is refused with.
  struct Refusal {
    Errc kind = Errc::failed;
    std::string sentence;
  };
  static Refusal refusal_of(const Result<bus::MessageRef>& answer) {
    if (answer) {
      ADD_FAILURE() << "that should have been refused";
      return {};
    }
    return {answer.error().code(), answer.error().message()};
  }
  Result<bus::MessageRef> open(int fd) {
    return client_->manager("OpenProcess", [fd](Writer& out) { out.h(fd); });
  }
  Result<bus::MessageRef> bind(int fd) {
    return client_->manager("BindToProcess", [fd](Writer& out) { out.s("web.service").h(fd); });
  }
  /// What acts on the process at `path`: each is refused for the same reason.
  void nothing_may_act_on(Client& client, const std::string& path, const sys::Pidfd& process,
                          Errc kind, const std::string& words) {
    const ProcessId id = bus::parse_object_path(path).process;
    const auto refused = [&](const char* what, const Result<bus::MessageRef>& answer) {
      const Refusal refusal = refusal_of(answer);
      EXPECT_EQ(refusal.kind, kind) << what << ": " << refusal.sentence;
      EXPECT_THAT(refusal.sentence, HasSubstr(words)) << what;
    };
    for (const char* method : {"Signal", "SignalTree"}) {
      refused(method, client.call(path, bus::kProcessInterface, method,
                                  [](Writer& out) { out.i(SIGKILL); }));
    }
    for (const char* policy : {"none", "signal KILL", "kill-tree"}) {
      refused(policy,
              client.manager("LeaseProcess", [&](Writer& out) { out.t(id.number()).s(policy); }));
    }
    refused("BindToProcess", bind(process.get()));
  }
  /// The object of a process, kept by a client that is given up at once.
  void nothing_may_act_on(const sys::Pidfd& process, Errc kind, const std::string& words) {
    Client other = this->client();
    const auto opened = other.manager("OpenProcess", [&](Writer& out) { out.h(process.get()); });
    ASSERT_TRUE(opened) << opened.error().to_string();
    nothing_may_act_on(other, Reader(opened->get()).o(), process, kind, words);
  }

  std::optional<Client> client_;
  std::size_t before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Tiers, Misuse, ::testing::Values("", "pidfs", "pidfd-info"),
                         [](const auto& tier) { return tier_name(tier.param); });

TEST_P(Misuse, DescriptorsThatAreNoPidfds) {
  const auto own = [](int fd) { return sys::Fd(sys::adopt_fd, fd); };
  auto [one, other] = *sys::make_socketpair(SOCK_STREAM);
  const std::pair<const char*, sys::Fd> files[] = {
      {"a memory file", *sys::make_memfd("none")},
      {"a directory", own(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC))},
      {"a directory of /proc", own(::open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC))},
      {"a file of /proc", own(::open("/proc/self/status", O_RDONLY | O_CLOEXEC))},
      {"a path", own(::open("/", O_PATH | O_CLOEXEC))},
      {"a device", own(::open("/dev/null", O_RDWR | O_CLOEXEC))},
      {"a socket", std::move(one)},
      {"an event counter", own(::eventfd(0, EFD_CLOEXEC))},
      {"a timer", own(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))},
      {"a watch of files", own(::inotify_init1(IN_CLOEXEC))},
      {"a watch of descriptors", own(::epoll_create1(EPOLL_CLOEXEC))},
  };
  for (const auto& [what, file] : files) {
    ASSERT_TRUE(file) << what;
    for (const Refusal& refusal : {refusal_of(open(file.get())), refusal_of(bind(file.get()))}) {
      EXPECT_EQ(refusal.kind, Errc::invalid_argument) << what;
      EXPECT_THAT(refusal.sentence, HasSubstr("not a pidfd")) << what;
    }
  }
}

TEST_P(Misuse, PidfdsOfThreads) {
  std::promise<pid_t> number;
  std::promise<void> over;
  std::thread thread([&] {
    number.set_value(static_cast<pid_t>(sys::raw_syscall(SYS_gettid)));
    over.get_future().wait();
  });
  const pid_t tid = number.get_future().get();
  EXPECT_EQ(error_of(*client_, "GetProcessByPID",
                     [tid](Writer& out) { out.u(static_cast<std::uint32_t>(tid)); }),
            Errc::invalid_argument);
  const sys::Fd pidfd(sys::adopt_fd,
                      static_cast<int>(sys::raw_syscall(SYS_pidfd_open, tid, kPidfdThread)));
  if (pidfd.get() >= 0) {
    for (const Refusal& refusal : {refusal_of(open(pidfd.get())), refusal_of(bind(pidfd.get()))}) {
      EXPECT_EQ(refusal.kind, Errc::invalid_argument);
      EXPECT_THAT(refusal.sentence, HasSubstr("thread"));
    }
  }
  over.set_value();
  thread.join();
  if (pidfd.get() >= 0) {
    EXPECT_EQ(refusal_of(bind(pidfd.get())).kind, Errc::no_such_process);
  }
}

TEST_P(Misuse, KernelThreads) {
  const auto process = sys::Pidfd::open(2);
  const auto status = sys::read_file("/proc/2/status");
  if (!process || !status || status->find("\nVmSize:") != std::string::npos) {
    GTEST_SKIP() << "no kernel thread is in sight here";
  }
  nothing_may_act_on(*process, Errc::not_supported, "kernel thread");
}

TEST_P(Misuse, PidwardItselfAndTheFirstProcess) {
  nothing_may_act_on(daemon().pidfd(), Errc::process_mismatch, "pidward itself");
  const auto first = sys::Pidfd::open(1);
  ASSERT_TRUE(first);
  nothing_may_act_on(*first, Errc::process_mismatch, "init");
  EXPECT_TRUE(*daemon().pidfd().exists());
}

TEST_P(Misuse, OneWhoseTreePidwardIsIn) {
  // We are pidward's parent: what ends our tree ends pidward.
  const auto self = sys::Pidfd::self();
  ASSERT_TRUE(self);
  Client other = this->client();
  const auto opened = other.manager("OpenProcess", [&](Writer& out) { out.h(self->get()); });
  ASSERT_TRUE(opened);
  const std::string path = Reader(opened->get()).o();
  for (const int signal : {SIGKILL, SIGTERM, SIGSTOP}) {
    const Refusal refusal = refusal_of(other.call(path, bus::kProcessInterface, "SignalTree",
                                                  [&](Writer& out) { out.i(signal); }));
    EXPECT_EQ(refusal.kind, Errc::process_mismatch);
    EXPECT_THAT(refusal.sentence, HasSubstr("pidward"));
  }
  const Refusal refusal = refusal_of(other.manager("LeaseProcess", [&](Writer& out) {
    out.t(bus::parse_object_path(path).process.number()).s("kill-tree");
  }));
  EXPECT_EQ(refusal.kind, Errc::process_mismatch);
  EXPECT_THAT(refusal.sentence, HasSubstr("pidward"));
}

TEST_P(Misuse, TheDead) {
  LiveChild child = LiveChild::sleeping();
  child.end_and_collect();
  EXPECT_EQ(refusal_of(bind(child.pidfd().get())).kind, Errc::no_such_process);
  EXPECT_EQ(error_of(*client_, "GetProcessByPID",
                     [&](Writer& out) { out.u(static_cast<std::uint32_t>(child.pid())); }),
            Errc::no_such_process);
  if (GetParam() == std::string("pidfs") || !has_feature("pidfs")) {
    // Nobody can tell any more which it was.
    EXPECT_EQ(refusal_of(open(child.pidfd().get())).kind, Errc::no_such_process);
    return;
  }
  nothing_may_act_on(child.pidfd(), Errc::no_such_process, "");
}

TEST_P(Misuse, Zombies) {
  LiveChild zombie = LiveChild::zombie(7);
  nothing_may_act_on(zombie.pidfd(), Errc::no_such_process, "ended");
  const auto end = zombie.pidfd().reap();
  ASSERT_TRUE(end && *end) << "only its parent collects it";
  EXPECT_EQ((*end)->status, (ExitStatus{ExitStatus::Kind::exited, 7}));
}

TEST_P(Misuse, NumbersThatAreNobodys) {
  for (const std::uint32_t number : {0U, 4'194'305U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    const auto answer =
        client_->manager("GetProcessByPID", [number](Writer& out) { out.u(number); });
    const Refusal refusal = refusal_of(answer);
    EXPECT_TRUE(refusal.kind == Errc::no_such_process || refusal.kind == Errc::invalid_argument)
        << number;
    EXPECT_FALSE(refusal.sentence.empty()) << number;
  }
  for (const std::uint64_t inode : {0ULL, 1ULL, ~0ULL}) {
    EXPECT_EQ(error_of(*client_, "GetProcess", [inode](Writer& out) { out.t(inode); }),
              Errc::no_such_process);
    EXPECT_EQ(
        error_of(*client_, "LeaseProcess", [inode](Writer& out) { out.t(inode).s("kill-tree"); }),
        Errc::no_such_process);
  }
}

TEST_P(Misuse, SignalsAndPoliciesThatAreNone) {
  const LiveChild child = LiveChild::sleeping();
  Client other = this->client();
  const auto opened =
      other.manager("OpenProcess", [&](Writer& out) { out.h(child.pidfd().get()); });
  ASSERT_TRUE(opened);
  const std::string path = Reader(opened->get()).o();
  const std::uint64_t id = bus::parse_object_path(path).process.number();
  for (const int signal : {-1, 65, 1000, INT32_MIN}) {
    for (const char* method : {"Signal", "SignalTree"}) {
      EXPECT_EQ(refusal_of(other.call(path, bus::kProcessInterface, method,
                                      [&](Writer& out) { out.i(signal); }))
                    .kind,
                Errc::invalid_argument)
          << method << " " << signal;
    }
  }
  for (const char* policy : {"", "kill", "signal", "signal ", "signal 0", "signal -9", "signal 65",
                             "signal NOSUCH", "kill-tree "}) {
    EXPECT_EQ(error_of(other, "LeaseProcess", [&](Writer& out) { out.t(id).s(policy); }),
              Errc::invalid_argument)
        << "'" << policy << "'";
  }
  EXPECT_FALSE(*child.pidfd().has_ended());
}

TEST_P(Misuse, OnesInAPidNamespaceBelowAreProcessesLikeOthers) {
  sys::CloneRequest request;
  request.extra_flags = CLONE_NEWPID;
  const LiveChild inside = LiveChild::sleeping(request);
  const LiveChild bystander = LiveChild::sleeping();
  Client other = this->client();
  const auto opened =
      other.manager("OpenProcess", [&](Writer& out) { out.h(inside.pidfd().get()); });
  ASSERT_TRUE(opened) << opened.error().to_string();
  const std::string path = Reader(opened->get()).o();
  const auto number = other.property(path, bus::kProcessInterface, "PID");
  ASSERT_TRUE(number);
  EXPECT_EQ(number->number, static_cast<std::uint64_t>(inside.pid()));
  EXPECT_TRUE(
      other.call(path, bus::kProcessInterface, "Signal", [](Writer& out) { out.i(SIGKILL); }));
  wait_for_end(inside.pidfd());
  EXPECT_FALSE(*bystander.pidfd().has_ended());
}

TEST_P(Misuse, StrangersGetNothingThatTheyMayNotChange) {
  const LiveChild child = LiveChild::sleeping();
  const std::string number = std::to_string(child.pid());
  const std::string inode = std::to_string(*child.pidfd().inode());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"kill", number + ":" + inode},
        {"kill", "--tree", number + ":" + inode},
        {"bind", "web", number},
        {"hold", "web", "--", "/bin/true"}}) {
    EXPECT_NE(ctl(arguments, kNobody).code, 0) << arguments[0];
  }
  EXPECT_FALSE(*child.pidfd().has_ended());
}

// A pid namespace beside ours has processes that the daemon in it cannot see.
TEST(MisuseOfNamespaces, ProcessesOutsideTheDaemonsAreNobodyThere) {
  ASSERT_EQ(::geteuid(), 0U) << "pid namespaces are made by root";
  const LiveChild outside = LiveChild::sleeping();
  const int outside_fd = outside.pidfd().get();
  for (const char* off : {"", "pidfs"}) {
    sys::CloneRequest request;
    request.extra_flags = CLONE_NEWPID | CLONE_NEWNS;
    const LiveChild init(
        [outside_fd, off] {
          if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
              ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
            return 20;
          }
          Daemon daemon;
          daemon.unit("idle.target", "[Unit]\nDefaultDependencies=no\n");
          daemon.unit("web.service",
                      "[Unit]\nDefaultDependencies=no\n[Service]\n"
                      "ExecStart=/bin/sleep infinity\n");
          DaemonOptions options;
          options.arguments = {"--bus", "off", "--no-cgroup", "--unit", "web.service"};
          options.environment = {std::string("PIDWARD_DISABLE_FEATURES=") + off};
          if (!daemon.start(options)) return 21;
          {
            Client client = daemon.client();
            const auto fill = [&](Writer& out) { out.h(outside_fd); };
            const auto opened = client.manager("OpenProcess", fill);
            if (opened || opened.error().code() != Errc::no_such_process) return 22;
            if (opened.error().message().find("namespace") == std::string::npos) return 23;
            const auto bound = client.manager(
                "BindToProcess", [&](Writer& out) { out.s("web.service").h(outside_fd); });
            if (bound || bound.error().code() != Errc::no_such_process) return 24;
            if (bound.error().message().find("namespace") == std::string::npos) return 25;
          }
          return daemon.stop() == 0 ? 0 : 26;
        },
        request);
    wait_for_end(init.pidfd());
    const auto ended = init.pidfd().reap();
    ASSERT_TRUE(ended && *ended);
    EXPECT_EQ((*ended)->status, (ExitStatus{ExitStatus::Kind::exited, 0}))
        << (*ended)->status.to_string() << " without " << off;
    EXPECT_FALSE(*outside.pidfd().has_ended());
  }
}

class OutOfDescriptors : public BusFixture {
 protected:
  void SetUp() override {
    unit("web.service", std::string(kSleeper) + "Type=exec\n");
    DaemonOptions options;
    options.arguments = {"--bus", "off", "--no-cgroup"};
    options.descriptors = 96;
    ASSERT_TRUE(all().start(options));
    client_.emplace(this->client());
    run_job(*client_, "StartUnit", "web.service");
    before_ = descriptors();
  }
  /// Asks again and again, until it is refused; how often it was not.
  int until_refused(const std::function<Result<bus::MessageRef>(int)>& ask_again) {
    for (int i = 0; i < kTries; ++i) {
      const auto answer = ask_again(i);
      if (answer) continue;
      EXPECT_EQ(answer.error().code(), Errc::limit_exceeded) << answer.error().to_string();
      EXPECT_THAT(answer.error().message(), HasSubstr("descriptors"));
      return i;
    }
    ADD_FAILURE() << "there are more descriptors than was thought";
    return kTries;
  }
  /// Everybody else is served, and web.service runs.
  void others_are_served() {
    EXPECT_FALSE(ask(*client_, "ListUnits").items.empty());
    EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
    EXPECT_FALSE(ask(*client_, "ListProcesses", [](Writer& out) { out.as({}); }).items.empty());
  }

  static constexpr int kTries = 200;
  std::optional<Client> client_;
  std::size_t before_ = 0;
};

TEST_F(OutOfDescriptors, LeasesAreRefusedAndThoseThatWereGivenHold) {
  const LiveChild child = LiveChild::sleeping();
  {
    Client other = this->client();
    const auto opened =
        other.manager("OpenProcess", [&](Writer& out) { out.h(child.pidfd().get()); });
    ASSERT_TRUE(opened);
    const std::uint64_t id = bus::parse_object_path(Reader(opened->get()).o()).process.number();
    std::vector<sys::Fd> leases;
    const int given = until_refused([&](int) {
      auto answer = other.manager("LeaseProcess", [&](Writer& out) { out.t(id).s("signal USR1"); });
      if (answer) leases.push_back(Reader(answer->get()).h());
      return answer;
    });
    EXPECT_GT(given, 10);
    others_are_served();
    EXPECT_EQ(ask(*client_, "ListLeases").items.size(), leases.size());
    while (leases.size() > 1) leases.pop_back();
    EXPECT_TRUE(comes_back_to(*client_, before_ + 3)) << "client, process and lease are left";
    EXPECT_FALSE(*child.pidfd().has_ended());
  }
  wait_for_end(child.pidfd());
  const auto end = child.pidfd().reap();
  ASSERT_TRUE(end && *end);
  EXPECT_EQ((*end)->status, (ExitStatus{ExitStatus::Kind::killed, SIGUSR1}));
  EXPECT_TRUE(comes_back_to(*client_, before_));
}

TEST_F(OutOfDescriptors, ProcessesAreRefusedAndNoneIsHurt) {
  // Made before the connection, of which they would have a copy.
  std::vector<LiveChild> children;
  for (int i = 0; i < kTries; ++i) children.push_back(LiveChild::sleeping());
  {
    Client other = this->client();
    const int kept = until_refused([&](int i) {
      const LiveChild& child = children.at(static_cast<std::size_t>(i));
      return other.manager("OpenProcess", [&](Writer& out) { out.h(child.pidfd().get()); });
    });
    EXPECT_GT(kept, 10);
    others_are_served();
  }
  EXPECT_TRUE(comes_back_to(*client_, before_));
  for (const LiveChild& child : children) EXPECT_FALSE(*child.pidfd().has_ended());
}

TEST_F(OutOfDescriptors, UnitsAreHeldOrNotButNeverHalf) {
  std::vector<sys::Fd> leases;
  const int given = until_refused([&](int) {
    auto answer =
        client_->manager("LeaseUnit", [&](Writer& out) { out.s("web.service").s("replace"); });
    if (answer) {
      Reader in(answer->get());
      in.o();
      leases.push_back(in.h());
    }
    return answer;
  });
  EXPECT_GT(given, 10);
  others_are_served();
  const auto count =
      client_->property(bus::unit_path("web.service"), "org.pidward1.Service", "Leases");
  ASSERT_TRUE(count);
  EXPECT_EQ(count->number, leases.size());
  leases.clear();
  EXPECT_TRUE(comes_back_to(*client_, before_));
  EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
}

TEST_F(OutOfDescriptors, ATreeDiesAllTheSame) {
  // Some hundred descendants: more than there are descriptors for at one time.
  const std::string pids = directory.path("pids");
  auto tree = Program::start(
      {.arguments = {"/bin/sh", "-c",
                     "i=0; while [ $i -lt 150 ]; do setsid sleep infinity & i=$((i+1)); "
                     "echo $! >> " +
                         pids + "; done; echo done >> " + pids + "; wait"}});
  ASSERT_TRUE(tree);
  while (directory.read("pids").find("done") == std::string::npos) ::sched_yield();
  std::vector<sys::Pidfd> all_of_it;
  std::istringstream lines(directory.read("pids"));
  for (std::string line; std::getline(lines, line) && line != "done";) {
    auto member = sys::Pidfd::open(std::atoi(line.c_str()));
    ASSERT_TRUE(member) << line;
    all_of_it.push_back(*std::move(member));
  }
  const std::string path =
      ask(*client_, "OpenProcess", [&](Writer& out) { out.h(tree->pidfd().get()); }).text;
  const auto killed = client_->call(path, bus::kProcessInterface, "SignalTree",
                                    [](Writer& out) { out.i(SIGKILL); });
  if (killed) {
    for (const sys::Pidfd& member : all_of_it) {
      ASSERT_TRUE(ends_in_time(member)) << "told that it is dead, and it is not";
    }
  } else {
    EXPECT_EQ(killed.error().code(), Errc::limit_exceeded) << killed.error().to_string();
    EXPECT_FALSE(*tree->pidfd().has_ended()) << "refused, and half of it done";
  }
  others_are_served();
  for (const sys::Pidfd& member : all_of_it) static_cast<void>(member.send_signal(SIGKILL));
  static_cast<void>(tree->signal(SIGKILL));
  tree->wait();
}

}  // namespace
}  // namespace pidward::test
