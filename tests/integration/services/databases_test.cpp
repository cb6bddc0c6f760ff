// redis-server (Type=notify), memcached (Type=simple), postgresql@15-main (a template, Type=forking
// with a PIDFile).
#include <unistd.h>

#include "integration/services/service_test.hpp"

namespace pidward::testing {
namespace {

using Databases = ServiceTest;

TEST_F(Databases, RedisServesIsKilledComesBackAndStops) {
  const std::string unit = "redis-server.service";
  starts(unit);
  EXPECT_EQ(supervisor_.property(unit, "Type"), "notify");
  has_restart(unit, "always");
  knows_its_main_process(unit);
  answers("redis-cli -h 127.0.0.1 ping", "PONG");
  comes_back_after_sigkill(unit);
  answers("redis-cli -h 127.0.0.1 ping", "PONG");
  stops_without_leaving_anything(unit);
  EXPECT_FALSE(std::filesystem::exists("/run/redis"));  // RuntimeDirectory= without Preserve
}

TEST_F(Databases, RedisCannotReloadAndSaysSo) {
  starts("redis-server.service");
  const CommandResult reload = supervisor_.ctl({"reload", "redis-server"});
  EXPECT_NE(reload.exit_code, 0);
  EXPECT_NE(reload.output.find("redis-server.service"), std::string::npos) << reload.output;
}

TEST_F(Databases, MemcachedServesIsKilledComesBackAndStops) {
  const std::string unit = "memcached.service";
  const std::string client =
      "printf 'version\\r\\nquit\\r\\n' | nc -q 1 127.0.0.1 11211 | grep VERSION";
  starts(unit);
  has_restart(unit, "always");
  knows_its_main_process(unit);
  comes_to_answer(client, "VERSION");
  comes_back_after_sigkill(unit);
  comes_to_answer(client, "VERSION");
  stops_without_leaving_anything(unit);
}

TEST_F(Databases, PostgresqlServesReloadsIsKilledAndStops) {
  const std::string unit = "postgresql@15-main.service";
  const std::string client = "runuser -u postgres -- psql -XAtc 'select 6*7'";
  if (!std::filesystem::exists("/etc/postgresql/15/main")) {
    ASSERT_EQ(run_shell("pg_createcluster 15 main").exit_code, 0);
  }
  run_shell("systemd-tmpfiles --create postgresql-common.conf");  // /run/postgresql, as the package
                                                                  // asks for
  starts(unit);
  EXPECT_EQ(supervisor_.property(unit, "Type"), "forking");
  has_restart(unit, "no");
  knows_its_main_process(unit);
  answers(client, "42");
  reloads(unit);
  answers(client, "42");
  kill_main(unit);  // the unit has no Restart=
  EXPECT_TRUE(supervisor_.reaches(unit, "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property(unit, "NRestarts"), "0");
  starts(unit);
  answers(client, "42");
  stops_without_leaving_anything(unit);
}

}  // namespace
}  // namespace pidward::testing
