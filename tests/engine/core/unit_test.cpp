// Conditions, limits, timeouts, actions, reloading and collecting.
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using Build = SpecBuilder;
using std::chrono::seconds;

class Units : public EngineTest {};

TEST_F(Units, AConditionThatDoesNotHoldSkipsTheStartWell) {
  add({Build("a.service")});
  conditions_hold_ = false;
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
  EXPECT_TRUE(started_.empty());
  EXPECT_NE(logs().find("ConditionPathExists=/x"), std::string::npos);
  EXPECT_FALSE(engine_.status(id("a.service")).condition_result);
}

TEST_F(Units, AnAssertThatDoesNotHoldFailsTheJob) {
  add({Build("a.service")});
  asserts_hold_ = false;
  EXPECT_EQ(result(start("a.service")), JobResult::assert);
}

TEST_F(Units, AStopWhileTheStartIsPreparedWins) {
  add({Build("a.service")});
  answers_prepare_ = false;
  const JobId job = start("a.service");
  EXPECT_EQ(result(stop("a.service")), JobResult::done);
  EXPECT_EQ(result(job), JobResult::canceled);
  handle(StartPrepared{id("a.service")});
  EXPECT_TRUE(started_.empty());
}

TEST_F(Units, TheStartLimitRefusesOneStartTooMany) {
  add({Build("a.service")
           .set(Directive::StartLimitBurst, std::uint64_t{2})
           .set(Directive::StartLimitIntervalSec, Duration(seconds(10)))
           .set(Directive::StartLimitAction,
                static_cast<std::int64_t>(unit::EmergencyAction::reboot))});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(result(start("a.service")), JobResult::done);
    exit_main("a.service", 0);
  }
  EXPECT_EQ(engine_.status(id("a.service")).start_tries_left, 0U);
  EXPECT_EQ(result(start("a.service")), JobResult::failed);
  EXPECT_EQ(state("a.service"), ActiveState::failed);
  ASSERT_EQ(actions_.size(), 1U);
  EXPECT_EQ(actions_[0].action, unit::EmergencyAction::reboot);
  now_.mono += seconds(11);
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

TEST_F(Units, StartsThatAConditionKeepsFromHappeningDoNotCount) {
  add({Build("a.service").set(Directive::StartLimitBurst, std::uint64_t{1})});
  conditions_hold_ = false;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(result(start("a.service")), JobResult::done);
  conditions_hold_ = true;
  asserts_hold_ = false;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(result(start("a.service")), JobResult::assert);
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
  asserts_hold_ = true;
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  exit_main("a.service", 0);
  EXPECT_EQ(result(start("a.service")), JobResult::failed);
}

TEST_F(Units, TheStartLimitDoesNotHideWhyAServiceFailed) {
  add({Build("a.service").set(Directive::StartLimitBurst, std::uint64_t{1})});
  start("a.service");
  exit_main("a.service", 1);
  EXPECT_EQ(result(start("a.service")), JobResult::failed);
  const ServiceStatus& status = *engine_.status(id("a.service")).service;
  EXPECT_EQ(status.result, ServiceResult::exit_code);
  EXPECT_TRUE(status.start_limit_hit);
  Effects effects;
  EXPECT_TRUE(engine_.reset_failed(id("a.service"), now_, effects));
  EXPECT_FALSE(engine_.status(id("a.service")).service->start_limit_hit);
}

TEST_F(Units, ExecConditionCountsAsACondition) {
  add({Build("a.service")
           .set(Directive::ExecCondition,
                unit::ExecList{unit::ExecCommand{.path = "/bin/no", .argv = {"/bin/no"}}})});
  const JobId job = start("a.service");
  exit_control("a.service", 1);
  EXPECT_EQ(result(job), JobResult::done);
  EXPECT_FALSE(engine_.status(id("a.service")).condition_result);
}

TEST_F(Units, WhatEndsForGoodKeepsNothingForAStart) {
  add({Build("a.service").type(ServiceType::oneshot),
       Build("b.service").type(ServiceType::notify)});
  start("a.service");
  exit_main("a.service", 0);
  EXPECT_EQ(kept_for_start_.at(id("a.service")), false);
  EXPECT_EQ(result([&] {
              const JobId job = start("b.service");
              exit_main("b.service", 1);
              return job;
            }()),
            JobResult::failed);
  EXPECT_EQ(kept_for_start_.at(id("b.service")), false);
}

