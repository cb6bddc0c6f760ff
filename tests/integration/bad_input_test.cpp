// What bad input gets: a sentence that says what and where, that unit's failure and nobody else's.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    supervisor_.write_unit("good.service", plain("/bin/sleep 1000"));
    ASSERT_EQ(supervisor_.ctl({"start", "good"}).exit_code, 0);
  }
  void TearDown() override {
    EXPECT_EQ(supervisor_.property("good.service", "ActiveState"), "active");
    EXPECT_EQ(supervisor_.ctl({"is-active", "good"}).exit_code, 0);
  }
  static std::string plain(const std::string& command, const std::string& more = {}) {
    return "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=" + command + "\n" + more;
  }
  /// Starting it fails, and what the caller is told names all of `words`.
  void fails_to_start(const std::string& unit, const std::vector<std::string>& words) {
    const CommandResult started = supervisor_.ctl({"start", unit});
    EXPECT_NE(started.exit_code, 0);
    for (const std::string& word : words) {
      EXPECT_NE(started.output.find(word), std::string::npos) << "no '" << word << "' in:\n"
                                                              << started.output;
    }
  }
  [[nodiscard]] std::string unit_path(const std::string& name) const {
    return supervisor_.directory.path() + "/units/" + name;
  }

  Supervisor supervisor_{Supervisor::Options{{}, {}, false}};
};

