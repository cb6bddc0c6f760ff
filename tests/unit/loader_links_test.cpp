// Names on the search path: precedence, aliases, templates, masks, and links that lead nowhere.
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
const std::string kRun = Tree::kRun;
const std::string kLib = Tree::kLib;
const std::string kSystemd = Tree::kSystemd;

TEST(LoaderLinks, TheDirectoryOfHighestPrecedenceWins) {
  Tree tree;
  tree.files.add_file(kLib + "a.service", Tree::service("Description=lib\n"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "lib");
  tree.files.add_file(kSystemd + "a.service", Tree::service("Description=systemd\n"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "systemd");
  tree.files.add_file(kUsr + "a.service", Tree::service("Description=usr\n"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "usr");
  tree.files.add_file(kEtc + "a.service", Tree::service("Description=etc\n"));
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "etc");
  EXPECT_EQ(tree.load("a.service")->fragment->path, kEtc + "a.service");
}

TEST(LoaderLinks, AUnitThatIsNowhereIsNotFound) {
  Tree tree;
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->load_state, LoadState::not_found);
  EXPECT_EQ(spec->load_error()->code(), Errc::no_such_unit);
}

TEST(LoaderLinks, BothSpellingsLoadAndTheIniOneWins) {
  Tree tree;
  tree.files.add_file(kEtc + "a.service.yaml",
                      "Unit:\n  Description: yaml\nService:\n  ExecStart: /bin/true\n");
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "yaml");
  EXPECT_EQ(tree.load("a.service")->load_state, LoadState::loaded)
      << errors(*tree.load("a.service"));
  tree.files.add_file(kEtc + "a.service", Tree::service("Description=ini\n"));
  const auto both = tree.load("a.service");
  EXPECT_EQ(both->settings.string(Directive::Description), "ini");
  EXPECT_THAT(warnings(*both),
              HasSubstr(kEtc + "a.service.yaml: warning: a.service is there in both spellings"));
}

TEST(LoaderLinks, AYamlFileOfHigherPrecedenceWinsOverAnIniFile) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service("Description=ini\n"));
  tree.files.add_file(kEtc + "a.service.yaml",
                      "Unit:\n  Description: yaml\nService:\n  ExecStart: /bin/true\n");
  EXPECT_EQ(tree.load("a.service")->settings.string(Directive::Description), "yaml");
}

TEST(LoaderLinks, AnAliasGivesItsTargetWithAllItsNames) {
  Tree tree;
  tree.files.add_file(kUsr + "ssh.service", Tree::service());
  tree.files.add_link(kEtc + "sshd.service", "/usr/lib/pidward/system/ssh.service");
  tree.files.add_link(kEtc + "secure.service", "sshd.service");
  for (const char* asked : {"ssh.service", "sshd.service", "secure.service"}) {
    const auto spec = tree.load(asked);
    EXPECT_EQ(spec->name.str(), "ssh.service");
    EXPECT_EQ(spec->load_state, LoadState::loaded);
    EXPECT_THAT(texts(spec->aliases), ElementsAre("secure.service", "sshd.service"));
  }
}

TEST(LoaderLinks, AnAliasNamesAUnitAndNotAFile) {
  Tree tree;
  // The target does not exist where the link says, but the name does elsewhere on the path.
  tree.files.add_file(kRun + "a.service", Tree::service("Description=run\n"));
  tree.files.add_link(kEtc + "b.service", "/usr/lib/pidward/system/a.service");
  EXPECT_EQ(tree.load("b.service")->fragment->path, kRun + "a.service");
}

TEST(LoaderLinks, ALinkToTheSameNameIsTheFileItself) {
  Tree tree;
  tree.files.add_file(kLib + "a.service", Tree::service("Description=lib\n"));
  tree.files.add_file(kUsr + "a.service", Tree::service("Description=usr\n"));
  tree.files.add_link(kEtc + "a.service", kLib + "a.service");
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->settings.string(Directive::Description), "lib");
  EXPECT_THAT(spec->aliases, IsEmpty());
}