TEST_F(Units, WhatIsKeptForAStartGoesWhenTheStartDoesNotCome) {
  add({Build("a.service")});
  start("a.service");
  answers_prepare_ = false;
  const JobId job = ask("a.service", JobType::restart);
  EXPECT_EQ(kept_for_start_.at(id("a.service")), true);
  EXPECT_EQ(result(stop("a.service")), JobResult::done);
  EXPECT_EQ(result(job), JobResult::canceled);
  EXPECT_EQ(kept_for_start_.at(id("a.service")), false);
}

TEST_F(Units, ARefusalBecauseOfLeftoversEndsTheJobEachTime) {
  add({Build("a.service").set(Directive::SendSIGKILL, false)});
  leftovers_ = 1;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(result(start("a.service")), JobResult::failed);
  EXPECT_EQ(result(ask("a.service", JobType::restart)), JobResult::failed);
}

TEST_F(Units, OnlyWhatHasProcessesOfItsOwnIsKilled) {
  add({Build("a.target"), Build("a.slice"), Build("a.scope"), Build("a.service"),
       Build("a.socket")});
  const auto refusal_of = [&](std::string_view name, KillWhom whom) {
    Effects effects;
    const Status status = engine_.kill(id(name), whom, SIGTERM, now_, effects);
    return status ? Errc::failed : status.error().code();
  };
  EXPECT_EQ(refusal_of("a.target", KillWhom::all), Errc::not_supported);
  EXPECT_EQ(refusal_of("a.slice", KillWhom::all), Errc::not_supported);
  EXPECT_EQ(refusal_of("a.scope", KillWhom::all), Errc::no_such_process);
  EXPECT_EQ(refusal_of("a.socket", KillWhom::all), Errc::no_such_process);
  EXPECT_EQ(refusal_of("a.service", KillWhom::main), Errc::no_such_process);
}

TEST_F(Units, OneThatNobodyNeedsIsRemovedWithAllItsNames) {
  add({Build("a.service").alias("other.service"), Build("b.service"),
       Build("b.target").with(Dependency::Wants, "b.service")});
  const auto collect_one = [&](std::string_view name) {
    Effects effects;
    engine_.collect_one(id(name), now_, effects);
    for (const Effect& effect : effects) {
      if (const auto* gone = std::get_if<UnitRemoved>(&effect)) {
        removed_.push_back(gone->name);
        for (const unit::UnitName& alias : gone->aliases) removed_.push_back(alias);
      }
    }
  };
  start("b.target");
  exit_main("b.service", 0);
  EXPECT_TRUE(engine_.is_needed(id("b.service"))) << "an active unit wants it";
  collect_one("b.service");
  EXPECT_TRUE(removed_.empty());
  EXPECT_FALSE(engine_.is_needed(id("a.service")));
  collect_one("other.service");
  EXPECT_EQ(removed_, (std::vector{named("a.service"), named("other.service")}));
  EXPECT_FALSE(engine_.find(named("other.service")));
}

TEST_F(Units, AReloadDuringTheStartOfAOneshotEndsAsTheStartDoes) {
  add({Build("a.service").type(ServiceType::oneshot).reloadable()});
  for (const int code : {0, 1}) {
    const JobId job = start("a.service");
    EXPECT_EQ(ask("a.service", JobType::reload), job);
    exit_main("a.service", code);
    EXPECT_EQ(result(job), code == 0 ? JobResult::done : JobResult::failed);
  }
}

TEST_F(Units, AReloadThatTheServiceDoesNotSurviveHasFailed) {
  add({Build("a.service").reloadable()});
  start("a.service");
  const JobId job = ask("a.service", JobType::reload);
  exit_main("a.service", 1);
  exit_control("a.service", 0);
  EXPECT_EQ(result(job), JobResult::failed);
}

TEST_F(Units, ResetFailedForgetsTheStartLimit) {
  add({Build("a.service").set(Directive::StartLimitBurst, std::uint64_t{1})});
  start("a.service");
  exit_main("a.service", 1);
  EXPECT_EQ(result(start("a.service")), JobResult::failed);
  Effects effects;
  EXPECT_TRUE(engine_.reset_failed(id("a.service"), now_, effects));
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
  EXPECT_EQ(result(start("a.service")), JobResult::done);
}

TEST_F(Units, AJobThatTakesTooLongTimesOut) {
  add({Build("a.service")
           .with(Dependency::After, "b.service")
           .set(Directive::JobTimeoutSec, Duration(seconds(5))),
       Build("b.service").type(ServiceType::notify)});
  start("b.service");
  const JobId job = start("a.service");
  elapse("a.service", TimerKind::job);
  EXPECT_EQ(result(job), JobResult::timeout);
  EXPECT_TRUE(job_of("b.service"));
}

