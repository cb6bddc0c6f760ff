#include "engine/job.hpp"

#include <gtest/gtest.h>

namespace pidward::engine {
namespace {

using enum JobType;

struct Pair {
  JobType a, b;
  std::optional<JobType> merged;
};

TEST(JobTypes, MergeAsTheTableOfSystemdSaysForEveryPair) {
  const Pair pairs[] = {
      {start, start, start},
      {start, verify_active, start},
      {start, stop, std::nullopt},
      {start, reload, reload_or_start},
      {start, restart, restart},
      {verify_active, verify_active, verify_active},
      {verify_active, stop, std::nullopt},
      {verify_active, reload, reload},
      {verify_active, restart, restart},
      {stop, stop, stop},
      {stop, reload, std::nullopt},
      {stop, restart, std::nullopt},
      {reload, reload, reload},
      {reload, restart, restart},
      {restart, restart, restart},
  };
  for (const Pair& pair : pairs) {
    EXPECT_EQ(merge(pair.a, pair.b), pair.merged) << to_string(pair.a) << " " << to_string(pair.b);
    EXPECT_EQ(merge(pair.b, pair.a), pair.merged) << to_string(pair.b) << " " << to_string(pair.a);
    EXPECT_EQ(is_mergeable(pair.a, pair.b), pair.merged.has_value());
  }
}

TEST(JobTypes, ThatDependOnTheStateMergeWithThemselvesAlone) {
  for (const JobType type : {try_restart, try_reload, reload_or_start}) {
    EXPECT_EQ(merge(type, type), type);
    EXPECT_EQ(merge(type, start), std::nullopt);
    EXPECT_EQ(merge(stop, type), std::nullopt);
  }
}

TEST(JobTypes, NopDisturbsNobody) {
  for (const JobType type : {start, verify_active, stop, reload, restart}) {
    EXPECT_TRUE(is_mergeable(nop, type));
    EXPECT_TRUE(is_mergeable(type, nop));
    EXPECT_TRUE(is_superset(type, nop));
  }
}

TEST(JobTypes, SupersetMeansThatTheMergedTypeIsTheFirst) {
  EXPECT_TRUE(is_superset(restart, start));
  EXPECT_TRUE(is_superset(restart, reload));
  EXPECT_TRUE(is_superset(start, verify_active));
  EXPECT_FALSE(is_superset(start, restart));
  EXPECT_FALSE(is_superset(start, stop));
  EXPECT_FALSE(is_superset(reload, start));
}

TEST(JobTypes, CollapseByTheStateOfTheUnit) {
  for (const ActiveState down :
       {ActiveState::inactive, ActiveState::failed, ActiveState::deactivating}) {
    EXPECT_EQ(collapse(try_restart, down), nop);
    EXPECT_EQ(collapse(try_reload, down), nop);
    EXPECT_EQ(collapse(reload_or_start, down), start);
    EXPECT_EQ(collapse(restart, down), restart);
  }
  for (const ActiveState up :
       {ActiveState::active, ActiveState::reloading, ActiveState::activating}) {
    EXPECT_EQ(collapse(try_restart, up), restart);
    EXPECT_EQ(collapse(try_reload, up), reload);
    EXPECT_EQ(collapse(reload_or_start, up), reload);
    EXPECT_EQ(collapse(stop, up), stop);
  }
}

TEST(JobTypes, AreRedundantWhenTheUnitIsThereAlready) {
  EXPECT_TRUE(is_redundant(start, ActiveState::active));
  EXPECT_TRUE(is_redundant(start, ActiveState::reloading));
  EXPECT_FALSE(is_redundant(start, ActiveState::activating));
  EXPECT_TRUE(is_redundant(stop, ActiveState::failed));
  EXPECT_FALSE(is_redundant(stop, ActiveState::deactivating));
  EXPECT_FALSE(is_redundant(reload, ActiveState::active));
  EXPECT_FALSE(is_redundant(restart, ActiveState::active));
}

TEST(JobTypes, WaitForEachOtherByOrderAndDirection) {
  const auto waits = [](JobType a, JobType b, bool a_after_b) {
    Job first, second;
    first.type = a;
    second.type = b;
    return waits_for(first, second, a_after_b);
  };
  EXPECT_TRUE(waits(start, start, true));
  EXPECT_FALSE(waits(start, start, false));
  EXPECT_FALSE(waits(stop, stop, true));
  EXPECT_TRUE(waits(stop, stop, false));
  // A stop goes before a start, whichever unit comes first.
  EXPECT_TRUE(waits(start, stop, true));
  EXPECT_TRUE(waits(start, stop, false));
  EXPECT_FALSE(waits(stop, start, true));
  EXPECT_FALSE(waits(stop, start, false));
  EXPECT_FALSE(waits(nop, start, true));
  EXPECT_TRUE(waits(start, restart, false));
}

TEST(JobTypes, IgnoreDependenciesWaitsForNobody) {
  Job first, second;
  first.ignore_order = true;
  EXPECT_FALSE(waits_for(first, second, true));
  EXPECT_FALSE(waits_for(second, first, true));
}

}  // namespace
}  // namespace pidward::engine
