#include <algorithm>
#include <csignal>
#include <fstream>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "manager_fixture.hpp"
#include "runtime/log_reader.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;
using engine::JobType;

TEST_F(ManagerTest, AServiceStartsIsKnownByInodeAndStops) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const ProcessId main = status("a.service").service->main;
  EXPECT_TRUE(main);
  EXPECT_GT(manager_->pid_of(main), 0U);
  const auto processes = manager_->list_processes(status("a.service").id);
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_EQ(processes[0].id, main);
  EXPECT_EQ(processes[0].role, process::Role::main);
  EXPECT_EQ(*manager_->unit_by_pid(processes[0].pid), status("a.service").id);
  stop("a.service");
  wait_for("a.service", ActiveState::inactive);
  EXPECT_TRUE(manager_->list_processes(std::nullopt).empty());
}

TEST_F(ManagerTest, AStopTakesTheWholeTree) {
  service("t.service", "ExecStart=/bin/sh -c 'setsid sleep 1000 & (sleep 1000 &) ; sleep 1000'\n");
  start_manager();
  start("t.service");
  wait_for("t.service", ActiveState::active);
  run_until([&] { return manager_->list_processes(status("t.service").id).size() >= 4; });
  const auto before = manager_->list_processes(status("t.service").id);
  stop("t.service");
  wait_for("t.service", ActiveState::inactive);
  for (const ProcessInfo& process : before) {
    EXPECT_FALSE(manager_->unit_by_pid(process.pid)) << process.command;
  }
}

TEST_F(ManagerTest, WithoutControlGroupsTheTreeGoesToo) {
  use_groups_ = false;
  service("t.service", "ExecStart=/bin/sh -c 'setsid sleep 1000 & (sleep 1000 &) ; sleep 1000'\n");
  start_manager();
  start("t.service");
  wait_for("t.service", ActiveState::active);
  run_until([&] { return manager_->list_processes(status("t.service").id).size() >= 3; });
  const auto before = manager_->list_processes(status("t.service").id);
  EXPECT_EQ(manager_->control_group(status("t.service").id), "");
  stop("t.service");
  wait_for("t.service", ActiveState::inactive);
  for (const ProcessInfo& process : before) {
    EXPECT_FALSE(manager_->unit_by_pid(process.pid)) << process.command;
  }
}

TEST_F(ManagerTest, AProgramThatIsNotThereFailsItsUnitAlone) {
  service("bad.service", "ExecStart=/no/such/program\n");
  service("good.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("bad.service");
  start("good.service");
  wait_for("bad.service", ActiveState::failed);
  wait_for("good.service", ActiveState::active);
  EXPECT_EQ(status("bad.service").service->main_status.status.code, 203);
}

TEST_F(ManagerTest, AKilledMainProcessIsRestarted) {
  service("r.service", "Restart=always\nRestartSec=0\nExecStart=/bin/sleep 1000\n");
  start_manager();
  start("r.service");
  wait_for("r.service", ActiveState::active);
  const ProcessId first = status("r.service").service->main;
  ASSERT_TRUE(manager_->kill(status("r.service").id, engine::KillWhom::main, SIGKILL));
  run_until([&] {
    const auto now = status("r.service");
    return now.active == ActiveState::active && now.service->main && now.service->main != first;
  });
  EXPECT_EQ(status("r.service").service->restarts, 1U);
}

TEST_F(ManagerTest, ARestartWithoutDelayComesEachTime) {
  service("eager.service", "ExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=0\n");
  start_manager();
  start("eager.service");
  wait_for("eager.service", engine::ActiveState::active);
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const ProcessId before = status("eager.service").service->main;
    const auto process = manager_->find_process(before);
    ASSERT_TRUE(process);
    ASSERT_TRUE(process->send_signal(SIGKILL));
    run_until([&] {
      const engine::UnitStatus now = status("eager.service");
      return now.sub == "running" && now.service->main != before;
    });
    EXPECT_EQ(status("eager.service").service->restarts, i);
  }
}

