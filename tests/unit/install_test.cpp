// enable, disable, mask, link, revert and the rest, as changes to a tree in memory.
#include "unit/install.hpp"

#include <cerrno>

#include <gmock/gmock.h>

#include "unit/install_links.hpp"
#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Directories of a user's may be siblings; others that happen to be are what they are.
TEST(DirectoryKinds, AreNotGuessedFromNeighbours) {
  SearchPath named;
  named.config_dir = "/tree/etc";
  named.runtime_dir = "/tree/run";
  EXPECT_EQ(directory_kind(named, "/tree/etc"), DirectoryKind::persistent);
  EXPECT_EQ(directory_kind(named, "/tree/run"), DirectoryKind::runtime);
  EXPECT_EQ(directory_kind(named, "/tree/usr"), DirectoryKind::vendor);
  SearchPath user;
  user.config_dir = "/home/me/.config/pidward/user";
  EXPECT_EQ(directory_kind(user, "/home/me/.config/systemd/user"), DirectoryKind::persistent);
  EXPECT_EQ(directory_kind(user, "/home/me/.local/share/systemd/user"), DirectoryKind::vendor);
}

const std::string kEtc = Tree::kEtc;
const std::string kRun = Tree::kRun;
const std::string kUsr = Tree::kUsr;
const std::string kLib = Tree::kLib;
const std::string kSystemd = Tree::kSystemd;
using Op = InstallOperation;

std::string installable(const std::string& install) {
  return Tree::service() + "[Install]\n" + install;
}

TEST(Enable, MakesTheLinksThatTheInstallSectionNames) {
  Tree tree;
  tree.files.add_file(kUsr + "multi-user.target", "[Unit]\n");
  tree.files.add_file(kLib + "a.service",
                      installable("WantedBy=multi-user.target\nRequiredBy=x.service\nUpheldBy=y."
                                  "service\nAlias=b.service\n"));
  EXPECT_EQ(tree.state("a.service"), "disabled");
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}}),
              ElementsAre("+" + kEtc + "b.service -> " + kLib + "a.service",
                          "+" + kEtc + "multi-user.target.wants/a.service -> " + kLib + "a.service",
                          "+" + kEtc + "x.service.requires/a.service -> " + kLib + "a.service",
                          "+" + kEtc + "y.service.upholds/a.service -> " + kLib + "a.service"));
  EXPECT_EQ(tree.state("a.service"), "enabled");
  EXPECT_EQ(tree.state("b.service"), "alias");
  EXPECT_TRUE(has(*tree.load("multi-user.target"), Dependency::Wants, "a.service"));
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}}), IsEmpty());
}

TEST(Enable, FollowsAlsoAndSurvivesAnAlsoThatIsMissing) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("Also=a.socket gone.socket\n"));
  tree.files.add_file(
      kUsr + "a.socket",
      "[Socket]\nListenStream=/run/a\n[Install]\nWantedBy=sockets.target\nAlso=a.service\n");
  EXPECT_EQ(tree.state("a.service"), "indirect");
  const auto plan = tree.plan({.operation = Op::enable, .names = {"a.service"}});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->carries_install_info);
  EXPECT_THAT(plan->changes,
              ElementsAre(InstallChange{"symlink", kEtc + "sockets.target.wants/a.socket",
                                        kUsr + "a.socket"}));
  ASSERT_FALSE(plan->diagnostics.empty());
  EXPECT_THAT(plan->diagnostics.front().to_string(), HasSubstr("gone.socket"));
}

TEST(Enable, OfATemplateUsesItsDefaultInstance) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service",
                      installable("WantedBy=%i.target\nDefaultInstance=main\n"));
  EXPECT_THAT(
      tree.install({.operation = Op::enable, .names = {"t@.service"}}),
      ElementsAre("+" + kEtc + "main.target.wants/t@main.service -> " + kUsr + "t@.service"));
  EXPECT_EQ(tree.state("t@.service"), "enabled");
  EXPECT_EQ(tree.state("t@main.service"), "enabled");
  EXPECT_EQ(tree.state("t@other.service"), "disabled");
}

