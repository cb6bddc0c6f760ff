// Socket units: binding, traffic, instances, limits, the way down.
#include "engine/record.hpp"
#include "engine/service/harness.hpp"
#include "engine/socket/machine.hpp"

namespace pidward::engine::testing {
namespace {

constexpr UnitId kService(2);

class Socket {
 public:
  Socket() {
    context.add_neighbour(kService, "web.service");
    context.edges[unit::Dependency::Triggers] = {kService};
  }
  Socket& set(Directive id, unit::Value value) {
    context.spec_.settings.set(id, std::move(value));
    return *this;
  }
  Socket& commands(Directive id, std::size_t count) {
    unit::ExecList list(count);
    for (auto& command : list) command.path = "/bin/program";
    return set(id, std::move(list));
  }
  StartOutcome start() { return machine().start(context, 0); }
  void stop() { machine().stop(context); }
  void event(const Event& happened) { machine().handle(context, happened); }
  void listening() {
    start();
    event(Listening{context.id()});
    EXPECT_EQ(state(), SocketState::listening);
    context.clear();
  }
  void traffic(std::uint64_t connection = 0, std::string peer = {}) {
    event(Incoming{context.id(), connection, std::move(peer)});
  }
  void run_command(int exit_code = 0) {
    const Spawn spawn = context.all<Spawn>().back();
    const ProcessId process(100 + spawn.spawn.number());
    event(Spawned{spawn.spawn, process});
    event(ProcessExited{context.id(), process, code(exit_code)});
  }
  void service_is(ActiveState state) {
    context.neighbours[kService].active = state;
    machine().triggered_changed(context, kService);
  }
  /// An instance is loaded and gets its connection.
  void instance(UnitId id, std::string_view name, ActiveState active = ActiveState::inactive) {
    auto& neighbour = context.add_neighbour(id, name);
    neighbour.active = active;
    neighbour.machine = std::make_unique<ServiceMachine>();
    machine().unit_loaded(context, id);
  }
  SocketMachine& machine() {
    if (!machine_) machine_ = std::make_unique<SocketMachine>(context.spec_);
    return *machine_;
  }
  SocketState state() { return machine().socket_status()->state; }
  std::string_view result() { return machine().socket_status()->result; }

  FakeContext context{"web.socket"};

