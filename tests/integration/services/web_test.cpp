// nginx (Type=forking, PIDFile, KillMode=mixed) and apache2 (Type=forking without PIDFile: a
// guessed main process).
#include "integration/services/service_test.hpp"

namespace pidward::testing {
namespace {

using Web = ServiceTest;

constexpr const char* kFetch = "curl -fsS -o /dev/null -w '%{http_code}' http://127.0.0.1/";

TEST_F(Web, NginxServesReloadsIsKilledAndStops) {
  const std::string unit = "nginx.service";
  starts(unit);
  has_restart(unit, "no");
  knows_its_main_process(unit);
  answers(kFetch, "200");
  reloads(unit);
  answers(kFetch, "200");
  stays_down_after_sigkill(unit, "failed", "signal");
  EXPECT_FALSE(answers_now(kFetch));  // its workers went with it
  starts(unit);
  answers(kFetch, "200");
  stops_without_leaving_anything(unit);
}

TEST_F(Web, ApacheServesReloadsIsKilledAndStops) {
  const std::string unit = "apache2.service";
  starts(unit);
  has_restart(unit, "on-abort");
  knows_its_main_process(unit);
  answers(kFetch, "200");
  reloads(unit);
  answers(kFetch, "200");
  comes_back_after_sigkill(unit);  // Restart=on-abort: an uncaught signal
  answers(kFetch, "200");
  stops_without_leaving_anything(unit);
}

}  // namespace
}  // namespace pidward::testing
