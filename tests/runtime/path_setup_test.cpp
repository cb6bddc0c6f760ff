// What path units watch, on a real file system.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/path_watcher.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::runtime {
namespace {

using Kind = WatchedPath::Kind;
using test::TemporaryDirectory;

class PathSetups : public ::testing::Test {
 protected:
  PathSetup set_up(Kind kind, const std::string& name, std::optional<bool> existed = {}) {
    auto setup = set_up_paths({{kind, path(name), existed}});
    EXPECT_TRUE(setup) << setup.error().to_string();
    return *std::move(setup);
  }
  std::string path(const std::string& name) const { return directory_.path(name); }

  TemporaryDirectory directory_;
};

TEST_F(PathSetups, AnExistingPathIsAHitAtOnce) {
  EXPECT_FALSE(set_up(Kind::exists, "there").hit);
  directory_.write("there", "");
  EXPECT_EQ(set_up(Kind::exists, "there").hit, path("there"));
}

TEST_F(PathSetups, AGlobIsAHitWhenAnythingMatches) {
  EXPECT_FALSE(set_up(Kind::exists_glob, "a*.job").hit);
  directory_.write("a1.job", "");
  EXPECT_TRUE(set_up(Kind::exists_glob, "a*.job").hit);
  EXPECT_TRUE(set_up(Kind::exists_glob, "{b,a}1.job").hit);
}

TEST_F(PathSetups, ADirectoryWithHiddenFilesAloneIsEmpty) {
  std::filesystem::create_directory(path("spool"));
  directory_.write("spool/.hidden", "");
  EXPECT_FALSE(set_up(Kind::not_empty, "spool").hit);
  directory_.write("spool/job", "");
  EXPECT_TRUE(set_up(Kind::not_empty, "spool").hit);
}

TEST_F(PathSetups, AChangedPathIsAHitOnlyWhenItCameOrWent) {
  PathSetup first = set_up(Kind::changed, "file");
  EXPECT_FALSE(first.hit);
  EXPECT_EQ(first.paths[0].existed, false);
  directory_.write("file", "");
  EXPECT_FALSE(set_up(Kind::changed, "file").hit);
  EXPECT_TRUE(set_up(Kind::changed, "file", first.paths[0].existed).hit);
}

TEST_F(PathSetups, EveryDirectoryOnTheWayIsWatched) {
  const PathSetup setup = set_up(Kind::exists, "a/b/c");
  std::filesystem::create_directory(path("other"));
  EXPECT_FALSE(read_path_events(setup).look_again);
  std::filesystem::create_directory(path("a"));
  EXPECT_TRUE(read_path_events(setup).look_again);
  const PathSetup deeper = set_up(Kind::exists, "a/b/c");
  std::filesystem::create_directories(path("a/b"));
  EXPECT_TRUE(read_path_events(deeper).look_again);
  EXPECT_FALSE(read_path_events(deeper).hit);
}

TEST_F(PathSetups, WritesAreToldOfAsTheKindHasIt) {
  directory_.write("file", "");
  const PathSetup changed = set_up(Kind::changed, "file");
  const PathSetup modified = set_up(Kind::modified, "file");
  std::ofstream open(path("file"), std::ios::app);
  open << "text" << std::flush;
  EXPECT_FALSE(read_path_events(changed).hit);
  EXPECT_EQ(read_path_events(modified).hit, path("file"));
  open.close();
  EXPECT_EQ(read_path_events(changed).hit, path("file"));
}

TEST_F(PathSetups, ALinkThatIsRemovedHasChanged) {
  directory_.write("file", "");
  std::filesystem::create_symlink(path("file"), path("link"));
  const PathSetup changed = set_up(Kind::changed, "link");
  const PathSetup modified = set_up(Kind::modified, "link");
  std::ofstream(path("file")) << "text";
  EXPECT_EQ(read_path_events(changed).hit, path("link"));
  EXPECT_EQ(read_path_events(modified).hit, path("link"));
  std::filesystem::remove(path("link"));
  EXPECT_EQ(read_path_events(changed).hit, path("link"));
  EXPECT_EQ(read_path_events(modified).hit, path("link"));
}

TEST_F(PathSetups, DirectoriesHaveTheModeThatIsWrittenWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  EXPECT_TRUE(make_watched_directories({{Kind::not_empty, path("wide/open"), {}}}, 0777));
  ::umask(before);
  for (const char* name : {"wide", "wide/open"}) {
    EXPECT_EQ(std::filesystem::status(path(name)).permissions(), std::filesystem::perms(0777));
  }
}

TEST_F(PathSetups, MakeDirectoryMakesWhatIsToChangeOrFill) {
  ASSERT_TRUE(make_watched_directories(
      {{Kind::exists, path("no"), {}}, {Kind::not_empty, path("spool/in"), {}}}, 0700));
  EXPECT_FALSE(std::filesystem::exists(path("no")));
  EXPECT_TRUE(std::filesystem::is_directory(path("spool/in")));
}

TEST_F(PathSetups, SettingsSayWhatIsWatched) {
  unit::Settings settings;
  EXPECT_TRUE(watched_paths(settings).empty());
  settings.set(unit::kPathStore, std::vector<unit::Trigger>{{"PathModified", {}, "/a", {}},
                                                            {"DirectoryNotEmpty", {}, "/b", {}}});
  const auto paths = watched_paths(settings);
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths[0].kind, Kind::modified);
  EXPECT_EQ(paths[1].path, "/b");
}

}  // namespace
}  // namespace pidward::runtime
