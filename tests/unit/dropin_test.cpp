// Drop-ins and the folders beside a unit's file.
#include "unit/dropin.hpp"

#include <cerrno>

#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEtc = Tree::kEtc;
const std::string kUsr = Tree::kUsr;
const std::string kLib = Tree::kLib;

std::string described(const std::string& text) {
  return "[Unit]\nDescription=" + text + "\n";
}

std::vector<std::string> dropins(const UnitSpec& spec) {
  std::vector<std::string> out;
  for (const SourceFile& file : spec.dropins) out.push_back(file.path);
  return out;
}

TEST(Dropins, AreAppliedByFileNameWhateverDirectoryTheyAreIn) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kEtc + "a.service.d/10-etc.conf", described("etc"));
  tree.files.add_file(kLib + "a.service.d/20-lib.conf", described("lib"));
  tree.files.add_file(kLib + "a.service.d/README", described("not a drop-in"));
  tree.files.add_file(kLib + "a.service.d/.30-hidden.conf", described("hidden"));
  const auto spec = tree.load("a.service");
  EXPECT_THAT(dropins(*spec),
              ElementsAre(kEtc + "a.service.d/10-etc.conf", kLib + "a.service.d/20-lib.conf"));
  EXPECT_EQ(spec->settings.string(Directive::Description), "lib");
}

TEST(Dropins, OfEqualNameTheOneOfHighestPrecedenceCounts) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kEtc + "a.service.d/x.conf", described("etc"));
  tree.files.add_file(kUsr + "a.service.d/x.conf", described("usr"));
  EXPECT_THAT(dropins(*tree.load("a.service")), ElementsAre(kEtc + "a.service.d/x.conf"));
}

TEST(Dropins, AnEmptyFileOrALinkToNullMasksTheOthers) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "a.service.d/x.conf", described("x"));
  tree.files.add_file(kUsr + "a.service.d/y.conf", described("y"));
  tree.files.add_link(kEtc + "a.service.d/x.conf", "/dev/null");
  tree.files.add_file(kEtc + "a.service.d/y.conf", "");
  EXPECT_THAT(dropins(*tree.load("a.service")), IsEmpty());
}

TEST(Dropins, ComeFromPrefixesAndFromTheTypeAsAWhole) {
  Tree tree;
  tree.files.add_file(kUsr + "foo-bar-baz.service", Tree::service());
  tree.files.add_file(kUsr + "foo-bar-.service.d/2.conf", described("2"));
  tree.files.add_file(kUsr + "foo-.service.d/1.conf", described("1"));
  tree.files.add_file(kUsr + "service.d/0.conf", described("0"));
  tree.files.add_file(kUsr + "foo-bar-baz.service.d/3.conf", described("3"));
  tree.files.add_file(kUsr + "foo.service.d/9.conf", described("other unit"));
  tree.files.add_file(kUsr + "socket.d/9.conf", described("other type"));
  EXPECT_THAT(
      dropins(*tree.load("foo-bar-baz.service")),
      ElementsAre(kUsr + "service.d/0.conf", kUsr + "foo-.service.d/1.conf",
                  kUsr + "foo-bar-.service.d/2.conf", kUsr + "foo-bar-baz.service.d/3.conf"));
}

TEST(Dropins, TheMoreSpecificFolderOfADirectoryWinsForEqualNames) {
  Tree tree;
  tree.files.add_file(kUsr + "foo-bar.service", Tree::service());
  tree.files.add_file(kUsr + "foo-bar.service.d/x.conf", described("unit"));
  tree.files.add_file(kUsr + "foo-.service.d/x.conf", described("prefix"));
  tree.files.add_file(kEtc + "service.d/x.conf", described("type"));
  EXPECT_EQ(tree.load("foo-bar.service")->settings.string(Directive::Description), "unit");
}

TEST(Dropins, AnInstanceHasItsTemplatesToo) {
  Tree tree;
  tree.files.add_file(kUsr + "foo-bar@.service", Tree::service());
  tree.files.add_file(kUsr + "foo-bar@.service.d/1.conf", described("%i"));
  tree.files.add_file(kUsr + "foo-bar@x.service.d/2.conf", "[Service]\nNice=3\n");
  tree.files.add_file(kUsr + "foo-@.service.d/0.conf", "[Service]\nNice=1\n");
  const auto spec = tree.load("foo-bar@x.service");
  EXPECT_EQ(spec->dropins.size(), 3U);
  EXPECT_EQ(spec->settings.string(Directive::Description), "x");
  EXPECT_EQ(spec->settings.integer(Directive::Nice), 3);
  EXPECT_EQ(tree.load("foo-bar@y.service")->dropins.size(), 2U);
}

