// Scopes, and who is to end them.
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

constexpr const char* kController = ":1.7";

/// An engine with one scope, whose processes end when a test says so.
class ScopeTest : public ::testing::Test {
 protected:
  ScopeTest() {
    now_.mono = MonoTime(std::chrono::seconds(1000));
    engine_.add(specs_, now_, effects_);
    scope_ = *engine_.find(named("s.scope"));
  }
  void control() { engine_.set_controller(scope_, kController, now_, effects_); }
  void start() {
    ASSERT_TRUE(engine_.request({named("s.scope")}, now_, effects_));
    engine_.handle(StartPrepared{scope_}, now_, effects_);
    ASSERT_EQ(sub(), "running");
    effects_.clear();
  }
  void stop() { ASSERT_TRUE(engine_.request({named("s.scope"), JobType::stop}, now_, effects_)); }
  void handle(const Event& event) { engine_.handle(event, now_, effects_); }
  /// The armed timer of a kind fires.
  void elapse(TimerKind kind) {
    for (const ArmTimer& timer : all<ArmTimer>()) {
      if (timer.kind == kind) return handle(TimerFired{scope_, kind, timer.generation});
    }
    FAIL() << "no such timer is armed";
  }
  /// Effects of one kind since they were last cleared.
  template <typename T>
  [[nodiscard]] std::vector<T> all() const {
    std::vector<T> found;
    for (const Effect& effect : effects_) {
      if (const auto* one = std::get_if<T>(&effect)) found.push_back(*one);
    }
    return found;
  }
  [[nodiscard]] std::vector<int> signals() const {
    std::vector<int> sent;
    for (const KillProcesses& each : all<KillProcesses>()) sent.push_back(each.signal);
    return sent;
  }
  std::string sub() { return std::string(engine_.status(scope_).sub); }
  std::string controller() { return engine_.status(scope_).scope->controller; }
  /// Another engine goes on from the record.
  void hand_over() {
    const std::string text = engine_.record(scope_);
    effects_.clear();
    next_ = std::make_unique<Engine>(EngineConfig{});
    next_->add(specs_, now_, effects_);
    effects_.clear();
    const std::vector<UnitRecord> records{{named("s.scope"), text}};
    EXPECT_TRUE(next_->restore(records, {}, now_, effects_).empty());
  }

  std::vector<unit::UnitSpecPtr> specs_{
      SpecBuilder("s.scope").set(Directive::RuntimeMaxSec, Duration(std::chrono::seconds(60)))};
  Engine engine_{EngineConfig{}};
  std::unique_ptr<Engine> next_;
  Now now_;
  Effects effects_;
  UnitId scope_;
};

TEST_F(ScopeTest, IsEndedBySignalsWhereNobodyLooksAfterIt) {
  start();
  EXPECT_TRUE(all<WatchBusName>().empty());
  stop();
  EXPECT_EQ(signals(), std::vector<int>{15});
  elapse(TimerKind::operation);
  EXPECT_EQ(signals(), (std::vector<int>{15, 9}));
  handle(UnitEmpty{scope_});
  EXPECT_EQ(sub(), "failed");
}

TEST_F(ScopeTest, AsksItsControllerToEndItAndSendsNoSignal) {
  control();
  EXPECT_EQ(controller(), kController);
  start();
  stop();
  EXPECT_EQ(sub(), "stop-sigterm");
  EXPECT_TRUE(signals().empty());
  ASSERT_EQ(all<RequestStop>().size(), 1U);
  EXPECT_EQ(all<RequestStop>()[0].controller, kController);
  handle(UnitEmpty{scope_});
  EXPECT_EQ(sub(), "dead");
  ASSERT_EQ(all<WatchBusName>().size(), 1U);
  EXPECT_FALSE(all<WatchBusName>()[0].watch);
  EXPECT_EQ(all<WatchBusName>()[0].name, kController);
}

TEST_F(ScopeTest, TheControllersNameIsWatchedWhileTheScopeIsUp) {
  control();
  EXPECT_TRUE(all<WatchBusName>().empty());
  ASSERT_TRUE(engine_.request({named("s.scope")}, now_, effects_));
  handle(StartPrepared{scope_});
  ASSERT_EQ(all<WatchBusName>().size(), 1U);
  EXPECT_TRUE(all<WatchBusName>()[0].watch);
  EXPECT_EQ(all<WatchBusName>()[0].name, kController);
}

TEST_F(ScopeTest, AControllerThatDoesNothingCostsTheTimeOfOneStep) {
  control();
  start();
  stop();
  elapse(TimerKind::operation);
  EXPECT_EQ(signals(), std::vector<int>{9});
  EXPECT_EQ(sub(), "stop-sigkill");
}

TEST_F(ScopeTest, AControllerIsAskedWhenTheTimeOfTheScopeIsUp) {
  control();
  ASSERT_TRUE(engine_.request({named("s.scope")}, now_, effects_));
  handle(StartPrepared{scope_});
  elapse(TimerKind::runtime_max);
  EXPECT_EQ(all<RequestStop>().size(), 1U);
  EXPECT_TRUE(signals().empty());
}

TEST_F(ScopeTest, AControllerThatLeftIsNotAsked) {
  control();
  start();
  handle(BusNameChanged{scope_, false, {}});
  EXPECT_EQ(controller(), "");
  EXPECT_EQ(all<UnitChanged>().size(), 1U);
  stop();
  EXPECT_TRUE(all<RequestStop>().empty());
  EXPECT_EQ(signals(), std::vector<int>{15});
}

TEST_F(ScopeTest, WhatAControllerLeftUndoneIsDoneBySignals) {
  control();
  start();
  stop();
  EXPECT_TRUE(signals().empty());
  handle(BusNameChanged{scope_, false, {}});
  EXPECT_EQ(signals(), std::vector<int>{15});
  EXPECT_EQ(sub(), "stop-sigterm");
}

TEST_F(ScopeTest, AnAbandonedScopeHasNoController) {
  control();
  start();
  ASSERT_TRUE(engine_.abandon(scope_, now_, effects_));
  EXPECT_EQ(controller(), "");
  EXPECT_FALSE(all<WatchBusName>().at(0).watch);
  stop();
  EXPECT_EQ(signals(), std::vector<int>{15});
}

TEST_F(ScopeTest, TheNextEngineKnowsTheControllerAndAsksItOnceItIsFound) {
  control();
  start();
  stop();
  hand_over();
  const UnitId scope = *next_->find(named("s.scope"));
  EXPECT_EQ(next_->status(scope).scope->controller, kController);
  EXPECT_TRUE(all<WatchBusName>().at(0).watch);
  EXPECT_TRUE(signals().empty());
  EXPECT_TRUE(all<RequestStop>().empty());
  next_->handle(BusNameChanged{scope, true, {}}, now_, effects_);
  EXPECT_EQ(all<RequestStop>().size(), 1U);
  // That it is still there is no news.
  next_->handle(BusNameChanged{scope, true, {}}, now_, effects_);
  EXPECT_EQ(all<RequestStop>().size(), 1U);
}

}  // namespace
}  // namespace pidward::engine::testing
