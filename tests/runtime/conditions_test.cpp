#include "runtime/conditions/conditions.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/conditions/check.hpp"
#include "runtime/posix_files.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::runtime {
namespace {

using test::TemporaryDirectory;

bool is_met(const std::string& kind, const std::string& parameter,
            const ConditionContext& context = {}) {
  unit::Condition condition;
  condition.kind = kind;
  condition.parameter = parameter;
  const auto answer = check_condition(condition, context);
  EXPECT_TRUE(answer) << kind << "=" << parameter;
  return answer && *answer;
}

unit::Condition line(const std::string& kind, const std::string& parameter, bool trigger = false,
                     bool negate = false, bool is_assert = false) {
  unit::Condition condition;
  condition.kind = kind;
  condition.parameter = parameter;
  condition.trigger = trigger;
  condition.negate = negate;
  condition.is_assert = is_assert;
  return condition;
}

TEST(Conditions, AboutFilesAskTheFileSystem) {
  const TemporaryDirectory directory;
  const std::string file = directory.path() + "/file";
  EXPECT_FALSE(is_met("DirectoryNotEmpty", directory.path()));
  ASSERT_TRUE(replace_file(file, ""));
  ASSERT_EQ(::symlink("file", (directory.path() + "/link").c_str()), 0);
  EXPECT_TRUE(is_met("PathExists", file));
  EXPECT_FALSE(is_met("PathExists", file + "x"));
  EXPECT_TRUE(is_met("PathExistsGlob", directory.path() + "/f*"));
  EXPECT_FALSE(is_met("PathExistsGlob", directory.path() + "/z*"));
  EXPECT_TRUE(is_met("PathIsDirectory", directory.path()));
  EXPECT_FALSE(is_met("PathIsDirectory", file));
  EXPECT_TRUE(is_met("PathIsSymbolicLink", directory.path() + "/link"));
  EXPECT_FALSE(is_met("PathIsSymbolicLink", file));
  EXPECT_TRUE(is_met("PathIsMountPoint", "/proc"));
  EXPECT_FALSE(is_met("PathIsMountPoint", directory.path()));
  EXPECT_TRUE(is_met("PathIsReadWrite", directory.path()));
  EXPECT_TRUE(is_met("DirectoryNotEmpty", directory.path()));
  EXPECT_FALSE(is_met("FileNotEmpty", file));
  EXPECT_FALSE(is_met("FileIsExecutable", file));
  ASSERT_TRUE(replace_file(file, "x"));
  ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
  EXPECT_TRUE(is_met("FileNotEmpty", file));
  EXPECT_TRUE(is_met("FileIsExecutable", file));
}

TEST(Conditions, AboutTheSystemAskTheSystem) {
  EXPECT_TRUE(is_met("Architecture", "native"));
  EXPECT_FALSE(is_met("Architecture", "parisc"));
  EXPECT_TRUE(is_met("KernelVersion", ">=5.10"));
  EXPECT_FALSE(is_met("KernelVersion", "<5.10"));
  EXPECT_FALSE(is_met("KernelCommandLine", "certainly-not-there"));
  EXPECT_TRUE(is_met("CPUs", ">=1"));
  EXPECT_FALSE(is_met("CPUs", ">100000"));
  EXPECT_TRUE(is_met("Memory", "1M"));
  EXPECT_TRUE(is_met("User", std::to_string(::getuid())));
  EXPECT_FALSE(is_met("User", "no-such-user-anywhere"));
  EXPECT_TRUE(is_met("Group", std::to_string(::getgid())));
  EXPECT_FALSE(is_met("Security", "smack"));
  EXPECT_FALSE(is_met("OSRelease", "ID=no-such-system"));
  ConditionContext context;
  context.environment = {"A=1"};
  EXPECT_TRUE(is_met("Environment", "A", context));
  EXPECT_TRUE(is_met("Environment", "A=1", context));
  EXPECT_FALSE(is_met("Environment", "A=2", context));
  context.unified_control_groups = true;
  EXPECT_TRUE(is_met("ControlGroupController", "v2", context));
  // Names that nobody knows are ignored (systemd.unit(5)).
  EXPECT_TRUE(is_met("ControlGroupController", "no-such-controller", context));
  EXPECT_FALSE(is_met("ControlGroupController", "cpu no-such-controller", context));
  EXPECT_EQ(is_met("CPUFeature", "FPU"), is_met("CPUFeature", "fpu"));
}

TEST(Conditions, EveryKindOfTheManualIsKnown) {
  for (const char* kind : {"PathExists",
                           "PathExistsGlob",
                           "PathIsDirectory",
                           "PathIsSymbolicLink",
                           "PathIsMountPoint",
                           "PathIsReadWrite",
                           "PathIsEncrypted",
                           "DirectoryNotEmpty",
                           "FileNotEmpty",
                           "FileIsExecutable",
                           "NeedsUpdate",
                           "FirstBoot",
                           "Architecture",
                           "Firmware",
                           "Virtualization",
                           "Host",
                           "KernelCommandLine",
                           "KernelVersion",
                           "Credential",
                           "Environment",
                           "Security",
                           "Capability",
                           "ACPower",
                           "Memory",
                           "CPUFeature",
                           "CPUs",
                           "User",
                           "Group",
                           "ControlGroupController",
                           "OSRelease",
                           "MemoryPressure",
                           "CPUPressure",
                           "IOPressure"}) {
    const auto answer = check_condition(line(kind, ""), {});
    EXPECT_TRUE(answer || answer.error().code() != Errc::not_supported) << kind;
  }
  EXPECT_EQ(check_condition(line("Moon", "full"), {}).error().code(), Errc::not_supported);
}

TEST(Conditions, PlainOnesAllHoldAndOfTriggersOne) {
  EXPECT_TRUE(check_conditions({}, {}).conditions_ok);
  EXPECT_TRUE(check_conditions({line("PathExists", "/"), line("PathExists", "/none", true),
                                line("PathExists", "/proc", true)},
                               {})
                  .conditions_ok);
  const auto none = check_conditions({line("PathExists", "/none", true)}, {});
  EXPECT_FALSE(none.conditions_ok);
  EXPECT_EQ(none.failed, "ConditionPathExists=|/none");
  const auto negated = check_conditions({line("PathExists", "/", false, true)}, {});
  EXPECT_FALSE(negated.conditions_ok);
  EXPECT_EQ(negated.failed, "ConditionPathExists=!/");
}

TEST(Conditions, AssertsAreCountedApart) {
  const auto outcome = check_conditions({line("PathExists", "/none", false, false, true)}, {});
  EXPECT_TRUE(outcome.conditions_ok);
  EXPECT_FALSE(outcome.asserts_ok);
  EXPECT_EQ(outcome.failed, "AssertPathExists=/none");
}

TEST(Conditions, WhatCannotBeAskedIsNotMetAndSaid) {
  const auto outcome = check_conditions({line("CPUs", "many")}, {});
  EXPECT_FALSE(outcome.conditions_ok);
  EXPECT_EQ(outcome.complaints.size(), 1U);
}

}  // namespace
}  // namespace pidward::runtime