TEST(Enable, OfAnInstanceLinksItToItsTemplate) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", installable("WantedBy=m.target\nAlias=u@.service\n"));
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"t@x.service"}}),
              ElementsAre("+" + kEtc + "u@x.service -> " + kUsr + "t@.service",
                          "+" + kEtc + "m.target.wants/t@x.service -> " + kUsr + "t@.service"));
  EXPECT_EQ(tree.state("t@x.service"), "enabled");
  EXPECT_EQ(tree.state("t@.service"), "indirect");
}

TEST(Enable, OfATemplateWithoutInstanceIsAnErrorThatSaysHow) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", installable("WantedBy=m.target\n"));
  const auto plan = tree.plan({.operation = Op::enable, .names = {"t@.service"}});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().to_string(), HasSubstr("t@NAME.service"));
}

TEST(Enable, OfATemplateWithoutInstanceMakesTheLinksThatNeedNone) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", installable("WantedBy=m.target\nAlias=u@.service\n"));
  const auto plan = tree.plan({.operation = Op::enable, .names = {"t@.service"}});
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->diagnostics.size(), 1U);
  EXPECT_THAT(plan->diagnostics[0].to_string(), HasSubstr("t@NAME.service"));
  for (const Op operation : {Op::preset, Op::reenable}) {
    EXPECT_THAT(tree.plan({.operation = operation, .names = {"t@.service"}})->changes,
                ElementsAre(InstallChange{"symlink", kEtc + "u@.service", kUsr + "t@.service"}));
  }
}

TEST(Enable, LeavesAliasesOutWhereTheTypeHasNone) {
  Tree tree;
  tree.files.add_file(kUsr + "mnt-x.mount",
                      "[Mount]\nWhat=tmpfs\nWhere=/mnt/x\n[Install]\nAlias=mnt-y.mount\n"
                      "WantedBy=m.target\n");
  tree.files.add_file(kUsr + "m.target", "[Unit]\n");
  const InstallChange link{"symlink", kEtc + "m.target.wants/mnt-x.mount", kUsr + "mnt-x.mount"};
  for (const Op operation : {Op::enable, Op::reenable, Op::preset}) {
    const auto plan = tree.plan({.operation = operation, .names = {"mnt-x.mount"}});
    ASSERT_TRUE(plan) << plan.error().to_string();
    EXPECT_THAT(plan->changes, ElementsAre(link));
    ASSERT_EQ(plan->diagnostics.size(), 1U);
    EXPECT_THAT(plan->diagnostics[0].to_string(), HasSubstr("mount units cannot have aliases"));
  }
  tree.files.add_file(kUsr + "b.slice", "[Install]\nAlias=c.slice\n");
  EXPECT_EQ(tree.state("b.slice"), "static");
}

TEST(Enable, RefusesMissingAndMaskedUnitsAndWhatIsInTheWay) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("Alias=b.service\n"));
  tree.files.add_link(kEtc + "m.service", "/dev/null");
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"gone.service"}}),
              ElementsAre("error: Unit file gone.service does not exist."));
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"m.service"}}),
              ElementsAre("error: Unit file m.service is masked."));
  tree.files.add_link(kEtc + "b.service", kUsr + "c.service");
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}}),
              ElementsAre(HasSubstr("already exists and is a link to " + kUsr + "c.service")));
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}, .force = true}),
              ElementsAre("+" + kEtc + "b.service -> " + kUsr + "a.service"));
}

TEST(Enable, OfSeveralNamesIsPlannedWholeOrNotAtAll) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\n"));
  const auto before = tree.files.paths();
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service", "gone.service"}}),
              ElementsAre(HasSubstr("does not exist")));
  EXPECT_EQ(tree.files.paths(), before);
}

