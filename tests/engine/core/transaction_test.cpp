// Transactions: modes, cycles, conflicts, isolate (systemctl(1), "--job-mode").
#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

using Build = SpecBuilder;

class Transactions : public EngineTest {};

TEST_F(Transactions, RefuseUnitsThatCannotBeStartedWithTheReason) {
  add({Build("masked.service").state(LoadState::masked),
       Build("bad.service").state(LoadState::bad_setting),
       Build("gone.service").state(LoadState::not_found),
       Build("shy.service").set(Directive::RefuseManualStart, true), Build("plain.service")});
  EXPECT_EQ(refusal("masked.service", JobType::start), Errc::unit_masked);
  EXPECT_EQ(refusal("bad.service", JobType::start), Errc::unit_load_failed);
  EXPECT_EQ(refusal("gone.service", JobType::start), Errc::no_such_unit);
  EXPECT_EQ(refusal("unheard-of.service", JobType::start), Errc::no_such_unit);
  EXPECT_EQ(refusal("gone.service", JobType::stop), Errc::no_such_unit);
  EXPECT_EQ(refusal("shy.service", JobType::start), Errc::only_by_dependency);
  EXPECT_EQ(refusal("plain.service", JobType::reload), Errc::job_type_not_applicable);
  EXPECT_EQ(refusal("plain.service", JobType::start, JobMode::isolate), Errc::no_isolation);
  EXPECT_EQ(refusal("plain.service", JobType::start, JobMode::triggering), Errc::invalid_argument);
}

TEST_F(Transactions, AnAliasIsTheUnit) {
  add({Build("real.service").alias("other.service")});
  start("other.service");
  EXPECT_TRUE(is_active("real.service"));
  EXPECT_EQ(id("other.service"), id("real.service"));
}

TEST_F(Transactions, TheSameRequestTwiceIsOneJob) {
  add({Build("a.service").type(ServiceType::notify)});
  const JobId first = start("a.service");
  EXPECT_EQ(start("a.service"), first);
  ready("a.service");
  EXPECT_EQ(result(first), JobResult::done);
}

TEST_F(Transactions, ReplaceCancelsAConflictingJob) {
  add({Build("a.service").type(ServiceType::notify)});
  const JobId first = start("a.service");
  const JobId second = stop("a.service");
  EXPECT_EQ(result(first), JobResult::canceled);
  EXPECT_EQ(result(second), JobResult::done);
}

TEST_F(Transactions, FailRefusesToReplaceAJob) {
  add({Build("a.service").type(ServiceType::notify)});
  const JobId first = start("a.service");
  EXPECT_EQ(refusal("a.service", JobType::stop, JobMode::fail), Errc::transaction_destructive);
  EXPECT_EQ(job_of("a.service"), first);
}

TEST_F(Transactions, AnIrreversibleJobIsNotReplacedButCanBeCanceled) {
  add({Build("a.service").type(ServiceType::notify)});
  const JobId first = ask("a.service", JobType::start, JobMode::replace_irreversibly);
  EXPECT_EQ(refusal("a.service", JobType::stop), Errc::transaction_destructive);
  Effects effects;
  EXPECT_TRUE(engine_.cancel(first, now_, effects));
  EXPECT_FALSE(engine_.job(first));
  EXPECT_FALSE(engine_.cancel(first, now_, effects));
}

TEST_F(Transactions, RestartStopsThenStarts) {
  add({Build("a.service")});
  start("a.service");
  const JobId job = ask("a.service", JobType::restart);
  EXPECT_EQ(started_, (std::vector<std::string>{"a.service", "a.service"}));
  EXPECT_EQ(result(job), JobResult::done);
}

TEST_F(Transactions, TryRestartOfWhatIsDownDoesNothingWell) {
  add({Build("a.service")});
  EXPECT_EQ(result(ask("a.service", JobType::try_restart)), JobResult::done);
  EXPECT_TRUE(started_.empty());
}

TEST_F(Transactions, StopsGoInReverseOrder) {
  add({Build("a.service").with(Dependency::After, "b.service").with(Dependency::PartOf, "t.target"),
       Build("b.service").with(Dependency::PartOf, "t.target"),
       Build("t.target")
           .with(Dependency::Wants, "a.service")
           .with(Dependency::Wants, "b.service")});
  start("t.target");
  EXPECT_EQ(started_, (std::vector<std::string>{"b.service", "a.service"}));
  stop("t.target");
  EXPECT_EQ(signalled_, (std::vector<std::string>{"a.service", "b.service"}));
}

TEST_F(Transactions, ACycleIsBrokenAtAWantedUnitAndShownWhole) {
  add({Build("t.target")
           .with(Dependency::Wants, "a.service")
           .with(Dependency::Requires, "b.service"),
       Build("a.service").with(Dependency::After, "b.service"),
       Build("b.service").with(Dependency::After, "a.service")});
  EXPECT_EQ(result(start("t.target")), JobResult::done);
  EXPECT_EQ(started_, std::vector<std::string>{"b.service"});
  EXPECT_TRUE(
      logs().find("a.service/start -> b.service/start -> a.service/start") != std::string::npos ||
      logs().find("b.service/start -> a.service/start -> b.service/start") != std::string::npos)
      << logs();
}

