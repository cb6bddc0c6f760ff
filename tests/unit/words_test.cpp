#include "unit/syntax/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> split(std::string_view text, Escapes escapes = Escapes::c_style) {
  SplitOptions options;
  options.escapes = escapes;
  auto words = split_words(text, options);
  EXPECT_TRUE(words.has_value()) << text << ": " << (words ? "" : words.error().message());
  return words ? *words : std::vector<std::string>{"failed"};
}

std::string complaint(std::string_view text, Escapes escapes = Escapes::c_style) {
  SplitOptions options;
  options.escapes = escapes;
  auto words = split_words(text, options);
  EXPECT_FALSE(words.has_value()) << text;
  return words ? "" : words.error().message();
}

TEST(Words, AreSeparatedByBlanks) {
  EXPECT_THAT(split("a  b\tc "), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split("   "), IsEmpty());
}

TEST(Words, AreHeldTogetherByQuotes) {
  EXPECT_THAT(split(R"("a b" 'c d')"), ElementsAre("a b", "c d"));
  EXPECT_THAT(split(R"(VAR="a b" x'y z')"), ElementsAre("VAR=a b", "xy z"));
  EXPECT_THAT(split(R"("" '')"), ElementsAre("", ""));
  EXPECT_THAT(split(R"("it's" 'say "x"')"), ElementsAre("it's", "say \"x\""));
}

TEST(Words, HaveEscapesAsInC) {
  EXPECT_THAT(split(R"(\a\b\f\n\r\t\v\\\"\'\s)"), ElementsAre("\a\b\f\n\r\t\v\\\"' "));
  EXPECT_THAT(split(R"(\x41\102\u00e9\U0001f600)"), ElementsAre("AB\u00e9\U0001f600"));
  EXPECT_THAT(split(R"("a\tb")"), ElementsAre("a\tb"));
}

TEST(Words, RefuseEscapesThatAreNone) {
  EXPECT_NE(complaint(R"(\q)").find("'\\q'"), std::string::npos);
  EXPECT_NE(complaint(R"(\x00)").find("escape"), std::string::npos);
  EXPECT_NE(complaint(R"(\xg1)").find("escape"), std::string::npos);
  EXPECT_NE(complaint(R"(\ud800)").find("escape"), std::string::npos);
  EXPECT_NE(complaint(R"(\777)").find("escape"), std::string::npos);
  EXPECT_NE(complaint("a\\").find("escape"), std::string::npos);
}

TEST(Words, RefuseQuotesThatDoNotEnd) {
  EXPECT_NE(complaint("a \"b").find("never closed"), std::string::npos);
  EXPECT_NE(complaint("'").find("never closed"), std::string::npos);
}

TEST(Words, KeepOrDropBackslashesWhereToldTo) {
  EXPECT_THAT(split(R"(dev-a\x2db.device x)", Escapes::kept),
              ElementsAre(R"(dev-a\x2db.device)", "x"));
  EXPECT_THAT(split(R"(a\ b \"c)", Escapes::dropped), ElementsAre("a b", "\"c"));
  EXPECT_THAT(split(R"(\q\n)", Escapes::c_style_or_kept), ElementsAre("\\q\n"));
  EXPECT_THAT(split(R"(a\ b \ )", Escapes::c_style_or_kept), ElementsAre("a\\ b", "\\ "));
  EXPECT_NE(complaint("a\\", Escapes::dropped).find("escapes nothing"), std::string::npos);
}

TEST(Words, ComeBackFromQuoting) {
  for (const std::string word :
       {"plain", "", "two words", "quote\"and'more", "back\\slash", "line\nbreak", "\x01\x7f",
        "tab\there", "#hash", "$VAR", "\u00e9", "a;b", ";", "%n"}) {
    EXPECT_THAT(split(quote_word(word)), ElementsAre(word));
    EXPECT_THAT(split("x " + quote_word(word) + " y"), ElementsAre("x", word, "y"));
  }
}

TEST(Words, KnowUtf8) {
  EXPECT_TRUE(is_utf8("plain \u00e9 \u20ac \U0001f600"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("\xc3"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));
  EXPECT_FALSE(is_utf8("\xe0\x80\xaf"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));
}

}  // namespace
}  // namespace pidward::unit
