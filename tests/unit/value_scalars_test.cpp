#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "unit/enums.hpp"
#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

template <typename T>
T parsed(Directive id, std::string_view text) {
  auto value = parse_value(row(id), text);
  if (!value) {
    ADD_FAILURE() << row(id).name << "=" << text << ": " << value.error().message();
    return T{};
  }
  return std::get<T>(*std::move(value));
}

std::string complaint(Directive id, std::string_view text) {
  auto value = parse_value(row(id), text);
  if (!value) return value.error().message() + " " + value.error().advice();
  ADD_FAILURE() << row(id).name << "=" << text << " was accepted";
  return "";
}

testing::AssertionResult says(Directive id, std::string_view text, std::string_view part) {
  const std::string message = complaint(id, text);
  if (message.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << message << "' does not say '" << part << "'";
}

TEST(Booleans, AreWrittenInManyWays) {
  for (const char* yes : {"1", "yes", "y", "true", "t", "on", "YES", "True"}) {
    EXPECT_TRUE(parsed<bool>(Directive::RemainAfterExit, yes)) << yes;
  }
  for (const char* no : {"0", "no", "n", "false", "f", "off", "OFF"}) {
    EXPECT_FALSE(parsed<bool>(Directive::RemainAfterExit, no)) << no;
  }
  EXPECT_TRUE(says(Directive::RemainAfterExit, "maybe", "'maybe' is not yes or no"));
  EXPECT_TRUE(says(Directive::RemainAfterExit, "", "'' is not yes or no"));
}

TEST(Tristates, AreNormalised) {
  EXPECT_EQ(parsed<std::string>(Directive::ProtectSystem, "true"), "yes");
  EXPECT_EQ(parsed<std::string>(Directive::ProtectSystem, "strict"), "strict");
  EXPECT_TRUE(says(Directive::ProtectSystem, "strct", "Did you mean strict?"));
}

TEST(Choices, AreIndexesOfTheirWords) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::Restart, "on-failure"),
            static_cast<int>(RestartPolicy::on_failure));
  EXPECT_EQ(parsed<std::int64_t>(Directive::Type, "notify-reload"),
            static_cast<int>(ServiceType::notify_reload));
  EXPECT_TRUE(says(Directive::Restart, "on-faliure", "Did you mean on-failure?"));
  EXPECT_TRUE(says(Directive::Restart, "2", "none of no, on-success, on-failure"));
  EXPECT_TRUE(says(Directive::Restart, "", "none of"));
}

TEST(Choices, TakeTheKernelsNumbersWhereTheyHaveThem) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::CPUSchedulingPolicy, "idle"), 5);
  EXPECT_EQ(parsed<std::int64_t>(Directive::CPUSchedulingPolicy, "5"), 5);
  EXPECT_EQ(parsed<std::int64_t>(Directive::IOSchedulingClass, "2"), 2);
  EXPECT_EQ(parsed<std::int64_t>(Directive::SyslogFacility, "local7"), 23);
  EXPECT_TRUE(says(Directive::CPUSchedulingPolicy, "4", "none of other, fifo, rr, batch, idle"));
  EXPECT_TRUE(says(Directive::CPUSchedulingPolicy, "6", "6"));
}

TEST(Choices, TakeBooleansWhereSystemdDoes) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::RuntimeDirectoryPreserve, "true"),
            static_cast<int>(PreserveMode::yes));
  EXPECT_EQ(parsed<std::int64_t>(Directive::RuntimeDirectoryPreserve, "restart"),
            static_cast<int>(PreserveMode::restart));
  EXPECT_EQ(parsed<std::int64_t>(Directive::BindIPv6Only, "yes"),
            static_cast<int>(SocketBind::ipv6_only));
  EXPECT_EQ(parsed<std::int64_t>(Directive::BindIPv6Only, "no"),
            static_cast<int>(SocketBind::both));
}

TEST(Numbers, KeepTheirRanges) {
  EXPECT_EQ(parsed<std::uint64_t>(Directive::StartLimitBurst, "4294967295"), 4294967295U);
  EXPECT_TRUE(says(Directive::StartLimitBurst, "99999999999", "a number up to 4294967295"));
  EXPECT_TRUE(says(Directive::StartLimitBurst, "-1", "not negative"));
  EXPECT_TRUE(says(Directive::StartLimitBurst, "5x", "whole number"));
  EXPECT_EQ(parsed<std::int64_t>(Directive::Nice, "-20"), -20);
  EXPECT_EQ(parsed<std::int64_t>(Directive::Nice, "+5"), 5);
  EXPECT_TRUE(says(Directive::Nice, "20", "a number from -20 to 19"));
  EXPECT_TRUE(says(Directive::Nice, "+-5", "whole number"));
  EXPECT_TRUE(says(Directive::OOMScoreAdjust, "1001", "-1000 to 1000"));
  EXPECT_TRUE(says(Directive::IOSchedulingPriority, "8", "0 to 7"));
  EXPECT_TRUE(says(Directive::CPUSchedulingPriority, "100", "0 to 99"));
  EXPECT_TRUE(says(Directive::FailureActionExitStatus, "256", "0 to 255"));
  EXPECT_TRUE(says(Directive::Nice, "99999999999999999999", "a number from"));
}

