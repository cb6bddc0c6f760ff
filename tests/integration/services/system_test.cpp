// cron (Type=simple, KillMode=process), ssh (Type=notify), dbus (socket activated), rsyslog (socket
// activated).
#include <fstream>

#include <unistd.h>

#include "integration/services/service_test.hpp"

namespace pidward::testing {
namespace {

using System = ServiceTest;

TEST_F(System, CronRunsAJobIsKilledComesBackAndStops) {
  const std::string unit = "cron.service";
  starts(unit);
  has_restart(unit, "on-failure");
  knows_its_main_process(unit);
  // cron's own answer: it holds its pid file, and the crontab client can talk to its spool.
  comes_to_answer("cat /run/crond.pid", std::to_string(supervisor_.main_pid(unit)));
  comes_back_after_sigkill(unit);
  stops_without_leaving_anything(unit);
}

TEST_F(System, SshServesReloadsIsKilledComesBackAndStops) {
  const std::string unit = "ssh.service";
  starts(unit);
  EXPECT_EQ(supervisor_.property(unit, "Type"), "notify");
  has_restart(unit, "on-failure");
  knows_its_main_process(unit);
  answers("ssh-keyscan -T 60 -t ed25519 127.0.0.1 2>/dev/null", "ssh-ed25519");
  reloads(unit);
  answers("ssh-keyscan -T 60 -t ed25519 127.0.0.1 2>/dev/null", "ssh-ed25519");
  comes_back_after_sigkill(unit);
  answers("ssh-keyscan -T 60 -t ed25519 127.0.0.1 2>/dev/null", "ssh-ed25519");
  stops_without_leaving_anything(unit);
}

TEST_F(System, DbusIsStartedWithItsSocketServesReloadsAndStops) {
  const std::string unit = "dbus.service";
  const std::string client =
      "dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId";
  ASSERT_FALSE(answers_now(client))
      << "a system bus is running already: end it, it has the address";
  std::filesystem::remove("/run/dbus/system_bus_socket");
  starts(unit);
  EXPECT_EQ(supervisor_.property("dbus.socket", "ActiveState"), "active");
  has_restart(unit, "no");
  knows_its_main_process(unit);
  answers(client, "string");
  reloads(unit);
  stays_down_after_sigkill(unit, "failed", "signal");
  answers(client, "string");  // the socket brings it back
  stops_without_leaving_anything(unit);
  EXPECT_EQ(supervisor_.ctl({"stop", "dbus.socket"}).exit_code, 0);
}

TEST_F(System, RsyslogTakesAMessageIsKilledComesBackAndStops) {
  const std::string unit = "rsyslog.service";
  starts(unit);
  EXPECT_EQ(supervisor_.property("syslog.socket", "ActiveState"), "active");
  has_restart(unit, "on-failure");
  knows_its_main_process(unit);
  const std::string marker = "pidward-integration-" + std::to_string(::getpid());
  // rsyslog listens where it was built to where no systemd is the init: on /dev/log, beside the
  // socket it is passed.
  answers("logger -u /dev/log " + marker, "");
  comes_to_answer("grep " + marker + " /var/log/syslog", marker);
  comes_back_after_sigkill(unit);
  EXPECT_EQ(supervisor_.ctl({"stop", "syslog.socket", unit}).exit_code, 0);
  EXPECT_EQ(supervisor_.property(unit, "ActiveState"), "inactive");
}

}  // namespace
}  // namespace pidward::testing