TEST_F(BadInput, AnUnknownUnitIsExitCodeFive) {
  const CommandResult result = supervisor_.ctl({"start", "no-such"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_NE(result.output.find("no-such.service"), std::string::npos) << result.output;
}

TEST_F(BadInput, AnEmptyUnitFileIsMasked) {
  supervisor_.write_unit("empty.service", "");
  EXPECT_NE(supervisor_.ctl({"start", "empty"}).exit_code, 0);
}

TEST_F(BadInput, AServiceWithoutACommandSaysSo) {
  supervisor_.write_unit("bare.service", "[Unit]\nDescription=x\n[Service]\nType=simple\n");
  fails_to_start("bare", {"bare.service", "ExecStart="});
}

TEST_F(BadInput, ABinaryFileIsRefusedAndNamed) {
  std::string bytes;
  for (int i = 0; i < 100000; ++i) bytes += static_cast<char>(i * 7919 >> 3);
  supervisor_.write_unit("binary.service", bytes);
  fails_to_start("binary", {"binary.service"});
}

TEST_F(BadInput, ANulByteIsNamedWithFileAndLine) {
  supervisor_.write_unit("nul.service",
                         plain("/bin/sleep 9", std::string("Environment=A=\0B\n", 17)));
  // The line is left out; the rest of the file is good.
  const CommandResult started = supervisor_.ctl({"start", "nul"});
  EXPECT_EQ(started.exit_code, 0);
  EXPECT_NE(started.output.find("nul.service:5"), std::string::npos) << started.output;
  EXPECT_NE(started.output.find("NUL"), std::string::npos) << started.output;
}

TEST_F(BadInput, AWrongEncodingIsNamedWithFileAndLine) {
  // Latin-1 and UTF-16: neither is UTF-8.
  supervisor_.write_unit("latin.service", plain("/bin/sleep 9", "Environment=NAME=Andr\xe9\n"));
  EXPECT_NE(supervisor_.ctl({"start", "latin"}).output.find("latin.service:5"), std::string::npos);
  const std::string utf16 = std::string("\xff\xfe[\0S\0e\0r\0v\0i\0c\0e\0]\0\n\0", 22);
  supervisor_.write_unit("wide.service", utf16);
  fails_to_start("wide", {"wide.service:1"});
}

TEST_F(BadInput, ABadLineIsNamedWithFileAndLine) {
  supervisor_.write_unit("line.service",
                         "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=relative/path\n");
  fails_to_start("line", {"line.service", ":4"});
}

TEST_F(BadInput, AMillionLinesAreRefusedInBoundedTime) {
  std::string text = "[Service]\n";
  for (int i = 0; i < 1000000; ++i) text += "Environment=A=1\n";
  supervisor_.write_unit("million.service", text);
  fails_to_start("million", {"million.service"});
}

TEST_F(BadInput, AUnitFileThatNeverEndsIsRefused) {
  ASSERT_EQ(::symlink("/dev/zero", unit_path("endless.service").c_str()), 0);
  fails_to_start("endless", {"endless.service"});
}

TEST_F(BadInput, LinksThatDangleOrLoopAreNamed) {
  ASSERT_EQ(::symlink("/no/such/file.service", unit_path("dangling.service").c_str()), 0);
  ASSERT_EQ(::symlink("loop-b.service", unit_path("loop-a.service").c_str()), 0);
  ASSERT_EQ(::symlink("loop-a.service", unit_path("loop-b.service").c_str()), 0);
  fails_to_start("dangling", {"dangling.service"});
  fails_to_start("loop-a", {"loop-a.service"});
}

TEST_F(BadInput, AnOrderCycleIsReportedWhole) {
  supervisor_.write_unit("a.service",
                         "[Unit]\nDefaultDependencies=no\nRequires=b.service\nAfter=b.service\n["
                         "Service]\nExecStart=/bin/sleep 9\n");
  supervisor_.write_unit("b.service",
                         "[Unit]\nDefaultDependencies=no\nRequires=c.service\nAfter=c.service\n["
                         "Service]\nExecStart=/bin/sleep 9\n");
  supervisor_.write_unit("c.service",
                         "[Unit]\nDefaultDependencies=no\nRequires=a.service\nAfter=a.service\n["
                         "Service]\nExecStart=/bin/sleep 9\n");
  fails_to_start("a", {"a.service", "b.service", "c.service"});
}

TEST_F(BadInput, AProgramThatIsNotThereIs203) {
  supervisor_.write_unit("missing.service", plain("/no/such/program", "Type=exec\n"));
  fails_to_start("missing", {"203", "EXEC", "/no/such/program"});
}

TEST_F(BadInput, AProgramThatIsNotExecutableIs203) {
  supervisor_.write_unit("plain-file", "x");
  supervisor_.write_unit("noexec.service", plain(unit_path("plain-file"), "Type=exec\n"));
  fails_to_start("noexec", {"203", "Permission denied"});
}

TEST_F(BadInput, AUserThatDoesNotExistIs217) {
  supervisor_.write_unit("user.service", plain("/bin/sleep 9", "Type=exec\nUser=no-such-user\n"));
  fails_to_start("user", {"217", "no-such-user"});
}

TEST_F(BadInput, AGroupThatDoesNotExistIs216) {
  supervisor_.write_unit("group.service",
                         plain("/bin/sleep 9", "Type=exec\nGroup=no-such-group\n"));
  fails_to_start("group", {"216", "no-such-group"});
}

TEST_F(BadInput, APidFileWithGarbageOrAStrangersNumberIsNotBelieved) {
  const std::string pid_file = supervisor_.directory.path() + "/x.pid";
  const std::string dead = trim(run_shell("sh -c 'echo $$'").output);
  for (const std::string& content :
       {std::string("garbage"), std::string("1"), std::to_string(::getpid()), dead,
        std::string("999999999"), std::string("-5")}) {
    supervisor_.write_unit(
        "pidfile.service",
        plain("/bin/sh -c 'echo " + content + " > " + pid_file + "; sleep 1000 & exit 0'",
              "Type=forking\nTimeoutStartSec=300ms\nPIDFile=" + pid_file +
                  "\n[Unit]\nStartLimitIntervalSec=0\n"));
    supervisor_.ctl({"daemon-reload"});
    const CommandResult started = supervisor_.ctl({"start", "pidfile"});
    EXPECT_NE(supervisor_.main_pid("pidfile.service"), ::getpid()) << content;
    EXPECT_NE(supervisor_.main_pid("pidfile.service"), 1) << content;
    EXPECT_NE(started.exit_code, 0) << content;
    EXPECT_NE(started.output.find(pid_file), std::string::npos) << started.output;
    supervisor_.ctl({"stop", "pidfile"});
    std::filesystem::remove(pid_file);
  }
}

TEST_F(BadInput, AForkingServiceWithManyWorkersHasTheDaemonizedProcessAsItsMainOne) {
  // The first process has its workers before the parent ends, as apache may have.
  supervisor_.write_unit("workers.service",
                         plain("/bin/sh -c '(sleep 1000 & sleep 1000 & sleep 1000 & echo $! > " +
                                   supervisor_.directory.path() + "/ready; wait) & until [ -s " +
                                   supervisor_.directory.path() + "/ready ]; do sleep 0.01; done'",
                               "Type=forking\n"));
  ASSERT_EQ(supervisor_.ctl({"start", "workers"}).exit_code, 0);
  const int main_pid = supervisor_.main_pid("workers.service");
  EXPECT_GT(main_pid, 0);
  EXPECT_NE(run_shell("cat /proc/" + std::to_string(main_pid) + "/comm").output.find("sh"),
            std::string::npos);
  EXPECT_EQ(supervisor_.ctl({"stop", "workers"}).exit_code, 0);
}

TEST_F(BadInput, AStrangersNotificationChangesNothing) {
  supervisor_.write_unit("waits.service",
                         plain("/bin/sleep 1000", "Type=notify\nTimeoutStartSec=1min\n"));
  ASSERT_EQ(supervisor_.ctl({"start", "--no-block", "waits"}).exit_code, 0);
  ASSERT_TRUE(supervisor_.reaches("waits.service", "SubState", "start"));
  const std::string environment =
      "/proc/" + std::to_string(supervisor_.main_pid("waits.service")) + "/environ";
  const CommandResult sent = run_shell("socket=$(tr '\\0' '\\n' < " + environment +
                                       " | sed -n 's/^NOTIFY_SOCKET=//p'); NOTIFY_SOCKET=$socket "
                                       "systemd-notify --ready; echo $socket");
  EXPECT_NE(trim(sent.output), "");
  EXPECT_EQ(supervisor_.property("waits.service", "SubState"), "start");
  supervisor_.ctl({"stop", "waits"});
}

TEST_F(BadInput, AConfigurationWithUnknownKeysIsRefusedWithLineAndNearestName) {
  const std::string file = supervisor_.directory.path() + "/bad.yaml";
  std::ofstream(file) << "log-level: info\nlog-levle: debug\ndefault-timeout-start: soon\n";
  const CommandResult checked =
      run_command({PIDWARD_PROGRAM, "--system", "--config", file, "--check-config"});
  EXPECT_NE(checked.exit_code, 0);
  EXPECT_NE(checked.output.find("bad.yaml:2"), std::string::npos) << checked.output;
  EXPECT_NE(checked.output.find("log-level"), std::string::npos) << checked.output;
  EXPECT_NE(checked.output.find("bad.yaml:3"), std::string::npos) << checked.output;
}

TEST_F(BadInput, VerifySaysEverythingThatIsWrongAtOnce) {
  supervisor_.write_unit(
      "typos.service",
      "[Unit]\nDescripton=x\n[Service]\nExecStart=/bin/true\nRestrt=always\nTimeoutStopSec=soon\n");
  const CommandResult result =
      run_command({PIDWARDCTL_PROGRAM, "verify", unit_path("typos.service")});
  EXPECT_NE(result.exit_code, 0);
  for (const char* word :
       {"typos.service:2", "Description", "typos.service:5", "Restart", "typos.service:6"}) {
    EXPECT_NE(result.output.find(word), std::string::npos) << "no '" << word << "' in:\n"
                                                           << result.output;
  }
}

TEST_F(BadInput, AFullDiskFailsTheUnitThatWritesThere) {
  supervisor_.write_unit("full.service", plain("/bin/sh -c 'echo x > /dev/full'",
                                               "Type=oneshot\nStandardError=file:/dev/full\n"));
  EXPECT_NE(supervisor_.ctl({"start", "full"}).exit_code, 0);
}

}  // namespace
}  // namespace pidward::testing
