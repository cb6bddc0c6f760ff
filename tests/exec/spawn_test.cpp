// A start from plan to program: success, each way to fail, and what the daemon must not notice.
#include <filesystem>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "exec/fixture.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    count += entry.exists() ? 1 : 0;
  return count;
}

TEST_P(ExecTest, AProgramThatExistsIsExecuted) {
  shell("echo hello; exit 7");
  const RunResult result = run();
  ASSERT_TRUE(result.outcome);
  EXPECT_TRUE(result.outcome->executed);
  EXPECT_EQ(result.status.kind, ExitStatus::Kind::exited);
  EXPECT_EQ(result.status.code, 7);
  EXPECT_EQ(result.output, "hello\n");
}

TEST_P(ExecTest, AMissingProgramIs203AndTheSentenceNamesIt) {
  command({"/no/such/program"});
  const RunResult result = run();
  ASSERT_TRUE(result.outcome);
  EXPECT_FALSE(result.outcome->executed);
  EXPECT_EQ(result.outcome->exit_code, ExitCode::exec);
  EXPECT_EQ(result.outcome->error->sys_errno(), ENOENT);
  EXPECT_NE(result.outcome->error->message().find("/no/such/program"), std::string::npos);
  EXPECT_EQ(result.status.code, 203);
}

TEST_P(ExecTest, AFileThatIsNotExecutableIs203WithPermissionDenied) {
  write("plain", "#!/bin/sh\n");
  command({path("plain")});
  const RunResult result = run();
  ASSERT_TRUE(result.outcome);
  EXPECT_EQ(result.outcome->exit_code, ExitCode::exec);
  EXPECT_EQ(result.outcome->error->sys_errno(), EACCES);
}

TEST_P(ExecTest, ANameIsLookedUpInExecSearchPath) {
  write("tool", "#!/bin/sh\necho from-search-path\n");
  ::chmod(path("tool").c_str(), 0755);
  set(Directive::ExecSearchPath, std::vector<std::string>{"/no/such/dir", directory_});
  command({"tool"});
  EXPECT_EQ(run().output, "from-search-path\n");
}

TEST_P(ExecTest, ANameWithoutSearchPathIsFoundInTheUsualDirectories) {
  command({"echo", "found"});
  EXPECT_EQ(run().output, "found\n");
}

TEST_P(ExecTest, AMissingWorkingDirectoryIs200) {
  set(Directive::WorkingDirectory, std::string("/no/such/dir"));
  shell("pwd");
  const RunResult result = run();
  ASSERT_TRUE(result.outcome);
  EXPECT_EQ(result.outcome->exit_code, ExitCode::chdir);
  EXPECT_EQ(result.status.code, 200);
}

TEST_P(ExecTest, AMissingWorkingDirectoryWithAMinusIsTheRoot) {
  set(Directive::WorkingDirectory, std::string("-/no/such/dir"));
  shell("pwd");
  EXPECT_EQ(run().output, "/\n");
}

TEST_P(ExecTest, AMinusForgivesWhateverKeepsItFromTheWorkingDirectory) {
  write("file", "");
  set(Directive::WorkingDirectory, "-" + path("file"));
  shell("pwd");
  EXPECT_EQ(run().output, "/\n");
}

TEST_P(ExecTest, WithoutAUserTheHomeIsOurs) {
  if (!is_root()) GTEST_SKIP() << "whose home that is depends on who runs this";
  set(Directive::Environment, std::vector<std::string>{"HOME=/tmp"});
  for (const char* home : {"~", "-~"}) {
    set(Directive::WorkingDirectory, std::string(home));
    shell("pwd");
    EXPECT_EQ(run().output, "/root\n");
  }
}

TEST_P(ExecTest, TheProgramRunsInItsWorkingDirectoryWithItsMask) {
  set(Directive::WorkingDirectory, directory_);
  set(Directive::UMask, std::int64_t{0027});
  shell("pwd; umask");
  EXPECT_EQ(run().output, directory_ + "\n0027\n");
}

TEST_P(ExecTest, TheProgramLeadsItsOwnSessionAndStartsWithAnOpenSignalMask) {
  shell(
      "read -r _ _ _ _ _ session _ < /proc/self/stat; echo $((session == $$)); grep SigBlk "
      "/proc/self/status");
  EXPECT_EQ(run().output, "1\nSigBlk:\t0000000000000000\n");
}

TEST_P(ExecTest, SigpipeIsIgnoredUnlessTheUnitSaysOtherwise) {
  shell("grep SigIgn /proc/self/status");
  EXPECT_EQ(run().output, "SigIgn:\t0000000000001000\n");
  set(Directive::IgnoreSIGPIPE, false);
  EXPECT_EQ(run().output, "SigIgn:\t0000000000000000\n");
}

TEST_P(ExecTest, NoDescriptorOfTheDaemonReachesTheProgram) {
  shell("ls /proc/$$/fd");
  EXPECT_EQ(run().output, "0\n1\n2\n");
}

