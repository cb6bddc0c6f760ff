// The verbs that change unit files, and what is said of files that changed.
#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSleeper =
    "[Unit]\nDescription=Sleeps\n[Service]\nExecStart=/bin/sleep "
    "infinity\n[Install]\nWantedBy=multi-user.target\n";

class UnitFiles : public DaemonFixture {
 protected:
  void SetUp() override {
    unit("web.service", kSleeper);
    start();
  }
  std::string state(const std::string& name) { return ctl({"is-enabled", name}).out; }
};

TEST_F(UnitFiles, PresetDoesWhatThePresetFilesSay) {
  const CtlResult preset = ctl({"preset", "web"});
  EXPECT_EQ(preset.code, 0) << preset.err;
  // No preset file says otherwise: what is not mentioned is enabled.
  EXPECT_EQ(state("web"), "enabled\n");
  EXPECT_EQ(ctl({"disable", "web"}).code, 0);
  EXPECT_EQ(state("web"), "disabled\n");
  const CtlResult none = ctl({"preset", "missing"});
  EXPECT_NE(none.code, 0);
  EXPECT_NE(none.err.find("missing.service"), std::string::npos) << none.err;
}

TEST_F(UnitFiles, PresetsAreShownWhereTheyMatter) {
  unit("fixed.service", "[Service]\nExecStart=/bin/sleep infinity\n");
  const std::string files = ctl({"list-unit-files", "--no-legend", "fixed", "web"}).out;
  EXPECT_NE(files.find("fixed.service static   -"), std::string::npos) << files;
  EXPECT_NE(files.find("web.service   disabled enabled"), std::string::npos) << files;
  EXPECT_EQ(ctl({"status", "fixed"}).out.find("preset:"), std::string::npos);
  EXPECT_NE(ctl({"status", "web"}).out.find("preset: enabled"), std::string::npos);
}

