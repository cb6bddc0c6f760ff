// What each kind of dependency does on start, stop and failure (systemd.unit(5)).
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using Build = SpecBuilder;

class Dependencies : public EngineTest {};

TEST_F(Dependencies, RequiresAndAfterStartTheOtherFirst) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service").type(ServiceType::notify)});
  const JobId job = start("a.service");
  EXPECT_EQ(started_, std::vector<std::string>{"b.service"});
  EXPECT_EQ(job_state("a.service"), JobState::waiting);
  EXPECT_EQ(engine_.job(job)->waits_for, std::vector<JobId>{job_of("b.service")});
  ready("b.service");
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(result(job), JobResult::done);
}

TEST_F(Dependencies, RequiresFailsTheDependentWithResultDependency) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service").type(ServiceType::oneshot)});
  const JobId job = start("a.service");
  exit_main("b.service", 1);
  EXPECT_EQ(result(job), JobResult::dependency);
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Dependencies, FailureSpreadsThroughAWholeChain) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service")
           .with(Dependency::BindsTo, "c.service")
           .with(Dependency::After, "c.service"),
       Build("c.service").type(ServiceType::oneshot)});
  const JobId job = start("a.service");
  const JobId middle = job_of("b.service");
  exit_main("c.service", 1);
  EXPECT_EQ(result(middle), JobResult::dependency);
  EXPECT_EQ(result(job), JobResult::dependency);
}

TEST_F(Dependencies, WantsDoesNotMindFailure) {
  add({Build("a.service").with(Dependency::Wants, "b.service").with(Dependency::After, "b.service"),
       Build("b.service").type(ServiceType::oneshot)});
  const JobId job = start("a.service");
  exit_main("b.service", 1);
  EXPECT_EQ(result(job), JobResult::done);
}