TEST(Dropins, OfAliasesCountAsWell) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_link(kUsr + "b.service", "a.service");
  tree.files.add_file(kUsr + "b.service.d/x.conf", described("through the alias"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "through the alias");
}

TEST(Dropins, AreReadInBothSpellings) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "a.service.d/x.conf.yaml", "Unit:\n  Description: yaml\n");
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "yaml");
  tree.files.add_file(kUsr + "a.service.d/x.conf", described("ini"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "ini");
  EXPECT_THAT(warnings(*tree.load("a.service")), HasSubstr("both spellings"));
}

TEST(Dropins, OneThatCannotBeReadCostsOnlyItself) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kEtc + "a.service.d/x.conf", described("x"));
  tree.files.add_file(kEtc + "a.service.d/y.conf", described("y"));
  tree.files.add_link(kEtc + "a.service.d/z.conf", "/nowhere");
  tree.files.fail(kEtc + "a.service.d/y.conf", EACCES);
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->load_state, LoadState::loaded);
  EXPECT_EQ(spec->settings.string(Directive::Description), "x");
  EXPECT_THAT(warnings(*spec), HasSubstr("y.conf"));
  EXPECT_THAT(warnings(*spec), HasSubstr("z.conf"));
}

TEST(FolderLinks, AddDependenciesOfTheirKind) {
  Tree tree;
  tree.files.add_file(kUsr + "m.target", described("m"));
  tree.files.add_link(kEtc + "m.target.wants/a.service", kUsr + "a.service");
  tree.files.add_link(kUsr + "m.target.requires/b.service", "../b.service");
  tree.files.add_link(kUsr + "m.target.upholds/c.service.yaml", "../c.service.yaml");
  const auto spec = tree.load("m.target");
  EXPECT_TRUE(has(*spec, Dependency::Wants, "a.service"));
  EXPECT_TRUE(has(*spec, Dependency::Requires, "b.service"));
  EXPECT_TRUE(has(*spec, Dependency::Upholds, "c.service"));
  for (const DependencyEdge& edge : spec->dependencies) {
    if (edge.kind == Dependency::Wants) {
      EXPECT_EQ(edge.origin, Origin::link);
    }
  }
}

TEST(FolderLinks, AreMaskedByALinkToNullOfHigherPrecedence) {
  Tree tree;
  tree.files.add_file(kUsr + "m.target", described("m"));
  tree.files.add_link(kUsr + "m.target.wants/a.service", kUsr + "a.service");
  tree.files.add_link(kEtc + "m.target.wants/a.service", "/dev/null");
  EXPECT_FALSE(has(*tree.load("m.target"), Dependency::Wants, "a.service"));
}

TEST(FolderLinks, ToAMaskedUnitAreMaskedToo) {
  Tree tree;
  tree.files.add_file(kUsr + "m.target", described("m"));
  tree.files.add_file(kUsr + "plain.service", Tree::service());
  tree.files.add_file(kUsr + "empty.service", "");
  tree.files.add_link(kUsr + "nulled.service", "/dev/null");
  tree.files.add_link(kUsr + "alias.service", kUsr + "nulled.service");
  for (const char* name : {"plain", "empty", "nulled", "alias", "missing"}) {
    const std::string file = std::string(name) + ".service";
    tree.files.add_link(kUsr + "m.target.wants/" + file, "../" + file);
  }
  const auto spec = tree.load("m.target");
  EXPECT_TRUE(has(*spec, Dependency::Wants, "plain.service"));
  EXPECT_TRUE(has(*spec, Dependency::Wants, "missing.service"));
  EXPECT_FALSE(has(*spec, Dependency::Wants, "empty.service"));
  EXPECT_FALSE(has(*spec, Dependency::Wants, "nulled.service"));
  EXPECT_FALSE(has(*spec, Dependency::Wants, "alias.service"));
}

