// Environment, directories, limits and scheduling of the program.
#include <sys/stat.h>

#include "exec/fixture.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

using SurroundingsTest = ExecTest;

TEST_P(SurroundingsTest, LaterSourcesOfTheEnvironmentWin) {
  request_.extra_environment = {"A=extra", "INVOCATION_ID=0123"};
  request_.manager_environment = {"A=manager", "B=manager", "LANG=C.UTF-8"};
  request_.daemon_environment = {"C=passed", "D=not-passed"};
  write("env", "B=file\n# comment\nE='quoted value'\n");
  set(Directive::PassEnvironment, std::vector<std::string>{"C"});
  set(Directive::Environment, std::vector<std::string>{"A=unit", "B=unit"});
  set(Directive::EnvironmentFile, std::vector<std::string>{path("env")});
  shell("echo $A,$B,$C,$D,$E,$INVOCATION_ID,$LANG");
  EXPECT_EQ(run().output, "unit,file,passed,,quoted value,0123,C.UTF-8\n");
}

TEST_P(SurroundingsTest, WhatAServiceIsPromisedWinsOverWhatWasSetForAll) {
  request_.extra_environment = {"INVOCATION_ID=0123", "MAINPID=7"};
  request_.manager_environment = {"HOME=/elsewhere", "INVOCATION_ID=of-all", "LANG=C.UTF-8",
                                  "MAINPID=1"};
  set(Directive::User, std::string("nobody"));
  shell("echo $HOME,$INVOCATION_ID,$MAINPID,$LANG,$USER");
  EXPECT_EQ(run().output, "/nonexistent,0123,7,C.UTF-8,nobody\n");
}

TEST_P(SurroundingsTest, AWatchedProcessKnowsThatItIsTheOne) {
  request_.extra_environment = {"WATCHDOG_USEC=5000000"};
  shell("echo $WATCHDOG_USEC $((WATCHDOG_PID == $$))");
  EXPECT_EQ(run().output, "5000000 1\n");
  request_.extra_environment.clear();
  shell("echo [$WATCHDOG_PID]");
  EXPECT_EQ(run().output, "[]\n");
}

TEST_P(SurroundingsTest, WhatTheUnitSaysOfAProcessNumberStaysAsItIs) {
  request_.extra_environment = {"WATCHDOG_USEC=5000000"};
  set(Directive::Environment,
      std::vector<std::string>{"SYSTEMD_EXEC_PID=7", "WATCHDOG_PID=", "LISTEN_PID=8"});
  request_.passed = {{.fd = STDERR_FILENO, .name = "x"}};
  shell("echo [$SYSTEMD_EXEC_PID][$WATCHDOG_PID][$LISTEN_PID]");
  EXPECT_EQ(run().output, "[7][][8]\n");
  settings_.unset(Directive::Environment);
  shell("echo $((SYSTEMD_EXEC_PID == $$)) $((WATCHDOG_PID == $$)) $((LISTEN_PID == $$))");
  EXPECT_EQ(run().output, "1 1 1\n");
}

TEST_P(SurroundingsTest, UnsetEnvironmentComesLast) {
  set(Directive::Environment, std::vector<std::string>{"A=1", "B=2", "C=3"});
  set(Directive::UnsetEnvironment, std::vector<std::string>{"A", "B=2", "C=other"});
  shell("echo [$A][$B][$C]");
  EXPECT_EQ(run().output, "[][][3]\n");
}

TEST_P(SurroundingsTest, AnEnvironmentFileThatWouldBlockIsRefused) {
  const std::string fifo = path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  set(Directive::EnvironmentFile, std::vector<std::string>{fifo});
  const Compiled compiled = compile(request());
  ASSERT_TRUE(compiled.error.has_value());
  EXPECT_NE(compiled.error->to_string().find(fifo + " is not a regular file"), std::string::npos)
      << compiled.error->to_string();
  set(Directive::EnvironmentFile, std::vector<std::string>{"/dev/null"});
  EXPECT_FALSE(compile(request()).error.has_value());
}