TEST(Enable, AtRuntimeWritesBelowRun) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\n"));
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}, .runtime = true}),
              ElementsAre("+" + kRun + "m.target.wants/a.service -> " + kUsr + "a.service"));
  EXPECT_EQ(tree.state("a.service"), "enabled-runtime");
}

TEST(Enable, WithoutAnInstallSectionSaysWhatThatMeans) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  const auto plan = tree.plan({.operation = Op::enable, .names = {"a.service"}});
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->carries_install_info);
  EXPECT_THAT(plan->diagnostics.at(0).message, HasSubstr("no [Install] section"));
  EXPECT_EQ(tree.state("a.service"), "static");
}

TEST(Enable, OfAPathLinksTheFileIn) {
  Tree tree;
  tree.files.add_file("/srv/a.service.yaml",
                      "Service: {ExecStart: /bin/true}\nInstall: {WantedBy: m.target}\n");
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"/srv/a.service.yaml"}}),
              ElementsAre("+" + kEtc + "a.service.yaml -> /srv/a.service.yaml",
                          "+" + kEtc + "m.target.wants/a.service -> /srv/a.service.yaml"));
  EXPECT_EQ(tree.load("a.service")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.state("a.service"), "enabled");
}

TEST(Disable, TakesEveryLinkAwayAndLeavesNoEmptyFolder) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\nAlias=b.service\n"));
  tree.install({.operation = Op::enable, .names = {"a.service"}});
  tree.files.add_link(kEtc + "by-hand.target.wants/a.service", kUsr + "a.service");
  tree.files.add_link(kEtc + "by-hand.target.wants/b.service", kEtc + "b.service");
  tree.files.add_link(kEtc + "m.target.wants/other.service", kUsr + "other.service");
  EXPECT_THAT(
      tree.install({.operation = Op::disable, .names = {"a.service"}}),
      UnorderedElementsAre("-" + kEtc + "b.service", "-" + kEtc + "m.target.wants/a.service",
                           "-" + kEtc + "by-hand.target.wants/a.service",
                           "-" + kEtc + "by-hand.target.wants/b.service"));
  EXPECT_EQ(tree.state("a.service"), "disabled");
  EXPECT_THAT(tree.files.paths(),
              UnorderedElementsAre(kUsr + "a.service", kEtc + "m.target.wants/other.service"));
}

TEST(Disable, OfATemplateDisablesItsInstancesAndOfOneOnlyThat) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", installable("WantedBy=m.target\n"));
  tree.install({.operation = Op::enable, .names = {"t@x.service", "t@y.service", "t@z.service"}});
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"t@x.service"}}),
              ElementsAre("-" + kEtc + "m.target.wants/t@x.service"));
  EXPECT_EQ(tree.install({.operation = Op::disable, .names = {"t@.service"}}).size(), 2U);
}

TEST(Disable, TakesAlsoWithIt) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\nAlso=b.service\n"));
  tree.files.add_file(kUsr + "b.service", installable("WantedBy=m.target\n"));
  tree.install({.operation = Op::enable, .names = {"a.service"}});
  EXPECT_EQ(tree.install({.operation = Op::disable, .names = {"a.service"}}).size(), 2U);
}

TEST(Disable, HidesWhatIsEnabledInSystemdsDirectoriesAndEnableShowsItAgain) {
  Tree tree;
  tree.files.add_file(kUsr + "m.target", "[Unit]\n");
  tree.files.add_file(kLib + "a.service", installable("WantedBy=m.target\n"));
  tree.files.add_link(kSystemd + "m.target.wants/a.service", kLib + "a.service");
  EXPECT_EQ(tree.state("a.service"), "enabled");
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"a.service"}}),
              ElementsAre("+" + kEtc + "m.target.wants/a.service -> /dev/null"));
  EXPECT_EQ(tree.state("a.service"), "disabled");
  EXPECT_FALSE(has(*tree.load("m.target"), Dependency::Wants, "a.service"));
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"a.service"}}), IsEmpty());
  EXPECT_THAT(tree.install({.operation = Op::enable, .names = {"a.service"}}),
              ElementsAre("+" + kEtc + "m.target.wants/a.service -> " + kLib + "a.service"));
  EXPECT_EQ(tree.state("a.service"), "enabled");
  EXPECT_TRUE(has(*tree.load("m.target"), Dependency::Wants, "a.service"));
}

