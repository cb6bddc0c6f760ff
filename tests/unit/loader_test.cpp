// Closures, batches, transient units, files given by path, and noticing changes on disk.
#include "unit/loader.hpp"

#include <map>
#include <set>

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const std::string kEtc = Tree::kEtc;
const std::string kUsr = Tree::kUsr;

std::set<std::string> names_of(const std::vector<UnitSpecPtr>& specs) {
  std::set<std::string> out;
  for (const UnitSpecPtr& spec : specs)
    EXPECT_TRUE(out.insert(spec->name.str()).second) << spec->name.str();
  return out;
}

TEST(LoadClosure, HoldsEverythingReachedOnce) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service",
                      Tree::service("Wants=b.service gone.service\nAfter=alias.service\n"));
  tree.files.add_file(kUsr + "b.service", Tree::service("After=a.service\n"));
  tree.files.add_file(kUsr + "c.service", Tree::service());
  tree.files.add_link(kUsr + "alias.service", "c.service");
  tree.files.add_link(kEtc + "b.service.wants/d.service", kUsr + "d.service");
  const auto names = names_of(
      UnitLoader(tree.context()).load_closure({name("a.service"), name("alias.service")}, {}));
  EXPECT_THAT(names, Contains("gone.service"));
  EXPECT_THAT(names, Contains("c.service"));
  EXPECT_THAT(names, Contains("d.service"));
  EXPECT_THAT(names, Contains("sysinit.target"));
  EXPECT_THAT(names, Contains("-.slice"));
  EXPECT_THAT(names, Not(Contains("alias.service")));
}

TEST(LoadClosure, StopsAtWhatIsKnown) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service("Wants=b.service alias.service\n"));
  tree.files.add_file(kUsr + "b.service", Tree::service("Wants=c.service\n"));
  tree.files.add_file(kUsr + "d.service", Tree::service());
  tree.files.add_link(kUsr + "alias.service", "d.service");
  const auto known = [](const UnitName& unit) {
    return unit.str() == "b.service" || unit.str() == "d.service";
  };
  const auto names = names_of(UnitLoader(tree.context()).load_closure({name("a.service")}, known));
  EXPECT_THAT(names, Not(Contains("b.service")));
  EXPECT_THAT(names, Not(Contains("c.service")));
  EXPECT_THAT(names, Not(Contains("d.service")));
}

TEST(LoadClosure, ListsEveryDirectoryOnceHoweverManyUnitsThereAre) {
  Tree tree;
  constexpr int kUnits = 2000;
  for (int i = 0; i < kUnits; ++i) {
    tree.files.add_file(fmt::format("{}u{}.service", kUsr, i),
                        Tree::service(fmt::format("After=u{}.service\n", i / 2)));
    tree.files.add_link(fmt::format("{}all.target.wants/u{}.service", kEtc, i),
                        fmt::format("{}u{}.service", kUsr, i));
  }
  tree.files.add_file(kUsr + "all.target", "[Unit]\nDescription=all\n");
  const UnitLoader loader(tree.context());
  const auto specs = loader.load_closure({name("all.target")}, {});
  EXPECT_GE(specs.size(), static_cast<std::size_t>(kUnits));
  EXPECT_LE(tree.files.list_calls(), tree.context().path.directories.size() + 1);
}

// Thousands of units name the same few others, and a target names them all.
TEST(LoadClosure, HoldsTheTextOfANameOnceForAllUnits) {
  Tree tree;
  tree.files.add_file(kUsr + "all.target", "[Unit]\nDescription=all\nWants=a.service b.service\n");
  tree.files.add_file(kUsr + "a.service", Tree::service("After=c.service\n"));
  tree.files.add_file(kUsr + "b.service", Tree::service("After=c.service\n"));
  std::map<std::string, std::set<const std::string*>> texts;
  for (const UnitSpecPtr& spec :
       UnitLoader(tree.context()).load_closure({name("all.target")}, {})) {
    texts[spec->name.str()].insert(&spec->name.str());
    for (const DependencyEdge& edge : spec->dependencies) {
      texts[edge.other.str()].insert(&edge.other.str());
    }
  }
  EXPECT_THAT(texts, Contains(testing::Key("c.service")));
  for (const auto& [text, held] : texts) EXPECT_EQ(held.size(), 1U) << text;
}

