// Amounts, shares and weights of resource control.
#include <string>

#include <gtest/gtest.h>

#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

/// What is kept of it; "!" and the complaint where nothing is.
std::string kept(Directive id, std::string_view text) {
  const auto value = parse_value(row(id), text);
  return value ? std::get<std::string>(*value) : "!" + value.error().message();
}

TEST(Resources, AmountsOfMemoryAreBytesOrShares) {
  EXPECT_EQ(kept(Directive::MemoryMax, "512M"), "536870912");
  EXPECT_EQ(kept(Directive::MemoryHigh, "infinity"), "infinity");
  EXPECT_EQ(kept(Directive::MemoryMax, "50%"), "50%");
  EXPECT_EQ(kept(Directive::MemoryMax, "12.50%"), "12.5%");
  EXPECT_EQ(kept(Directive::MemoryMax, "0.05%"), "0.05%");
  EXPECT_EQ(kept(Directive::MemoryLow, "0"), "0");
  EXPECT_EQ(kept(Directive::MemorySwapMax, "0"), "0");
  for (const char* bad : {"lots", "0", "101%", "100.01%", "5.123%", "%", "-1", "+5%", "1.+5%"}) {
    EXPECT_TRUE(kept(Directive::MemoryMax, bad).starts_with("!'")) << bad;
  }
}

TEST(Resources, TasksAreCounted) {
  EXPECT_EQ(kept(Directive::TasksMax, "4915"), "4915");
  EXPECT_EQ(kept(Directive::TasksMax, "15%"), "15%");
  EXPECT_EQ(kept(Directive::TasksMax, "infinity"), "infinity");
  for (const char* bad : {"0", "1K", "many", "0%"}) {
    EXPECT_TRUE(kept(Directive::TasksMax, bad).starts_with("!'")) << bad;
  }
}

TEST(Resources, WeightsAndQuotasHaveTheirBounds) {
  EXPECT_EQ(kept(Directive::CPUWeight, "10000"), "10000");
  EXPECT_EQ(kept(Directive::CPUWeight, "idle"), "idle");
  EXPECT_EQ(kept(Directive::CPUWeight, "0"),
            "!'0' is not a weight: a number from 1 to 10000, or idle, is expected");
  EXPECT_TRUE(kept(Directive::CPUWeight, "10001").starts_with("!"));
  EXPECT_EQ(kept(Directive::CPUQuota, "20%"), "20%");
  EXPECT_EQ(kept(Directive::CPUQuota, "250.5%"), "250.5%");
  EXPECT_TRUE(kept(Directive::CPUQuota, "0%").starts_with("!"));
  EXPECT_TRUE(kept(Directive::CPUQuota, "20").starts_with("!"));
}

TEST(Resources, AreWrittenToFilesAsTheyAreRead) {
  const Row& quota = row(Directive::CPUQuota);
  const auto text = format_for_file(quota, *parse_value(quota, "12.5%"));
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "CPUQuota=\nCPUQuota=12.5%\n");
}

}  // namespace
}  // namespace pidward::unit
