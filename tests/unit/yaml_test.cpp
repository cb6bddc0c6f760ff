#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/enums.hpp"
#include "unit/syntax/fragment.hpp"

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

UnitSpec read(const std::string& text, const std::string& base = {}) {
  static const SpecifierContext specifiers;
  UnitSpec spec(*UnitName::parse("web.service"));
  const ReadContext context{spec.name, &specifiers, false, {}};
  if (!base.empty()) read_fragment({"/base", base, false}, context, spec);
  read_fragment({"/web.service.yaml", text, true}, context, spec);
  return spec;
}

std::vector<std::string> said(const UnitSpec& spec) {
  std::vector<std::string> lines;
  for (const Diagnostic& each : spec.diagnostics) {
    EXPECT_EQ(each.severity, Diagnostic::Severity::error) << each.message;
    lines.push_back(std::to_string(each.where.line) + ":" + std::to_string(each.where.column) +
                    " " + each.message + (each.advice.empty() ? "" : " [" + each.advice + "]"));
  }
  return lines;
}

TEST(Yaml, ReadsTheExampleOfTheDesign) {
  const UnitSpec spec = read(
      "Unit:\n  Description: Web server\n  After: [network.target, db.service]\nService:\n"
      "  ExecStart: /usr/sbin/nginx -g \"daemon off;\"\n  Restart: on-failure\n  Environment: "
      "{LANG: C.UTF-8}\n"
      "Install:\n  WantedBy: multi-user.target\n");
  EXPECT_THAT(said(spec), IsEmpty());
  EXPECT_EQ(spec.settings.string(Directive::Description), "Web server");
  EXPECT_THAT(spec.dependencies, SizeIs(2));
  EXPECT_THAT(spec.settings.commands(Directive::ExecStart).at(0).argv,
              ElementsAre("/usr/sbin/nginx", "-g", "daemon off;"));
  EXPECT_THAT(spec.settings.words(Directive::Environment), ElementsAre("LANG=C.UTF-8"));
  EXPECT_THAT(spec.settings.words(Directive::WantedBy), ElementsAre("multi-user.target"));
}

TEST(Yaml, TakesTheWordsOfACommandAsTheyAre) {
  const UnitSpec spec =
      read("Service:\n  ExecStart: [-/bin/a, two words, 'quote\"', ';', back\\slash, '', '# x']\n");
  EXPECT_THAT(said(spec), IsEmpty());
  ASSERT_THAT(spec.settings.commands(Directive::ExecStart), SizeIs(1));
  const ExecCommand& command = spec.settings.commands(Directive::ExecStart)[0];
  EXPECT_TRUE(command.ignore_failure);
  EXPECT_THAT(command.argv,
              ElementsAre("/bin/a", "two words", "quote\"", ";", "back\\slash", "", "# x"));
}

TEST(Yaml, TakesSeveralCommandsAsAListOfLists) {
  const UnitSpec spec =
      read("Service:\n  ExecStartPre:\n    - [/bin/a, x y]\n    - /bin/b 'c d'\n");
  EXPECT_THAT(said(spec), IsEmpty());
  ASSERT_THAT(spec.settings.commands(Directive::ExecStartPre), SizeIs(2));
  EXPECT_THAT(spec.settings.commands(Directive::ExecStartPre)[1].argv,
              ElementsAre("/bin/b", "c d"));
}

TEST(Yaml, NoticesCommandLinesWhereWordsAreExpected) {
  EXPECT_THAT(said(read("Service:\n  ExecStartPre: [/bin/a x, /bin/b y]\n")),
              ElementsAre(AllOf(HasSubstr("2:18 '/bin/a x' is not a program"),
                                HasSubstr("[Write several commands"))));
  EXPECT_THAT(said(read("Service:\n  ExecStart: []\n")),
              ElementsAre(HasSubstr("a command without words")));
  EXPECT_THAT(said(read("Service:\n  ExecStart: [[[a]]]\n")),
              ElementsAre(HasSubstr("lists of words")));
}

TEST(Yaml, ResetsWithNull) {
  const UnitSpec spec = read("Service:\n  ExecStart: [~, [/bin/b]]\n  User:\n  Environment: ''\n",
                             "[Service]\nExecStart=/bin/a\nUser=www\nEnvironment=A=1\n");
  EXPECT_THAT(said(spec), IsEmpty());
  EXPECT_THAT(spec.settings.commands(Directive::ExecStart), SizeIs(1));
  EXPECT_FALSE(spec.settings.is_set(Directive::User));
  EXPECT_FALSE(spec.settings.is_set(Directive::Environment));
}

TEST(Yaml, KeepsEnvironmentValuesWhole) {
  const UnitSpec spec = read(
      "Service:\n  Environment:\n    A: two words\n    B: \"line\\nbreak \\\"x\\\"\"\n    C: 5\n   "
      " D:\n");
  EXPECT_THAT(said(spec), IsEmpty());
  EXPECT_THAT(spec.settings.words(Directive::Environment),
              ElementsAre("A=two words", "B=line\nbreak \"x\"", "C=5", "D="));
  EXPECT_THAT(
      read("Service:\n  Environment: [A=b c, D=e]\n").settings.words(Directive::Environment),
      ElementsAre("A=b c", "D=e"));
}