TEST(LoadUnit, SaysOnWhichProcessorAnInstanceRuns) {
  Tree tree;
  tree.files.add_file(kUsr + "pin@.service", Tree::service() + "CPUAffinity=%i\n");
  EXPECT_THAT(tree.load("pin@1.service")->settings.words(Directive::CPUAffinity),
              testing::ElementsAre("1"));
}

TEST(FinishTransient, GivesAUnitOfSettingsTheSameDependencies) {
  Tree tree;
  tree.files.add_file(kEtc + "run-1.service.d/x.conf", "[Unit]\nDescription=dropped in\n");
  UnitSpec spec(name("run-1.service"));
  ExecCommand command;
  command.path = "/bin/true";
  command.argv = {"/bin/true"};
  spec.settings.set(Directive::ExecStart, ExecList{command});
  const auto done = UnitLoader(tree.context()).finish_transient(spec);
  EXPECT_EQ(done->load_state, LoadState::loaded) << errors(*done);
  EXPECT_TRUE(done->transient);
  EXPECT_TRUE(has(*done, Dependency::InSlice, "system.slice"));
  EXPECT_EQ(done->settings.string(Directive::Description), "dropped in");
  EXPECT_EQ(
      UnitLoader(tree.context()).finish_transient(UnitSpec(name("run-2.service")))->load_state,
      LoadState::bad_setting);
  EXPECT_EQ(
      UnitLoader(tree.context()).finish_transient(UnitSpec(name("session-1.scope")))->load_state,
      LoadState::loaded);
}

TEST(LoadFile, ReadsOneFileWhereverItIs) {
  Tree tree;
  tree.files.add_file("/srv/a.service.yaml",
                      "Unit:\n  Description: '%n in %Y'\nService:\n  ExecStart: /bin/true\n");
  tree.files.add_file("/srv/a.service.d/x.conf", "[Service]\nNice=5\n");
  const auto spec = UnitLoader(tree.context()).load_file("/srv/a.service.yaml");
  EXPECT_EQ(spec->load_state, LoadState::loaded) << errors(*spec);
  EXPECT_EQ(spec->settings.string(Directive::Description), "a.service in /srv");
  EXPECT_EQ(spec->settings.integer(Directive::Nice), 5);
  EXPECT_EQ(spec->fragment->path, "/srv/a.service.yaml");
}

TEST(LoadFile, ReadsATemplateAsItsDefaultInstance) {
  Tree tree;
  tree.files.add_file("/srv/t@.service",
                      Tree::service("Description=%i\n") + "[Install]\nDefaultInstance=main\n");
  tree.files.add_file("/srv/u@.service", Tree::service("Description=%i\n"));
  EXPECT_EQ(UnitLoader(tree.context()).load_file("/srv/t@.service")->name.str(), "t@main.service");
  EXPECT_EQ(UnitLoader(tree.context()).load_file("/srv/u@.service")->name.str(),
            "u@instance.service");
}

TEST(LoadFile, SaysWhatIsWrongWithTheNameOrTheFile) {
  Tree tree;
  tree.files.add_file("/srv/readme.txt", "hello");
  tree.files.add_file("/srv/empty.service", "");
  const UnitLoader loader(tree.context());
  EXPECT_EQ(loader.load_file("/srv/readme.txt")->load_state, LoadState::error);
  EXPECT_THAT(errors(*loader.load_file("/srv/readme.txt")),
              HasSubstr("does not end in the name of a unit type"));
  EXPECT_EQ(loader.load_file("/srv/gone.service")->load_state, LoadState::not_found);
  EXPECT_EQ(loader.load_file("/srv/empty.service")->load_state, LoadState::masked);
}