TEST_F(Transactions, WhatARequisiteNeedsIsNotLeftOutToBreakACycle) {
  // The start of c is only wanted, but it carries the check that c is up, and needs t.
  add({Build("b.service")
           .with(Dependency::Wants, "c.service")
           .with(Dependency::Requisite, "c.service")
           .with(Dependency::After, "c.service"),
       Build("c.service")
           .with(Dependency::Requires, "t.target")
           .with(Dependency::After, "t.target")
           .with(Dependency::Before, "t.target"),
       Build("t.target")});
  EXPECT_EQ(refusal("b.service", JobType::start), Errc::transaction_cyclic);
  EXPECT_TRUE(started_.empty());
}

TEST_F(Transactions, ACycleOfEssentialUnitsIsRefusedAndShownWhole) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::After, "b.service"),
       Build("b.service")
           .with(Dependency::Requires, "c.service")
           .with(Dependency::After, "c.service"),
       Build("c.service").with(Dependency::After, "a.service")});
  const auto outcome = request("a.service", JobType::start);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Errc::transaction_cyclic);
  for (const char* name : {"a.service", "b.service", "c.service"}) {
    EXPECT_NE(outcome.error().message().find(name), std::string::npos);
  }
  EXPECT_TRUE(engine_.jobs().empty());
}

TEST_F(Transactions, AContradictionOfEssentialJobsIsRefused) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::Requires, "c.service"),
       Build("b.service").with(Dependency::Conflicts, "c.service"), Build("c.service")});
  EXPECT_EQ(refusal("a.service", JobType::start), Errc::transaction_conflict);
}

TEST_F(Transactions, AContradictionWithAWantedJobDropsTheWantedOne) {
  add({Build("a.service")
           .with(Dependency::Requires, "b.service")
           .with(Dependency::Wants, "c.service"),
       Build("b.service").with(Dependency::Conflicts, "c.service"), Build("c.service")});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  EXPECT_TRUE(is_active("b.service"));
  EXPECT_EQ(state("c.service"), ActiveState::inactive);
}

TEST_F(Transactions, ImpossibleUnitsThatWantEachOtherAreLeftOutOnce) {
  add({Build("a.service").with(Dependency::Wants, "b.service"),
       Build("b.service")
           .with(Dependency::Wants, "c.service")
           .with(Dependency::Requires, "m.service"),
       Build("c.service")
           .with(Dependency::Wants, "b.service")
           .with(Dependency::Requires, "m.service"),
       Build("m.service").state(LoadState::masked)});
  EXPECT_EQ(result(start("a.service")), JobResult::done);
  EXPECT_EQ(started_, std::vector<std::string>{"a.service"});
}

TEST_F(Transactions, IsolateStopsEverythingElse) {
  add({Build("goal.target").set(Directive::AllowIsolate, true).with(Dependency::Wants, "a.service"),
       Build("a.service"), Build("b.service"),
       Build("c.service").set(Directive::IgnoreOnIsolate, true)});
  start("b.service");
  start("c.service");
  ask("goal.target", JobType::start, JobMode::isolate);
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
  EXPECT_TRUE(is_active("c.service"));
}

TEST_F(Transactions, FlushCancelsAllOtherJobs) {
  add({Build("a.service").type(ServiceType::notify), Build("b.service")});
  const JobId other = start("a.service");
  ask("b.service", JobType::start, JobMode::flush);
  EXPECT_EQ(result(other), JobResult::canceled);
}

TEST_F(Transactions, IgnoreRequirementsStartsTheUnitAlone) {
  add({Build("a.service").with(Dependency::Requires, "b.service"), Build("b.service")});
  ask("a.service", JobType::start, JobMode::ignore_requirements);
  EXPECT_TRUE(is_active("a.service"));
  EXPECT_EQ(state("b.service"), ActiveState::inactive);
}

TEST_F(Transactions, IgnoreDependenciesAlsoIgnoresTheOrder) {
  add({Build("a.service").with(Dependency::After, "b.service"),
       Build("b.service").type(ServiceType::notify)});
  start("b.service");
  const JobId waiting = start("a.service");
  EXPECT_EQ(engine_.job(waiting)->state, JobState::waiting);
  ask("a.service", JobType::start, JobMode::ignore_dependencies);
  EXPECT_TRUE(is_active("a.service"));
}

TEST_F(Transactions, ADeepChainNeedsNoDeepStack) {
  std::vector<unit::UnitSpecPtr> specs;
  constexpr int kDepth = 5000;
  for (int i = 0; i < kDepth; ++i) {
    Build build("u" + std::to_string(i) + ".target");
    if (i + 1 < kDepth) {
      const std::string next = "u" + std::to_string(i + 1) + ".target";
      build.with(Dependency::Requires, next).with(Dependency::After, next);
    }
    specs.push_back(build);
  }
  add(specs);
  EXPECT_EQ(result(start("u0.target")), JobResult::done);
  EXPECT_TRUE(is_active("u4999.target"));
}

}  // namespace
}  // namespace pidward::engine::testing