TEST_P(SurroundingsTest, AMissingEnvironmentFileIsAResourceFailureUnlessOptional) {
  shell("echo ok");
  set(Directive::EnvironmentFile, std::vector<std::string>{"/no/such/file"});
  const RunResult failed = run();
  ASSERT_TRUE(failed.compiled.error);
  EXPECT_EQ(failed.compiled.exit_code, ExitCode::none);
  EXPECT_NE(failed.compiled.error->to_string().find("/no/such/file"), std::string::npos);
  set(Directive::EnvironmentFile, std::vector<std::string>{"-/no/such/file"});
  EXPECT_EQ(run().output, "ok\n");
}

TEST_P(SurroundingsTest, VariablesInTheCommandLineAreExpanded) {
  set(Directive::Environment, std::vector<std::string>{"WORDS=a b", "ONE=x y"});
  command({"/bin/sh", "-c", "for i; do echo \"<$i>\"; done", "sh", "$WORDS", "${ONE}", "$$HOME"});
  EXPECT_EQ(run().output, "<a>\n<b>\n<x y>\n<$HOME>\n");
}

TEST_P(SurroundingsTest, LimitsAreSet) {
  set(Directive::LimitNOFILE, unit::ResourceLimit{100, 200});
  set(Directive::LimitCORE, unit::ResourceLimit{0, 0});
  shell("ulimit -Sn; ulimit -Hn; ulimit -c");
  EXPECT_EQ(run().output, "100\n200\n0\n");
}

TEST_P(SurroundingsTest, PriorityPolicyAndAffinityAreSet) {
  set(Directive::Nice, std::int64_t{5});
  set(Directive::CPUSchedulingPolicy, std::int64_t{3});  // batch
  set(Directive::CPUAffinity, std::vector<std::string>{"0"});
  set(Directive::IOSchedulingClass, std::int64_t{3});  // idle
  set(Directive::IOSchedulingPriority, std::int64_t{0});
  shell("nice; grep Cpus_allowed_list /proc/self/status; grep ^policy /proc/self/sched || :");
  const std::string output = run().output;
  EXPECT_NE(output.find("5\nCpus_allowed_list:\t0\n"), std::string::npos) << output;
}

// As systemd has it: real-time policies begin at 1, the others are at 0 whatever is asked for.
TEST_P(SurroundingsTest, ThePriorityIsPutIntoTheRangeOfThePolicy) {
  constexpr std::int64_t kFifo = 1;
  constexpr std::int64_t kIdle = 5;
  shell("chrt -p $$");
  set(Directive::CPUSchedulingPolicy, kFifo);
  const std::string fifo = run().output;
  EXPECT_NE(fifo.find("SCHED_FIFO"), std::string::npos) << fifo;
  EXPECT_NE(fifo.find("priority: 1\n"), std::string::npos) << fifo;
  set(Directive::CPUSchedulingPolicy, kIdle);
  set(Directive::CPUSchedulingPriority, std::int64_t{20});
  const std::string idle = run().output;
  EXPECT_NE(idle.find("SCHED_IDLE"), std::string::npos) << idle;
}

TEST_P(SurroundingsTest, NoneIsReadAsBestEffort) {
  shell("ionice -p $$");
  set(Directive::IOSchedulingClass, std::int64_t{0});
  EXPECT_NE(run().output.find("best-effort"), std::string::npos);
}

TEST_P(SurroundingsTest, AnImpossibleAffinityIs215) {
  set(Directive::CPUAffinity, std::vector<std::string>{"1000"});
  shell("exit 0");
  EXPECT_EQ(run().status.code, 215);
}