TEST(NeedsReload, NoticesEveryChangeThatCounts) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "a.service.d/x.conf", "[Unit]\nDescription=x\n");
  const auto spec = tree.load("a.service");
  const auto needs = [&](const UnitSpec& which) {
    return UnitLoader(tree.context()).needs_reload(which);
  };
  EXPECT_FALSE(needs(*spec));
  tree.files.touch(kUsr + "a.service.d/x.conf");
  EXPECT_TRUE(needs(*spec));
  const auto again = tree.load("a.service");
  EXPECT_FALSE(needs(*again));
  tree.files.add_file(kEtc + "service.d/y.conf", "[Unit]\nDescription=y\n");
  EXPECT_TRUE(needs(*again));
  const auto third = tree.load("a.service");
  tree.files.touch(kUsr + "a.service");
  EXPECT_TRUE(needs(*third));
  const auto fourth = tree.load("a.service");
  tree.files.add_link(kEtc + "a.service", "/dev/null");
  EXPECT_TRUE(needs(*fourth));
  const auto masked = tree.load("a.service");
  EXPECT_FALSE(needs(*masked));
  ASSERT_TRUE(tree.files.remove(kEtc + "a.service"));
  ASSERT_TRUE(tree.files.remove(kUsr + "a.service"));
  EXPECT_TRUE(needs(*masked));
  EXPECT_TRUE(needs(*fourth));
}

TEST(NeedsReload, ConcernsUnitsThatWereMissingAndFilesGivenByPath) {
  Tree tree;
  const auto missing = tree.load("a.service");
  EXPECT_FALSE(UnitLoader(tree.context()).needs_reload(*missing));
  tree.files.add_file(kUsr + "a.service", Tree::service());
  EXPECT_TRUE(UnitLoader(tree.context()).needs_reload(*missing));
  tree.files.add_file("/srv/b.service", Tree::service());
  const auto by_path = UnitLoader(tree.context()).load_file("/srv/b.service");
  EXPECT_FALSE(UnitLoader(tree.context()).needs_reload(*by_path));
  tree.files.touch("/srv/b.service");
  EXPECT_TRUE(UnitLoader(tree.context()).needs_reload(*by_path));
}

TEST(NeedsReload, IsNotForWhatStillCannotBeRead) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service/inside", "");
  tree.files.add_file(kUsr + "service.d/all.conf", "[Service]\nNice=1\n");
  const auto broken = tree.load("a.service");
  ASSERT_EQ(broken->load_state, LoadState::error);
  EXPECT_FALSE(UnitLoader(tree.context()).needs_reload(*broken));
}

TEST(Loader, KeepsItsPictureUntilItIsRefreshed) {
  Tree tree;
  UnitLoader loader(tree.context());
  EXPECT_EQ(loader.load(name("a.service"))->load_state, LoadState::not_found);
  tree.files.add_file(kUsr + "a.service", Tree::service());
  EXPECT_EQ(loader.load(name("a.service"))->load_state, LoadState::not_found);
  loader.refresh();
  EXPECT_EQ(loader.load(name("a.service"))->load_state, LoadState::loaded);
}

TEST(Loader, OneBadUnitIsNobodyElsesProblem) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service",
                      Tree::service("Wants=bin.service empty.target loop.service\n"));
  tree.files.add_file(kUsr + "bin.service", std::string("\x7f"
                                                        "ELF\x02\x01\0\0\xff\xfe",
                                                        10));
  tree.files.add_link(kUsr + "loop.service", "loop.service");
  const auto specs = UnitLoader(tree.context()).load_closure({name("a.service")}, {});
  for (const UnitSpecPtr& spec : specs) {
    if (spec->name.str() == "a.service") {
      EXPECT_EQ(spec->load_state, LoadState::loaded);
    }
    if (spec->name.str() == "bin.service" || spec->name.str() == "loop.service") {
      EXPECT_TRUE(spec->load_error()) << spec->name.str();
      EXPECT_FALSE(errors(*spec).empty()) << spec->name.str();
    }
  }
}

}  // namespace
}  // namespace pidward::unit::test
