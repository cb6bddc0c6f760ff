#include "runtime/notify_message.hpp"

#include <random>

#include <gtest/gtest.h>

namespace pidward::runtime {
namespace {

using std::chrono::seconds;

TEST(NotifyMessage, ReadsEveryKnownField) {
  const auto parsed = parse_notify(
      "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=all well\nERRNO=5\nMAINPID=4711\nMAINPIDFDID=99\n"
      "WATCHDOG=1\nWATCHDOG_USEC=2000000\nEXTEND_TIMEOUT_USEC=3000000\nMONOTONIC_USEC=7\nBARRIER="
      "1");
  ASSERT_TRUE(parsed);
  const engine::NotifyMessage& message = parsed->message;
  EXPECT_TRUE(message.ready && message.reloading && message.stopping && message.watchdog);
  EXPECT_FALSE(message.watchdog_trigger);
  EXPECT_EQ(message.status, "all well");
  EXPECT_EQ(message.error_number, 5);
  EXPECT_EQ(message.watchdog_interval, Duration(seconds(2)));
  EXPECT_EQ(message.extend_timeout, Duration(seconds(3)));
  EXPECT_EQ(message.monotonic, MonoTime(Duration(7)));
  EXPECT_EQ(parsed->main_pid, 4711);
  EXPECT_EQ(parsed->main_pidfd_id, ProcessId(99));
  EXPECT_TRUE(parsed->barrier);
  EXPECT_TRUE(parsed->complaints.empty());
}

TEST(NotifyMessage, TriggerIsNotAKeepAlive) {
  const auto parsed = parse_notify("WATCHDOG=trigger\n");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->message.watchdog_trigger);
  EXPECT_FALSE(parsed->message.watchdog);
}

TEST(NotifyMessage, BadValuesAreLeftOutAndNamed) {
  const auto parsed = parse_notify(
      "READY=yes\nERRNO=-3\nMAINPID=0\nMAINPIDFDID=x\nWATCHDOG_USEC=0\nSTATUS=\xff\xfe");
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->message.ready);
  EXPECT_FALSE(parsed->message.error_number || parsed->main_pid || parsed->main_pidfd_id ||
               parsed->message.watchdog_interval || parsed->message.status);
  EXPECT_EQ(parsed->complaints.size(), 6U);
}

TEST(NotifyMessage, StrangeFieldsAndLinesAreNoError) {
  const auto parsed = parse_notify("X_MINE=1\nno assignment\n=\n\nREADY=1");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->message.ready);
  EXPECT_TRUE(parsed->complaints.empty());
}

TEST(NotifyMessage, OneFinalNulIsForgivenOthersAreNot) {
  EXPECT_TRUE(parse_notify(std::string_view("READY=1\0", 8)));
  EXPECT_FALSE(parse_notify(std::string_view("READY=1\0X=1", 11)));
}

TEST(NotifyMessage, AnyBytesAreReadToTheEnd) {
  std::mt19937 random(20260301);
  constexpr std::string_view kPieces[] = {
      "READY=1",  "\n",   "MAINPID=", "=",       "STATUS=",
      "\xc3\xa4", "\xff", "12",       "BARRIER", "9999999999999999999999"};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (auto count = random() % 12; count > 0; --count) {
      text += random() % 4 == 0 ? std::string(1, static_cast<char>(1 + random() % 255))
                                : std::string(kPieces[random() % std::size(kPieces)]);
    }
    const auto parsed = parse_notify(text);
    ASSERT_TRUE(parsed || text.find('\0') != std::string::npos);
    if (parsed && parsed->message.status) {
      EXPECT_TRUE(is_utf8(*parsed->message.status));
    }
    if (parsed && parsed->main_pid) {
      EXPECT_GT(*parsed->main_pid, 0);
    }
  }
}

TEST(Utf8, FollowsTheStandard) {
  EXPECT_TRUE(is_utf8("plain, \xc3\xa4, \xe2\x82\xac, \xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_utf8("\xc0\x80"));          // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // torn
}

}  // namespace
}  // namespace pidward::runtime