TEST_F(ManagerTest, AStartThatFailsAtOnceAndComesBackAtOnceLeavesRoomForOthers) {
  // No process is made, and no delay asked for: nothing but the loop's own turns is in between.
  service("never.service",
          "ExecStart=/bin/true\nUser=no-such-user-here\nRestart=always\nRestartSec=0\n"
          "[Unit]\nStartLimitIntervalSec=0\n");
  service("other.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("never.service");
  start("other.service");
  wait_for("other.service", engine::ActiveState::active);
  run_until([this] { return status("never.service").service->restarts >= 10; });
  EXPECT_EQ(status("other.service").active, engine::ActiveState::active);
}

TEST_F(ManagerTest, AfterManyUnitsWereReadAtOnceTheNextAreReadAllTheSame) {
  std::string wants;
  for (int i = 0; i < 100; ++i) {
    const std::string name = fmt::format("many-{}.service", i);
    service(name, "ExecStart=/bin/true\n");
    wants += "Wants=" + name + "\n";
  }
  write_unit("many.target", "[Unit]\nDefaultDependencies=no\n" + wants);
  service("late.service", "ExecStart=/bin/true\nRemainAfterExit=yes\n");
  start_manager();
  start("many.target");
  wait_for("many.target", engine::ActiveState::active);
  start("late.service");
  wait_for("late.service", engine::ActiveState::active);
  service("later.service", "ExecStart=/bin/true\nRemainAfterExit=yes\n");
  start("later.service");
  wait_for("later.service", engine::ActiveState::active);
}

TEST_F(ManagerTest, ReadinessComesFromTheNotifySocketEvenOfADeadSender) {
  service("n.service",
          "Type=notify\nNotifyAccess=all\n"
          "ExecStart=/bin/sh -c 'systemd-notify --ready --status=fine; exec sleep 1000'\n");
  start_manager();
  start("n.service");
  wait_for("n.service", ActiveState::active);
  EXPECT_EQ(status("n.service").service->status_text, "fine");
}

TEST_F(ManagerTest, AForkingServiceIsFoundByItsPidFile) {
  const std::string file = directory_.path("f.pid");
  service("f.service", "Type=forking\nPIDFile=" + file +
                           "\nExecStart=/bin/sh -c 'sleep 1000 & echo $! > " + file + "'\n");
  start_manager();
  start("f.service");
  wait_for("f.service", ActiveState::active);
  std::uint32_t written = 0;
  std::ifstream(file) >> written;
  EXPECT_EQ(manager_->pid_of(status("f.service").service->main), written);
}

TEST_F(ManagerTest, APidFileThatNamesAStrangerIsNotBelieved) {
  const std::string file = directory_.path("f.pid");
  service("f.service", "Type=forking\nTimeoutStartSec=1s\nPIDFile=" + file +
                           "\nExecStart=/bin/sh -c 'sleep 1000 & echo 1 > " + file + "'\n");
  start_manager();
  start("f.service");
  wait_for("f.service", ActiveState::failed);
}

TEST_F(ManagerTest, AConditionThatDoesNotHoldSkipsTheStart) {
  write_unit("c.service",
             "[Unit]\nDefaultDependencies=no\nConditionPathExists=/no/such/path\n[Service]\n"
             "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("c.service");
  wait_for("c.service", ActiveState::inactive);
  EXPECT_FALSE(status("c.service").condition_result);
}

TEST_F(ManagerTest, OutputGoesToTheUnitsOwnLog) {
  service("o.service", "Type=oneshot\nExecStart=/bin/sh -c 'echo said; echo complained >&2'\n");
  start_manager();
  start("o.service");
  wait_for("o.service", ActiveState::inactive);
  std::string text;
  run_until([&] {
    text.clear();
    const auto lines = read_last_log_lines(manager_->log_directory(), "o.service", 10);
    if (!lines) return false;
    for (const LogLine& line : *lines) text += line.text + "\n";
    return text.find("said\n") != std::string::npos &&
           text.find("complained\n") != std::string::npos;
  });
}

TEST_F(ManagerTest, ASocketUnitStartsItsServiceOnTraffic) {
  const std::string path = directory_.path("s.sock");
  write_unit("s.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=" + path +
                             "\nSocketMode=0600\n");
  service("s.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("s.socket");
  wait_for("s.socket", ActiveState::active);
  struct stat file {};
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777U, 0600U);
  const auto client = sys::make_socket(AF_UNIX, SOCK_STREAM);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(client->get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  wait_for("s.service", ActiveState::active);
}

TEST_F(ManagerTest, AReloadTakesNewSettingsAndLeavesProcessesAlone) {
  service("a.service", "ExecStart=/bin/sleep 1000\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  const ProcessId main = status("a.service").service->main;
  service("a.service", "ExecStart=/bin/sleep 1000\nNice=5\nWrong=1\n");
  bool done = false;
  manager_->reload([&](const Result<std::vector<unit::Diagnostic>>& complaints) {
    done = true;
    ASSERT_TRUE(complaints);
    EXPECT_EQ(complaints->size(), 1U);
  });
  run_until([&] { return done; });
  EXPECT_EQ(status("a.service").service->main, main);
  EXPECT_EQ(status("a.service").spec->settings.integer(unit::Directive::Nice), 5);
}

TEST_F(ManagerTest, UnknownAndInvalidNamesGetASentence) {
  start_manager();
  EXPECT_FALSE(request("none.service", JobType::start));
  EXPECT_FALSE(request("no type", JobType::start));
  EXPECT_FALSE(request("t@.service", JobType::start));
}

TEST_F(ManagerTest, TheEnvironmentBlockTakesAssignmentsOnly) {
  start_manager();
  EXPECT_TRUE(manager_->set_environment({"A=1", "B=2"}));
  EXPECT_FALSE(manager_->set_environment({"C=3", "not an assignment"}));
  const auto block = manager_->environment();
  EXPECT_NE(std::find(block.begin(), block.end(), "A=1"), block.end());
  EXPECT_EQ(std::find(block.begin(), block.end(), "C=3"), block.end());
  manager_->unset_environment({"A", "B=other"});
  const auto rest = manager_->environment();
  EXPECT_EQ(std::find(rest.begin(), rest.end(), "A=1"), rest.end());
  EXPECT_NE(std::find(rest.begin(), rest.end(), "B=2"), rest.end());
}

TEST_F(ManagerTest, WithoutTheUnitItIsToStartItIsDegraded) {
  for (const char* wrong : {"no-such.target", "not a name"}) {
    Config config = this->config();
    config.boot_units = {wrong};
    auto manager = Manager::create(io_, config);
    ASSERT_TRUE(manager);
    manager_ = *std::move(manager);
    manager_->boot();
    const auto is_up = [&] {
      const SystemState now = manager_->system_state();
      return now != SystemState::initializing && now != SystemState::starting;
    };
    run_until(is_up);
    EXPECT_EQ(manager_->system_state(), SystemState::degraded) << wrong;
    manager_->reset_failed_all();
    EXPECT_EQ(manager_->system_state(), SystemState::running) << wrong;
    TearDown();
  }
}

// Whose job would go on until its timeout, a minute and a half.
TEST_F(ManagerTest, AnEndWaitsForNoDevice) {
  start_manager();
  start("dev-nosuchdevice.device");
  EXPECT_TRUE(status("dev-nosuchdevice.device").job);
  manager_->request_exit(0);
  EXPECT_FALSE(status("dev-nosuchdevice.device").job);
  run_until([this] { return manager_->exit_code().has_value(); });
}

TEST_F(ManagerTest, WhoIsForkedDuringAStopIsStoppedAsWell) {
  service("a.service",
          "TimeoutStopSec=30s\nExecStart=/bin/sh -c 'while :; do sleep 1000 & done'\n");
  start_manager();
  constexpr int kOften = 5;
  constexpr std::size_t kMany = 20;
  for (int i = 0; i < kOften; ++i) {
    start("a.service");
    run_until([&] { return manager_->list_processes(status("a.service").id).size() >= kMany; });
    stop("a.service");
    wait_for("a.service", ActiveState::inactive);
  }
}

TEST_F(ManagerTest, WhoIsForkedBehindTheSignalIsStoppedAsWell) {
  // Long after everybody has been looked for, in the shell's own time. A shell's child loses a
  // signal that comes before it has become another program.
  const std::string program = directory_.write(
      "forks-late",
      "trap 'i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done; sleep 1000 &\n"
      "  while read -r name < /proc/$!/comm && [ $name != sleep ]; do :; done; exit 0' TERM\n"
      "systemd-notify --ready\n"
      "while :; do sleep 0.01; done\n");
  service("a.service",
          "Type=notify\nNotifyAccess=all\nTimeoutStopSec=30s\nExecStart=/bin/sh " + program + "\n");
  start_manager();
  start("a.service");
  wait_for("a.service", ActiveState::active);
  stop("a.service");
  wait_for("a.service", ActiveState::inactive);
}

}  // namespace
}  // namespace pidward::runtime
