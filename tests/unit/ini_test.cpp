#include "unit/syntax/ini.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Writes everything down as "LINE:COLUMN what".
class Recorder : public IniVisitor {
 public:
  explicit Recorder(std::string_view text) { read_ini(text, *this); }

  void on_section(std::string_view name, TextPosition at) override {
    add(at, "[" + std::string(name) + "]");
  }
  void on_assignment(const IniAssignment& a) override {
    add(a.key_at, std::string(a.key) + "=" + std::string(a.value));
    value_columns.push_back(a.value_at.column);
  }
  void on_problem(TextPosition at, bool fatal, std::string message,
                  std::string /*advice*/) override {
    add(at, (fatal ? "fatal: " : "problem: ") + message);
  }

  std::vector<std::string> seen;
  std::vector<std::uint32_t> value_columns;

 private:
  void add(TextPosition at, const std::string& what) {
    seen.push_back(std::to_string(at.line) + ":" + std::to_string(at.column) + " " + what);
  }
};

TEST(Ini, ReadsTheExampleOfTheManualPage) {
  const Recorder file(
      "[Section A]\nKeyOne=value 1\nKeyTwo=value 2\n\n# a comment\n\n[Section B]\n"
      "Setting=\"something\" \"some thing\" \"…\"\nKeyTwo=value 2 \\\n       value 2 continued\n\n"
      "[Section C]\nKeyThree=value 3\\\n# this line is ignored\n; this line is ignored too\n"
      "       value 3 continued\n");
  EXPECT_THAT(file.seen,
              ElementsAre("1:1 [Section A]", "2:1 KeyOne=value 1", "3:1 KeyTwo=value 2",
                          "7:1 [Section B]", "8:1 Setting=\"something\" \"some thing\" \"…\"",
                          "9:1 KeyTwo=value 2         value 2 continued", "12:1 [Section C]",
                          "13:1 KeyThree=value 3        value 3 continued"));
}

TEST(Ini, TrimsAroundNamesAndValues) {
  const Recorder file("  [A]  \n  Key \t=  a = b  \n");
  EXPECT_THAT(file.seen, ElementsAre("1:3 [A]", "2:3 Key=a = b"));
  EXPECT_THAT(file.value_columns, ElementsAre(11U));
}

TEST(Ini, EndsLinesAtLineFeedsCarriageReturnsAndBoth) {
  EXPECT_THAT(Recorder("[A]\r\nB=1\r\nC=2\rD=3").seen,
              ElementsAre("1:1 [A]", "2:1 B=1", "3:1 C=2", "4:1 D=3"));
}

TEST(Ini, SkipsAByteOrderMark) {
  EXPECT_THAT(Recorder("\xEF\xBB\xBF[A]\n").seen, ElementsAre("1:1 [A]"));
}

TEST(Ini, ContinuesOnlyAfterAnOddNumberOfBackslashes) {
  EXPECT_THAT(Recorder("A=b\\\\\nC=d").seen, ElementsAre("1:1 A=b\\\\", "2:1 C=d"));
  EXPECT_THAT(Recorder("A=b\\\\\\\nC=d").seen, ElementsAre("1:1 A=b\\\\ C=d"));
  EXPECT_THAT(Recorder("A=b\\ \nC=d").seen, ElementsAre("1:1 A=b\\", "2:1 C=d"));
}

TEST(Ini, EndsAContinuationAtAnEmptyLineAndAtTheEnd) {
  EXPECT_THAT(Recorder("A=b\\\n\nC=d").seen, ElementsAre("1:1 A=b", "3:1 C=d"));
  EXPECT_THAT(Recorder("A=b\\").seen, ElementsAre("1:1 A=b"));
  EXPECT_THAT(Recorder("A=b\\\n").seen, ElementsAre("1:1 A=b"));
}

TEST(Ini, DoesNotContinueComments) {
  EXPECT_THAT(Recorder("# a \\\nA=b\n;c\n  # d").seen, ElementsAre("2:1 A=b"));
}

TEST(Ini, KeepsEmptyValues) {
  EXPECT_THAT(Recorder("A=\nB =   \n").seen, ElementsAre("1:1 A=", "2:1 B="));
}

TEST(Ini, SaysWhatIsNoAssignment) {
  EXPECT_THAT(Recorder("foo bar\n=x\nA=1").seen,
              ElementsAre("1:1 problem: 'foo bar' is no assignment: '=' is missing",
                          "2:1 problem: a name is missing in front of '='", "3:1 A=1"));
}

TEST(Ini, FindsBrokenSectionHeadersFatal) {
  EXPECT_THAT(Recorder("[A\n[B\"]\nC=1").seen,
              ElementsAre("1:1 fatal: the section header '[A' has no ']' at its end",
                          "2:1 fatal: the section header '[B\"]' has characters that no name has",
                          "3:1 C=1"));
}

TEST(Ini, LeavesOutLinesThatAreNoText) {
  EXPECT_THAT(Recorder(std::string("A=1\nB=\0x\nC=\xff\nD=2", 16)).seen,
              ElementsAre("1:1 A=1", "2:3 problem: the line has a NUL byte and is left out",
                          "3:1 problem: the line is not valid UTF-8 and is left out", "4:1 D=2"));
}

TEST(Ini, BoundsTheLengthOfALine) {
  const std::string line = "A=" + std::string(kMaxIniLine, 'x');
  EXPECT_THAT(Recorder(line + "\nB=1").seen,
              ElementsAre("1:0 fatal: the line is longer than 1 MiB", "2:1 B=1"));
  std::string endless;
  for (int i = 0; i < 200000; ++i) endless += "0123456789\\\n";
  EXPECT_THAT(Recorder("A=" + endless + "\nB=1").seen, SizeIs(2));
}

TEST(Ini, SurvivesNothingAndNoise) {
  EXPECT_THAT(Recorder("").seen, IsEmpty());
  EXPECT_THAT(Recorder("\n\n\r\r\n").seen, IsEmpty());
  EXPECT_THAT(Recorder("\\").seen, IsEmpty());
  EXPECT_THAT(Recorder("[]").seen, ElementsAre("1:1 []"));
}

}  // namespace
}  // namespace pidward::unit