TEST(Disable, OfAUnitWhoseFileIsGoneRemovesWhatItLeft) {
  Tree tree;
  tree.files.add_link(kEtc + "m.target.wants/a.service", kUsr + "a.service");
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"a.service"}}),
              ElementsAre("-" + kEtc + "m.target.wants/a.service"));
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"a.service"}}),
              ElementsAre(HasSubstr("does not exist")));
}

TEST(Reenable, PutsTheLinksBackToWhatTheFileSays) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=new.target\n"));
  tree.files.add_link(kEtc + "old.target.wants/a.service", kUsr + "a.service");
  EXPECT_THAT(tree.install({.operation = Op::reenable, .names = {"a.service"}}),
              ElementsAre("-" + kEtc + "old.target.wants/a.service",
                          "+" + kEtc + "new.target.wants/a.service -> " + kUsr + "a.service"));
}

TEST(Reenable, OfALinkedUnitNeedsItsPath) {
  Tree tree;
  tree.files.add_file("/opt/ex.service", installable("WantedBy=m.target\n"));
  const auto links = ElementsAre("+" + kEtc + "ex.service -> /opt/ex.service",
                                 "+" + kEtc + "m.target.wants/ex.service -> /opt/ex.service");
  EXPECT_THAT(tree.install({.operation = Op::reenable, .names = {"/opt/ex.service"}}), links);
  EXPECT_THAT(tree.install({.operation = Op::reenable, .names = {"ex.service"}}),
              ElementsAre(HasSubstr("linked from /opt/ex.service")));
  EXPECT_EQ(tree.state("ex.service"), "enabled");
  EXPECT_THAT(
      tree.install({.operation = Op::reenable, .names = {"/opt/ex.service"}}),
      UnorderedElementsAre("-" + kEtc + "ex.service", "-" + kEtc + "m.target.wants/ex.service",
                           "+" + kEtc + "ex.service -> /opt/ex.service",
                           "+" + kEtc + "m.target.wants/ex.service -> /opt/ex.service"));
  EXPECT_THAT(tree.install({.operation = Op::reenable, .names = {"gone.service"}}),
              ElementsAre("error: Unit file gone.service does not exist."));
}

TEST(Disable, AndPresetTakeTheNameOfThePath) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\n"));
  EXPECT_THAT(tree.install({.operation = Op::preset, .names = {kUsr + "a.service"}}),
              ElementsAre("+" + kEtc + "m.target.wants/a.service -> " + kUsr + "a.service"));
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {kUsr + "a.service"}}),
              ElementsAre("-" + kEtc + "m.target.wants/a.service"));
  tree.files.add_file("/opt/ex.service.yaml", "Service: {ExecStart: /bin/true}\n");
  tree.install({.operation = Op::link, .names = {"/opt/ex.service.yaml"}});
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"/opt/ex.service.yaml"}}),
              ElementsAre("-" + kEtc + "ex.service.yaml"));
}

TEST(Preset, OfATemplateWithoutInstanceMakesTheLinksThatNeedNone) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", installable("WantedBy=w@.target\n"));
  EXPECT_THAT(tree.install({.operation = Op::preset, .names = {"t@.service"}}),
              ElementsAre("+" + kEtc + "w@.target.wants/t@.service -> " + kUsr + "t@.service"));
  tree.files.add_file(kUsr + "p@.service", installable("WantedBy=m.target\n"));
  EXPECT_THAT(tree.install({.operation = Op::preset, .names = {"p@.service"}}), IsEmpty());
}

