// Small readers and deciders of the runtime that touch nothing.
#include <gtest/gtest.h>

#include "runtime/cgroup_tree.hpp"
#include "runtime/conditions/words.hpp"
#include "runtime/external_units.hpp"
#include "runtime/pid_files.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/system_facts.hpp"
#include "runtime/version.hpp"

namespace pidward::runtime {
namespace {

TEST(Versions, OrderAsTheSpecificationSays) {
  // In ascending order, each below all that follow.
  const char* const kOrder[] = {"~", "", "1~rc1", "1", "1^post", "1.1", "2", "10", "10a", "11"};
  for (std::size_t i = 0; i < std::size(kOrder); ++i) {
    for (std::size_t j = 0; j < std::size(kOrder); ++j) {
      const int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(compare_versions(kOrder[i], kOrder[j]), expected) << kOrder[i] << " " << kOrder[j];
    }
  }
  EXPECT_EQ(compare_versions("6.01", "6.1"), 0);
  EXPECT_LT(compare_versions("6.9", "6.10"), 0);
}

TEST(Versions, OperatorsAreTakenOffTheFront) {
  std::string_view text = ">= 6.1";
  EXPECT_EQ(take_comparison(text), Comparison::greater_or_equal);
  EXPECT_EQ(text, "6.1");
  EXPECT_TRUE(version_matches("6.18.1", Comparison::greater_or_equal, "6.1"));
  EXPECT_TRUE(version_matches("6.18.1", Comparison::none, "6.18*"));
  EXPECT_FALSE(version_matches("6.18.1", Comparison::not_glob, "6.*"));
}

TEST(SystemFacts, ArchitecturesHaveSystemdsNames) {
  EXPECT_EQ(architecture_name("x86_64"), "x86-64");
  EXPECT_EQ(architecture_name("aarch64"), "arm64");
  EXPECT_EQ(architecture_name("i686"), "x86");
  EXPECT_EQ(architecture_name("pdp11"), "");
}

TEST(SystemFacts, OsReleaseIsReadAsAShellWould) {
  const auto fields =
      parse_os_release("# c\nID=debian\nNAME=\"A \\\"B\\\"\"\nX='y z'\nbroken\n=no\n");
  EXPECT_EQ(fields.at("ID"), "debian");
  EXPECT_EQ(fields.at("NAME"), "A \"B\"");
  EXPECT_EQ(fields.at("X"), "y z");
  EXPECT_EQ(fields.size(), 3U);
}

TEST(SocketAddress, ReadsEveryForm) {
  EXPECT_EQ(parse_socket_address("/run/x")->path, "/run/x");
  EXPECT_EQ(parse_socket_address("@abstract")->family(), AF_UNIX);
  EXPECT_EQ(parse_socket_address("8080")->family(), AF_INET6);
  EXPECT_EQ(parse_socket_address("8080", false)->family(), AF_INET);
  for (const char* text : {"127.0.0.1:80", "[::1]:80"}) {
    const auto address = parse_socket_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(format_socket_address(address->storage, address->length), text);
  }
  EXPECT_EQ(parse_socket_address("vsock::1234")->family(), AF_VSOCK);
}

TEST(SocketAddress, SaysWhatIsWrong) {
  for (const char* text :
       {"", "0", "65536", "host:80", "[::1]", "[zz]:80", "1.2.3.4:", "vsock:x", "@"}) {
    const auto address = parse_socket_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_NE(address.error().message().find("is not a socket address"), std::string::npos);
  }
  EXPECT_FALSE(parse_socket_address("/" + std::string(200, 'x')));
}

TEST(PidFile, TakesANumberAndNothingElse) {
  EXPECT_EQ(*parse_pid_file("  4711\n"), 4711);
  for (const char* text : {"", " \n", "abc", "12x", "-5", "0", "99999999999", "1 2"}) {
    EXPECT_FALSE(parse_pid_file(text)) << text;
  }
}

TEST(CgroupTree, CountsProcessesKilledForLackOfMemory) {
  EXPECT_EQ(parse_oom_kills("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"), 2U);
  EXPECT_EQ(parse_oom_kills("oom_group_kill 1\n"), 0U);
  EXPECT_EQ(parse_oom_kills(""), 0U);
}

TEST(ExternalUnits, ReadTheKernelsTables) {
  const auto mounts = parse_mount_points(
      "25 1 0:22 / / rw - ext4 /dev/vda rw\n26 25 0:23 / /with\\040blank rw - tmpfs tmpfs "
      "rw\nshort\n");
  EXPECT_TRUE(mounts.contains("/") && mounts.contains("/with blank"));
  EXPECT_EQ(mounts.size(), 2U);
  const auto swaps = parse_swaps("Filename Type Size\n/dev/sda2 partition 100 0 -2\n");
  EXPECT_EQ(swaps.size(), 1U);
}

TEST(ConditionWords, AreReadAsDocumented) {
  EXPECT_EQ(conditions::parse_size("2K"), 2048U);
  EXPECT_EQ(conditions::parse_size("2X"), std::nullopt);
  EXPECT_EQ(conditions::parse_boolean("On"), true);
  EXPECT_EQ(conditions::parse_boolean("maybe"), std::nullopt);
  EXPECT_EQ(conditions::split_quoted("a 'b c' \"\"").size(), 3U);
}

TEST(CgroupPaths, FollowTheSlice) {
  unit::UnitSpec spec(*unit::UnitName::parse("web.service"));
  EXPECT_EQ(group_path_of(spec, false), "system.slice/web.service");
  EXPECT_EQ(group_path_of(spec, true), "app.slice/web.service");
  spec.settings.set(unit::Directive::Slice, std::string("a-b.slice"));
  EXPECT_EQ(group_path_of(spec, false), "a.slice/a-b.slice/web.service");
  const unit::UnitSpec odd(*unit::UnitName::parse("_x.service"));
  EXPECT_EQ(group_path_of(odd, false), "system.slice/__x.service");
}

TEST(CgroupPaths, TheBaseIsOursOnlyWhenWeAreAlone) {
  BaseGroupFacts facts;
  facts.own = "/system.slice/pidward.service";
  facts.default_name = "pidward";
  EXPECT_EQ(choose_base_group(facts).path, "/system.slice/pidward.service/pidward");
  facts.alone = true;
  EXPECT_EQ(choose_base_group(facts).path, facts.own);
  EXPECT_TRUE(choose_base_group(facts).move_self);
  facts.configured = "/mine/";
  EXPECT_EQ(choose_base_group(facts).path, facts.own + "/mine");
  facts = {};
  facts.own = "/";
  facts.alone = true;
  facts.default_name = "pidward";
  EXPECT_EQ(choose_base_group(facts).path, "/pidward");
}

}  // namespace
}  // namespace pidward::runtime
