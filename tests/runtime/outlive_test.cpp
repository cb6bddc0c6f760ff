// One manager goes without a word and the next one takes over: in one process, so that what is left
// behind is exactly what is on disk and in the kernel.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager_fixture.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/state_file.hpp"
#include "support/patience.hpp"
#include "sys/live_child.hpp"
#include "sys/peer.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;

class OutliveTest : public ManagerTest {
 protected:
  /// The manager is gone as if it had been killed: nothing is stopped, told or cleaned up.
  void lose_manager() {
    manager_.reset();
    io_.restart();
  }
  void take_over() {
    start_manager();
    manager_->boot();
  }
  std::string state_file() { return directory_.path("run/state"); }
};

TEST_F(OutliveTest, ARunningServiceIsKnownAgainByItsInode) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const auto before = status("a.service");
  const ProcessId main = before.service->main;
  const InvocationId invocation = before.invocation;
  lose_manager();
  take_over();
  const auto after = status("a.service");
  EXPECT_EQ(after.active, ActiveState::active);
  EXPECT_EQ(after.service->main, main);
  EXPECT_EQ(after.invocation, invocation);
  EXPECT_EQ(manager_->list_processes(after.id).size(), 1U);
  stop("a.service");
  wait_for("a.service", ActiveState::inactive);
  EXPECT_TRUE(manager_->list_processes(std::nullopt).empty());
}

TEST_F(OutliveTest, AServiceThatEndedMeanwhileIsTreatedAsItsRestartSays) {
  service("a.service", "Restart=always\nRestartSec=0\nExecStart=/bin/sleep 1000\n");
  service("b.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  for (const char* name : {"a.service", "b.service"}) {
    start(name);
    wait_for(name, ActiveState::active);
  }
  const ProcessId first = status("a.service").service->main;
  std::vector<sys::Pidfd> mains;
  for (const ProcessInfo& process : manager_->list_processes(std::nullopt)) {
    mains.push_back(*sys::Pidfd::open(static_cast<pid_t>(process.pid)));
  }
  lose_manager();
  for (const sys::Pidfd& main : mains) {
    ASSERT_TRUE(main.send_signal(SIGKILL));
    pollfd wait{main.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, test::patience_ms()), 1);
    // Somebody else, its new parent, collects it.
    ASSERT_TRUE(main.reap());
  }
  take_over();
  run_until([&] {
    const auto now = status("a.service");
    return now.active == ActiveState::active && now.service->main && now.service->main != first;
  });
  run_until([&] { return status("b.service").active != ActiveState::active; });
  EXPECT_FALSE(status("b.service").service->main);
}

// The next manager knew, and said in a file of its own that there is no such process, before the
// unit had heard that its process had come to be.
TEST_F(OutliveTest, WhatEndedBeforeItsUnitHadHeardOfItIsNotStartedAgainByTheThird) {
  const std::string starts = directory_.path("starts");
  service("a.service", "ExecStart=/bin/sh -c 'echo >>" + starts + "; exec sleep 1000'\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  run_until([&] { return std::filesystem::exists(starts); });
  const ProcessInfo process = manager_->list_processes(std::nullopt).at(0);
  const auto main = sys::Pidfd::open(static_cast<pid_t>(process.pid));
  ASSERT_TRUE(main);
  lose_manager();
  ASSERT_TRUE(main->send_signal(SIGKILL));
  pollfd wait{main->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, test::patience_ms()), 1);
  ASSERT_TRUE(main->reap());
  // As it was when the process had just been written down.
  const std::string journal = *sys::read_file(state_file());
  const std::size_t record = journal.find("\nspawn=");
  ASSERT_NE(record, std::string::npos);
  const std::size_t behind = std::min(journal.find("batch ", record), journal.size());
  std::filesystem::resize_file(state_file(), behind);
  start_manager();
  lose_manager();
  take_over();
  run_until([&] { return !status("a.service").job; });
  EXPECT_NE(status("a.service").active, ActiveState::active);
  EXPECT_FALSE(status("a.service").service->main);
  EXPECT_EQ(*sys::read_file(starts), "\n");
  // And is forgotten then.
  run_until([&] {
    const auto state = read_state(state_file(), *sys::boot_id());
    return state && std::ranges::none_of(state->entries, [](const auto& entry) {
             return entry.first.starts_with("process ");
           });
  });
}

TEST_F(OutliveTest, OneThatCannotComeUpLeavesEverythingToTheNext) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const ProcessId main = status("a.service").service->main;
  lose_manager();
  const std::string in_the_way = directory_.path("run/notify");
  std::filesystem::create_directory(in_the_way);
  EXPECT_FALSE(Manager::create(io_, config()));
  io_.restart();
  std::filesystem::remove(in_the_way);
  take_over();
  EXPECT_EQ(status("a.service").active, ActiveState::active);
  EXPECT_EQ(status("a.service").service->main, main);
}