TEST(LoaderLinks, ALinkOutOfThePathIsALinkedUnitOfItsOwnName) {
  Tree tree;
  tree.files.add_file("/srv/units/whatever", Tree::service("Description=%n %Y\n"));
  tree.files.add_link(kEtc + "a.service", "/srv/units/middle");
  tree.files.add_link("/srv/units/middle", "whatever");
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->load_state, LoadState::loaded);
  EXPECT_EQ(spec->fragment->path, "/srv/units/whatever");
  EXPECT_EQ(spec->settings.string(Directive::Description), "a.service /srv/units");
}

TEST(LoaderLinks, TheSearchPathIsRecognisedThroughLinkedDirectories) {
  Tree tree;
  tree.files.add_link("/lib", "usr/lib");
  tree.files.add_file(kLib + "a.service", Tree::service());
  tree.files.add_link(kSystemd + "b.service", "/lib/systemd/system/a.service");
  const auto spec = tree.load("b.service");
  EXPECT_EQ(spec->name.str(), "a.service");
  EXPECT_THAT(texts(spec->aliases), ElementsAre("b.service"));
}

TEST(LoaderLinks, LinksThatGoInACircleAreAnErrorThatShowsTheCircle) {
  Tree tree;
  tree.files.add_link(kEtc + "a.service", kEtc + "b.service");
  tree.files.add_link(kEtc + "b.service", kEtc + "a.service");
  const auto spec = tree.load("a.service");
  EXPECT_EQ(spec->load_state, LoadState::error);
  EXPECT_THAT(errors(*spec), HasSubstr("a.service -> b.service -> a.service"));
  tree.files.add_link("/srv/x", "/srv/y");
  tree.files.add_link("/srv/y", "/srv/x");
  tree.files.add_link(kEtc + "c.service", "/srv/x");
  EXPECT_EQ(tree.load("c.service")->load_state, LoadState::error);
  EXPECT_THAT(errors(*tree.load("c.service")), HasSubstr("circle"));
}

TEST(LoaderLinks, ALinkIntoNothingIsNotFoundAndSaysWhere) {
  Tree tree;
  tree.files.add_link(kEtc + "a.service", "/usr/lib/pidward/system/gone.service");
  tree.files.add_link(kEtc + "b.service", "/srv/gone");
  const auto alias = tree.load("a.service");
  EXPECT_EQ(alias->load_state, LoadState::not_found);
  EXPECT_EQ(alias->name.str(), "a.service");
  EXPECT_THAT(errors(*alias),
              HasSubstr("a link to /usr/lib/pidward/system/gone.service, which does not exist"));
  const auto linked = tree.load("b.service");
  EXPECT_EQ(linked->load_state, LoadState::not_found);
  EXPECT_THAT(errors(*linked), HasSubstr("a link to /srv/gone, which does not exist"));
}

TEST(LoaderLinks, AnAliasOfAnotherTypeOrFormIsRefused) {
  Tree tree;
  tree.files.add_file(kUsr + "a.socket", "[Socket]\nListenStream=/run/a\n");
  tree.files.add_file(kUsr + "t@.service", Tree::service());
  tree.files.add_link(kEtc + "a.service", kUsr + "a.socket");
  tree.files.add_link(kEtc + "p.service", kUsr + "t@.service");
  tree.files.add_link(kEtc + "x@1.service", "t@2.service");
  tree.files.add_link(kEtc + "a.slice", "b.slice");
  EXPECT_THAT(errors(*tree.load("a.service")),
              HasSubstr("a service cannot be another name of a socket"));
  EXPECT_THAT(errors(*tree.load("p.service")), HasSubstr("a plain name"));
  EXPECT_THAT(errors(*tree.load("x@1.service")), HasSubstr("the instances differ"));
  EXPECT_THAT(errors(*tree.load("a.slice")), HasSubstr("cannot have aliases"));
  EXPECT_EQ(tree.load("a.slice")->load_state, LoadState::error);
}