TEST_P(SurroundingsTest, DirectoriesAreMadeWithTheirModesAndAnnounced) {
  set(Directive::RuntimeDirectory,
      std::vector<unit::ExecDirectory>{{"web", {}}, {"web/deep", {"alias"}}});
  set(Directive::RuntimeDirectoryMode, std::int64_t{0750});
  set(Directive::StateDirectory, std::vector<unit::ExecDirectory>{{"web", {}}});
  shell("echo $RUNTIME_DIRECTORY $STATE_DIRECTORY");
  EXPECT_EQ(run().output,
            path("run/web") + ":" + path("run/web/deep") + " " + path("state/web") + "\n");
  struct stat info {};
  ASSERT_EQ(::stat(path("run/web/deep").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0750U);
  EXPECT_EQ(std::filesystem::read_symlink(path("run/alias")), "web/deep");
}

TEST_P(SurroundingsTest, RuntimeDirectoriesGoUnlessPreserved) {
  set(Directive::RuntimeDirectory, std::vector<unit::ExecDirectory>{{"web", {}}});
  shell("touch $RUNTIME_DIRECTORY/file");
  run();
  ASSERT_TRUE(std::filesystem::exists(path("run/web/file")));
  set(Directive::RuntimeDirectoryPreserve, static_cast<std::int64_t>(unit::PreserveMode::restart));
  remove_runtime_directories(*request().spec, request_.roots, true);
  EXPECT_TRUE(std::filesystem::exists(path("run/web/file")));
  remove_runtime_directories(*request().spec, request_.roots, false);
  EXPECT_FALSE(std::filesystem::exists(path("run/web")));
}

TEST_P(SurroundingsTest, WhatIsInTheWayOfALinkIsAnErrorAndStays) {
  std::filesystem::create_directories(path("run"));
  write("run/alias", "mine");
  set(Directive::RuntimeDirectory, std::vector<unit::ExecDirectory>{{"web", {"alias"}}});
  shell("exit 0");
  const RunResult result = run();
  EXPECT_EQ(result.compiled.exit_code, ExitCode::runtime_directory);
  EXPECT_NE(result.compiled.error->to_string().find("run/alias"), std::string::npos)
      << result.compiled.error->to_string();
  remove_runtime_directories(*request().spec, request_.roots, false);
  EXPECT_EQ(read(path("run/alias")), "mine");
  std::filesystem::remove(path("run/alias"));
  EXPECT_EQ(run().status.code, 0);
  EXPECT_EQ(run().status.code, 0) << "a link of ours is not in the way";
  remove_runtime_directories(*request().spec, request_.roots, false);
  EXPECT_FALSE(std::filesystem::is_symlink(path("run/alias")));
}

TEST_P(SurroundingsTest, DirectoriesBelongToTheUserWithAllThatIsInThem) {
  if (!is_root()) GTEST_SKIP() << "giving files away takes root";
  std::filesystem::create_directories(path("state/web/sub"));
  write("state/web/sub/file", "x");
  set(Directive::User, std::string("nobody"));
  set(Directive::StateDirectory, std::vector<unit::ExecDirectory>{{"web", {}}});
  shell("stat -c %U $STATE_DIRECTORY $STATE_DIRECTORY/sub $STATE_DIRECTORY/sub/file");
  EXPECT_EQ(run().output, "nobody\nnobody\nnobody\n");
}

TEST_P(SurroundingsTest, ALinkPlantedByAnotherUserIsNotFollowed) {
  if (!is_root()) GTEST_SKIP() << "planting another user's link takes root";
  std::filesystem::create_directories(path("state"));
  std::filesystem::create_directories(path("victim"));
  std::filesystem::create_directory_symlink(path("victim"), path("state/web"));
  ASSERT_EQ(::lchown(path("state/web").c_str(), 65534, 65534), 0);
  set(Directive::User, std::string("nobody"));
  set(Directive::StateDirectory, std::vector<unit::ExecDirectory>{{"web", {}}});
  shell("exit 0");
  const RunResult result = run();
  EXPECT_EQ(result.compiled.exit_code, ExitCode::state_directory);
  struct stat info {};
  ASSERT_EQ(::stat(path("victim").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

INSTANTIATE_TEST_SUITE_P(Descriptors, SurroundingsTest, copied_or_handed_over(), way_of);

}  // namespace
}  // namespace pidward::exec
