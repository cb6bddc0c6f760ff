#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ExecList commands(std::string_view text) {
  auto value = parse_value(row(Directive::ExecStart), text);
  EXPECT_TRUE(value.has_value()) << text << ": " << (value ? "" : value.error().message());
  return value ? std::get<ExecList>(*value) : ExecList();
}

ExecCommand command(std::string_view text) {
  ExecList list = commands(text);
  EXPECT_EQ(list.size(), 1U) << text;
  return list.empty() ? ExecCommand() : list.front();
}

std::string complaint(std::string_view text) {
  auto value = parse_value(row(Directive::ExecStart), text);
  EXPECT_FALSE(value.has_value()) << text;
  return value ? "" : value.error().message();
}

TEST(ExecLine, HasAProgramAndArguments) {
  const ExecCommand echo = command("/bin//echo one 'two two' \"three three\"");
  EXPECT_EQ(echo.path, "/bin/echo");
  EXPECT_THAT(echo.argv, ElementsAre("/bin/echo", "one", "two two", "three three"));
}

TEST(ExecLine, TakesANameToLookUp) {
  EXPECT_EQ(command("echo hello").path, "echo");
}

TEST(ExecLine, KnowsEveryPrefix) {
  EXPECT_TRUE(command("-/bin/a").ignore_failure);
  EXPECT_TRUE(command(":/bin/a").no_env_expand);
  EXPECT_TRUE(command("+/bin/a").full_privileges);
  EXPECT_TRUE(command("!/bin/a").no_setuid);
  EXPECT_TRUE(command("!!/bin/a").ambient_magic);
  EXPECT_FALSE(command("!!/bin/a").no_setuid);
  const ExecCommand all = command("-:+@/bin/a zero one");
  EXPECT_TRUE(all.ignore_failure && all.no_env_expand && all.full_privileges);
  EXPECT_EQ(all.path, "/bin/a");
  EXPECT_THAT(all.argv, ElementsAre("zero", "one"));
}

TEST(ExecLine, RefusesPrefixesThatExcludeEachOther) {
  EXPECT_THAT(complaint("+!/bin/a"), HasSubstr("'!/bin/a' is not a program"));
  EXPECT_THAT(complaint("!!+/bin/a"), HasSubstr("is not a program"));
  EXPECT_THAT(complaint("!!!/bin/a"), HasSubstr("is not a program"));
  EXPECT_THAT(complaint("--/bin/a"), HasSubstr("is not a program"));
}

TEST(ExecLine, IsSplitAtLoneSemicolons) {
  const ExecList list = commands("/bin/echo one ; -/bin/echo \"two two\" ;");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_THAT(list[0].argv, ElementsAre("/bin/echo", "one"));
  EXPECT_THAT(list[1].argv, ElementsAre("/bin/echo", "two two"));
  EXPECT_TRUE(list[1].ignore_failure);
}

TEST(ExecLine, KeepsSemicolonsThatAreEscapedQuotedOrPartOfAWord) {
  EXPECT_THAT(command(R"(/bin/echo a \; b ';' c;d)").argv,
              ElementsAre("/bin/echo", "a", ";", "b", ";", "c;d"));
  EXPECT_THAT(command(R"(/bin/echo \;)").argv, ElementsAre("/bin/echo", ";"));
}

TEST(ExecLine, LeavesShellCharactersAndVariablesAlone) {
  EXPECT_THAT(command("/bin/echo / >/dev/null & $ONE ${TWO} |ls").argv,
              ElementsAre("/bin/echo", "/", ">/dev/null", "&", "$ONE", "${TWO}", "|ls"));
}

TEST(ExecLine, KeepsUnknownEscapesWithANote) {
  std::vector<ParseNote> notes;
  ParseContext context;
  context.notes = &notes;
  auto value = parse_value(row(Directive::ExecStart), R"(/bin/sed s/\./x/ \x41)", context);
  EXPECT_THAT(std::get<ExecList>(*value)[0].argv, ElementsAre("/bin/sed", R"(s/\./x/)", "A"));
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_FALSE(notes[0].dropped);
}

TEST(ExecLine, SaysWhatIsWrong) {
  EXPECT_THAT(complaint("foo/bar"), HasSubstr("'foo/bar' is not a program"));
  EXPECT_THAT(complaint("/bin/"), HasSubstr("directory"));
  EXPECT_THAT(complaint("@/bin/x"), HasSubstr("no argv[0]"));
  EXPECT_THAT(complaint("-"), HasSubstr("no program"));
  EXPECT_THAT(complaint("/bin/echo \"x"), HasSubstr("never closed"));
  EXPECT_THAT(complaint("\"/bin/a\\nb\""), HasSubstr("control characters"));
  EXPECT_THAT(complaint("; /bin/a"), HasSubstr("no command in front"));
  EXPECT_THAT(complaint("/bin/a ; ; /bin/b"), HasSubstr("no command in front"));
}

TEST(ExecLine, ForgivesWhatADashForgives) {
  std::vector<ParseNote> notes;
  ParseContext context;
  context.notes = &notes;
  auto value = parse_value(row(Directive::ExecStop), "/bin/a ; -foo/bar", context);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(std::get<ExecList>(*value).size(), 1U);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_TRUE(notes[0].dropped);
}

TEST(ExecLine, ExpandsSpecifiersWordByWord) {
  const UnitName name = *UnitName::parse("web@ab.service");
  SpecifierContext specifiers;
  specifiers.runtime_root = "/run with blank";
  ParseContext context;
  context.name = &name;
  context.specifiers = &specifiers;
  auto value = parse_value(row(Directive::ExecStart), "/bin/%p %i --dir=%t %%", context);
  ASSERT_TRUE(value.has_value()) << value.error().message();
  EXPECT_EQ(std::get<ExecList>(*value)[0].path, "/bin/web");
  EXPECT_THAT(std::get<ExecList>(*value)[0].argv,
              ElementsAre("/bin/web", "ab", "--dir=/run with blank", "%"));
}

TEST(ExecLine, ComesBackFromFormatting) {
  for (const char* text :
       {"/bin/echo one 'two two'", "-:@/bin/a zero one", "!!name x", "+/bin/a ';' \"\\n\" $X ''",
        "/bin/a \"quote\\\"d\" back\\\\slash #no", "'/bin/with blank' x", "!/bin/a"}) {
    const ExecList before = commands(text);
    const auto lines = format_value(row(Directive::ExecStart), Value(before));
    ASSERT_EQ(lines.size(), before.size());
    EXPECT_EQ(commands(lines[0].text), before) << lines[0].text;
  }
}

}  // namespace
}  // namespace pidward::unit
