#include "base/exit_status.hpp"

#include <csignal>

#include <gtest/gtest.h>

namespace pidward {
namespace {

using Kind = ExitStatus::Kind;

TEST(ExitStatus, UnpacksWhatWaitPacked) {
  EXPECT_EQ(ExitStatus::from_wait(0), (ExitStatus{Kind::exited, 0}));
  EXPECT_EQ(ExitStatus::from_wait(3 << 8), (ExitStatus{Kind::exited, 3}));
  EXPECT_EQ(ExitStatus::from_wait(255 << 8), (ExitStatus{Kind::exited, 255}));
  EXPECT_EQ(ExitStatus::from_wait(SIGKILL), (ExitStatus{Kind::killed, SIGKILL}));
  EXPECT_EQ(ExitStatus::from_wait(SIGSEGV | 0x80), (ExitStatus{Kind::dumped, SIGSEGV}));
}

TEST(ExitStatus, IsUnknownForAStopWhichIsNoEnd) {
  EXPECT_EQ(ExitStatus::from_wait(0x7f | SIGSTOP << 8).kind, Kind::unknown);
  EXPECT_EQ(ExitStatus::from_siginfo(CLD_STOPPED, SIGSTOP).kind, Kind::unknown);
  EXPECT_EQ(ExitStatus::from_siginfo(CLD_CONTINUED, SIGCONT).kind, Kind::unknown);
}

TEST(ExitStatus, SurvivesPackingAndUnpacking) {
  for (const ExitStatus status :
       {ExitStatus{Kind::exited, 0}, ExitStatus{Kind::exited, 200},
        ExitStatus{Kind::killed, SIGTERM}, ExitStatus{Kind::dumped, SIGABRT}}) {
    EXPECT_EQ(ExitStatus::from_wait(status.to_wait()), status);
  }
}

TEST(ExitStatus, ComesFromSiginfo) {
  EXPECT_EQ(ExitStatus::from_siginfo(CLD_EXITED, 4), (ExitStatus{Kind::exited, 4}));
  EXPECT_EQ(ExitStatus::from_siginfo(CLD_KILLED, 9), (ExitStatus{Kind::killed, 9}));
  EXPECT_EQ(ExitStatus::from_siginfo(CLD_DUMPED, 11), (ExitStatus{Kind::dumped, 11}));
}

TEST(ExitStatus, IsSuccessOnlyForCodeZero) {
  EXPECT_TRUE((ExitStatus{Kind::exited, 0}.is_success()));
  EXPECT_FALSE((ExitStatus{Kind::exited, 1}.is_success()));
  EXPECT_FALSE(ExitStatus().is_success());
  EXPECT_TRUE((ExitStatus{Kind::dumped, 6}.is_signal()));
  EXPECT_FALSE((ExitStatus{Kind::exited, 6}.is_signal()));
}

TEST(ExitStatus, ReadsAsASentencePart) {
  EXPECT_EQ((ExitStatus{Kind::exited, 3}.to_string()), "exit code 3");
  EXPECT_EQ((ExitStatus{Kind::killed, SIGKILL}.to_string()), "signal SIGKILL");
  EXPECT_EQ((ExitStatus{Kind::dumped, SIGSEGV}.to_string()), "signal SIGSEGV with a core dump");
  EXPECT_EQ((ExitStatus{Kind::killed, 40}.to_string()), "signal 40");
  EXPECT_EQ(ExitStatus().to_string(), "unknown");
}

}  // namespace
}  // namespace pidward