TEST(Times, AreSecondsByDefault) {
  EXPECT_EQ(parsed<Duration>(Directive::RestartSec, "1min 5"), std::chrono::seconds(65));
  EXPECT_EQ(parsed<Duration>(Directive::TimeoutStartSec, "0"), kInfinity);
  EXPECT_EQ(parsed<Duration>(Directive::WatchdogSec, "0"), Duration(0));
  EXPECT_TRUE(says(Directive::RestartSec, "soon", "a number is expected"));
}

TEST(Modes, AreOctal) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::UMask, "0027"), 027);
  EXPECT_EQ(parsed<std::int64_t>(Directive::SocketMode, "7777"), 07777);
  EXPECT_TRUE(says(Directive::UMask, "0888", "octal"));
  EXPECT_TRUE(says(Directive::UMask, "10000", "octal"));
  EXPECT_TRUE(says(Directive::UMask, "", "octal"));
}

TEST(Signals, HaveNamesAndNumbers) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "SIGTERM"), 15);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "quit"), 3);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "9"), 9);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "SIGRTMIN+3"), 37);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "RTMAX-1"), 63);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "017"), 15);
  EXPECT_EQ(parsed<std::int64_t>(Directive::KillSignal, "0xf"), 15);
  EXPECT_TRUE(says(Directive::KillSignal, "SIGFOO", "'SIGFOO' is not a signal"));
  EXPECT_TRUE(says(Directive::KillSignal, "0", "not a signal"));
  EXPECT_TRUE(says(Directive::KillSignal, "65", "not a signal"));
  EXPECT_TRUE(says(Directive::KillSignal, "RTMIN+31", "not a signal"));
  EXPECT_TRUE(says(Directive::KillSignal, "RTMIN-1", "not a signal"));
}

TEST(Numbers, MayBeOfAnotherBase) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::Nice, "0x5"), 5);
  EXPECT_EQ(parsed<std::int64_t>(Directive::Nice, "-0x5"), -5);
  EXPECT_EQ(parsed<std::int64_t>(Directive::Nice, "010"), 8);
  EXPECT_EQ(parsed<std::int64_t>(Directive::OOMScoreAdjust, "0b101"), 5);
  EXPECT_EQ(parsed<std::int64_t>(Directive::OOMScoreAdjust, "0o17"), 15);
  EXPECT_EQ(parsed<std::int64_t>(Directive::OOMScoreAdjust, "0"), 0);
  EXPECT_EQ(parsed<std::string>(Directive::TasksMax, "0x10"), "16");
  for (const char* text : {"0x", "x5", "--5", "+-5", "0x-5", "09", ""}) {
    EXPECT_TRUE(says(Directive::Nice, text, "whole number")) << text;
  }
  EXPECT_TRUE(says(Directive::ListenStream, "080", "'080' is not"));
  EXPECT_TRUE(says(Directive::User, "0100", "user or group id"));
}

TEST(Sizes, CountIn1024) {
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "8K"), 8192U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "1.5M"), 1572864U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "15E"), std::uint64_t{15} << 60U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "12B"), 12U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "+1K +5"), 1029U);
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "++5", "not a size"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "infinity", "not a size"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "16E", "64 bits"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "5Q", "K, M, G"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "5KiB", "K, M, G"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "1.2.3", "decimals"));
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "1G1M"), 1025U << 20U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "1.5K 12"), 1548U);
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "1M1G", "the largest first"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "15E 1E", "the largest first"));
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "0x10", "largest first"));
  EXPECT_EQ(parsed<std::uint64_t>(Directive::ReceiveBuffer, "010"), 10U);
  EXPECT_TRUE(says(Directive::ReceiveBuffer, "", "a number is expected"));
}