TEST_F(OutliveTest, AStopThatHadBegunIsBroughtToItsEnd) {
  service("a.service", "TimeoutStopSec=300ms\nExecStart=/bin/sh -c 'trap \"\" TERM; touch " +
                           directory_.path("up") + "; while :; do sleep 1; done'\n");
  start_manager();
  start("a.service");
  run_until([&] { return std::filesystem::exists(directory_.path("up")); });
  stop("a.service");
  run_until([&] { return status("a.service").active == ActiveState::deactivating; });
  lose_manager();
  take_over();
  EXPECT_TRUE(status("a.service").job);
  run_until([&] { return !status("a.service").job; });
  EXPECT_EQ(status("a.service").active, ActiveState::failed);
  EXPECT_TRUE(manager_->list_processes(std::nullopt).empty());
}

TEST_F(OutliveTest, AStartThatHadBegunIsBroughtToItsEnd) {
  service("a.service", "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'while ! test -e " +
                           directory_.path("go") +
                           "; do sleep 0.05; done; systemd-notify --ready; exec sleep 1000'\n");
  start_manager();
  start("a.service");
  run_until([&] { return static_cast<bool>(status("a.service").service->main); });
  const ProcessId main = status("a.service").service->main;
  lose_manager();
  take_over();
  EXPECT_EQ(status("a.service").active, ActiveState::activating);
  EXPECT_TRUE(status("a.service").job);
  directory_.write("go", "");
  wait_for("a.service", ActiveState::active);
  EXPECT_EQ(status("a.service").service->main, main);
}

TEST_F(OutliveTest, AFrozenServiceIsStillKnownToBeFrozen) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  if (!manager_->features().has(sys::Feature::cgroup)) return;  // then nothing can be frozen
  start("a.service");
  wait_for("a.service", ActiveState::active);
  bool answered = false;
  manager_->freeze(status("a.service").id, true, [&](const Result<UnitId>& done) {
    EXPECT_TRUE(done);
    answered = true;
  });
  run_until([&] { return answered; });
  lose_manager();
  take_over();
  EXPECT_EQ(manager_->freezer_state(status("a.service").id), FreezerState::frozen);
  // A stop thaws it; asleep, it would not die of SIGTERM.
  stop("a.service");
  wait_for("a.service", ActiveState::inactive);
  EXPECT_EQ(status("a.service").service->result, engine::ServiceResult::success);
}

TEST_F(OutliveTest, WhatIsLeftOfATreeIsNotTakenForNothing) {
  service("a.service", "TimeoutStopSec=300ms\nExecStart=/bin/sh -c '(trap \"\" TERM; touch " +
                           directory_.path("up") +
                           "; while :; do sleep 1; done) & exec sleep 1000'\n");
  start_manager();
  if (!manager_->features().has(sys::Feature::cgroup)) return;  // then only the main one is known
  start("a.service");
  run_until([&] { return std::filesystem::exists(directory_.path("up")); });
  auto main = manager_->find_process(status("a.service").service->main);
  ASSERT_TRUE(main);
  const auto gone = (*main)->pidfd().duplicate();
  ASSERT_TRUE(gone);
  std::vector<sys::Pidfd> all;
  for (const ProcessInfo& process : manager_->list_processes(status("a.service").id)) {
    if (auto opened = sys::Pidfd::open(static_cast<pid_t>(process.pid))) {
      all.push_back(*std::move(opened));
    }
  }
  ASSERT_GE(all.size(), 2U);
  main->close();
  lose_manager();
  ASSERT_TRUE(gone->send_signal(SIGKILL));
  pollfd wait{gone->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, test::patience_ms()), 1);
  ASSERT_TRUE(gone->reap());
  take_over();
  run_until([&] {
    const ActiveState now = status("a.service").active;
    return now == ActiveState::inactive || now == ActiveState::failed;
  });
  for (const sys::Pidfd& process : all) {
    const auto ended = process.has_ended();
    EXPECT_TRUE(ended && *ended);
  }
}

