#include "unit/environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Words = std::vector<std::string>;

ExpandedCommand expand(Words argv, const Words& environment, bool no_env_expand = false) {
  ExecCommand command;
  command.argv = std::move(argv);
  command.no_env_expand = no_env_expand;
  return expand_command(command, environment);
}

TEST(CommandVariables, ReadTheExamplesOfTheManualPage) {
  const Words environment{"ONE=one", "TWO='two two'"};
  EXPECT_THAT(expand({"/bin/echo", "$ONE", "$TWO", "${TWO}"}, environment).argv,
              ElementsAre("/bin/echo", "one", "two two", "'two two'"));
  const Words three{"ONE=one", "TWO=two two too", "THREE="};
  EXPECT_THAT(expand({"/bin/echo", "${ONE}", "${TWO}", "${THREE}"}, three).argv,
              ElementsAre("/bin/echo", "one", "two two too", ""));
  EXPECT_THAT(expand({"/bin/echo", "$ONE", "$TWO", "$THREE"}, three).argv,
              ElementsAre("/bin/echo", "one", "two", "two", "too"));
}

TEST(CommandVariables, WithoutAValueVanishAndAreReported) {
  const ExpandedCommand result = expand({"a", "$X", "${X}", "b${Y}c"}, {});
  EXPECT_THAT(result.argv, ElementsAre("a", "", "bc"));
  EXPECT_THAT(result.unset, ElementsAre("X", "Y"));
}

TEST(CommandVariables, LeaveToTheShellWhatOnlyAShellKnows) {
  const ExpandedCommand result =
      expand({"sh", "-c", "[${X:-default}] [${A:+set}] ${A} [${X-y}]"}, {"A=1"});
  EXPECT_EQ(result.argv.back(), "[${X:-default}] [${A:+set}] 1 []");
  EXPECT_THAT(result.unset, ElementsAre("X-y"));
}

TEST(CommandVariables, AreReplacedWithinWordsOnlyInBraces) {
  EXPECT_THAT(expand({"x${A}y$A", "$$A", "a$$", "${A", "$", "${A}${A}"}, {"A=1"}).argv,
              ElementsAre("x1y$A", "$A", "a$", "${A", "$", "11"));
}

TEST(CommandVariables, AreLeftAloneWithAColon) {
  EXPECT_THAT(expand({"a", "$A", "${A}", "$$"}, {"A=1"}, true).argv,
              ElementsAre("a", "$A", "${A}", "$$"));
}

TEST(CommandVariables, WithOddQuotesAreStillSplit) {
  EXPECT_THAT(expand({"a", "$A"}, {"A=b \"c d"}).argv, ElementsAre("a", "b", "c d"));
  EXPECT_THAT(expand({"a", "$A"}, {"A=b\\"}).argv, ElementsAre("a", "b"));
}

TEST(Variables, AreFoundSetAndRemoved) {
  Words environment{"A=1", "AB=2"};
  EXPECT_EQ(find_variable(environment, "A"), "1");
  EXPECT_EQ(find_variable(environment, "B"), std::nullopt);
  set_variable(environment, "A=3");
  set_variable(environment, "C=");
  EXPECT_THAT(environment, ElementsAre("A=3", "AB=2", "C="));
  unset_variables(environment, {"A", "AB=9", "C="});
  EXPECT_THAT(environment, ElementsAre("AB=2"));
}

Words file(std::string_view text) {
  const EnvironmentFileText result = read_environment_file(text, "/etc/default/x");
  EXPECT_THAT(result.diagnostics, IsEmpty()) << text;
  return result.assignments;
}

TEST(EnvironmentFile, HasCommentsAndAssignments) {
  EXPECT_THAT(file("# c\n; d\n\nA=1\n  B = two words  \nA=3"), ElementsAre("A=3", "B=two words"));
  EXPECT_THAT(file("A=\nB=x\r\nC=y"), ElementsAre("A=", "B=x", "C=y"));
}

TEST(EnvironmentFile, UnquotesAsAShellWould) {
  EXPECT_THAT(file("A='a \\n $x \"q\"'"), ElementsAre("A=a \\n $x \"q\""));
  EXPECT_THAT(file("A=\"a \\\" \\$ \\` \\\\ \\n\""), ElementsAre("A=a \" $ ` \\ \\n"));
  EXPECT_THAT(file("A=a\\ b\\c  "), ElementsAre("A=a bc"));
  EXPECT_THAT(file("A='x''y'\"z\""), ElementsAre("A=xyz"));
  EXPECT_THAT(file("A=it's # no comment"), ElementsAre("A=it's # no comment"));
}

TEST(EnvironmentFile, GoesOnOverLines) {
  EXPECT_THAT(file("A=one\\\ntwo\nB=\"x\ny\"\nC='p\nq'"),
              ElementsAre("A=onetwo", "B=x\ny", "C=p\nq"));
  EXPECT_THAT(file("# comment \\\nA=still comment\nB=1"), ElementsAre("B=1"));
}

TEST(EnvironmentFile, LeavesBadLinesOutAndSaysWhere) {
  const EnvironmentFileText result =
      read_environment_file("A=1\nexport B=2\nnonsense\n3C=4\nD=\xff\nE=5", "/etc/default/x");
  EXPECT_THAT(result.assignments, ElementsAre("A=1", "E=5"));
  ASSERT_THAT(result.diagnostics, SizeIs(4));
  EXPECT_THAT(result.diagnostics[0].to_string(),
              HasSubstr("/etc/default/x:2: warning: 'export B' is not a name"));
  EXPECT_THAT(result.diagnostics[0].advice, HasSubstr("not a shell script"));
  EXPECT_THAT(result.diagnostics[1].message, HasSubstr("'nonsense' is no assignment"));
  EXPECT_EQ(result.diagnostics[3].where.line, 5U);
}

TEST(EnvironmentFile, SurvivesWhateverItIsGiven) {
  for (const std::string_view text : {"", "=", "A", "A=\\", "A=\"", "A='", "\\", "=\n=\n", "#\\"}) {
    read_environment_file(text, "x");
  }
  std::string noise;
  for (int i = 0; i < 100000; ++i) noise += "garbage\n";
  EXPECT_THAT(read_environment_file(noise, "x").diagnostics, SizeIs(20));
}

}  // namespace
}  // namespace pidward::unit
