// pidwardctl against the real daemon: what every verb prints and its exit code.
#include <filesystem>

#include <nlohmann/json.hpp>

#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

using nlohmann::json;

constexpr const char* kSleeper =
    "[Unit]\nDescription=Sleeps\n[Service]\nExecStart=/bin/sleep "
    "infinity\n[Install]\nWantedBy=multi-user.target\n";
constexpr const char* kFailing =
    "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the disk is full; exit 3'\n";

class CommandLine : public DaemonFixture {
 protected:
  void SetUp() override {
    unit("web.service", kSleeper);
    unit("bad.service", kFailing);
    start();
  }
};

TEST_F(CommandLine, StartsAndStopsByShortName) {
  const CtlResult started = ctl({"start", "web"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(ctl({"is-active", "web"}).out, "active\n");
  EXPECT_EQ(ctl({"is-active", "web"}).code, 0);
  EXPECT_EQ(ctl({"restart", "web"}).code, 0);
  EXPECT_EQ(ctl({"try-restart", "web"}).code, 0);
  EXPECT_EQ(ctl({"reload-or-restart", "web"}).code, 0);
  EXPECT_EQ(ctl({"try-reload-or-restart", "web"}).code, 0);
  EXPECT_EQ(ctl({"stop", "web"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "web"}).code, 3);
  EXPECT_EQ(ctl({"is-active", "-q", "web"}).out, "");
}

TEST_F(CommandLine, SaysWhyAStartFailed) {
  const CtlResult result = ctl({"start", "bad"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("bad.service"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("exit-code"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("status=3"), std::string::npos) << result.err;
  EXPECT_EQ(ctl({"is-failed", "bad"}).code, 0);
  EXPECT_EQ(ctl({"status", "bad"}).code, 3);
  EXPECT_EQ(ctl({"reset-failed", "bad"}).code, 0);
  EXPECT_EQ(ctl({"is-failed", "bad"}).code, 1);
}

TEST_F(CommandLine, NamesTheCommandThatFailedAndNotWhatWasEndedForItsSake) {
  unit("late.service",
       "[Service]\nExecStartPre=-/bin/false\nExecStart=/bin/sleep infinity\n"
       "ExecStartPost=/bin/sh -c 'exit 5'\n");
  const CtlResult failed = ctl({"start", "late"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("Step: ExecStartPost="), std::string::npos) << failed.err;
  EXPECT_NE(failed.err.find("status=5"), std::string::npos) << failed.err;
}

TEST_F(CommandLine, ShowsValuesAsTheyAreWritten) {
  unit("values.service",
       "[Service]\nType=oneshot\nExecStart=/bin/true\nUMask=0027\nRuntimeDirectoryMode=0750\n"
       "Environment=\"A=b c\" B=2 \"C=x\\ny\"\nSuccessExitStatus=9 SIGKILL\n"
       "CapabilityBoundingSet=CAP_KILL CAP_CHOWN\nCPUAffinity=0 1 3\nRestartSec=1.5s\n"
       "TimeoutStartSec=1h 500ms\nTimeoutStopSec=500ms\nRuntimeDirectory=a:b\n"
       "StandardInputText=hello\nRestrictAddressFamilies=~AF_INET\n"
       "[Unit]\nDocumentation=man:a(1) http://x/\n");
  unit("ends.service",
       "[Service]\nType=oneshot\nExecStart=/bin/true\nExecStartPost=-/bin/sh -c 'exit 3'\n"
       "ExecStopPost=/bin/sh -c 'kill -9 $$$$'\n");
  unit("values.socket", "[Socket]\nListenStream=/run/x\nListenFIFO=/run/y\n");
  unit("values.path", "[Path]\nPathExists=/x\nPathChanged=/y\n");
  unit("values.timer",
       "[Timer]\nOnActiveSec=1h\nOnBootSec=1.5s\nOnCalendar=2100-01-01\nAccuracySec=1us\n");
  const CtlResult shown =
      ctl({"show", "values", "-p",
           "UMask,RuntimeDirectoryMode,Environment,SuccessExitStatus,CPUWeight,MemoryMax,"
           "CapabilityBoundingSet,AmbientCapabilities,CPUAffinity,RestartUSec,TimeoutStartUSec,"
           "TimeoutStopUSec,RuntimeDirectorySymlink,StandardInputData,RestrictAddressFamilies,"
           "Documentation,ExecStart,LogLevelMax"});
  for (const char* line :
       {"UMask=0027\n", "RuntimeDirectoryMode=0750\n", "Environment=\"A=b c\" B=2 \"C=x\\ny\"\n",
        "SuccessExitStatus=9 KILL\n", "CPUWeight=[not set]\n", "MemoryMax=infinity\n",
        "CapabilityBoundingSet=cap_chown cap_kill\n", "AmbientCapabilities=\n",
        "CPUAffinity=0-1 3\n", "RestartUSec=1.500000s\n", "TimeoutStartUSec=1h 500ms\n",
        "TimeoutStopUSec=500ms\n", "RuntimeDirectorySymlink=a:b\n", "StandardInputData=aGVsbG8K\n",
        "RestrictAddressFamilies=~AF_INET\n", "Documentation=\"man:a(1)\" http://x/\n",
        "pid=0 ; code=(null) ; status=0/0 }\n", "LogLevelMax=-1\n"}) {
    EXPECT_NE(shown.out.find(line), std::string::npos) << line << shown.out;
  }
  ctl({"start", "ends"});
  const std::string ends = ctl({"show", "ends", "-p", "ExecStart,ExecStartPost,ExecStopPost"}).out;
  for (const char* end :
       {"code=exited ; status=0 }", "code=exited ; status=3 }", "code=killed ; status=9/KILL }"}) {
    EXPECT_NE(ends.find(end), std::string::npos) << end << ends;
  }
  EXPECT_EQ(ctl({"show", "values.socket", "-p", "Listen,TriggerLimitBurst"}).out,
            "Listen=/run/x (Stream)\nListen=/run/y (FIFO)\nTriggerLimitBurst=20\n");
  unit("short.service",
       "[Unit]\nJobTimeoutSec=5\n[Service]\nExecStart=/bin/true\nWorkingDirectory=-/srv\n"
       "CPUSchedulingPolicy=fifo\nDelegate=memory pids\n");
  EXPECT_EQ(ctl({"show", "short", "-p",
                 "JobRunningTimeoutUSec,WorkingDirectory,CPUSchedulingPriority,Delegate,"
                 "DelegateControllers,OOMPolicy"})
                .out,
            "JobRunningTimeoutUSec=5s\nWorkingDirectory=!/srv\nCPUSchedulingPriority=1\n"
            "Delegate=yes\nDelegateControllers=memory pids\nOOMPolicy=continue\n");
  unit("short.socket", "[Socket]\nListenStream=80\n");
  EXPECT_EQ(ctl({"show", "short.socket", "-p", "Listen,FileDescriptorName"}).out,
            "Listen=[::]:80 (Stream)\nFileDescriptorName=short.socket\n");
  EXPECT_EQ(ctl({"show", "short.slice", "-p", "IgnoreOnIsolate"}).out, "IgnoreOnIsolate=yes\n");
  EXPECT_EQ(ctl({"show", "values.path", "-p", "Paths,TriggerLimitIntervalUSec"}).out,
            "Paths=/x (PathExists)\nPaths=/y (PathChanged)\nTriggerLimitIntervalUSec=2s\n");
  EXPECT_EQ(ctl({"show", "values.timer", "-p",
                 "TimersMonotonic,TimersCalendar,NextElapseUSecMonotonic,LastTriggerUSec"})
                .out,
            "TimersMonotonic={ OnActiveUSec=1h ; next_elapse=0 }\n"
            "TimersMonotonic={ OnBootUSec=1.500000s ; next_elapse=0 }\n"
            "TimersCalendar={ OnCalendar=2100-01-01 00:00:00 ; next_elapse=n/a }\n"
            "NextElapseUSecMonotonic=infinity\nLastTriggerUSec=\n");
  EXPECT_NE(ctl({"status", ""}).err.find("unit name"), std::string::npos);
}

TEST_F(CommandLine, AMountThatIsNotThereIsNotStartedInSilence) {
  const CtlResult mount = ctl({"start", "nowhere-at-all.mount"});
  EXPECT_EQ(mount.code, 1);
  EXPECT_NE(mount.err.find("nowhere-at-all.mount is not there"), std::string::npos) << mount.err;
  EXPECT_EQ(ctl({"start", "/"}).code, 0);
}

TEST_F(CommandLine, WhatAServiceSaysDoesNothingToATerminal) {
  unit("loud.service",
       "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'printf \"a\\\\033[31mred \\\\377 "
       "\\\\303\\\\251\\\\n\"; exit "
       "1'\n");
  const CtlResult failed = ctl({"start", "loud"});
  EXPECT_NE(failed.err.find("a\\x1b[31mred \\xff \u00e9"), std::string::npos) << failed.err;
  const std::string status = ctl({"status", "loud"}).out;
  EXPECT_NE(status.find("a\\x1b[31mred \\xff \u00e9"), std::string::npos) << status;
  // Into a pipe it goes as it came.
  EXPECT_NE(ctl({"logs", "loud"}).out.find("a\033[31mred \377 \u00e9"), std::string::npos);
}

TEST_F(CommandLine, SaysThatAPropertyHasNoEffectHere) {
  ASSERT_EQ(ctl({"start", "web"}).code, 0);
  const CtlResult set = ctl({"set-property", "--runtime", "web", "MemoryMax=1G"});
  EXPECT_EQ(set.code, 0);
  EXPECT_NE(set.err.find("MemoryMax= without effect"), std::string::npos) << set.err;
}

TEST_F(CommandLine, SaysThatANameIsMissing) {
  for (const char* verb : {"start", "stop", "restart", "reload", "enable"}) {
    const CtlResult result = ctl({verb});
    EXPECT_EQ(result.code, 1) << verb;
    EXPECT_NE(result.err.find("needs the name of a unit"), std::string::npos) << result.err;
  }
}

TEST_F(CommandLine, ShowsThatThereIsNoLimitOnTries) {
  unit("again.service",
       "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=1h\n"
       "ExecStart=/bin/false\n");
  ctl({"start", "again"});
  ASSERT_TRUE(all().reaches("again.service", "SubState", "auto-restart"));
  const std::string status = ctl({"status", "again"}).out;
  EXPECT_NE(status.find("there is no limit on tries"), std::string::npos) << status;
}

TEST_F(CommandLine, HasSystemctlsExitCodes) {
  EXPECT_EQ(ctl({"start", "missing"}).code, 5);
  EXPECT_EQ(ctl({"stop", "missing"}).code, 5);
  EXPECT_EQ(ctl({"status", "missing"}).code, 4);
  EXPECT_EQ(ctl({"status", "web"}).code, 3);
  ctl({"start", "web"});
  EXPECT_EQ(ctl({"status", "web"}).code, 0);
  EXPECT_EQ(ctl({"reload", "web"}).code, 3);
  EXPECT_EQ(ctl({"isolate", "web.service"}).code, 4);
  EXPECT_EQ(ctl({"cancel", "4711"}).code, 1);
  EXPECT_EQ(ctl({"cat", "missing"}).code, 1);
  // Only jobs have a code of their own for it.
  for (const char* verb : {"enable", "kill", "reset-failed"}) {
    EXPECT_EQ(ctl({verb, "unheard-of"}).code, 1) << verb;
  }
  EXPECT_EQ(ctl({"kill", "-s", "NOSUCH", "web"}).code, 1);
  EXPECT_EQ(ctl({"levitate", "web"}).code, 1);
  EXPECT_EQ(ctl({"--levitate"}).code, 1);
  EXPECT_EQ(ctl({"--help"}).code, 0);
  EXPECT_EQ(ctl({"--version"}).out, "pidward " PIDWARD_VERSION "\n");
}

TEST_F(CommandLine, ShowsStatusProcessesAndProperties) {
  ctl({"start", "web"});
  const CtlResult status = ctl({"status", "web"});
  EXPECT_NE(status.out.find("web.service - Sleeps"), std::string::npos) << status.out;
  EXPECT_NE(status.out.find("active (running)"), std::string::npos);
  EXPECT_NE(status.out.find("Main PID"), std::string::npos);
  EXPECT_EQ(status.out.find('\x1b'), std::string::npos);
  const std::string pid = ctl({"show", "-p", "MainPID", "--value", "web"}).out;
  EXPECT_NE(ctl({"status", pid.substr(0, pid.size() - 1)}).out.find("web.service"),
            std::string::npos);
  EXPECT_EQ(ctl({"show", "-p", "ActiveState,SubState", "web"}).out,
            "ActiveState=active\nSubState=running\n");
  const CtlResult processes = ctl({"ps", "web"});
  EXPECT_NE(processes.out.find("sleep infinity"), std::string::npos) << processes.out;
  EXPECT_EQ(ctl({"features"}).code, 0);
  EXPECT_EQ(ctl({"status"}).code, 0);
  EXPECT_EQ(ctl({"is-system-running"}).out, "running\n");
}

TEST_F(CommandLine, ListsAsTablesAndAsJson) {
  ctl({"start", "web"});
  EXPECT_NE(ctl({"list-units"}).out.find("web.service"), std::string::npos);
  EXPECT_EQ(ctl({"list-units", "-t", "socket", "--no-legend"}).out, "");
  const json units = json::parse(ctl({"list-units", "--json", "web*"}).out);
  ASSERT_EQ(units.size(), 1U);
  EXPECT_EQ(units[0]["active"], "active");
  const json files = json::parse(ctl({"list-unit-files", "--json", "web"}).out);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0]["state"], "disabled");
  EXPECT_EQ(json::parse(ctl({"list-jobs", "--json"}).out), json::array());
  EXPECT_EQ(json::parse(ctl({"ps", "--json", "web"}).out)[0]["role"], "main");
  EXPECT_EQ(json::parse(ctl({"show", "--json", "web"}).out)["Id"], "web.service");
  const json both = json::parse(ctl({"show", "--json", "-p", "Id", "web", "bad"}).out);
  EXPECT_EQ(both, (json{{{"Id", "web.service"}}, {{"Id", "bad.service"}}}));
  EXPECT_EQ(json::parse(ctl({"show", "--json", "zz*"}).out), json::array());
  EXPECT_EQ(json::parse(ctl({"status", "--json", "web"}).out)[0]["SubState"], "running");
  EXPECT_EQ(ctl({"list-dependencies", "web"}).code, 0);
}

TEST_F(CommandLine, TakesGlobsForLoadedUnits) {
  ctl({"start", "web"});
  EXPECT_EQ(ctl({"stop", "w*b.service"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "web"}).code, 3);
}

TEST_F(CommandLine, APatternLeavesAloneWhatIsDown) {
  unit("t@.service", kSleeper);
  ASSERT_EQ(ctl({"start", "t@1", "t@2"}).code, 0);
  ASSERT_EQ(ctl({"stop", "t@2"}).code, 0);
  // Loaded all the same: a unit that is up names it.
  unit("names.service", "[Unit]\nAfter=t@2.service\n[Service]\nExecStart=/bin/sleep infinity\n");
  ASSERT_EQ(ctl({"start", "names"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "t@*"}).out, "active\n");
  EXPECT_EQ(ctl({"restart", "t@*"}).code, 0);
  EXPECT_EQ(ctl({"is-active", "t@2"}).out, "inactive\n");
  EXPECT_EQ(ctl({"show", "-P", "Id", "t@*"}).out, "t@1.service\n");
  EXPECT_EQ(ctl({"show", "-P", "Id", "--all", "t@*"}).out, "t@1.service\n\nt@2.service\n");
  EXPECT_EQ(ctl({"show", "-P", "Id", "--state=inactive", "t@*"}).out, "t@2.service\n");
  EXPECT_EQ(ctl({"show", "-P", "Id", "-t", "socket", "t@*"}).out, "");
  EXPECT_EQ(json::parse(ctl({"list-units", "--json", "t@*"}).out).size(), 1U);
  EXPECT_EQ(json::parse(ctl({"list-units", "--json", "--all", "t@*"}).out).size(), 2U);
}

TEST_F(CommandLine, APatternThatMatchesNothingIsNoFailure) {
  for (const char* verb : {"start", "stop", "restart", "try-restart", "reload", "reload-or-restart",
                           "isolate", "status", "list-dependencies"}) {
    const CtlResult nothing = ctl({verb, "zz*"});
    EXPECT_EQ(nothing.code, 0) << verb << nothing.err;
    EXPECT_EQ(nothing.out, "") << verb;
    EXPECT_NE(nothing.err.find("matches zz*"), std::string::npos) << verb << nothing.err;
  }
  EXPECT_EQ(ctl({"is-active", "zz*"}).code, 3);
  EXPECT_EQ(ctl({"list-unit-files", "zz*"}).code, 1);
  EXPECT_EQ(ctl({"list-unit-files", "web", "--state=masked"}).code, 1);
  EXPECT_EQ(ctl({"list-unit-files", "web", "--state=disabled"}).code, 0);
}

TEST_F(CommandLine, AMaskedUnitIsNotTried) {
  ASSERT_EQ(ctl({"mask", "other"}).code, 0);
  EXPECT_EQ(ctl({"try-restart", "other"}).code, 0);
  EXPECT_EQ(ctl({"try-reload-or-restart", "other"}).code, 0);
  EXPECT_EQ(ctl({"restart", "other"}).code, 1);
  EXPECT_EQ(ctl({"try-restart", "missing", "other"}).code, 5);
}

TEST_F(CommandLine, StatusFailsForWhatIsOnItsWay) {
  unit("slow.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\n");
  ASSERT_EQ(ctl({"start", "--no-block", "slow"}).code, 0);
  ASSERT_TRUE(all().reaches("slow.service", "ActiveState", "activating"));
  EXPECT_EQ(ctl({"status", "slow"}).code, 3);
}

TEST_F(CommandLine, StatusOfAStateShowsTheUnitsInIt) {
  ctl({"start", "web", "bad"});
  const CtlResult failed = ctl({"status", "--state=failed"});
  EXPECT_EQ(failed.code, 3);
  EXPECT_NE(failed.out.find("bad.service"), std::string::npos) << failed.out;
  EXPECT_EQ(failed.out.find("web.service"), std::string::npos) << failed.out;
  EXPECT_EQ(ctl({"status", "--failed"}).code, 3);
  const CtlResult none = ctl({"status", "--state=deactivating"});
  EXPECT_EQ(none.code, 0);
  EXPECT_EQ(none.out, "");
}

TEST_F(CommandLine, RefusesWordsNobodyKnows) {
  const struct {
    std::vector<std::string> arguments;
    const char* sentence;
  } cases[] = {
      {{"list-units", "--type=bogus"}, "no unit type 'bogus'; known are service, "},
      {{"list-units", "--state=failed,bogus"}, "no unit has a state 'bogus'; known are active, "},
      {{"list-units", "-o", "bogus"}, "no output 'bogus'; known are json"},
      {{"list-units", "--legend=bogus"}, "--legend is yes or no"},
      {{"daemon-reload", "web"}, "daemon-reload takes no names, and 'web' is one"},
      {{"is-system-running", "foo"}, "takes no names"},
      {{"get-default", "foo"}, "takes no names"},
      {{"show-environment", "foo"}, "takes no names"},
      {{"preset-all", "web"}, "takes no names"},
      {{"add-wants", "multi-user.target"}, "takes a target and at least one unit"},
  };
  for (const auto& [arguments, sentence] : cases) {
    const CtlResult refused = ctl(arguments);
    EXPECT_EQ(refused.code, 1) << ::testing::PrintToString(arguments);
    EXPECT_NE(refused.err.find(sentence), std::string::npos) << refused.err;
  }
  EXPECT_EQ(json::parse(ctl({"--json", "-t", "bogus"}).out)["kind"], "invalid-argument");
  const CtlResult types = ctl({"-t", "help"});
  EXPECT_EQ(types.code, 0);
  EXPECT_NE(types.out.find("\nsocket\n"), std::string::npos) << types.out;
  EXPECT_NE(ctl({"--state=help"}).out.find("\nauto-restart\n"), std::string::npos);
}

TEST_F(CommandLine, TakesSystemctlsSpellings) {
  EXPECT_EQ(ctl({"-i", "--no-ask-password", "--fail", "start", "web"}).code, 0);
  EXPECT_EQ(ctl({"show", "-P", "SubState", "web"}).out, "running\n");
  EXPECT_EQ(ctl({"--legend=no", "list-jobs"}).out, "");
}

TEST_F(CommandLine, ListsSignals) {
  for (const char* word : {"help", "list"}) {
    EXPECT_NE(ctl({"kill", "-s", word}).out.find("15     SIGTERM\n"), std::string::npos);
  }
}

TEST_F(CommandLine, AddsDependenciesAndPresetsAll) {
  EXPECT_EQ(ctl({"add-wants", "multi-user", "bad"}).code, 0);
  EXPECT_EQ(ctl({"add-requires", "multi-user.target", "bad.service"}).code, 0);
  for (const char* folder : {"wants", "requires"}) {
    EXPECT_TRUE(std::filesystem::is_symlink(
        directory.path(std::string("units/multi-user.target.") + folder + "/bad.service")))
        << folder;
  }
  const CtlResult preset = ctl({"preset-all"});
  EXPECT_EQ(preset.code, 0) << preset.err;
  EXPECT_EQ(ctl({"is-enabled", "web"}).out, "enabled\n");
}

TEST_F(CommandLine, AMissingFileIsAFailureBesideOneThatIsEnabled) {
  ASSERT_EQ(ctl({"enable", "web"}).code, 0);
  for (const auto& [first, second] : {std::pair("web", "nope"), std::pair("nope", "web")}) {
    const CtlResult states = ctl({"is-enabled", first, second});
    EXPECT_EQ(states.code, 1) << first;
    EXPECT_EQ(states.out, "enabled\n") << first;
    EXPECT_NE(states.err.find("nope.service"), std::string::npos) << states.err;
  }
}

TEST_F(CommandLine, EnablesMasksAndReverts) {
  EXPECT_EQ(ctl({"is-enabled", "web"}).code, 1);
  const CtlResult enabled = ctl({"enable", "--now", "web"});
  EXPECT_EQ(enabled.code, 0) << enabled.err;
  EXPECT_EQ(ctl({"is-enabled", "web"}).out, "enabled\n");
  EXPECT_EQ(ctl({"is-active", "web"}).code, 0);
  EXPECT_EQ(ctl({"reenable", "web"}).code, 0);
  EXPECT_EQ(ctl({"disable", "--now", "web"}).code, 0);
  EXPECT_EQ(ctl({"is-enabled", "web"}).out, "disabled\n");
  EXPECT_EQ(ctl({"is-active", "web"}).code, 3);
  const CtlResult masked = ctl({"mask", "other"});
  EXPECT_EQ(masked.code, 0) << masked.err;
  const CtlResult refused = ctl({"start", "other"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("masked"), std::string::npos) << refused.err;
  EXPECT_EQ(ctl({"unmask", "other"}).code, 0);
  EXPECT_EQ(ctl({"start", "other"}).code, 5);
}

TEST_F(CommandLine, KeepsAnEnvironment) {
  EXPECT_EQ(ctl({"set-environment", "COLOUR=green"}).code, 0);
  EXPECT_NE(ctl({"show-environment"}).out.find("COLOUR=green\n"), std::string::npos);
  EXPECT_EQ(ctl({"unset-environment", "COLOUR"}).code, 0);
  EXPECT_EQ(ctl({"show-environment"}).out.find("COLOUR"), std::string::npos);
  EXPECT_EQ(ctl({"set-environment", "nothing"}).code, 1);
}

TEST_F(CommandLine, TellsThatAFileChangedAndWhatIsWrongInIt) {
  ctl({"start", "web"});
  unit("web.service", std::string(kSleeper) + "[Service]\nRestrat=always\n");
  const CtlResult reloaded = ctl({"daemon-reload"});
  EXPECT_EQ(reloaded.code, 0);
  EXPECT_NE(reloaded.err.find("web.service:8"), std::string::npos) << reloaded.err;
  EXPECT_NE(ctl({"cat", "web"}).out.find("# " + directory.path("units/web.service")),
            std::string::npos);
}

TEST_F(CommandLine, EditsADropIn) {
  const CtlResult edited =
      ctl({"edit", "web"}, {}, {"PIDWARD_EDITOR=printf '[Unit]\\nDescription=Edited\\n' >"});
  EXPECT_EQ(edited.code, 0) << edited.err;
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "Edited\n");
  EXPECT_EQ(ctl({"revert", "web"}).code, 0);
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "Sleeps\n");
}

TEST_F(CommandLine, RefusesChangesByStrangers) {
  const CtlResult refused = ctl({"start", "web"}, 65534);
  EXPECT_EQ(refused.code, 4);
  EXPECT_NE(refused.err.find("65534"), std::string::npos) << refused.err;
  EXPECT_EQ(ctl({"status", "web"}, 65534).code, 3);
  EXPECT_EQ(ctl({"daemon-reload"}, 65534).code, 1);
  EXPECT_EQ(ctl({"list-units"}, 65534).code, 0);
}

TEST_F(CommandLine, ShowsTheLog) {
  ctl({"start", "bad"});
  // The logger is a process of its own: the line is there when it has written it.
  CtlResult log = ctl({"logs", "bad"});
  for (int i = 0; i < 1000 && log.out.find("the disk is full") == std::string::npos; ++i) {
    log = ctl({"logs", "bad"});
  }
  EXPECT_EQ(log.code, 0) << log.err;
  EXPECT_NE(log.out.find("the disk is full"), std::string::npos) << log.out;
  const CtlResult refused = ctl({"logs", "--json", "bad"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("no JSON"), std::string::npos) << refused.err;
}

TEST_F(CommandLine, EndsTheDaemonWithACode) {
  EXPECT_EQ(ctl({"exit", "256"}).code, 1);
  EXPECT_EQ(ctl({"exit", "7"}).code, 0);
  const auto status = daemon().wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 7);
}

TEST(CommandLineWithoutDaemon, SaysWhereItLooked) {
  const TemporaryDirectory directory;
  auto run = Program::start(
      {.arguments = {PIDWARDCTL_PROGRAM, "--runtime-dir", directory.path(), "start", "x"},
       .err = directory.path("err")});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->wait()->code, 1);
  EXPECT_NE(directory.read("err").find(directory.path("private")), std::string::npos);
}

TEST(CommandLineWithoutDaemon, IsOffline) {
  const TemporaryDirectory directory;
  auto run = Program::start(
      {.arguments = {PIDWARDCTL_PROGRAM, "--runtime-dir", directory.path(), "is-system-running"},
       .out = directory.path("out")});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->wait()->code, 1);
  EXPECT_EQ(directory.read("out"), "offline\n");
}

}  // namespace
}  // namespace pidward::test
