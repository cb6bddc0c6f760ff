#include "unit/memory_source.hpp"

#include <cerrno>

#include <gmock/gmock.h>

namespace pidward::unit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(MemorySource, ReadsWhatWasWrittenAndNoMoreThanAsked) {
  MemorySource files;
  files.add_file("/a/b", "content");
  EXPECT_EQ(*files.read("/a/b", 7), "content");
  EXPECT_EQ(files.read("/a/b", 6).error().code(), Errc::limit_exceeded);
  EXPECT_EQ(files.read("/a/c", 6).error().code(), Errc::not_found);
  EXPECT_FALSE(files.read("/a", 6));
  EXPECT_EQ(files.info("/a/b")->size, 7U);
  EXPECT_EQ(files.info("/a")->kind, FileKind::directory);
  EXPECT_EQ(files.info("/x")->kind, FileKind::missing);
}

TEST(MemorySource, FollowsLinksAsAKernelDoes) {
  MemorySource files;
  files.add_file("/usr/lib/x/f", "1");
  files.add_link("/lib", "usr/lib");
  files.add_link("/lib/x/up", "../x/f");
  files.add_link("/loop", "/loop");
  EXPECT_EQ(*files.read("/lib/x/f", 9), "1");
  EXPECT_EQ(files.info("/lib/x/f")->kind, FileKind::regular);
  EXPECT_EQ(files.info("/lib")->kind, FileKind::symlink);
  EXPECT_EQ(files.read("/loop", 9).error().sys_errno(), ELOOP);
  EXPECT_THAT(*files.list("/lib"), ElementsAre("x"));
}

TEST(MemorySource, ListsNamesSortedAndMissingDirectoriesAsEmpty) {
  MemorySource files;
  files.add_file("/d/b", "");
  files.add_file("/d/a/deep", "");
  files.add_file("/dd", "");
  EXPECT_THAT(*files.list("/d"), ElementsAre("a", "b"));
  EXPECT_THAT(*files.list("/none"), IsEmpty());
  EXPECT_EQ(files.list("/dd").error().sys_errno(), ENOTDIR);
}

TEST(MemorySource, ChangesAsASinkDoes) {
  MemorySource files;
  ASSERT_TRUE(files.make_link("/l", "/t", false));
  EXPECT_EQ(files.make_link("/l", "/u", false).error().sys_errno(), EEXIST);
  ASSERT_TRUE(files.make_link("/l", "/u", true));
  EXPECT_EQ(*files.read_link("/l"), "/u");
  ASSERT_TRUE(files.write("/d/f", "x"));
  const WallTime first = files.info("/d/f")->modified;
  files.touch("/d/f");
  EXPECT_GT(files.info("/d/f")->modified, first);
  ASSERT_TRUE(files.remove_empty_directory("/d"));
  EXPECT_EQ(files.info("/d/f")->kind, FileKind::regular);
  ASSERT_TRUE(files.remove_tree("/d"));
  EXPECT_EQ(files.info("/d")->kind, FileKind::missing);
  EXPECT_EQ(files.remove("/d/f").error().code(), Errc::not_found);
  files.fail("/l", EACCES);
  EXPECT_EQ(files.remove("/l").error().code(), Errc::access_denied);
}

}  // namespace
}  // namespace pidward::unit
