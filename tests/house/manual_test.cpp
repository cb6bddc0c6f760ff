// What a program says of its options, and what its manual page says, are the same options.
#include <array>
#include <cstdio>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace pidward::test {
namespace {

using Names = std::set<std::string, std::less<>>;

Names options_in(const std::string& text) {
  static const std::regex pattern("--[a-z][a-z0-9-]+");
  Names found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    found.insert(at->str());
  }
  return found;
}

Names told_by(const std::string& program) {
  FILE* output = popen(("'" + program + "' --help").c_str(), "r");
  std::string text;
  std::array<char, 4096> part{};
  while (output != nullptr && std::fgets(part.data(), part.size(), output) != nullptr) {
    text += part.data();
  }
  EXPECT_TRUE(output != nullptr && pclose(output) == 0) << program;
  return options_in(text);
}

// Fonts ("\\fB") and escaped hyphens ("\\-") are no part of a name.
Names written_in(const std::string& page) {
  const std::string source = slurp(std::string(PIDWARD_SOURCE_DIR) + "/packaging/man/" + page);
  const std::string plain = std::regex_replace(source, std::regex(R"(\\f.)"), "");
  return options_in(std::regex_replace(plain, std::regex(R"(\\)"), ""));
}

TEST(Manual, OfPidwardHasItsOptionsAndNoOthers) {
  EXPECT_GT(told_by(PIDWARD_PROGRAM).size(), 10U);
  EXPECT_EQ(told_by(PIDWARD_PROGRAM), written_in("pidward.8"));
}

TEST(Manual, OfPidwardctlHasItsOptionsAndNoOthers) {
  EXPECT_GT(told_by(PIDWARDCTL_PROGRAM).size(), 40U);
  EXPECT_EQ(told_by(PIDWARDCTL_PROGRAM), written_in("pidwardctl.1"));
}

}  // namespace
}  // namespace pidward::test