TEST_F(UnitFiles, WhatHoldsUntilTheNextBootIsInTheRuntimeDirectory) {
  EXPECT_EQ(ctl({"mask", "--runtime", "late"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(directory.path("run/system/late.service")));
  EXPECT_EQ(state("late"), "masked-runtime\n");
  const CtlResult refused = ctl({"start", "late"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("masked"), std::string::npos) << refused.err;
  EXPECT_EQ(ctl({"unmask", "--runtime", "late"}).code, 0);
  EXPECT_FALSE(fs::is_symlink(directory.path("run/system/late.service")));
  EXPECT_EQ(ctl({"enable", "--runtime", "web"}).code, 0);
  EXPECT_EQ(state("web"), "enabled-runtime\n");
}

TEST_F(UnitFiles, LinkTakesAFileFromElsewhereAndDisableLetsItGo) {
  const std::string file = directory.write("elsewhere/far.service", kSleeper);
  const CtlResult linked = ctl({"link", file});
  EXPECT_EQ(linked.code, 0) << linked.err;
  EXPECT_EQ(state("far"), "linked\n");
  EXPECT_EQ(ctl({"is-enabled", "far"}).code, 1);
  EXPECT_EQ(ctl({"start", "far"}).code, 0);
  EXPECT_EQ(ctl({"enable", "far"}).code, 0);
  EXPECT_EQ(state("far"), "enabled\n");
  EXPECT_EQ(ctl({"disable", "--now", "far"}).code, 0);
  EXPECT_TRUE(fs::exists(file));
  const CtlResult missing = ctl({"link", directory.path("elsewhere/none.service")});
  EXPECT_NE(missing.code, 0);
  EXPECT_NE(missing.err.find("none.service"), std::string::npos) << missing.err;
}

TEST_F(UnitFiles, ALinkedUnitIsReenabledByItsPathOnly) {
  const std::string file = directory.write("elsewhere/far.service", kSleeper);
  EXPECT_EQ(ctl({"enable", file}).code, 0);
  const CtlResult refused = ctl({"reenable", "far"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("pidwardctl reenable " + file), std::string::npos) << refused.err;
  EXPECT_EQ(state("far"), "enabled\n");
  const CtlResult again = ctl({"reenable", file});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(fs::is_symlink(directory.path("units/far.service")));
  EXPECT_TRUE(fs::is_symlink(directory.path("units/multi-user.target.wants/far.service")));
  const CtlResult disabled = ctl({"disable", file});
  EXPECT_EQ(disabled.code, 0);
  EXPECT_NE(disabled.err.find("goes by the name of a unit, far.service"), std::string::npos);
  EXPECT_FALSE(fs::is_symlink(directory.path("units/far.service")));
  EXPECT_EQ(ctl({"preset", directory.path("units/web.service")}).code, 0);
  EXPECT_EQ(state("web"), "enabled\n");
}

TEST_F(UnitFiles, ATemplateIsShownWithWhatIsDroppedIntoIt) {
  unit("each@.service", "[Service]\nExecStart=/bin/sleep %i\n");
  unit("each@.service.d/more.conf", "[Service]\nNice=1\n");
  const CtlResult shown = ctl({"cat", "each@"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("ExecStart=/bin/sleep %i\n"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("each@.service.d/more.conf"), std::string::npos) << shown.out;
  EXPECT_EQ(ctl({"cat", "none@"}).code, 1);
  for (const char* verb : {"cat", "logs", "is-active", "is-failed"}) {
    const CtlResult nothing = ctl({verb});
    EXPECT_EQ(nothing.code, 1) << verb;
    EXPECT_NE(nothing.err.find("needs the name of a unit"), std::string::npos) << verb;
  }
}

TEST_F(UnitFiles, EditFullAndRevert) {
  const CtlResult edited =
      ctl({"edit", "--full", "web"}, {}, {"PIDWARD_EDITOR=sed -i s/Sleeps/Dreams/"});
  EXPECT_EQ(edited.code, 0) << edited.err;
  EXPECT_EQ(ctl({"show", "-p", "Description", "--value", "web"}).out, "Dreams\n");
  const CtlResult failed = ctl({"edit", "web"}, {}, {"PIDWARD_EDITOR=false"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("editor 'false' failed"), std::string::npos) << failed.err;
  const CtlResult nothing = ctl({"edit", "web"}, {}, {"PIDWARD_EDITOR=true"});
  EXPECT_EQ(nothing.code, 1);
  EXPECT_NE(nothing.err.find("empty"), std::string::npos) << nothing.err;
  EXPECT_EQ(ctl({"edit", "missing"}).code, 1);
}

TEST_F(UnitFiles, ATemplateIsEditedToo) {
  unit("each@.service", "[Service]\nExecStart=/bin/sleep 100%i\n");
  const CtlResult edited =
      ctl({"edit", "each@"}, {}, {"PIDWARD_EDITOR=printf '[Service]\\nNice=3\\nRestrat=no\\n' >"});
  EXPECT_EQ(edited.code, 0) << edited.err;
  EXPECT_NE(edited.err.find("each@.service.d/override.conf:3"), std::string::npos) << edited.err;
  EXPECT_EQ(ctl({"show", "-p", "Nice", "--value", "each@1"}).out, "3\n");
  const CtlResult full =
      ctl({"edit", "--full", "each@.service"}, {}, {"PIDWARD_EDITOR=sed -i s/100/200/"});
  EXPECT_EQ(full.code, 0) << full.err;
  EXPECT_NE(ctl({"cat", "each@"}).out.find("/bin/sleep 200%i"), std::string::npos);
  EXPECT_EQ(ctl({"edit", "none@"}, {}, {"PIDWARD_EDITOR=true"}).code, 1);
}

TEST_F(UnitFiles, AnEditWithATypoSaysSoAtOnce) {
  const CtlResult edited =
      ctl({"edit", "web"}, {}, {"PIDWARD_EDITOR=printf '[Service]\\nRestrat=no\\n' >"});
  EXPECT_EQ(edited.code, 0);
  EXPECT_NE(edited.err.find("override.conf:2"), std::string::npos) << edited.err;
  EXPECT_NE(edited.err.find("Restart"), std::string::npos) << edited.err;
  const CtlResult reverted = ctl({"revert", "web"});
  EXPECT_EQ(reverted.code, 0) << reverted.err;
  EXPECT_NE(reverted.err.find("override.conf"), std::string::npos) << reverted.err;
  EXPECT_EQ(ctl({"show", "-p", "DropInPaths", "--value", "web"}).out, "\n");
}

TEST_F(UnitFiles, TheDefaultTargetIsALink) {
  EXPECT_EQ(ctl({"get-default"}).out, "default.target\n");
  // A file of that name is not overwritten by accident: it was put there by hand.
  fs::remove(directory.path("units/default.target"));
  const CtlResult set = ctl({"set-default", "multi-user"});
  EXPECT_EQ(set.code, 0) << set.err;
  EXPECT_EQ(ctl({"get-default"}).out, "multi-user.target\n");
  EXPECT_EQ(fs::read_symlink(directory.path("units/default.target")).filename(),
            "multi-user.target");
  EXPECT_NE(ctl({"set-default", "nowhere"}).code, 0);
  const CtlResult service = ctl({"set-default", "web.service"});
  EXPECT_NE(service.code, 0);
  EXPECT_NE(service.err.find("is no target"), std::string::npos) << service.err;
  EXPECT_EQ(ctl({"get-default"}).out, "multi-user.target\n");
}

TEST_F(UnitFiles, AChangedFileIsSaidUntilItIsReadAgain) {
  EXPECT_EQ(ctl({"start", "web"}).code, 0);
  EXPECT_EQ(ctl({"show", "-p", "NeedDaemonReload", "--value", "web"}).out, "no\n");
  unit("web.service", std::string(kSleeper) + "# one line more\n");
  EXPECT_EQ(ctl({"show", "-p", "NeedDaemonReload", "--value", "web"}).out, "yes\n");
  EXPECT_NE(ctl({"status", "web"}).out.find("daemon-reload"), std::string::npos);
  EXPECT_NE(ctl({"restart", "web"}).err.find("changed on disk"), std::string::npos);
  EXPECT_EQ(ctl({"daemon-reload"}).code, 0);
  EXPECT_EQ(ctl({"show", "-p", "NeedDaemonReload", "--value", "web"}).out, "no\n");
  // A new drop-in counts as well, and so does one that went.
  unit("web.service.d/x.conf", "[Service]\nNice=5\n");
  EXPECT_EQ(ctl({"show", "-p", "NeedDaemonReload", "--value", "web"}).out, "yes\n");
  fs::remove(directory.path("units/web.service.d/x.conf"));
  EXPECT_EQ(ctl({"show", "-p", "NeedDaemonReload", "--value", "web"}).out, "no\n");
}

}  // namespace
}  // namespace pidward::test