TEST_F(OutliveTest, ALeaseWhoseDescriptorNobodyKeptEndedWithTheManager) {
  service("a.service", "KillOnLastClose=control-group\nExecStart=/bin/sleep 1000\n");
  service("b.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("b.service");
  wait_for("b.service", ActiveState::active);
  std::vector<sys::Fd> leases;
  for (const char* name : {"a.service", "b.service"}) {
    manager_->lease_unit({name, unit::JobMode::replace, {}}, [&](Result<UnitLease> lease) {
      ASSERT_TRUE(lease) << lease.error().to_string();
      leases.push_back(std::move(lease->descriptor));
    });
  }
  wait_for("a.service", ActiveState::active);
  run_until([&] { return leases.size() == 2; });
  lose_manager();
  take_over();
  wait_for("a.service", ActiveState::inactive);
  EXPECT_EQ(status("b.service").active, ActiveState::active);
  EXPECT_TRUE(manager_->list_leases().empty());
}

TEST_F(OutliveTest, AUnitStaysBoundToAProcessOfAnotherAndEndsWithIt) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  service("b.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  for (const char* name : {"a.service", "b.service"}) {
    start(name);
    wait_for(name, ActiveState::active);
  }
  auto lives = test::LiveChild::sleeping();
  auto dies = test::LiveChild::sleeping();
  const auto bind = [&](const char* name, const sys::Pidfd& process) {
    ASSERT_TRUE(
        manager_->bind_to_process(status(name).id, std::move(*process.duplicate()).release()));
  };
  bind("a.service", lives.pidfd());
  bind("b.service", dies.pidfd());
  lose_manager();
  dies.end_and_collect();
  take_over();
  wait_for("b.service", ActiveState::inactive);
  EXPECT_EQ(status("a.service").active, ActiveState::active);
  ASSERT_TRUE(lives.pidfd().send_signal(SIGKILL));
  wait_for("a.service", ActiveState::inactive);
}

TEST_F(OutliveTest, TheEnvironmentBlockComesBackLineForLine) {
  start_manager();
  ASSERT_TRUE(manager_->set_environment({"ONE=a=b", "TWO=first\nsecond"}));
  lose_manager();
  start_manager();
  const auto block = manager_->environment();
  for (const char* line : {"ONE=a=b", "TWO=first\nsecond"}) {
    EXPECT_NE(std::ranges::find(block, line), block.end()) << line;
  }
}

TEST_F(OutliveTest, TheNewsThatWeAreReadyWaitsForRoom) {
  const std::string path = directory_.path("parent");
  const auto parent = sys::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  const auto stranger = sys::make_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  const auto address = parse_socket_address(path);
  ASSERT_TRUE(parent && stranger && address);
  ASSERT_EQ(::bind(parent->get(), address->get(), address->length), 0);
  ASSERT_EQ(::connect(stranger->get(), address->get(), address->length), 0);
  while (sys::send_message(stranger->get(), "no room")) {
  }
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  start_manager();
  ::unsetenv("NOTIFY_SOCKET");
  manager_->boot();
  bool ready = false;
  run_until([&] {
    const auto message = sys::receive_message(parent->get(), 100);
    if (message && *message) ready = ready || (*message)->bytes.starts_with("READY=1");
    return ready;
  });
}

TEST_F(OutliveTest, ALostStateIsFoundInTheLabelsOfTheProcesses) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  if (!manager_->features().has(sys::Feature::pidfs_xattrs) ||
      !manager_->features().has(sys::Feature::cgroup)) {
    return;  // then the state file is all there is
  }
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const ProcessId main = status("a.service").service->main;
  const InvocationId invocation = status("a.service").invocation;
  lose_manager();
  std::filesystem::remove(state_file());
  start_manager();
  EXPECT_EQ(status("a.service").active, ActiveState::active);
  EXPECT_EQ(status("a.service").service->main, main);
  EXPECT_EQ(status("a.service").invocation, invocation);
}

TEST_F(OutliveTest, AFileThatIsNoStateIsSetAside) {
  std::filesystem::create_directories(directory_.path("run"));
  std::ofstream(state_file()) << "nothing of the kind\n";
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  EXPECT_TRUE(std::filesystem::exists(state_file() + ".bad"));
  start("a.service");
  wait_for("a.service", ActiveState::active);
}