TEST(Preset, RefusesAMaskedUnitThatIsNamed) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\n"));
  tree.files.add_link(kEtc + "link.service", "/dev/null");
  tree.files.add_link(kRun + "late.service", "/dev/null");
  tree.files.add_file(kEtc + "empty.service", "");
  for (const std::string name : {"link.service", "late.service", "empty.service"}) {
    EXPECT_THAT(tree.install({.operation = Op::preset, .names = {"a.service", name}}),
                ElementsAre("error: Unit file " + name + " is masked."));
  }
  EXPECT_THAT(tree.install({.operation = Op::preset}),
              ElementsAre("+" + kEtc + "m.target.wants/a.service -> " + kUsr + "a.service"));
}

TEST(Mask, IsALinkToNullAndUnmaskTakesItAway) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  EXPECT_THAT(tree.install({.operation = Op::mask, .names = {"a.service"}}),
              ElementsAre("+" + kEtc + "a.service -> /dev/null"));
  EXPECT_EQ(tree.state("a.service"), "masked");
  EXPECT_THAT(tree.install({.operation = Op::mask, .names = {"a.service"}}), IsEmpty());
  EXPECT_THAT(tree.install({.operation = Op::unmask, .names = {"a.service"}}),
              ElementsAre("-" + kEtc + "a.service"));
  EXPECT_THAT(tree.install({.operation = Op::mask, .names = {"a.service"}, .runtime = true}),
              ElementsAre("+" + kRun + "a.service -> /dev/null"));
  EXPECT_EQ(tree.state("a.service"), "masked-runtime");
}

TEST(Mask, DoesNotOverwriteAFileAndWarnsOfMissingUnits) {
  Tree tree;
  tree.files.add_file(kEtc + "a.service", Tree::service());
  EXPECT_THAT(tree.install({.operation = Op::mask, .names = {"a.service"}, .force = true}),
              ElementsAre(HasSubstr("already exists and is not a link")));
  const auto plan = tree.plan({.operation = Op::mask, .names = {"new.service"}});
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->diagnostics.at(0).message, HasSubstr("does not exist"));
}

TEST(Mask, ThatSomebodyElseMadeStaysAndIsNamed) {
  Tree tree;
  tree.files.add_link(kSystemd + "a.service", "/dev/null");
  const auto plan = tree.plan({.operation = Op::unmask, .names = {"a.service"}});
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->changes, IsEmpty());
  EXPECT_THAT(plan->diagnostics.at(0).message,
              HasSubstr("stays masked by " + kSystemd + "a.service"));
}

TEST(Link, MakesAFileOutsideThePathKnown) {
  Tree tree;
  tree.files.add_file("/srv/a.service", Tree::service());
  EXPECT_THAT(tree.install({.operation = Op::link, .names = {"/srv/a.service"}}),
              ElementsAre("+" + kEtc + "a.service -> /srv/a.service"));
  EXPECT_EQ(tree.state("a.service"), "linked");
  EXPECT_THAT(tree.install({.operation = Op::disable, .names = {"a.service"}}),
              ElementsAre("-" + kEtc + "a.service"));
  EXPECT_THAT(tree.install({.operation = Op::link, .names = {"a.service"}}),
              ElementsAre(HasSubstr("not an absolute path")));
  EXPECT_THAT(tree.install({.operation = Op::link, .names = {"/srv/gone.service"}}),
              ElementsAre(HasSubstr("error: ")));
}

