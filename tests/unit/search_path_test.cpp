#include <gmock/gmock.h>

#include "unit/loader.hpp"

namespace pidward::unit {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

std::ptrdiff_t rank(const SearchPath& path, const std::string& directory) {
  const auto found = std::find(path.directories.begin(), path.directories.end(), directory);
  EXPECT_NE(found, path.directories.end()) << directory;
  return found - path.directories.begin();
}

TEST(SearchPath, PutsPidwardsDirectoriesBeforeSystemds) {
  const SearchPath path = make_search_path({});
  EXPECT_EQ(path.config_dir, "/etc/pidward/system");
  EXPECT_EQ(path.runtime_dir, "/run/pidward/system");
  EXPECT_LT(rank(path, "/etc/pidward/system.control"), rank(path, "/etc/pidward/system"));
  EXPECT_LT(rank(path, "/etc/pidward/system"), rank(path, "/run/pidward/system"));
  EXPECT_LT(rank(path, "/run/pidward/system"), rank(path, "/usr/lib/pidward/system"));
  EXPECT_LT(rank(path, "/usr/lib/pidward/system"), rank(path, "/etc/systemd/system"));
  EXPECT_LT(rank(path, "/etc/systemd/system"), rank(path, "/run/systemd/system"));
  EXPECT_LT(rank(path, "/run/systemd/system"), rank(path, "/usr/lib/systemd/system"));
  EXPECT_LT(rank(path, "/usr/lib/systemd/system"), rank(path, "/run/systemd/generator.late"));
}

TEST(SearchPath, LeavesSystemdsDirectoriesOutWhenTold) {
  const SearchPath path = make_search_path({.include_systemd = false});
  EXPECT_THAT(path.directories, Not(Contains(testing::HasSubstr("systemd"))));
  EXPECT_THAT(path.preset_dirs, Not(Contains(testing::HasSubstr("systemd"))));
}

TEST(SearchPath, HasTwinsForUsers) {
  const SearchPath path = make_search_path(
      {.scope = Scope::user, .home = "/home/me", .xdg_runtime_dir = "/run/user/7"});
  EXPECT_EQ(path.config_dir, "/home/me/.config/pidward/user");
  EXPECT_EQ(path.runtime_dir, "/run/user/7/pidward/user");
  EXPECT_EQ(path.transient_dir, "/run/user/7/pidward/transient");
  EXPECT_LT(rank(path, "/home/me/.config/pidward/user"),
            rank(path, "/home/me/.config/systemd/user"));
  EXPECT_LT(rank(path, "/home/me/.config/systemd/user"), rank(path, "/etc/systemd/user"));
  EXPECT_LT(rank(path, "/etc/systemd/user"), rank(path, "/home/me/.local/share/systemd/user"));
  EXPECT_LT(rank(path, "/home/me/.local/share/systemd/user"), rank(path, "/usr/lib/systemd/user"));
}

TEST(SearchPath, TakesTheXdgVariablesWhereTheyAreSet) {
  const SearchPath path = make_search_path(
      {.scope = Scope::user, .home = "/home/me", .xdg_config_home = "/c", .xdg_data_home = "/d"});
  EXPECT_EQ(path.config_dir, "/c/pidward/user");
  EXPECT_EQ(path.runtime_dir, "");
  EXPECT_THAT(path.directories, Contains("/d/pidward/user"));
  EXPECT_THAT(path.directories, Not(Contains(testing::HasSubstr("/home/me"))));
}

TEST(SearchPath, AnOverrideReplacesEverything) {
  const SearchPath path = make_search_path({.override_path = {"/a/", "/b", "/a"}});
  EXPECT_THAT(path.directories, ElementsAre("/a", "/b"));
  EXPECT_EQ(path.config_dir, "/a");
}

TEST(SearchPath, AnOverrideThatEndsInNothingIsPutBeforeTheDefault) {
  const SearchPath path = make_search_path({.override_path = {"/a", ""}});
  EXPECT_EQ(path.directories.front(), "/a");
  EXPECT_EQ(rank(path, "/etc/pidward/system.control"), 1);
  EXPECT_EQ(path.config_dir, "/etc/pidward/system");
}

TEST(SearchPath, ARootGoesBeforeAllOfIt) {
  const SearchPath path = make_search_path({.root = "/mnt/"});
  EXPECT_EQ(path.root, "/mnt");
  EXPECT_EQ(path.config_dir, "/mnt/etc/pidward/system");
  for (const std::string& directory : path.directories)
    EXPECT_EQ(directory.rfind("/mnt/", 0), 0U) << directory;
}

}  // namespace
}  // namespace pidward::unit
