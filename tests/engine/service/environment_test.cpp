// What the processes of a service are told by their environment (systemd.exec(5)).
#include "engine/service/harness.hpp"

namespace pidward::engine {
namespace {

using namespace testing;
using unit::Dependency;

using Words = std::vector<std::string>;

bool has(const Words& environment, const std::string& word) {
  return std::find(environment.begin(), environment.end(), word) != environment.end();
}

/// A service that has ended with an error, as `id` beside `service`.
void add_broken(Service& service, UnitId id, const char* name, int status) {
  Service broken;
  auto machine = std::make_unique<ServiceMachine>();
  machine->start(broken.context, 0);
  machine->handle(broken.context, Spawned{broken.last_spawn().spawn, ProcessId(900)});
  machine->handle(broken.context, ProcessExited{broken.context.id(), ProcessId(900), code(status)});
  machine->handle(broken.context, UnitEmpty{broken.context.id()});
  service.context.add_neighbour(id, name).machine = std::move(machine);
}

TEST(ServiceEnvironment, AHandlerLearnsHowTheServiceEnded) {
  Service handler(ServiceType::oneshot);
  handler.commands(Directive::ExecStartPre, 1).commands(Directive::ExecStartPost, 1);
  add_broken(handler, UnitId(2), "broken.service", 7);
  handler.context.edges[Dependency::OnFailureOf] = {UnitId(2)};
  handler.start();
  for (int i = 0; i < 2; ++i) {
    const Words environment = handler.last_spawn().environment;
    EXPECT_TRUE(has(environment, "MONITOR_SERVICE_RESULT=exit-code"));
    EXPECT_TRUE(has(environment, "MONITOR_EXIT_CODE=exited"));
    EXPECT_TRUE(has(environment, "MONITOR_EXIT_STATUS=7"));
    EXPECT_TRUE(has(environment, "MONITOR_UNIT=broken.service"));
    EXPECT_TRUE(has(environment, "MONITOR_INVOCATION_ID=" + InvocationId().to_string()));
    handler.run_command();
  }
  EXPECT_EQ(handler.last_spawn().list, Directive::ExecStartPost);
  EXPECT_TRUE(handler.last_spawn().environment.empty());
}

TEST(ServiceEnvironment, WithSeveralServicesNobodyCanSayWhichIsMeant) {
  Service handler(ServiceType::oneshot);
  add_broken(handler, UnitId(2), "broken.service", 1);
  add_broken(handler, UnitId(3), "other.service", 2);
  handler.context.edges[Dependency::OnFailureOf] = {UnitId(2)};
  handler.context.edges[Dependency::OnSuccessOf] = {UnitId(3)};
  handler.start();
  EXPECT_TRUE(handler.last_spawn().environment.empty());
}

TEST(ServiceEnvironment, EveryCommandKnowsThePidFile) {
  Service service(ServiceType::forking);
  service.set(Directive::PIDFile, std::string("/run/test.pid"));
  service.commands(Directive::ExecStartPre, 1);
  service.start();
  EXPECT_EQ(service.last_spawn().environment, Words{"PIDFILE=/run/test.pid"});
  service.run_command();
  EXPECT_EQ(service.last_spawn().environment, Words{"PIDFILE=/run/test.pid"});
}

}  // namespace
}  // namespace pidward::engine