TEST_F(Units, FailureAndSuccessActionsAreAskedFor) {
  add({Build("a.service")
           .set(Directive::FailureAction, static_cast<std::int64_t>(unit::EmergencyAction::exit))
           .set(Directive::FailureActionExitStatus, std::int64_t{7})
           .set(Directive::SuccessAction,
                static_cast<std::int64_t>(unit::EmergencyAction::poweroff))});
  start("a.service");
  exit_main("a.service", 1);
  start("a.service");
  exit_main("a.service", 0);
  ASSERT_EQ(actions_.size(), 2U);
  EXPECT_EQ(actions_[0].exit_status, 7);
  EXPECT_EQ(actions_[1].action, unit::EmergencyAction::poweroff);
}

TEST_F(Units, ThatHandleEachOthersFailuresDoNotLoopForEver) {
  add({Build("a.service")
           .with(Dependency::Requisite, "c.service")
           .with(Dependency::OnFailure, "b.service"),
       Build("b.service")
           .with(Dependency::Requisite, "c.service")
           .with(Dependency::OnFailure, "a.service"),
       Build("c.service")});
  EXPECT_EQ(result(start("a.service")), JobResult::dependency);
  EXPECT_NE(logs().find("too often"), std::string::npos);
  EXPECT_TRUE(engine_.jobs().empty());
}

TEST_F(Units, AStaleTimerIsIgnored) {
  add({Build("a.service").type(ServiceType::notify)});
  const JobId job = start("a.service");
  handle(TimerFired{id("a.service"), TimerKind::operation, 999'999});
  EXPECT_TRUE(engine_.job(job));
}

TEST_F(Units, ATimerStartsItsUnitAgainAndAgain) {
  const std::vector<unit::Trigger> triggers{{"OnActiveSec", seconds(5), {}},
                                            {"OnUnitInactiveSec", seconds(7), {}}};
  add({Build("a.timer")
           .with(Dependency::Triggers, "a.service")
           .set(unit::kTimerStore, triggers)
           .set(Directive::AccuracySec, Duration(1)),
       Build("a.service")});
  start("a.timer");
  elapse("a.timer", TimerKind::trigger);
  EXPECT_TRUE(is_active("a.service"));
  exit_main("a.service", 0);
  const MonoTime ended = now_.mono;
  elapse("a.timer", TimerKind::trigger);
  EXPECT_EQ(now_.mono, ended + seconds(7));
  EXPECT_TRUE(is_active("a.service"));
  stop("a.timer");
  EXPECT_FALSE(is_armed("a.timer", TimerKind::trigger));
}

TEST_F(Units, AConnectionForAUnitThatIsGoneIsClosed) {
  Effects effects;
  engine_.handle(Incoming{UnitId(4711), 5, "peer"}, now_, effects);
  ASSERT_EQ(effects.size(), 1U);
  const auto* const closed = std::get_if<CloseConnection>(&effects.front());
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(closed->connection, 5U);
}

TEST_F(Units, ReloadKeepsWhatRunsAndForgetsWhatIsGone) {
  add({Build("a.service"), Build("b.service"), Build("c.service")});
  start("a.service");
  start("b.service");
  const UnitId kept = id("a.service");
  reload({Build("a.service").with(Dependency::Requires, "b.service")});
  EXPECT_EQ(id("a.service"), kept);
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(engine_.spec(id("b.service"))->load_state, LoadState::not_found);
  EXPECT_FALSE(engine_.find(named("c.service")));
  stop("b.service");
  EXPECT_EQ(state("a.service"), ActiveState::inactive);
}

TEST_F(Units, CollectForgetsWhatNobodyNeeds) {
  add({Build("a.service").with(Dependency::Wants, "b.service"), Build("b.service"),
       Build("c.service"), Build("d.service")});
  start("a.service");
  stop("b.service");
  engine_.set_referenced(id("d.service"), true);
  collect();
  EXPECT_TRUE(engine_.find(named("b.service")));
  EXPECT_TRUE(engine_.find(named("d.service")));
  EXPECT_FALSE(engine_.find(named("c.service")));
}

TEST_F(Units, AFailedUnitIsKeptUnlessItsCollectModeSaysOtherwise) {
  add({Build("a.service"), Build("b.service").set(Directive::CollectMode, std::int64_t{1})});
  for (const char* name : {"a.service", "b.service"}) {
    start(name);
    exit_main(name, 1);
  }
  collect();
  EXPECT_TRUE(engine_.find(named("a.service")));
  EXPECT_FALSE(engine_.find(named("b.service")));
}

}  // namespace
}  // namespace pidward::engine::testing