TEST_P(ExecTest, AThousandStartsLeaveNoDescriptorAndNoZombie) {
  shell("exit 0");
  run();
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(run().status.code, 0);
  }
  command({"/no/such/program"});
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(run().status.code, 203);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(ExecTest, ManyChildrenOnTheirWayAtOnceDoNotDisturbEachOther) {
  std::vector<SpawnedChild> children;
  for (int i = 0; i < 100; ++i) {
    shell("exit " + std::to_string(i));
    auto compiled = compile(request());
    ASSERT_TRUE(compiled.plan);
    auto child = spawner_.spawn(std::move(compiled.plan));
    ASSERT_TRUE(child) << child.error().to_string();
    children.push_back(std::move(*child));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(wait_for_outcome(children[static_cast<std::size_t>(i)]).executed);
    EXPECT_EQ(wait_for_end(children[static_cast<std::size_t>(i)].pidfd()).code, i);
  }
}

TEST_P(ExecTest, AChildThatSleepsAtItsGateIsWokenWhateverIsDecided) {
  const auto sleeper = [this] {
    shell("exit 7");
    auto compiled = compile(request());
    auto child = spawner_.spawn(std::move(compiled.plan), {}, true);
    EXPECT_TRUE(child) << child.error().to_string();
    const GateWords* words = child->gate().words();
    while (__atomic_load_n(reinterpret_cast<const std::uint32_t*>(&words->state),
                           __ATOMIC_ACQUIRE) != static_cast<std::uint32_t>(GateState::waited_at)) {
      ::sched_yield();
    }
    EXPECT_FALSE(child->outcome());
    return *std::move(child);
  };
  SpawnedChild opened = sleeper();
  opened.open_gate();
  EXPECT_TRUE(wait_for_outcome(opened).executed);
  EXPECT_EQ(wait_for_end(opened.pidfd()).code, 7);
  sys::Pidfd abandoned;
  {
    SpawnedChild child = sleeper();
    abandoned = std::move(child.pidfd());
  }
  EXPECT_EQ(wait_for_end(abandoned).code, static_cast<int>(ExitCode::exec));
}

TEST_P(ExecTest, AChildLetGoOfBeforeItsExecStillGetsThere) {
  // The fifo holds the child in its very first steps; only then does its owner forget it.
  ASSERT_EQ(::mkfifo(path("gate").c_str(), 0600), 0);
  set(Directive::StandardInput,
      unit::StreamTarget{static_cast<std::int64_t>(unit::StandardInput::file), path("gate")});
  shell("read -r line; exit 5");
  auto compiled = compile(request());
  ASSERT_TRUE(compiled.plan);
  sys::Pidfd pidfd;
  {
    auto child = spawner_.spawn(std::move(compiled.plan));
    ASSERT_TRUE(child) << child.error().to_string();
    EXPECT_FALSE(child->outcome());
    pidfd = std::move(child->pidfd());
  }
  std::ofstream(path("gate")) << "go\n";
  EXPECT_EQ(wait_for_end(pidfd).code, 5);
}

// A child may be killed before it took what waits for it: that is heard of, and taken by nobody,
// not when the next one gets the same number either.
TEST_P(ExecTest, WhatAKilledChildDidNotTakeIsTakenByNobody) {
  for (int i = 0; i < 200; ++i) {
    shell("exit 1");
    auto compiled = compile(request());
    auto child = spawner_.spawn(std::move(compiled.plan), {}, true);
    ASSERT_TRUE(child) << child.error().to_string();
    ASSERT_TRUE(child->pidfd().send_signal(SIGKILL));
    EXPECT_EQ(wait_for_end(child->pidfd()).code, SIGKILL);
    child->ended();
    ASSERT_TRUE(child->outcome());
    if (i % 20 != 0) continue;
    shell("echo mine; exit 4");
    const RunResult next = run();
    EXPECT_EQ(next.output, "mine\n");
    EXPECT_EQ(next.status.code, 4);
  }
}

// More than fit into one message (SCM_MAX_FD).
TEST_P(ExecTest, HundredsOfDescriptorsArePassedToo) {
  std::vector<sys::Fd> kept;
  for (int i = 0; i < 300; ++i) {
    kept.push_back(*sys::make_memfd("passed", std::to_string(i)));
    request_.passed.push_back({kept.back().get(), "passed", false});
  }
  shell(
      "cat /proc/$$/fd/3; echo; cat /proc/$$/fd/252; echo; cat /proc/$$/fd/302; echo; "
      "test -e /proc/$$/fd/303 || echo no more");
  EXPECT_EQ(run().output, "0\n249\n299\nno more\n");
}

TEST_P(ExecTest, OomScoreAdjustReachesTheProgramAndNotTheDaemon) {
  const std::string before = read("/proc/self/oom_score_adj");
  set(Directive::OOMScoreAdjust, std::int64_t{321});
  shell("cat /proc/self/oom_score_adj");
  EXPECT_EQ(run().output, "321\n");
  EXPECT_EQ(read("/proc/self/oom_score_adj"), before);
}

INSTANTIATE_TEST_SUITE_P(Descriptors, ExecTest, copied_or_handed_over(), way_of);

}  // namespace
}  // namespace pidward::exec