TEST(FolderLinks, OfATemplateGiveTheInstanceOn) {
  Tree tree;
  tree.files.add_file(kUsr + "t@.service", Tree::service());
  tree.files.add_link(kUsr + "t@.service.wants/u@.service", kUsr + "u@.service");
  tree.files.add_link(kUsr + "t@x.service.wants/v.service", kUsr + "v.service");
  EXPECT_TRUE(has(*tree.load("t@x.service"), Dependency::Wants, "u@x.service"));
  EXPECT_TRUE(has(*tree.load("t@x.service"), Dependency::Wants, "v.service"));
  EXPECT_FALSE(has(*tree.load("t@y.service"), Dependency::Wants, "v.service"));
}

TEST(FolderLinks, ThatMakeNoSenseAreLeftOutAndSaidSo) {
  Tree tree;
  tree.files.add_file(kUsr + "m.target", described("m"));
  tree.files.add_link(kUsr + "m.target.wants/not a unit", "/x");
  tree.files.add_link(kUsr + "m.target.wants/t@.service", "/x");
  tree.files.add_file(kUsr + "m.target.wants/file.service", "content");
  const auto spec = tree.load("m.target");
  EXPECT_EQ(spec->load_state, LoadState::loaded);
  EXPECT_THAT(warnings(*spec), HasSubstr("not a unit is not a unit's name"));
  EXPECT_THAT(warnings(*spec), HasSubstr("t@.service is a template"));
  EXPECT_THAT(warnings(*spec), HasSubstr("only links are looked at"));
}

TEST(FolderLinks, ToPartsOfSystemdDoNotCount) {
  Tree tree;
  tree.files.add_file(kUsr + "sysinit.target", described("ours"));
  tree.files.add_link(kLib + "sysinit.target.wants/systemd-udevd.service",
                      "../systemd-udevd.service");
  tree.files.add_link(kLib + "sysinit.target.wants/apparmor.service", "../apparmor.service");
  const auto ours = tree.load("sysinit.target");
  EXPECT_FALSE(has(*ours, Dependency::Wants, "systemd-udevd.service"));
  EXPECT_TRUE(has(*ours, Dependency::Wants, "apparmor.service"));
  EXPECT_THAT(said(*ours, Diagnostic::Severity::note),
              HasSubstr("systemd-udevd.service is a part of systemd"));
  // Nor where pidward's units are not installed.
  tree.files.add_file(kLib + "basic.target", described("theirs"));
  tree.files.add_link(kLib + "basic.target.wants/systemd-tmpfiles-setup.service",
                      "../systemd-tmpfiles-setup.service");
  EXPECT_FALSE(
      has(*tree.load("basic.target"), Dependency::Wants, "systemd-tmpfiles-setup.service"));
  // Who wants one of them says so.
  tree.files.add_link(kEtc + "basic.target.wants/systemd-networkd.service",
                      "/lib/systemd/system/systemd-networkd.service");
  EXPECT_TRUE(has(*tree.load("basic.target"), Dependency::Wants, "systemd-networkd.service"));
}

TEST(FolderLinks, OfAliasesCountAsWell) {
  Tree tree;
  tree.files.add_file(kUsr + "graphical.target", described("g"));
  tree.files.add_link(kEtc + "default.target", kUsr + "graphical.target");
  tree.files.add_link(kEtc + "default.target.wants/a.service", kUsr + "a.service");
  EXPECT_TRUE(has(*tree.load("graphical.target"), Dependency::Wants, "a.service"));
}

TEST(FolderBases, GoFromTheNameToItsPrefixes) {
  EXPECT_THAT(folder_bases(name("a.service")), ElementsAre("a.service"));
  EXPECT_THAT(folder_bases(name("a-b-c.service")),
              ElementsAre("a-b-c.service", "a-b-.service", "a-.service"));
  EXPECT_THAT(folder_bases(name("a-b-.service")), ElementsAre("a-b-.service", "a-.service"));
  // As systemd 252 has it: what is said of a prefix is said of templates and instances too.
  EXPECT_THAT(folder_bases(name("a-b-c@i-j.service")),
              ElementsAre("a-b-c@i-j.service", "a-b-c@.service", "a-b-.service", "a-.service",
                          "a-b-@i-j.service", "a-b-@.service", "a-@i-j.service", "a-@.service"));
  EXPECT_THAT(folder_bases(name("a-b@.service")),
              ElementsAre("a-b@.service", "a-.service", "a-@.service"));
}

}  // namespace
}  // namespace pidward::unit::test
