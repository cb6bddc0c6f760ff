#include "base/log.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "base/contract.hpp"

namespace pidward {
namespace {

TEST(Log, HandsRecordsToTheSinkDownToTheLevel) {
  std::vector<LogRecord> seen;
  set_log_sink([&](const LogRecord& record) { seen.push_back(record); });
  set_max_log_level(LogLevel::notice);
  log(LogLevel::notice, "heard");
  log(LogLevel::info, "dropped");
  LogRecord record;
  record.level = LogLevel::error;
  record.message = "fell over";
  record.unit = "a.service";
  record.process = ProcessId(9);
  record.id = "service-exited";
  log(record);
  set_log_sink([](const LogRecord&) {});
  set_max_log_level(LogLevel::info);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].message, "heard");
  EXPECT_EQ(seen[1].unit, "a.service");
  EXPECT_EQ(seen[1].process, ProcessId(9));
  EXPECT_EQ(seen[1].id, "service-exited");
}

TEST(Log, LevelsHaveSyslogsNamesAndNumbers) {
  EXPECT_EQ(to_string(LogLevel::emergency), "emerg");
  EXPECT_EQ(to_string(LogLevel::debug), "debug");
  EXPECT_EQ(*parse_log_level("warning"), LogLevel::warning);
  EXPECT_EQ(*parse_log_level("0"), LogLevel::emergency);
  EXPECT_EQ(*parse_log_level("7"), LogLevel::debug);
}

TEST(Log, RefusesOtherLevelsAndNamesTheKnown) {
  EXPECT_FALSE(parse_log_level("8"));
  EXPECT_FALSE(parse_log_level(""));
  const auto bad = parse_log_level("loud");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().to_string().find("notice"), std::string::npos);
}

TEST(ContractDeathTest, SaysWhatBrokeAndWhere) {
  const int two = 2;
  EXPECT_DEATH(PIDWARD_EXPECT(two == 3), "bug: .*log_test.cpp:[0-9]+: 'two == 3' does not hold");
}

TEST(Contract, PassesWhatHolds) {
  int evaluations = 0;
  PIDWARD_EXPECT(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

}  // namespace
}  // namespace pidward