TEST(LoaderLinks, AnInstanceComesFromItsTemplateUnlessItHasAFile) {
  Tree tree;
  tree.files.add_file(kUsr + "g@.service", Tree::service("Description=template %i\n"));
  tree.files.add_file(kUsr + "g@own.service", Tree::service("Description=own %i\n"));
  EXPECT_EQ(tree.load("g@x.service")->settings.string(Directive::Description), "template x");
  EXPECT_EQ(tree.load("g@x.service")->name.str(), "g@x.service");
  EXPECT_EQ(tree.load("g@own.service")->settings.string(Directive::Description), "own own");
}

TEST(LoaderLinks, ATemplateItselfIsNotAUnit) {
  Tree tree;
  tree.files.add_file(kUsr + "g@.service", Tree::service());
  const auto spec = tree.load("g@.service");
  EXPECT_EQ(spec->load_state, LoadState::error);
  EXPECT_THAT(errors(*spec), HasSubstr("needs an instance"));
}

TEST(LoaderLinks, AnAliasOfATemplateIsAnAliasOfEveryInstance) {
  Tree tree;
  tree.files.add_file(kUsr + "getty@.service", Tree::service());
  tree.files.add_link(kUsr + "autovt@.service", "getty@.service");
  const auto spec = tree.load("autovt@tty1.service");
  EXPECT_EQ(spec->name.str(), "getty@tty1.service");
  EXPECT_THAT(texts(spec->aliases), ElementsAre("autovt@tty1.service"));
  EXPECT_THAT(texts(tree.load("getty@tty2.service")->aliases), ElementsAre("autovt@tty2.service"));
}

TEST(LoaderLinks, OneInstanceMayBeAnAliasOfAnotherTemplatesInstance) {
  Tree tree;
  tree.files.add_file(kUsr + "getty@.service", Tree::service());
  tree.files.add_link(kUsr + "console@tty1.service", "getty@tty1.service");
  tree.files.add_link(kUsr + "serial@tty2.service", "getty@.service");
  tree.files.add_link(kEtc + "getty@tty3.service", kUsr + "getty@.service");
  EXPECT_EQ(tree.load("console@tty1.service")->name.str(), "getty@tty1.service");
  EXPECT_EQ(tree.load("serial@tty2.service")->name.str(), "getty@tty2.service");
  EXPECT_THAT(texts(tree.load("getty@tty2.service")->aliases), ElementsAre("serial@tty2.service"));
  EXPECT_EQ(tree.load("console@tty9.service")->load_state, LoadState::not_found);
  EXPECT_EQ(tree.load("getty@tty3.service")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.load("getty@tty3.service")->name.str(), "getty@tty3.service");
}

TEST(LoaderLinks, AMaskHidesWhatLiesBelow) {
  Tree tree;
  for (const char* unit : {"a.service", "b.service", "c.service", "d.service", "t@.service"}) {
    tree.files.add_file(kUsr + unit, Tree::service());
  }
  tree.files.add_link(kEtc + "a.service", "/dev/null");
  tree.files.add_file(kEtc + "b.service", "");
  tree.files.add_null_device(kEtc + "c.service");
  tree.files.add_link(kEtc + "d.service", "../../dev-null");
  tree.files.add_link("/etc/dev-null", "/dev/null");
  tree.files.add_link(kEtc + "t@.service", "/dev/null");
  tree.files.add_link(kEtc + "alias.service", "a.service");
  tree.files.add_file(kEtc + "a.service.d/x.conf", "[Unit]\nDescription=never read\n");
  for (const char* unit :
       {"a.service", "b.service", "c.service", "d.service", "t@1.service", "alias.service"}) {
    const auto spec = tree.load(unit);
    EXPECT_EQ(spec->load_state, LoadState::masked) << unit;
    EXPECT_EQ(spec->load_error()->code(), Errc::unit_masked) << unit;
    EXPECT_THAT(spec->dropins, IsEmpty());
    EXPECT_THAT(spec->dependencies, IsEmpty());
  }
}

