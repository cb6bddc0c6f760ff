// Promise P1, watched from outside: the running daemon, through a churn of services, makes no
// system call that acts on a process by number.
#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>

#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

/// strace attached to the daemon, writing only the calls named.
class Trace {
 public:
  Trace(const Supervisor& supervisor, const std::string& calls)
      : file_(supervisor.directory() + "/trace") {
    // Not -f for the children of the daemon: what services do is theirs. The loop is the thread
    // traced.
    run_shell("strace -qq -e trace=" + calls + " -o " + file_ + " -p " +
              std::to_string(supervisor.pid()) +
              " >/dev/null 2>&1 & while ! grep -q 'TracerPid:[^0]*[1-9]' /proc/" +
              std::to_string(supervisor.pid()) + "/status; do sleep 0.01; done");
  }
  [[nodiscard]] std::string text() const {
    std::ifstream stream(file_);
    std::stringstream all;
    all << stream.rdbuf();
    return all.str();
  }

 private:
  std::string file_;
};

constexpr const char* kByNumber =
    "kill,tkill,tgkill,wait4,waitid,setpgid,rt_sigqueueinfo,rt_tgsigqueueinfo";

void churn(const Supervisor& supervisor) {
  supervisor.write_unit(
      "churn@.service",
      "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n"
      "ExecStart=/bin/sh -c 'sleep 0.05; (sleep 60 &); exit %i'\nExecStopPost=/bin/true\n"
      "Restart=on-failure\nRestartSec=10ms\nTimeoutStopSec=1s\n");
  supervisor.write_unit(
      "forking.service",
      "[Unit]\nDefaultDependencies=no\n[Service]\nType=forking\nPIDFile=" + supervisor.directory() +
          "/forking.pid\nExecStart=/bin/sh -c 'sleep 60 & echo $! > " + supervisor.directory() +
          "/forking.pid'\n");
  EXPECT_EQ(supervisor.ctl({"start", "forking", "churn@0", "churn@3"}).exit_code, 0);
  EXPECT_TRUE(supervisor.reaches("churn@3.service", "NRestarts", "5"));
  EXPECT_EQ(supervisor.ctl({"kill", "forking"}).exit_code, 0);
  EXPECT_TRUE(supervisor.reaches("forking.service", "MainPID", "0"));
  EXPECT_EQ(supervisor.ctl({"stop", "churn@3", "churn@0", "forking"}).exit_code, 0);
}

TEST(Promises, ThroughAChurnOfServicesNoCallActsOnANumber) {
  const Supervisor supervisor;
  const Trace trace(supervisor, std::string(kByNumber) + ",pidfd_send_signal");
  churn(supervisor);
  const std::string text = trace.text();
  EXPECT_NE(text.find("waitid(P_PIDFD"), std::string::npos)
      << text;  // the trace sees what it should
  EXPECT_NE(text.find("pidfd_send_signal("), std::string::npos) << text;
  const std::regex forbidden(
      R"((^|\n)(kill|tkill|tgkill|wait4|setpgid|rt_\w*sigqueueinfo)\(|waitid\(P_(PID|PGID),)");
  std::smatch match;
  EXPECT_FALSE(std::regex_search(text, match, forbidden)) << match.str();
  // P_ALL only ever looks.
  const std::regex reaping(R"(waitid\(P_ALL,[^\n]*\))");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), reaping);
       it != std::sregex_iterator(); ++it) {
    EXPECT_NE(it->str().find("WNOWAIT"), std::string::npos) << it->str();
  }
}

TEST(Promises, AnIdleDaemonMakesNoCallAtAll) {
  const Supervisor supervisor;
  supervisor.write_unit("sleeper.service",
                        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(supervisor.ctl({"start", "sleeper"}).exit_code, 0);
  run_shell("sleep 12");  // longer than the daemon keeps units that nobody needs
  const Trace trace(supervisor, "all");
  run_shell("sleep 2");
  std::string text = trace.text();
  // The one it was waiting in when the trace began.
  text = std::regex_replace(text, std::regex(R"((restart_syscall|epoll_p?wait2?)\([^\n]*\n?)"), "");
  EXPECT_EQ(trim(text), "");
}

}  // namespace
}  // namespace pidward::testing
