// Settings that do not go together keep a unit from loading, each with its sentence.
#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::HasSubstr;

struct Case {
  const char* unit;
  const char* content;
  const char* says;
};

class RefusedUnits : public testing::TestWithParam<Case> {};

TEST_P(RefusedUnits, HaveABadSettingAndASentence) {
  Tree tree;
  tree.files.add_file(std::string(Tree::kEtc) + GetParam().unit, GetParam().content);
  const auto spec = tree.load(GetParam().unit);
  EXPECT_EQ(spec->load_state, LoadState::bad_setting);
  EXPECT_THAT(errors(*spec), HasSubstr(GetParam().says));
  EXPECT_THAT(errors(*spec), HasSubstr(std::string(Tree::kEtc) + GetParam().unit));
  ASSERT_TRUE(spec->load_error());
  EXPECT_EQ(spec->load_error()->code(), Errc::unit_load_failed);
}

INSTANTIATE_TEST_SUITE_P(
    Loader, RefusedUnits,
    testing::Values(
        Case{"a.service", "[Unit]\nDescription=x\n",
             "no ExecStart=, ExecStop=, or SuccessAction=. Refusing."},
        Case{"b.service", "[Service]\nType=simple\nExecStop=/bin/true\nRemainAfterExit=yes\n",
             "allowed for Type=oneshot services only"},
        Case{"c.service", "[Service]\nExecStop=/bin/true\n", "does not have RemainAfterExit=yes"},
        Case{"d.service", "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n",
             "more than one ExecStart="},
        Case{"e.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nRestart=always\n",
             "Restart=always"},
        Case{"f.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nRestart=on-success\n",
             "Restart=on-success"},
        Case{"g.service", "[Service]\nType=dbus\nExecStart=/bin/a\n", "no BusName="},
        Case{"h.service", "[Service]\nType=oneshot\nExitType=cgroup\nExecStart=/bin/a\n",
             "ExitType=cgroup"},
        Case{"i.service", "[Service]\nExecStart=/bin/a\nPAMName=x\nKillMode=process\n",
             "KillMode=control-group"},
        Case{"k.service",
             "[Unit]\nOnFailure=x.service "
             "y.service\nOnFailureJobMode=isolate\n[Service]\nExecStart=/bin/a\n",
             "OnFailureJobMode=isolate"},
        Case{"a.socket", "[Socket]\nSocketMode=0600\n", "no Listen setting"},
        Case{"b.socket", "[Socket]\nListenDatagram=/run/b\nAccept=yes\n",
             "no connections to accept"},
        Case{"c.socket", "[Socket]\nListenStream=/run/c\nAccept=yes\nMaxConnections=0\n",
             "MaxConnections="},
        Case{"d.socket", "[Socket]\nListenStream=/run/c\nAccept=yes\nService=x.service\n",
             "together with Accept=yes"},
        Case{"e.socket", "[Socket]\nListenStream=80\nSymlinks=/run/x\n",
             "exactly one socket or FIFO"},
        Case{"a.timer", "[Timer]\nPersistent=yes\n", "no time at which it elapses"},
        Case{"a.path", "[Path]\nMakeDirectory=yes\n", "no path to watch"},
        Case{"a--b.slice", "[Slice]\n", "not a valid slice name"},
        Case{"c-d.slice", "[Slice]\nSlice=other.slice\n", "belongs to c.slice"}));

TEST(AcceptedUnits, LoadWithoutAnError) {
  Tree tree;
  const std::vector<std::pair<std::string, std::string>> units{
      {"a.service", "[Unit]\nSuccessAction=exit\n"},
      {"b.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nExecStart=/bin/b\n"},
      {"c.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\n[Service]\nExecStop=/bin/a\n"},
      {"d.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nRestart=on-failure\n"},
      {"e.service", "[Service]\nExecStart=sleep 5\n"},
      {"f.service", "[Service]\nType=notify\nExecStart=-/bin/a\nRestart=always\n"},
      {"a.timer", "[Timer]\nOnClockChange=yes\n"},
      {"a.socket", "[Socket]\nListenFIFO=/run/fifo\nSymlinks=/run/link\n"},
      {"a.target", "[Unit]\n# a target may say nothing at all\n"},
  };
  for (const auto& [unit, content] : units) {
    tree.files.add_file(Tree::kEtc + unit, content);
    EXPECT_EQ(tree.load(unit)->load_state, LoadState::loaded) << unit << "\n"
                                                              << errors(*tree.load(unit));
  }
}

TEST(AcceptedUnits, AreWarnedOfSettingsWithoutEffect) {
  Tree tree;
  tree.files.add_file(
      std::string(Tree::kEtc) + "a.service",
      "[Service]\nType=oneshot\nExecStart=/bin/a\nRuntimeMaxSec=5\nRuntimeRandomizedExtraSec=1\n"
      "RestartSteps=3\n");
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->load_state, LoadState::loaded);
  EXPECT_THAT(warnings(*spec), HasSubstr("RuntimeMaxSec= has no effect"));
  EXPECT_THAT(warnings(*spec), HasSubstr("RestartSteps= and RestartMaxDelaySec="));
}

TEST(RefusedDropin, ThatAddsASecondCommandSaysHowToReplaceTheFirst) {
  Tree tree;
  tree.files.add_file(std::string(Tree::kUsr) + "a.service", Tree::service());
  tree.files.add_file(std::string(Tree::kEtc) + "a.service.d/x.conf",
                      "[Service]\nExecStart=/bin/other\n");
  EXPECT_THAT(errors(*tree.load("a.service")),
              HasSubstr("first says ExecStart= with nothing behind it"));
}

}  // namespace
}  // namespace pidward::unit::test
