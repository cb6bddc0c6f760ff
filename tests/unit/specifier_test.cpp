#include "unit/specifier.hpp"

#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::HasSubstr;

std::string expand(std::string_view text, std::string_view unit = "foo-bar@a-b\\x2dc.service") {
  auto out =
      expand_specifiers(text, name(unit), specifiers(), "/etc/pidward/system/foo-bar@.service");
  return out ? *out : "error: " + out.error().to_string();
}

TEST(Specifiers, SpeakOfTheName) {
  EXPECT_EQ(expand("%n"), "foo-bar@a-b\\x2dc.service");
  EXPECT_EQ(expand("%N"), "foo-bar@a-b\\x2dc");
  EXPECT_EQ(expand("%p %P"), "foo-bar foo/bar");
  EXPECT_EQ(expand("%i %I"), "a-b\\x2dc a/b-c");
  EXPECT_EQ(expand("%j %J"), "bar bar");
  EXPECT_EQ(expand("%f"), "/a/b-c");
  EXPECT_EQ(expand("%f %i|", "srv-data.mount"), "/srv/data |");
  EXPECT_EQ(expand("%y %Y"), "/etc/pidward/system/foo-bar@.service /etc/pidward/system");
}

TEST(Specifiers, SpeakOfTheSystem) {
  EXPECT_EQ(expand("%a %b %m %H %l %q %v"),
            "x86-64 b00t mach1ne box.example box box.example 6.1.0");
  EXPECT_EQ(expand("%u %U %g %G %h %s"), "root 0 root 0 /root /bin/sh");
  EXPECT_EQ(expand("%o%w"), "debian12");
  EXPECT_EQ(expand("[%A%B%M%W]"), "[]");
  EXPECT_EQ(expand("%t %S %C %L %E %T %V"), "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp");
  EXPECT_EQ(expand("%d", "a.service"), "/run/credentials/a.service");
}

TEST(Specifiers, APercentSignIsWrittenTwice) {
  EXPECT_EQ(expand("100%%"), "100%");
  EXPECT_EQ(expand("%%n"), "%n");
  EXPECT_EQ(expand("nothing to do"), "nothing to do");
}

TEST(Specifiers, AnUnknownOneIsAnErrorThatNamesIt) {
  EXPECT_THAT(expand("date +%F"), HasSubstr("%F"));
  EXPECT_THAT(expand("%F"), HasSubstr("Write %% for a percent sign"));
}

TEST(Specifiers, APercentSignWithoutALetterBehindItStandsForItself) {
  EXPECT_EQ(expand("50%"), "50%");
  EXPECT_EQ(expand("50% of %p, 7%-off"), "50% of foo-bar, 7%-off");
}

TEST(Specifiers, OneWithoutAValueIsAnErrorThatSaysWhatIsMissing) {
  SpecifierContext empty;
  const auto out = expand_specifiers("%m", name("a.service"), empty);
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().message(), HasSubstr("the machine id"));
  EXPECT_FALSE(expand_specifiers("%Y", name("a.service"), empty));
  EXPECT_TRUE(expand_specifiers("%n%i%o", name("a.service"), empty));
}

TEST(Specifiers, ABrokenEscapeInTheNameIsAnError) {
  EXPECT_THAT(expand("%I", "a@\\xzz.service"), HasSubstr("broken escape"));
}

}  // namespace
}  // namespace pidward::unit::test