 private:
  std::unique_ptr<SocketMachine> machine_;
};

TEST(SocketUnit, BindsAndListens) {
  Socket socket;
  socket.start();
  EXPECT_EQ(socket.context.all<Listen>().size(), 1U);
  EXPECT_EQ(socket.state(), SocketState::start);
  socket.event(Listening{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::listening);
  EXPECT_TRUE(socket.context.all<WatchListen>().back().watch);
  EXPECT_EQ(socket.context.state, ActiveState::active);
}

TEST(SocketUnit, ThatCannotBindFails) {
  Socket socket;
  socket.start();
  socket.event(ListenFailed{socket.context.id(), Error(Errc::failed, "in use")});
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "resources");
  EXPECT_EQ(socket.context.all<CloseListen>().size(), 1U);
}

TEST(SocketUnit, RunsItsCommandsAroundBindingAndClosing) {
  Socket socket;
  for (const Directive list : {Directive::ExecStartPre, Directive::ExecStartPost,
                               Directive::ExecStopPre, Directive::ExecStopPost}) {
    socket.commands(list, 1);
  }
  EXPECT_TRUE(socket.machine().needs_preparation());
  socket.start();
  EXPECT_EQ(socket.state(), SocketState::start_pre);
  EXPECT_TRUE(socket.context.all<Listen>().empty());
  socket.run_command();
  socket.event(Listening{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::start_post);
  socket.run_command();
  EXPECT_EQ(socket.state(), SocketState::listening);
  socket.stop();
  EXPECT_EQ(socket.state(), SocketState::stop_pre);
  EXPECT_TRUE(socket.context.all<CloseListen>().empty());
  socket.run_command();
  socket.event(UnitEmpty{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::stop_post);
  EXPECT_EQ(socket.context.all<CloseListen>().size(), 1U);
  socket.run_command();
  socket.event(UnitEmpty{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::dead);
}

TEST(SocketUnit, AFailedCommandFailsTheSocket) {
  Socket socket;
  socket.commands(Directive::ExecStartPre, 2);
  socket.start();
  socket.run_command(1);
  socket.event(UnitEmpty{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "exit-code");
  EXPECT_TRUE(socket.context.all<Listen>().empty());
}

TEST(SocketUnit, ACommandThatTakesTooLongIsKilled) {
  Socket socket;
  socket.commands(Directive::ExecStartPre, 1);
  socket.set(Directive::TimeoutSec, Duration(seconds(4)));
  socket.start();
  EXPECT_EQ(socket.context.armed(TimerKind::operation),
            socket.context.now_.mono + Duration(seconds(4)));
  socket.event(Spawned{SpawnId(1), ProcessId(50)});
  socket.context.timers.clear();
  socket.event(TimerFired{socket.context.id(), TimerKind::operation, 0});
  EXPECT_EQ(socket.state(), SocketState::stop_pre_sigterm);
  socket.context.timers.clear();
  socket.event(TimerFired{socket.context.id(), TimerKind::operation, 0});
  EXPECT_EQ(socket.state(), SocketState::stop_pre_sigkill);
  socket.event(ProcessExited{socket.context.id(), ProcessId(50), killed(9)});
  socket.event(UnitEmpty{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "timeout");
}

TEST(SocketUnit, TrafficStartsTheServiceAndItsEndListensAgain) {
  Socket socket;
  socket.listening();
  socket.traffic();
  EXPECT_EQ(socket.state(), SocketState::running);
  ASSERT_EQ(socket.context.requests.size(), 1U);
  EXPECT_EQ(socket.context.requests[0], std::pair(kService, JobType::start));
  EXPECT_EQ(socket.machine().socket_status()->accepted, 0U) << "the service accepts";
  EXPECT_FALSE(socket.context.all<WatchListen>().back().watch);
  socket.service_is(ActiveState::active);
  EXPECT_EQ(socket.state(), SocketState::running);
  socket.service_is(ActiveState::inactive);
  EXPECT_EQ(socket.state(), SocketState::listening);
  EXPECT_TRUE(socket.context.all<WatchListen>().back().watch);
  EXPECT_TRUE(socket.context.all<FlushListen>().empty());
}

TEST(SocketUnit, FlushPendingThrowsAwayWhatCameMeanwhile) {
  Socket socket;
  socket.set(Directive::FlushPending, true);
  socket.listening();
  socket.traffic();
  socket.service_is(ActiveState::inactive);
  EXPECT_EQ(socket.context.all<FlushListen>().size(), 1U);
}

TEST(SocketUnit, AServiceStartedByHandTakesTheSocketOver) {
  Socket socket;
  socket.listening();
  socket.service_is(ActiveState::activating);
  EXPECT_EQ(socket.state(), SocketState::running);
}

TEST(SocketUnit, DoesNotStartBesideItsRunningService) {
  Socket socket;
  socket.context.neighbours[kService].active = ActiveState::active;
  EXPECT_EQ(socket.start().kind, StartOutcome::Kind::refused);
  EXPECT_EQ(socket.state(), SocketState::dead);
}

TEST(SocketUnit, AServiceAtItsStartLimitTakesTheSocketDown) {
  Socket socket;
  auto machine = std::make_unique<ServiceMachine>();
  FakeContext other{"web.service"};
  machine->start_limit_hit(other);
  socket.listening();
  socket.traffic();
  socket.context.neighbours[kService].machine = std::move(machine);
  socket.service_is(ActiveState::failed);
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "service-start-limit-hit");
}

TEST(SocketUnit, AServiceThatCannotBeRequestedFailsTheSocket) {
  Socket socket;
  socket.listening();
  socket.context.refuse_requests = true;
  socket.traffic();
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "resources");
}

TEST(SocketUnit, TooMuchTrafficClosesIt) {
  Socket socket;
  socket.set(Directive::TriggerLimitBurst, std::uint64_t{3});
  socket.set(Directive::TriggerLimitIntervalSec, Duration(seconds(2)));
  socket.listening();
  for (int i = 0; i < 3; ++i) {
    socket.traffic();
    socket.service_is(ActiveState::inactive);
    EXPECT_EQ(socket.state(), SocketState::listening);
  }
  socket.traffic();
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "trigger-limit-hit");
}

TEST(SocketUnit, EveryConnectionGetsItsInstance) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  socket.traffic(8, "127.0.0.1:22-127.0.0.1:4711");
  const auto loads = socket.context.all<LoadUnit>();
  ASSERT_EQ(loads.size(), 1U);
  EXPECT_EQ(loads[0].name.str(), "web@0-127.0.0.1:22-127.0.0.1:4711.service");
  socket.instance(UnitId(9), loads[0].name.str());
  EXPECT_EQ(socket.context.requests.back(), std::pair(UnitId(9), JobType::start));
  EXPECT_EQ(socket.state(), SocketState::listening);
  EXPECT_EQ(socket.machine().socket_status()->connections, 1U);
  EXPECT_TRUE(socket.context.all<CloseConnection>().empty());
  socket.machine().triggered_changed(socket.context, UnitId(9));
  EXPECT_EQ(socket.machine().socket_status()->connections, 0U);
  EXPECT_EQ(socket.context.all<CloseConnection>().size(), 1U) << "it never ran";
}

TEST(SocketUnit, NumbersItsOwnConnections) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  socket.traffic(8, "4711-0");
  socket.traffic(11, "4711-0");
  const auto loads = socket.context.all<LoadUnit>();
  ASSERT_EQ(loads.size(), 2U);
  EXPECT_EQ(loads[0].name.str(), "web@0-4711-0.service");
  EXPECT_EQ(loads[1].name.str(), "web@1-4711-0.service");
  // An instance may outlive the socket's run: no name comes twice.
  socket.stop();
  socket.listening();
  socket.traffic(12, "4711-0");
  EXPECT_EQ(socket.context.all<LoadUnit>().back().name.str(), "web@2-4711-0.service");
}

TEST(SocketUnit, AnInstanceThatIsThereIsNobodyElses) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  // Of an earlier run, whose count went with the socket when it was dropped from memory.
  socket.context.add_neighbour(UnitId(9), "web@0-4711-0.service").active = ActiveState::active;
  socket.context.add_neighbour(UnitId(10), "web@1-4711-0.service");
  socket.traffic(8, "4711-0");
  ASSERT_EQ(socket.context.all<LoadUnit>().size(), 1U);
  EXPECT_EQ(socket.context.all<LoadUnit>().back().name.str(), "web@2-4711-0.service");
  // It came to be, and was started by somebody, while it was being loaded.
  socket.instance(UnitId(11), "web@2-4711-0.service", ActiveState::active);
  EXPECT_EQ(socket.context.all<CloseConnection>().size(), 1U);
  EXPECT_EQ(socket.machine().socket_status()->connections, 0U);
  EXPECT_TRUE(socket.context.requests.empty());
  EXPECT_EQ(socket.state(), SocketState::listening);
}

TEST(SocketUnit, StaysInMemoryForItsInstances) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  socket.traffic(8, "4711-0");
  socket.instance(UnitId(9), "web@0-4711-0.service");
  socket.stop();
  EXPECT_EQ(socket.state(), SocketState::dead);
  EXPECT_FALSE(socket.machine().may_collect());
  socket.machine().triggered_changed(socket.context, UnitId(9));
  EXPECT_TRUE(socket.machine().may_collect());
}