/// Damages the file as the daemon wrote it, here and there, or at every byte if the environment
/// says so: what is believed of any process is true.
TEST_F(OutliveTest, ADamagedStateLeadsToNoWrongProcess) {
  const std::string sleeper = "ExecStart=/bin/sleep 1000\n";
  for (const char* name : {"a.service", "b.service", "c.service"}) service(name, sleeper);
  start_manager();
  if (!manager_->features().has(sys::Feature::pidfs_xattrs) ||
      !manager_->features().has(sys::Feature::cgroup)) {
    return;  // then the state file is all there is
  }
  for (const char* name : {"a.service", "b.service", "c.service"}) {
    start(name);
    wait_for(name, ActiveState::active);
  }
  ASSERT_TRUE(request("c.service", engine::JobType::restart));
  wait_for("c.service", ActiveState::active);
  stop("b.service");
  wait_for("b.service", ActiveState::inactive);
  const std::map<std::string, ProcessId> mains{{"a.service", status("a.service").service->main},
                                               {"c.service", status("c.service").service->main}};
  lose_manager();
  const std::string good = directory_.read("run/state");
  const std::size_t step = std::getenv("PIDWARD_TEST_EVERY_BYTE") != nullptr ? 1 : 61;
  const auto check = [&](std::size_t at, const char* what, const std::string& bad) {
    std::ofstream(state_file(), std::ios::trunc) << bad;
    take_over();
    for (int i = 0; i < 20; ++i) io_.poll();
    for (const ProcessInfo& process : manager_->list_processes(std::nullopt)) {
      const auto spec = manager_->engine().spec(process.unit);
      const auto expected = spec ? mains.find(spec->name.str()) : mains.end();
      if (expected == mains.end()) continue;
      EXPECT_EQ(process.id, expected->second) << what << " at byte " << at;
    }
    SCOPED_TRACE(fmt::format("{} at byte {}", what, at));
    // It is down, or its start went on from where the file ends: never is it up with what is gone.
    run_until([&] {
      const auto now = status("b.service");
      if (now.active != ActiveState::active) return true;
      const auto main = manager_->find_process(now.service->main);
      return main && !(*main)->has_ended();
    });
    for (const auto& [name, main] : mains) {
      if (status(name).service == nullptr || !status(name).service->main) continue;
      EXPECT_EQ(status(name).service->main, main) << name << ' ' << what << " at byte " << at;
    }
    lose_manager();
  };
  for (std::size_t at = 0; at < good.size(); at += step) {
    std::string bad = good;
    bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ 0x11U);
    check(at, "flipped", bad);
    check(at, "cut off", good.substr(0, at));
  }
  // All of it again, and all is known again.
  std::ofstream(state_file(), std::ios::trunc) << good;
  start_manager();
  for (const auto& [name, main] : mains) EXPECT_EQ(status(name).service->main, main);
  // But for what a damaged state made of b.service, which a start finds left over and ends.
  start("b.service");
  wait_for("b.service", ActiveState::active);
}

TEST_F(OutliveTest, AFileThatWasCutOffBehindAChangeIsOlderThanTheProcesses) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  if (!manager_->features().has(sys::Feature::pidfs_xattrs) ||
      !manager_->features().has(sys::Feature::cgroup)) {
    return;
  }
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const std::string before = directory_.read("run/state");
  ASSERT_TRUE(request("a.service", engine::JobType::restart));
  wait_for("a.service", ActiveState::active);
  const ProcessId main = status("a.service").service->main;
  lose_manager();
  std::ofstream(state_file(), std::ios::trunc) << before;
  take_over();
  EXPECT_EQ(status("a.service").active, ActiveState::active);
  EXPECT_EQ(status("a.service").service->main, main);
}

TEST_F(OutliveTest, AnOrderlyEndLeavesNoState) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  EXPECT_TRUE(std::filesystem::exists(state_file()));
  TearDown();
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

TEST_F(OutliveTest, DescriptorsOfAServiceComeBackToItWhenItIsRestarted) {
  const std::string out = directory_.path("out");
  const std::string program = directory_.write("keep.py", R"(
import array, os, socket, sys, time
def tell(text, fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([text.encode()], rights)
if "LISTEN_FDS" not in os.environ:
    for name in ("one", "two", "one", "four"):
        r, w = os.pipe()
        os.write(w, name.encode())
        tell("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, [r, r])
    tell("FDSTOREREMOVE=1\nFDNAME=two", [])
    tell("READY=1", [])
else:
    with open(sys.argv[1] + ".new", "w") as out:
        fds = int(os.environ["LISTEN_FDS"])
        held = [os.read(3 + i, 100).decode() for i in range(fds)]
        print(os.environ["LISTEN_FDNAMES"], ",".join(held), os.environ["FDSTORE"], file=out)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    tell("READY=1", [])
time.sleep(1000)
)");
  service("a.service", "Type=notify\nFileDescriptorStoreMax=3\nExecStart=/usr/bin/python3 " +
                           program + " " + out + "\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  // Four were sent, each twice; three fit, the last did not, and one was taken back.
  // Not polled: a pipe hangs up when the service, which has the other end, goes down.
  EXPECT_EQ(status("a.service").service->stored_descriptors, 2U);
  ASSERT_TRUE(request("a.service", engine::JobType::restart));
  run_until([&] { return std::filesystem::exists(out); });
  EXPECT_EQ(directory_.read("out"), "one:one one,one 3\n");
  stop("a.service");
  wait_for("a.service", ActiveState::inactive);
  EXPECT_EQ(status("a.service").service->stored_descriptors, 0U);
}

}  // namespace
}  // namespace pidward::runtime
