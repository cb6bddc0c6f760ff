#include "sys/features.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "sys/cgroup.hpp"
#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"

namespace pidward::sys {
namespace {

TEST(KernelFeatures, HaveWhatIsRequiredHere) {
  const auto features = KernelFeatures::probe();
  ASSERT_TRUE(features);
  EXPECT_TRUE(features->has(Feature::pidfd));
  EXPECT_TRUE(features->has(Feature::clone3));
  EXPECT_TRUE(features->check_required());
}

TEST(KernelFeatures, AreProbedWithoutLeavingAnythingBehind) {
  const std::size_t before = test::open_descriptors();
  const auto own = *find_cgroup_mount() ? CgroupDir::open(**find_cgroup_mount(), *own_cgroup_path())
                                        : Result<CgroupDir>(Error(Errc::not_found, "no cgroup"));
  const auto groups_before = own ? *own->children() : std::vector<std::string>{};
  { ASSERT_TRUE(KernelFeatures::probe()); }
  const auto groups_after = own ? *own->children() : std::vector<std::string>{};
  EXPECT_EQ(test::open_descriptors(), before + (own ? 1 : 0));
  const std::string probe = "pidward-probe-" + std::to_string(raw_syscall(SYS_getpid));
  EXPECT_EQ(std::count(groups_after.begin(), groups_after.end(), probe), 0);
  EXPECT_EQ(raw_syscall(SYS_waitid, 0, 0, nullptr, 4 | 1 | 0x40000000, nullptr), -ECHILD);
}

// The probe of autokill is collected by the kernel, after it is known to have ended.
TEST(KernelFeatures, AreProbedWithoutLeavingAChild) {
  if (!read_file("/proc/thread-self/children")) GTEST_SKIP() << "This kernel lists no children";
  for (int round = 0; round < 30; ++round) {
    ASSERT_TRUE(KernelFeatures::probe());
    EXPECT_EQ(*read_file("/proc/thread-self/children"), "") << "in round " << round;
  }
}

TEST(KernelFeatures, EachCanBeSwitchedOff) {
  for (const FeatureText& text : feature_texts()) {
    const auto features = KernelFeatures::probe({std::string(text.name)});
    ASSERT_TRUE(features) << text.name;
    EXPECT_EQ(features->state(text.feature), FeatureState::disabled) << text.name;
    EXPECT_EQ(features->check_required().has_value(), !text.required) << text.name;
  }
}

TEST(KernelFeatures, TakeWithThemWhatRestsOnThem) {
  const auto features = KernelFeatures::probe({"pidfs", "cgroup"});
  ASSERT_TRUE(features);
  for (const Feature feature :
       {Feature::pidfd_info, Feature::pidfd_exit_info, Feature::pidfs_handles,
        Feature::pidfs_xattrs, Feature::cgroup_kill, Feature::clone_into_cgroup}) {
    EXPECT_FALSE(features->has(feature)) << feature_text(feature).name;
  }
}

TEST(KernelFeatures, RefuseUnknownNamesAndListTheKnown) {
  const auto refused = KernelFeatures::probe({"time-travel"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
  EXPECT_NE(refused.error().to_string().find("cgroup-kill"), std::string::npos);
}

TEST(KernelFeatures, NamesAreSplitAtCommasAndSpaces) {
  EXPECT_EQ(KernelFeatures::split_names(" a,b , c\n"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(KernelFeatures::split_names(", ,").empty());
}

TEST(KernelFeatures, AreMissingWhereTheKernelRefuses) {
  test::FaultyKernel kernel;
  kernel.fail(SYS_clone3, ENOSYS, 0, -1);
  kernel.fail(SYS_ioctl, ENOTTY, 0, -1);
  kernel.fail(SYS_setsockopt, ENOPROTOOPT, 0, -1);
  kernel.fail(SYS_fsetxattr, EOPNOTSUPP, 0, -1);
  kernel.fail(SYS_name_to_handle_at, EOPNOTSUPP, 0, -1);
  const auto features = KernelFeatures::probe();
  ASSERT_TRUE(features);
  for (const Feature feature :
       {Feature::clone3, Feature::pidfd_info, Feature::pidfd_exit_info, Feature::pass_pidfd,
        Feature::pidfs_xattrs, Feature::pidfs_handles, Feature::autokill}) {
    EXPECT_EQ(features->state(feature), FeatureState::missing) << feature_text(feature).name;
  }
  const auto refused = features->check_required();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("clone3"), std::string::npos);
}

TEST(KernelFeatures, AreMissingWithoutAWritableCgroup) {
  test::FaultyKernel kernel;
  kernel.fail(SYS_mkdirat, EROFS, 0, -1);
  const auto features = KernelFeatures::probe();
  ASSERT_TRUE(features);
  EXPECT_EQ(features->state(Feature::cgroup), FeatureState::missing);
  EXPECT_EQ(features->state(Feature::cgroup_kill), FeatureState::missing);
  EXPECT_TRUE(features->check_required());
}

TEST(KernelFeatures, EachHasANameAndSentences) {
  std::set<std::string_view> names;
  for (const FeatureText& text : feature_texts()) {
    names.insert(text.name);
    EXPECT_TRUE(text.what.ends_with('.')) << text.name;
    EXPECT_TRUE(text.instead.ends_with('.')) << text.name;
    EXPECT_FALSE(text.since.empty()) << text.name;
  }
  EXPECT_EQ(names.size(), kFeatureCount);
}

}  // namespace
}  // namespace pidward::sys