TEST(LoaderLinks, WhatIsNotAFileGetsASentence) {
  Tree tree;
  tree.files.add_file(kEtc + "dir.service/file", "");
  tree.files.add_other(kEtc + "pipe.service");
  tree.files.add_link(kEtc + "zero.service", "/dev/zero");
  tree.files.add_other("/dev/zero");
  tree.files.add_file(kEtc + "secret.service", Tree::service());
  tree.files.fail(kEtc + "secret.service", EACCES);
  tree.files.add_file(kEtc + "huge.service", std::string(5UL << 20U, '#'));
  EXPECT_THAT(errors(*tree.load("dir.service")), HasSubstr("is a directory"));
  EXPECT_THAT(errors(*tree.load("pipe.service")), HasSubstr("neither a regular file"));
  EXPECT_THAT(errors(*tree.load("zero.service")), HasSubstr("/dev/zero is neither a regular file"));
  EXPECT_THAT(errors(*tree.load("secret.service")), HasSubstr("Permission denied"));
  EXPECT_THAT(errors(*tree.load("huge.service")), HasSubstr("larger than 4194304 bytes"));
  for (const char* unit :
       {"dir.service", "pipe.service", "zero.service", "secret.service", "huge.service"}) {
    EXPECT_EQ(tree.load(unit)->load_state, LoadState::error) << unit;
    EXPECT_TRUE(tree.load(unit)->load_error()) << unit;
  }
}

TEST(LoaderLinks, ADirectoryThatCannotBeListedIsNamedWhenAUnitIsMissing) {
  Tree tree;
  tree.files.fail("/etc/systemd/system", EACCES);
  tree.files.add_file(kLib + "a.service", Tree::service());
  EXPECT_EQ(tree.load("a.service")->load_state, LoadState::loaded);
  EXPECT_THAT(warnings(*tree.load("gone.service")),
              HasSubstr("/etc/systemd/system: warning: the directory cannot"));
}

TEST(LoaderLinks, UnitsOfOtherTypesAreStubsWhetherThereIsAFileOrNot) {
  Tree tree;
  tree.files.add_file(kLib + "srv.mount", "[Mount]\nWhat=/dev/x\nWhere=/srv\n");
  tree.files.add_link(kEtc + "tmp.mount", "/dev/null");
  EXPECT_EQ(tree.load("srv.mount")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.load("srv.mount")->fragment->path, kLib + "srv.mount");
  EXPECT_THAT(tree.load("srv.mount")->settings.entries(), IsEmpty());
  EXPECT_EQ(tree.load("dev-sda.device")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.load("tmp.mount")->load_state, LoadState::masked);
}

TEST(LoaderLinks, SlicesExistByBeingNamed) {
  Tree tree;
  EXPECT_EQ(tree.load("a-b.slice")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.load("-.slice")->load_state, LoadState::loaded);
  EXPECT_EQ(tree.load("a.scope")->load_state, LoadState::not_found);
}

TEST(LoaderLinks, NamesListsWhatThereIsAFileFor) {
  Tree tree;
  tree.files.add_file(kUsr + "b.service", Tree::service());
  tree.files.add_file(kUsr + "b.service.dpkg-new", "");
  tree.files.add_file(kUsr + "README", "");
  tree.files.add_file(kUsr + "t@.timer.yaml", "");
  tree.files.add_link(kEtc + "a.service", "b.service");
  EXPECT_THAT(UnitLoader(tree.context()).unit_file_names(),
              ElementsAre("a.service", "b.service", "t@.timer"));
}

}  // namespace
}  // namespace pidward::unit::test
