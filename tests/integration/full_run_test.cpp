// The runtime directory is full: what runs goes on, starts are made or refused with a sentence, and
// whatever happens then is known to the next pidward.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSleeper =
    "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=exec\n"
    "ExecStart=/bin/sleep 1000\n";

class FullRun : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a.service", "b.service", "c.service"}) {
      daemon_.unit(name, kSleeper);
    }
    run_ = daemon_.directory.path("run");
    mounted_ = ::mount("tmpfs", run_.c_str(), "tmpfs", 0, "size=512k") == 0;
    EXPECT_TRUE(mounted_) << "a small file system is needed, and root to mount it";
    start();
    for (const char* name : {"a", "b"}) EXPECT_EQ(daemon_.ctl({"start", name}).code, 0);
  }
  void TearDown() override {
    free();
    daemon_.stop();
    if (mounted_) ::umount2(run_.c_str(), MNT_DETACH);
  }
  void start() { ASSERT_TRUE(daemon_.start({})); }
  void crash() {
    ASSERT_TRUE(daemon_.process().signal(SIGKILL));
    ASSERT_TRUE(daemon_.process().wait());
  }
  void fill() const {
    const std::string filler = run_ + "/filler";
    run_shell("dd if=/dev/zero of=" + filler + " bs=4k 2>/dev/null");
    ASSERT_GT(std::filesystem::file_size(filler), 0U);
  }
  void free() const { std::filesystem::remove(run_ + "/filler"); }
  /// Starts and stops until a start is refused.
  test::CtlResult use_up() const {
    test::CtlResult last;
    for (int i = 0; i < 500; ++i) {
      last = daemon_.ctl({"start", "c"});
      if (last.code != 0) break;
      EXPECT_EQ(daemon_.ctl({"stop", "c"}).code, 0);
    }
    return last;
  }

  test::Daemon daemon_;
  std::string run_;
  bool mounted_ = false;
};

TEST_F(FullRun, AStartIsRefusedWithASentenceAndWhatRunsCanBeStopped) {
  fill();
  const test::CtlResult refused = use_up();
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.out + refused.err + daemon_.output(), HasSubstr("There is no room left in"));
  EXPECT_THAT(daemon_.output(), HasSubstr("Make room on its file system"));
  for (const char* name : {"a.service", "b.service"}) {
    EXPECT_EQ(daemon_.property(name, "ActiveState"), "active");
  }
  EXPECT_EQ(daemon_.ctl({"daemon-reload"}).code, 0);
  EXPECT_EQ(daemon_.ctl({"stop", "a"}).code, 0);
  EXPECT_EQ(daemon_.property("a.service", "ActiveState"), "inactive");
  free();
  EXPECT_EQ(daemon_.ctl({"start", "c"}).code, 0);
  EXPECT_EQ(daemon_.ctl({"start", "a"}).code, 0);
}

TEST_F(FullRun, ACrashThenLosesNothing) {
  const int main = daemon_.main_pid("b.service");
  fill();
  EXPECT_EQ(use_up().code, 1);
  EXPECT_EQ(daemon_.ctl({"stop", "a"}).code, 0);
  for (int i = 0; i < 2; ++i) {
    crash();
    start();
    EXPECT_EQ(daemon_.main_pid("b.service"), main);
    EXPECT_EQ(daemon_.property("b.service", "ActiveState"), "active");
    EXPECT_EQ(daemon_.property("a.service", "ActiveState"), "inactive");
  }
  free();
  EXPECT_EQ(daemon_.ctl({"start", "a", "c"}).code, 0);
  crash();
  start();
  for (const char* name : {"a.service", "b.service", "c.service"}) {
    EXPECT_EQ(daemon_.property(name, "ActiveState"), "active");
  }
  EXPECT_EQ(daemon_.main_pid("b.service"), main);
}

TEST_F(FullRun, ExecutingItselfAnewLosesNothing) {
  const int main = daemon_.main_pid("b.service");
  fill();
  EXPECT_EQ(use_up().code, 1);
  const test::CtlResult asked = daemon_.ctl({"daemon-reexec"});
  if (asked.code != 0) {
    EXPECT_THAT(asked.out + asked.err, HasSubstr("would lose what it knows"));
  }
  EXPECT_EQ(daemon_.main_pid("b.service"), main);
  EXPECT_EQ(daemon_.property("a.service", "ActiveState"), "active");
  free();
  EXPECT_EQ(daemon_.ctl({"daemon-reexec"}).code, 0);
  EXPECT_EQ(daemon_.main_pid("b.service"), main);
  EXPECT_EQ(daemon_.ctl({"start", "c"}).code, 0);
}

TEST_F(FullRun, AUnitOnRequestIsRefusedWithASentence) {
  fill();
  EXPECT_EQ(use_up().code, 1);
  const std::vector<std::string> request{
      "run", "--unit", "made", "-p", "DefaultDependencies=no", "--", "/bin/sleep", "1000"};
  const test::CtlResult refused = daemon_.ctl(request);
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, ::testing::AnyOf(HasSubstr("No space left on device"),
                                            HasSubstr("There is no room left in")));
  free();
  const test::CtlResult again = daemon_.ctl(request);
  EXPECT_EQ(again.code, 0) << refused.err << again.err;
}

}  // namespace
}  // namespace pidward::testing