TEST(Yaml, ReadsScalarsAsText) {
  const UnitSpec spec =
      read("Service:\n  RemainAfterExit: true\n  Nice: -5\n  UMask: 0027\n  RestartSec: 1.5\n");
  EXPECT_THAT(said(spec), IsEmpty());
  EXPECT_TRUE(spec.settings.boolean(Directive::RemainAfterExit));
  EXPECT_EQ(spec.settings.integer(Directive::Nice), -5);
  EXPECT_EQ(spec.settings.integer(Directive::UMask), 027);
  EXPECT_EQ(spec.settings.span(Directive::RestartSec), std::chrono::milliseconds(1500));
}

TEST(Yaml, ReadsBlockScalars) {
  const UnitSpec spec = read(
      "Service:\n  ExecStart: >\n    /bin/a\n    b c\n  StandardInputText: |\n    one\n\n    "
      "two\n");
  EXPECT_THAT(said(spec), IsEmpty());
  EXPECT_THAT(spec.settings.commands(Directive::ExecStart).at(0).argv,
              ElementsAre("/bin/a", "b", "c"));
  EXPECT_EQ(spec.settings.string(kInputDataStore), "one\n \ntwo\n");
  EXPECT_THAT(said(read("Unit:\n  Description: |\n    a\n    b\n")),
              ElementsAre(HasSubstr("single line")));
}

TEST(Yaml, FindsUnknownNamesWithTheirPlace) {
  EXPECT_THAT(
      said(read("Unit:\n  Descripton: x\nServce:\n  User: x\nX-Mine: {a: [b]}\n")),
      ElementsAre("2:3 there is no Descripton= in [Unit]; the line is left out [Did you mean "
                  "Description=?]",
                  "3:1 there is no section [Servce]; it is left out [Did you mean [Service]?]"));
}

TEST(Yaml, RefusesShapesThatMeanNothing) {
  EXPECT_THAT(said(read("just text")),
              ElementsAre(HasSubstr("1:1 a unit file is a map of sections")));
  EXPECT_THAT(said(read("Unit: text")),
              ElementsAre(HasSubstr("1:7 the section Unit must be a map")));
  EXPECT_THAT(said(read("Service:\n  User: [a, b]\n")),
              ElementsAre(HasSubstr("2:9 User= takes a single value")));
  EXPECT_THAT(said(read("Service:\n  User: {a: b}\n")),
              ElementsAre(HasSubstr("2:9 User= cannot be a map")));
  EXPECT_THAT(said(read("Unit:\n  After: [[a.service]]\n")),
              ElementsAre(HasSubstr("must be texts")));
  EXPECT_THAT(said(read("Unit: {[a]: b}\n")), ElementsAre(HasSubstr("a name is expected")));
  EXPECT_THAT(said(read("Service:\n  User: a\n  User: b\n")),
              ElementsAre(HasSubstr("3:3 'User' is here for the second time")));
}

TEST(Yaml, RefusesWhatUnitFilesDoNotNeed) {
  EXPECT_THAT(said(read("Unit: &a\n  Description: x\n")), ElementsAre(HasSubstr("anchor")));
  EXPECT_THAT(said(read("Unit:\n  Description: *a\n")), ElementsAre(HasSubstr("2:")));
  EXPECT_THAT(said(read("Unit:\n  Description: !!binary aGk=\n")),
              ElementsAre(HasSubstr("2:16 the tag")));
  EXPECT_THAT(said(read("Unit: {}\n---\nUnit: {}\n")), ElementsAre(HasSubstr("second document")));
}

TEST(Yaml, IsNotBroughtDownByNastyInput) {
  EXPECT_THAT(said(read("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n")),
              ElementsAre(HasSubstr("anchor")));
  EXPECT_THAT(said(read(std::string(100000, '['))), SizeIs(1));
  EXPECT_THAT(said(read("Unit: " + std::string(100, '[') + std::string(100, ']'))),
              ElementsAre(HasSubstr("8 deep")));
  EXPECT_THAT(said(read(std::string("Unit:\n  Description: a\0b\n", 24))),
              ElementsAre(HasSubstr("2:17 the line has a control")));
  EXPECT_THAT(said(read("Unit:\n  Description: \xff\n")),
              ElementsAre(HasSubstr("2:0 the line is not valid UTF-8")));
  EXPECT_THAT(said(read("Unit: {")), ElementsAre(HasSubstr("not valid YAML")));
  EXPECT_THAT(said(read("\tUnit: x\n  - y: [\n")), SizeIs(1));
  EXPECT_THAT(said(read("#" + std::string(1024 * 1024, 'x'))),
              ElementsAre(HasSubstr("larger than 1 MiB")));
  EXPECT_THAT(said(read("")), IsEmpty());
  EXPECT_THAT(said(read("# nothing\n")), IsEmpty());
}

TEST(Yaml, MeansTheSameAsIni) {
  const UnitSpec yaml = read(
      "Unit:\n  ConditionPathExists: ['|/a', '!/b']\n  Documentation: [man:a(1), "
      "'http://b']\nService:\n  ExecStart: /bin/a\n"
      "  RuntimeDirectory: a b\n  LimitNOFILE: 5:10\n  SuccessExitStatus: [5, SIGTERM]\n");
  const UnitSpec ini = read(
      {},
      "[Unit]\nConditionPathExists=|/a\nConditionPathExists=!/b\nDocumentation=man:a(1) http://b\n"
      "[Service]\nExecStart=/bin/a\nRuntimeDirectory=a b\nLimitNOFILE=5:10\nSuccessExitStatus=5 "
      "SIGTERM\n");
  EXPECT_THAT(said(yaml), IsEmpty());
  EXPECT_EQ(yaml.settings, ini.settings);
}

}  // namespace
}  // namespace pidward::unit