TEST_F(Dependencies, WantsOfAUnitThatDoesNotExistIsIgnored) {
  add({Build("a.service").with(Dependency::Wants, "nowhere.service")});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

TEST_F(Dependencies, RequiresOfAUnitThatDoesNotExistRefusesTheRequest) {
  add({Build("a.service").with(Dependency::Requires, "nowhere.service")});
  EXPECT_EQ(refusal("a.service", JobType::start), Errc::no_such_unit);
  EXPECT_EQ(engine_.jobs().size(), 0U);
}

TEST_F(Dependencies, AWantedUnitWhoseRequirementIsMissingIsLeftOut) {
  add({Build("a.service").with(Dependency::Wants, "b.service"),
       Build("b.service").with(Dependency::Requires, "masked.service"),
       Build("masked.service").state(LoadState::masked)});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
}

TEST_F(Dependencies, RequisiteFailsAtOnceWhenTheOtherIsNotUp) {
  add({Build("a.service")
           .with(Dependency::Requisite, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service")});
  EXPECT_EQ(result(start("a.service")), JobResult::dependency);
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
  start("b.service");
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

TEST_F(Dependencies, StoppingARequiredUnitStopsItsDependents) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service")});
  start("a.service");
  stop("b.service");
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
  EXPECT_EQ(signalled_, (std::vector<std::string>{"a.service", "b.service"}));
}

TEST_F(Dependencies, RequiresDoesNotFollowWhenTheOtherEndsByItself) {
  add({Build("a.service").with(Dependency::Requires, "b.service"), Build("b.service")});
  start("a.service");
  exit_main("b.service", 0);
  EXPECT_TRUE(is_active("a.service"));
}

TEST_F(Dependencies, BindsToFollowsWhenTheOtherEndsByItself) {
  add({Build("a.service")
           .with(Dependency::BindsTo, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service")});
  start("a.service");
  exit_main("b.service", 0);
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Dependencies, PartOfFollowsStopAndRestartButNotStart) {
  add({Build("a.service").with(Dependency::PartOf, "b.service"), Build("b.service")});
  start("b.service");
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
  start("a.service");
  started_.clear();
  ask("b.service", JobType::restart);
  EXPECT_EQ(std::count(started_.begin(), started_.end(), "a.service"), 1);
  EXPECT_TRUE(is_active("a.service"));
  stop("b.service");
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Dependencies, RestartDoesNotStartDependentsThatAreDown) {
  add({Build("a.service").with(Dependency::Requires, "b.service"), Build("b.service")});
  start("b.service");
  ask("b.service", JobType::restart);
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Dependencies, ConflictsStopsTheOther) {
  add({Build("a.service").with(Dependency::Conflicts, "b.service"), Build("b.service")});
  start("b.service");
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
  start("b.service");
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Dependencies, UpholdsStartsTheOtherAgainWheneverItEnds) {
  add({Build("a.service").with(Dependency::Upholds, "b.service"), Build("b.service")});
  start("a.service");
  EXPECT_TRUE(is_active("b.service"));
  exit_main("b.service", 0);
  EXPECT_TRUE(is_active("b.service"));
  stop("a.service");
  exit_main("b.service", 0);
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
}

TEST_F(Dependencies, UpholdsSlowsDownAndTriesAgainLater) {
  add({Build("a.service").with(Dependency::Upholds, "b.service"),
       Build("b.service").set(Directive::StartLimitIntervalSec, Duration(0))});
  start("a.service");
  for (int i = 0; i < 40 && is_active("b.service"); ++i) exit_main("b.service", 0);
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
  elapse("b.service", TimerKind::retry);
  EXPECT_TRUE(is_active("b.service"));
}

TEST_F(Dependencies, StopWhenUnneededStopsWithTheLastUser) {
  add({Build("a.service").with(Dependency::Requires, "c.service"),
       Build("b.service").with(Dependency::Wants, "c.service"),
       Build("c.service").set(Directive::StopWhenUnneeded, true)});
  start("a.service");
  start("b.service");
  stop("a.service");
  EXPECT_TRUE(is_active("c.service"));
  stop("b.service");
  EXPECT_EQ(state("c.service"), ActiveState::inactive);
}

TEST_F(Dependencies, OnFailureStartsItsUnitsOnFailureAlone) {
  add({Build("a.service").with(Dependency::OnFailure, "help.service"), Build("help.service")});
  start("a.service");
  exit_main("a.service", 0);
  EXPECT_EQ(state("help.service"), ActiveState::inactive);
  start("a.service");
  exit_main("a.service", 1);
  EXPECT_EQ(state("a.service"), ActiveState::failed);
  EXPECT_TRUE(is_active("help.service"));
}

TEST_F(Dependencies, OnFailureWaitsWhileTheServiceIsRestarted) {
  add({Build("a.service")
           .with(Dependency::OnFailure, "help.service")
           .set(Directive::Restart, static_cast<std::int64_t>(unit::RestartPolicy::always)),
       Build("help.service")});
  start("a.service");
  exit_main("a.service", 1);
  EXPECT_EQ(state("help.service"), ActiveState::inactive);
  elapse("a.service", TimerKind::restart);
  EXPECT_TRUE(is_active("a.service"));
}

TEST_F(Dependencies, OnFailureIsTriggeredByAFailedDependency) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service")
           .with(Dependency::OnFailure, "help.service"),
       Build("b.service").type(ServiceType::oneshot), Build("help.service")});
  start("a.service");
  exit_main("b.service", 1);
  EXPECT_TRUE(is_active("help.service"));
}

TEST_F(Dependencies, OnSuccessStartsItsUnitsOnSuccessAlone) {
  add({Build("a.service").with(Dependency::OnSuccess, "next.service"), Build("next.service")});
  start("a.service");
  exit_main("a.service", 1);
  EXPECT_EQ(state("next.service"), ActiveState::inactive);
  start("a.service");
  exit_main("a.service", 0);
  EXPECT_TRUE(is_active("next.service"));
}

TEST_F(Dependencies, AUnitWithoutHandlersNeverComplainsOfTooManyOfThem) {
  add({Build("a.service").set(Directive::StartLimitIntervalSec, Duration(0))});
  for (int i = 0; i < 40; ++i) {
    start("a.service");
    exit_main("a.service", 0);
  }
  EXPECT_EQ(logs().find("acted on too often"), std::string::npos) << logs();
}

TEST_F(Dependencies, PropagatesStopToStopsTheOther) {
  add({Build("a.service").with(Dependency::PropagatesStopTo, "b.service"), Build("b.service")});
  start("a.service");
  start("b.service");
  stop("a.service");
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
}

TEST_F(Dependencies, PropagatesStopToLeavesRestartsAlone) {
  add({Build("a.service").with(Dependency::PropagatesStopTo, "b.service"), Build("b.service"),
       Build("c.service").with(Dependency::Requires, "a.service")});
  start("b.service");
  start("c.service");
  started_.clear();
  ask("a.service", JobType::restart);
  std::sort(started_.begin(), started_.end());
  EXPECT_EQ(started_, (std::vector<std::string>{"a.service", "c.service"}));
  EXPECT_TRUE(is_active("b.service"));
}

TEST_F(Dependencies, PropagatesReloadToReloadsWhatRuns) {
  add({
      Build("a.service").reloadable().with(Dependency::PropagatesReloadTo, "b.service"),
      Build("b.service").reloadable(),
  });
  start("a.service");
  start("b.service");
  ask("a.service", JobType::reload);
  EXPECT_EQ(state("a.service"), ActiveState::reloading);
  EXPECT_EQ(state("b.service"), ActiveState::reloading);
  exit_control("b.service", 0);
  exit_control("a.service", 0);
  EXPECT_TRUE(is_active("a.service"));
}

TEST_F(Dependencies, ATargetReloadsByPassingItOn) {
  add({Build("all.target").with(Dependency::PropagatesReloadTo, "a.service"),
       Build("a.service").reloadable(), Build("none.target"),
       Build("stiff.service").with(Dependency::PropagatesReloadTo, "a.service")});
  for (const char* name : {"all.target", "a.service", "none.target", "stiff.service"}) start(name);
  EXPECT_EQ(result(ask("all.target", JobType::reload)), JobResult::done);
  EXPECT_EQ(state("a.service"), ActiveState::reloading);
  exit_control("a.service", 0);
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_TRUE(is_active("all.target"));
  EXPECT_FALSE(request("none.target", JobType::reload).has_value());
  EXPECT_FALSE(request("stiff.service", JobType::reload).has_value());
}

TEST_F(Dependencies, AMountThatOnlyAPathAsksForMayBeMissing) {
  add({Build("a.service")
           .with(Dependency::Requires, "data.mount", unit::Origin::implicit)
           .with(Dependency::After, "data.mount", unit::Origin::implicit)});
  handle(ExternalState{id("data.mount"), false});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

TEST_F(Dependencies, AMountThatIsRequiredByNameMustBeThere) {
  add({Build("a.service")
           .with(Dependency::Requires, "data.mount")
           .with(Dependency::After, "data.mount")});
  const JobId job = start("a.service");
  handle(ExternalState{id("data.mount"), false});
  EXPECT_EQ(result(job), JobResult::dependency);
  EXPECT_NE(logs().find("data.mount is not mounted"), std::string::npos);
  handle(ExternalState{id("data.mount"), true});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

}  // namespace
}  // namespace pidward::engine::testing