TEST(Limits, HaveUnitsOfTheirOwn) {
  using Limit = ResourceLimit;
  EXPECT_EQ(parsed<Limit>(Directive::LimitNOFILE, "1024:524288"), (Limit{1024, 524288}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitNOFILE, "infinity"), (Limit{kNoLimit, kNoLimit}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitCORE, "0:infinity"), (Limit{0, kNoLimit}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitMEMLOCK, "64M"), (Limit{67108864, 67108864}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitCPU, "1min"), (Limit{60, 60}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitCPU, "1500ms"), (Limit{2, 2}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitRTTIME, "50:2s"), (Limit{50, 2000000}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitNICE, "-5"), (Limit{25, 25}));
  EXPECT_EQ(parsed<Limit>(Directive::LimitNICE, "30"), (Limit{30, 30}));
  EXPECT_TRUE(says(Directive::LimitNOFILE, "10:5", "soft limit in '10:5' is above"));
  EXPECT_EQ(parsed<Limit>(Directive::LimitNOFILE, "0x10:0x20"), (Limit{16, 32}));
  EXPECT_TRUE(says(Directive::LimitNOFILE, "16 : 32", "whole number"));
  EXPECT_TRUE(says(Directive::LimitNOFILE, "1K", "whole number"));
  EXPECT_TRUE(says(Directive::LimitNOFILE, "1:", "whole number"));
  EXPECT_TRUE(says(Directive::LimitNICE, "41", "up to 40"));
  EXPECT_TRUE(says(Directive::LimitNICE, "infinity", "whole number"));
  EXPECT_EQ(parsed<Limit>(Directive::LimitCORE, "+5"), (Limit{5, 5}));
}

TEST(Capabilities, AreSetsOfBits) {
  const std::uint64_t kill = 1U << 5U;
  EXPECT_EQ(parsed<std::uint64_t>(Directive::CapabilityBoundingSet, "CAP_KILL cap_chown"),
            kill | 1U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::CapabilityBoundingSet, "~CAP_KILL"), ~kill);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::CapabilityBoundingSet, ""), 0U);
  EXPECT_EQ(parsed<std::uint64_t>(Directive::CapabilityBoundingSet, "~"), kNoLimit);
  EXPECT_TRUE(says(Directive::CapabilityBoundingSet, "CAP_FLY", "'CAP_FLY' is not a capability"));
}

TEST(SecureBits, AreNamed) {
  EXPECT_EQ(parsed<std::int64_t>(Directive::SecureBits, "keep-caps noroot-locked"), 0x12);
  EXPECT_TRUE(says(Directive::SecureBits, "keep-cap", "Did you mean keep-caps?"));
}

TEST(CpuSets, ExpandRanges) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(parsed<Words>(Directive::CPUAffinity, "3,1-2 7"), (Words{"1", "2", "3", "7"}));
  EXPECT_EQ(parsed<Words>(Directive::CPUAffinity, "numa"), (Words{"numa"}));
  EXPECT_TRUE(says(Directive::CPUAffinity, "3-1", "the first number is above"));
  EXPECT_TRUE(says(Directive::CPUAffinity, "0-99999999999", "0 to 8191"));
  EXPECT_TRUE(says(Directive::CPUAffinity, "0-x", "0 to 8191"));
}

/// What format_value() writes is read as the same value again.
void expect_round_trip(Directive id, std::string_view text) {
  auto value = parse_value(row(id), text);
  ASSERT_TRUE(value.has_value()) << row(id).name << "=" << text;
  const auto lines = format_value(row(id), *value);
  ASSERT_EQ(lines.size(), 1U) << row(id).name << "=" << text;
  auto again = parse_value(row(id), lines.front().text);
  ASSERT_TRUE(again.has_value()) << lines.front().text << ": " << again.error().message();
  EXPECT_EQ(*value, *again) << row(id).name << "=" << text << " became " << lines.front().text;
}

TEST(Formatting, GivesEveryDefaultBack) {
  for (const Row& each : directive_table()) {
    if (!each.default_text.empty()) expect_round_trip(each.id, each.default_text);
  }
}

TEST(Formatting, GivesScalarsBack) {
  expect_round_trip(Directive::LimitNOFILE, "5:infinity");
  expect_round_trip(Directive::LimitNICE, "-5");
  expect_round_trip(Directive::LimitRTTIME, "2s");
  expect_round_trip(Directive::LimitCPU, "2min");
  expect_round_trip(Directive::UMask, "7");
  expect_round_trip(Directive::KillSignal, "RTMIN+5");
  expect_round_trip(Directive::KillSignal, "33");
  expect_round_trip(Directive::CapabilityBoundingSet, "~CAP_KILL CAP_CHOWN");
  expect_round_trip(Directive::CapabilityBoundingSet, "CAP_BPF 62");
  expect_round_trip(Directive::SecureBits, "keep-caps noroot-locked");
  expect_round_trip(Directive::CPUAffinity, "0-3 5 7-8");
  expect_round_trip(Directive::ReceiveBuffer, "1.5M");
  expect_round_trip(Directive::TimerSlackNSec, "5us 3ns");
  expect_round_trip(Directive::TimeoutStopSec, "0");
  expect_round_trip(Directive::RestartSec, "1d 3min 500ms 7us");
  for (const Row& each : directive_table()) {
    if (each.syntax != Syntax::choice) continue;
    for (const std::string_view word : each.choices) {
      if (!word.empty()) expect_round_trip(each.id, word);
    }
  }
}

}  // namespace
}  // namespace pidward::unit
