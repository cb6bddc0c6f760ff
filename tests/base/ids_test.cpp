#include "base/ids.hpp"

#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace pidward {
namespace {

TEST(StrongId, IsNoneByDefault) {
  EXPECT_FALSE(UnitId());
  EXPECT_TRUE(UnitId(1));
  EXPECT_EQ(UnitId(7).number(), 7U);
}

TEST(StrongId, OfOneKindIsNotOfAnother) {
  static_assert(!std::is_convertible_v<UnitId, JobId>);
  static_assert(!std::is_constructible_v<JobId, UnitId>);
  static_assert(!std::is_convertible_v<std::uint32_t, UnitId>);
  static_assert(!std::is_convertible_v<UnitId, std::uint32_t>);
  EXPECT_LT(JobId(1), JobId(2));
}

TEST(StrongId, IsAKeyOfHashTables) {
  std::unordered_set<ProcessId> ids{ProcessId(1), ProcessId(2), ProcessId(1)};
  EXPECT_EQ(ids.size(), 2U);
}

TEST(InvocationId, IsWrittenAndReadAsHexDigits) {
  const std::string text = "00112233445566778899aabbccddeeff";
  const auto id = InvocationId::parse(text);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->to_string(), text);
  EXPECT_EQ(id->bytes[15], 0xff);
  EXPECT_FALSE(id->is_null());
  EXPECT_TRUE(InvocationId().is_null());
}

TEST(InvocationId, RefusesOtherLengthsAndLetters) {
  EXPECT_FALSE(InvocationId::parse(""));
  EXPECT_FALSE(InvocationId::parse("00112233445566778899aabbccddeef"));
  EXPECT_FALSE(InvocationId::parse("00112233445566778899aabbccddeefff"));
  EXPECT_FALSE(InvocationId::parse("00112233445566778899AABBCCDDEEFF"));
  EXPECT_FALSE(InvocationId::parse("00112233-45566778899aabbccddeeff"));
}

}  // namespace
}  // namespace pidward