TEST(Revert, GoesBackToTheVendorsFile) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "a.service.d/vendor.conf", "[Unit]\n");
  tree.files.add_file(kEtc + "a.service", Tree::service());
  tree.files.add_file(kEtc + "a.service.d/override.conf", "[Unit]\n");
  tree.files.add_file("/run/pidward/system.control/a.service.d/50-x.conf", "[Unit]\n");
  tree.files.add_link(kRun + "a.service", "/dev/null");
  tree.install({.operation = Op::revert, .names = {"a.service"}});
  EXPECT_THAT(tree.files.paths(),
              UnorderedElementsAre(kUsr + "a.service", kUsr + "a.service.d/vendor.conf"));
}

TEST(Revert, LeavesAFileThatHasNoVendorsVersion) {
  Tree tree;
  tree.files.add_file(kEtc + "a.service", Tree::service());
  tree.files.add_file(kEtc + "a.service.d/override.conf", "[Unit]\n");
  tree.install({.operation = Op::revert, .names = {"a.service"}});
  EXPECT_THAT(tree.files.paths(), ElementsAre(kEtc + "a.service"));
}

TEST(AddWants, LinksIntoTheFolderOfTheTarget) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "m.target", "[Unit]\n");
  EXPECT_THAT(
      tree.install({.operation = Op::add_wants, .names = {"a.service"}, .target = "m.target"}),
      ElementsAre("+" + kEtc + "m.target.wants/a.service -> " + kUsr + "a.service"));
  EXPECT_THAT(
      tree.install({.operation = Op::add_requires, .names = {"a.service"}, .target = "m.target"}),
      ElementsAre("+" + kEtc + "m.target.requires/a.service -> " + kUsr + "a.service"));
  EXPECT_THAT(
      tree.install({.operation = Op::add_wants, .names = {"a.service"}, .target = "gone.target"}),
      ElementsAre(HasSubstr("does not exist")));
}

TEST(Apply, StopsAtTheFirstFailureAndSaysWhere) {
  Tree tree;
  const InstallPlan plan{
      .changes = {{"symlink", kEtc + "a.service", "/x"}, {"symlink", kEtc + "b.service", "/x"}}};
  tree.files.fail(kEtc + "b.service", ENOSPC);
  const auto done = apply(plan, tree.files);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr("making the link " + kEtc + "b.service"));
  EXPECT_THAT(tree.files.paths(), ElementsAre(kEtc + "a.service"));
}

TEST(State, HasAWordForEveryOrigin) {
  Tree tree;
  tree.files.add_file("/run/pidward/transient/run-1.service", Tree::service());
  tree.files.add_file("/run/systemd/generator/g.service", Tree::service());
  tree.files.add_file(kEtc + "dir.service/x", "");
  tree.files.add_file(kUsr + "v@.service", Tree::service());
  tree.files.add_link(kLib + "m.target.wants/v@x.service", kUsr + "v@.service");
  EXPECT_EQ(tree.state("run-1.service"), "transient");
  EXPECT_EQ(tree.state("g.service"), "generated");
  EXPECT_EQ(tree.state("dir.service"), "bad");
  EXPECT_EQ(tree.state("v@x.service"), "static");
  EXPECT_THAT(tree.state("gone.service"), HasSubstr("does not exist"));
}

TEST(ListUnitFiles, HasEveryFileWithItsStateAndPreset) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", installable("WantedBy=m.target\n"));
  tree.files.add_file(kUsr + "b.service.yaml", "Service: {ExecStart: /bin/true}\n");
  tree.files.add_link(kEtc + "c.service", "a.service");
  tree.files.add_file("/usr/lib/pidward/system-preset/90.preset", "disable *\n");
  const auto files = list_unit_files(tree.context());
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path + " " + files[0].state + " " + files[0].preset,
            kUsr + "a.service indirect disabled");
  EXPECT_EQ(files[1].path + " " + files[1].state + " " + files[1].preset,
            kUsr + "b.service.yaml static ");
  EXPECT_EQ(files[2].path + " " + files[2].state, kEtc + "c.service alias");
}

}  // namespace
}  // namespace pidward::unit::test
