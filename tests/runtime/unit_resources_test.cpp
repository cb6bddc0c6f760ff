// The texts of a control group's counters.
#include "runtime/unit_resources.hpp"

#include <gtest/gtest.h>

namespace pidward::runtime {
namespace {

TEST(FlatValue, FindsTheWholeKeyAlone) {
  constexpr const char* kStat = "usage_usec_x 1\nusage_usec 23\nuser_usec 4\n";
  EXPECT_EQ(flat_value(kStat, "usage_usec"), 23U);
  EXPECT_EQ(flat_value(kStat, "user_usec"), 4U);
  EXPECT_EQ(flat_value(kStat, "usage"), std::nullopt);
  EXPECT_EQ(flat_value("usage_usec many\n", "usage_usec"), std::nullopt);
  EXPECT_EQ(flat_value("", "usage_usec"), std::nullopt);
}

TEST(IoValue, AddsTheDevicesUp) {
  constexpr const char* kStat =
      "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n"
      "8:16 rbytes=1 wbytes=2 rios=5 wios=6 dbytes=0 dios=0";
  EXPECT_EQ(io_value(kStat, "rbytes"), 101U);
  EXPECT_EQ(io_value(kStat, "wios"), 10U);
  EXPECT_EQ(io_value(kStat, "bytes"), std::nullopt);
  EXPECT_EQ(io_value("", "rbytes"), std::nullopt);
}

TEST(FreezerState, HasSystemdsWords) {
  EXPECT_EQ(to_string(FreezerState::running), "running");
  EXPECT_EQ(to_string(FreezerState::freezing), "freezing");
  EXPECT_EQ(to_string(FreezerState::frozen), "frozen");
  EXPECT_EQ(to_string(FreezerState::thawing), "thawing");
}

}  // namespace
}  // namespace pidward::runtime
