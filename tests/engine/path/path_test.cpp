// Path units in the whole engine.
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using std::chrono::seconds;
using Build = SpecBuilder;

class Paths : public EngineTest {
 protected:
  Build path() { return Build("a.path").with(Dependency::Triggers, "a.service"); }
  void start_path() {
    add({path(), Build("a.service")});
    EXPECT_EQ(result(start("a.path")), JobResult::done);
  }
  void trigger() {
    ASSERT_TRUE(is_watched());
    handle(PathTriggered{id("a.path"), watched_.at(id("a.path")).generation, "/there"});
  }
  bool is_watched() { return watched_.contains(id("a.path")); }
  std::string_view sub() { return engine_.status(id("a.path")).sub; }
  std::string_view result_of_path() { return engine_.status(id("a.path")).path->result; }
};

TEST_F(Paths, AStartIsDoneWhenThePathsAreWatched) {
  answers_paths_ = false;
  add({path(), Build("a.service")});
  const JobId job = start("a.path");
  EXPECT_TRUE(engine_.job(job));
  EXPECT_EQ(state("a.path"), ActiveState::activating);
  EXPECT_TRUE(watched_.at(id("a.path")).initial);
  handle(PathsWatched{id("a.path"), watched_.at(id("a.path")).generation, {}});
  EXPECT_EQ(result(job), JobResult::done);
  EXPECT_EQ(sub(), "waiting");
  EXPECT_FALSE(is_active("a.service"));
}

TEST_F(Paths, StartsItsUnitAndWatchesAgainWhenThatIsDone) {
  start_path();
  trigger();
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(sub(), "running");
  EXPECT_FALSE(is_watched());
  exit_main("a.service", 0);
  EXPECT_EQ(sub(), "waiting");
  EXPECT_FALSE(watched_.at(id("a.path")).initial);
  trigger();
  EXPECT_TRUE(is_active("a.service"));
}

TEST_F(Paths, TheUnitIsToldWhatTriggeredIt) {
  start_path();
  trigger();
  EXPECT_EQ(environment_, (std::vector<std::string>{"TRIGGER_UNIT=a.path", "TRIGGER_PATH=/there"}));
  exit_main("a.service", 0);
  start("a.service");
  EXPECT_TRUE(environment_.empty());
}

TEST_F(Paths, AnswersToAnOlderQuestionAreStale) {
  start_path();
  const std::uint64_t old = watched_.at(id("a.path")).generation;
  trigger();
  exit_main("a.service", 0);
  handle(PathTriggered{id("a.path"), old, "/there"});
  EXPECT_EQ(sub(), "waiting");
}

TEST_F(Paths, AUnitThatSomebodyElseStartedIsNotWaitedFor) {
  start_path();
  start("a.service");
  EXPECT_EQ(sub(), "running");
  EXPECT_FALSE(is_watched());
  stop("a.path");
  EXPECT_EQ(result(start("a.path")), JobResult::done);
  EXPECT_EQ(sub(), "running");
}

TEST_F(Paths, AStopLetsThePathsGo) {
  start_path();
  stop("a.path");
  EXPECT_FALSE(is_watched());
  EXPECT_EQ(state("a.path"), ActiveState::inactive);
  EXPECT_EQ(result_of_path(), "success");
}

TEST_F(Paths, PathsThatCannotBeWatchedFailTheUnitWithTheReason) {
  path_error_ = Error(Errc::limit_exceeded, "no watches are left");
  add({path(), Build("a.service")});
  EXPECT_EQ(result(start("a.path")), JobResult::failed);
  EXPECT_EQ(state("a.path"), ActiveState::failed);
  EXPECT_EQ(result_of_path(), "resources");
  EXPECT_NE(logs().find("no watches are left"), std::string::npos);
  path_error_.reset();
  EXPECT_EQ(result(start("a.path")), JobResult::done);
}

TEST_F(Paths, TheTriggerLimitEndsTheUnit) {
  add({path()
           .set(Directive::TriggerLimitBurst, std::uint64_t{2})
           .set(Directive::TriggerLimitIntervalSec, Duration(seconds(10))),
       Build("a.service").set(Directive::StartLimitBurst, std::uint64_t{100})});
  start("a.path");
  for (int i = 0; i < 2; ++i) {
    trigger();
    exit_main("a.service", 0);
  }
  trigger();
  EXPECT_EQ(state("a.path"), ActiveState::failed);
  EXPECT_EQ(result_of_path(), "trigger-limit-hit");
  EXPECT_FALSE(is_watched());
  EXPECT_NE(logs().find("TriggerLimitBurst="), std::string::npos);
}

TEST_F(Paths, AUnitThatIsStartedTooOftenEndsItsPath) {
  add({path(), Build("a.service").set(Directive::StartLimitBurst, std::uint64_t{2})});
  start("a.path");
  for (int i = 0; i < 2; ++i) {
    trigger();
    exit_main("a.service", 0);
  }
  trigger();
  EXPECT_EQ(state("a.path"), ActiveState::failed);
  EXPECT_EQ(result_of_path(), "unit-start-limit-hit");
}

TEST_F(Paths, OneWithoutALoadedUnitIsRefused) {
  add({path(), Build("a.service").state(LoadState::not_found)});
  EXPECT_EQ(result(start("a.path")), JobResult::failed);
  EXPECT_EQ(state("a.path"), ActiveState::inactive);
}

TEST_F(Paths, AReloadWatchesTheNewPaths) {
  start_path();
  const std::uint64_t before = watched_.at(id("a.path")).generation;
  reload({path(), Build("a.service")});
  EXPECT_GT(watched_.at(id("a.path")).generation, before);
  EXPECT_EQ(sub(), "waiting");
}

}  // namespace
}  // namespace pidward::engine::testing