TEST(SocketUnit, ACommandThatIsInTheUnitNoMoreHasFailed) {
  Socket socket;
  socket.commands(Directive::ExecStartPre, 1);
  socket.start();
  Saver saver;
  socket.machine().save(saver);
  const std::string record = saver.take();
  Socket next;
  Loader loader(record);
  next.machine().load(loader);
  next.context.state = socket.context.state;
  next.machine().resume(next.context);
  EXPECT_TRUE(next.context.all<Spawn>().empty());
  next.event(UnitEmpty{next.context.id()});
  EXPECT_EQ(next.state(), SocketState::failed);
  EXPECT_EQ(next.result(), "resources");
}

TEST(SocketUnit, AnInstanceThatCannotBeRequestedFailsTheSocket) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  socket.context.refuse_requests = true;
  socket.traffic(8, "4711-0");
  socket.instance(UnitId(9), "web@0-4711-0.service");
  EXPECT_EQ(socket.state(), SocketState::failed);
  EXPECT_EQ(socket.result(), "resources");
  EXPECT_EQ(socket.machine().socket_status()->accepted, 1U);
  EXPECT_EQ(socket.machine().socket_status()->refused, 0U);
  EXPECT_EQ(socket.machine().socket_status()->connections, 0U);
}

TEST(SocketUnit, AConnectionThatIsToldAgainIsNotAcceptedTwice) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.listening();
  for (int i = 0; i < 2; ++i) socket.traffic(8, "127.0.0.1:22-127.0.0.1:4711");
  EXPECT_EQ(socket.context.all<LoadUnit>().size(), 1U);
  EXPECT_EQ(socket.machine().socket_status()->accepted, 1U);
}

TEST(SocketUnit, RefusesMoreConnectionsThanAllowed) {
  Socket socket;
  socket.set(Directive::Accept, true);
  socket.set(Directive::MaxConnections, std::uint64_t{2});
  socket.set(Directive::MaxConnectionsPerSource, std::uint64_t{1});
  socket.listening();
  socket.traffic(1, "10.0.0.9:22-10.0.0.1:1");
  socket.traffic(2, "10.0.0.9:22-10.0.0.1:2");
  EXPECT_EQ(socket.machine().socket_status()->refused, 1U) << "the same source";
  socket.traffic(3, "10.0.0.9:22-10.0.0.2:3");
  socket.traffic(4, "10.0.0.9:22-10.0.0.3:4");
  EXPECT_EQ(socket.machine().socket_status()->refused, 2U) << "too many at all";
  const auto closed = socket.context.all<CloseConnection>();
  ASSERT_EQ(closed.size(), 2U);
  EXPECT_EQ(closed[0].connection, 2U);
  EXPECT_EQ(closed[1].connection, 4U);
}

TEST(SocketUnit, AStopClosesAndRemovesWhatItIsToldTo) {
  Socket socket;
  socket.set(Directive::RemoveOnStop, true);
  socket.listening();
  socket.stop();
  EXPECT_EQ(socket.state(), SocketState::dead);
  ASSERT_EQ(socket.context.all<CloseListen>().size(), 1U);
  EXPECT_TRUE(socket.context.all<CloseListen>()[0].remove_files);
  socket.traffic(5, "late");
  EXPECT_EQ(socket.context.all<CloseConnection>().size(), 1U);
}

TEST(SocketUnit, AStopWhileBindingEndsClosed) {
  Socket socket;
  socket.start();
  socket.stop();
  EXPECT_EQ(socket.state(), SocketState::dead);
  socket.event(Listening{socket.context.id()});
  EXPECT_EQ(socket.state(), SocketState::dead);
}

}  // namespace
}  // namespace pidward::engine::testing
