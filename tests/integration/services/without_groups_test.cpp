// The same services where no control group can be made: every process is found by its pidfd.
#include "integration/services/service_test.hpp"

namespace pidward::testing {
namespace {

class WithoutGroups : public ServiceTest {
 protected:
  WithoutGroups() : ServiceTest({.arguments = {"--no-cgroup"}}) {}

  void lives(const std::string& unit, const std::string& script, const std::string& answer) {
    starts(unit);
    knows_its_main_process(unit);
    comes_to_answer(script, answer);
    stops_without_leaving_anything(unit, false);
    EXPECT_FALSE(answers_now(script)) << script;
  }
};

TEST_F(WithoutGroups, RedisServesAndStops) {
  lives("redis-server.service", "redis-cli -h 127.0.0.1 ping", "PONG");
}

TEST_F(WithoutGroups, MemcachedServesAndStops) {
  lives("memcached.service",
        "printf 'version\\r\\nquit\\r\\n' | nc -q 1 127.0.0.1 11211 | grep VERSION", "VERSION");
}

TEST_F(WithoutGroups, NginxAndItsWorkersServeAndStop) {
  lives("nginx.service", "curl -fsS -o /dev/null -w '%{http_code}' http://127.0.0.1/", "200");
}

TEST_F(WithoutGroups, ApacheAndItsWorkersServeAndStop) {
  lives("apache2.service", "curl -fsS -o /dev/null -w '%{http_code}' http://127.0.0.1/", "200");
}

TEST_F(WithoutGroups, SshServesAndStops) {
  lives("ssh.service", "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | grep ed25519",
        "ssh-ed25519");
}

TEST_F(WithoutGroups, ASigkillIsAnsweredAsRestartSays) {
  starts("redis-server.service");
  comes_back_after_sigkill("redis-server.service");
  stops_without_leaving_anything("redis-server.service", false);
}

TEST_F(WithoutGroups, WhatForkedTwiceAndMadeItsOwnSessionIsEndedToo) {
  const std::string number = supervisor_.directory.path("number");
  supervisor_.write_unit(
      "forks.service",
      "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
      "ExecStart=/bin/sh -c '(setsid sh -c \"echo \\$\\$ > " +
          number + ".new; mv " + number + ".new " + number +
          "; exec sleep 1000\" &) & until [ -e " + number + " ]; do sleep 0.01; done'\n");
  ASSERT_EQ(supervisor_.ctl({"start", "forks"}).exit_code, 0);
  auto descendant = sys::Pidfd::open(std::stoi(supervisor_.directory.read("number")));
  ASSERT_TRUE(descendant);
  ASSERT_FALSE(*descendant->has_ended());
  EXPECT_EQ(supervisor_.ctl({"stop", "forks"}).exit_code, 0);
  EXPECT_TRUE(*descendant->has_ended());
}

}  // namespace
}  // namespace pidward::testing
