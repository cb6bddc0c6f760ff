// Scopes, and who is to end them.
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

constexpr const char* kController = ":1.7";
constexpr Duration kLongest = std::chrono::seconds(60);
constexpr Duration kRandom = std::chrono::seconds(7);

/// An engine with one scope, whose processes end when a test says so.
class ScopeTest : public ::testing::Test {
 protected:
  ScopeTest() {
    now_.mono = MonoTime(std::chrono::seconds(1000));
    engine_.add(specs_, now_, effects_);
    scope_ = *engine_.find(named("s.scope"));
  }
  static EngineConfig config() {
    EngineConfig result;
    result.random = [] { return static_cast<std::uint64_t>(kRandom.count()); };
    return result;
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
  ServiceResult result() { return engine_.status(scope_).scope->result; }
  void set(Directive directive, unit::Value value) {
    engine_.replace_settings(SpecBuilder("s.scope")
                                 .set(Directive::RuntimeMaxSec, kLongest)
                                 .set(directive, std::move(value)),
                             now_, effects_);
  }
  void set_oom_policy(unit::OomPolicy policy) {
    set(Directive::OOMPolicy, static_cast<std::int64_t>(policy));
  }
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
      SpecBuilder("s.scope").set(Directive::RuntimeMaxSec, kLongest)};
  Engine engine_{config()};
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
  EXPECT_EQ(result(), ServiceResult::timeout);
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

TEST_F(ScopeTest, IsStoppedWhenTheKernelKillsOneOfItsProcessesForLackOfMemory) {
  set_oom_policy(unit::OomPolicy::stop);
  start();
  handle(OutOfMemory{scope_});
  EXPECT_EQ(signals(), std::vector<int>{15});
  EXPECT_EQ(sub(), "stop-sigterm");
  // Once more, and there is no more patience.
  handle(OutOfMemory{scope_});
  EXPECT_EQ(signals(), (std::vector<int>{15, 9}));
  handle(UnitEmpty{scope_});
  EXPECT_EQ(sub(), "failed");
  EXPECT_EQ(result(), ServiceResult::oom_kill);
  ASSERT_TRUE(engine_.reset_failed(scope_, now_, effects_));
  EXPECT_EQ(result(), ServiceResult::success);
}

TEST_F(ScopeTest, GoesOnWithoutWhatTheKernelKilledIfItIsTo) {
  set_oom_policy(unit::OomPolicy::go_on);
  start();
  handle(OutOfMemory{scope_});
  EXPECT_TRUE(signals().empty());
  EXPECT_EQ(sub(), "running");
  handle(UnitEmpty{scope_});
  EXPECT_EQ(sub(), "dead");
  EXPECT_EQ(result(), ServiceResult::success);
}

TEST_F(ScopeTest, WhyItFailedOutlivesTheEngine) {
  start();
  handle(OutOfMemory{scope_});
  hand_over();
  const UnitId scope = *next_->find(named("s.scope"));
  next_->handle(UnitEmpty{scope}, now_, effects_);
  EXPECT_EQ(next_->status(scope).sub, "failed");
  EXPECT_EQ(next_->status(scope).scope->result, ServiceResult::oom_kill);
}

TEST_F(ScopeTest, ARandomTimeIsAddedToTheLongestItMayRun) {
  set(Directive::RuntimeRandomizedExtraSec, kRandom + kRandom);
  ASSERT_TRUE(engine_.request({named("s.scope")}, now_, effects_));
  handle(StartPrepared{scope_});
  ASSERT_EQ(all<ArmTimer>().size(), 1U);
  EXPECT_EQ(all<ArmTimer>()[0].kind, TimerKind::runtime_max);
  EXPECT_EQ(all<ArmTimer>()[0].at, now_.mono + kLongest + kRandom);
}

}  // namespace
}  // namespace pidward::engine::testing
