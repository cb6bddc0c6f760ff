// The journal that outlives the daemon: what is read is what was written, up to the first damage.
#include "runtime/state_file.hpp"

#include <array>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "support/temporary_directory.hpp"

namespace pidward::runtime {
namespace {

constexpr const char* kBoot = "01234567-89ab-cdef-0123-456789abcdef";

class StateFileTest : public testing::Test {
 protected:
  std::string path() { return directory_.path("state"); }
  StateContents read() {
    auto contents = read_state(path(), kBoot);
    EXPECT_TRUE(contents) << contents.error().to_string();
    return contents ? *std::move(contents) : StateContents{};
  }
  test::TemporaryDirectory directory_;
};

TEST_F(StateFileTest, EntriesAreSetReplacedAndRemoved) {
  StateFile file(path(), kBoot);
  ASSERT_TRUE(file.rewrite({{"unit a", "1"}, {"unit b", ""}}));
  StateBatch batch;
  batch.set("unit a", "two\nlines\tand a tab");
  batch.remove("unit b");
  batch.set("unit c", std::string(100000, 'c'));
  ASSERT_TRUE(file.append(batch));
  const StateContents contents = read();
  EXPECT_EQ(contents.damage, "");
  EXPECT_EQ(contents.entries.size(), 2U);
  EXPECT_EQ(contents.entries.at("unit a"), "two\nlines\tand a tab");
  EXPECT_EQ(contents.entries.at("unit c").size(), 100000U);
  EXPECT_EQ(std::filesystem::file_size(path()), file.size());
}

TEST_F(StateFileTest, WhatItGrewByIsTheDifferenceToWhenItWasMade) {
  StateFile file(path(), kBoot);
  ASSERT_TRUE(file.rewrite({{"a", "old"}}));
  EXPECT_EQ(file.size(), file.size_when_made());
  StateBatch batch;
  batch.set("a", std::string(1000, 'x'));
  ASSERT_TRUE(file.append(batch));
  EXPECT_GT(file.size(), file.size_when_made() + 1000);
  ASSERT_TRUE(file.rewrite({{"a", "new"}}));
  EXPECT_EQ(file.size(), file.size_when_made());
  EXPECT_EQ(std::filesystem::file_size(path()), file.size());
}

TEST_F(StateFileTest, WhatIsPreparedTakesThePlaceOfTheOldFileWithWhatHasChangedSince) {
  StateFile old(path(), kBoot);
  ASSERT_TRUE(old.rewrite({{"a", "1"}, {"b", "2"}}));
  const auto before = sys::open_path(path(), O_RDONLY);
  ASSERT_TRUE(before);
  const std::string was = *sys::read_file(path());
  StateFile next(path(), kBoot);
  EXPECT_FALSE(next.go_on({}));
  ASSERT_TRUE(next.prepare({{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(*sys::read_file(path()), was);
  StateBatch changes;
  changes.set("b", "3");
  ASSERT_TRUE(next.go_on(changes));
  // Who has the old file open sees nothing of it.
  EXPECT_EQ(*sys::read_all(before->get(), 1000), was);
  EXPECT_EQ(read().entries, (StateEntries{{"a", "1"}, {"b", "3"}}));
  EXPECT_EQ(next.size(), std::filesystem::file_size(path()));
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
  StateBatch more;
  more.set("c", "4");
  ASSERT_TRUE(next.append(more));
  EXPECT_EQ(read().entries, (StateEntries{{"a", "1"}, {"b", "3"}, {"c", "4"}}));
}

TEST_F(StateFileTest, ABatchCountsAsAWholeOrNotAtAll) {
  StateFile file(path(), kBoot);
  ASSERT_TRUE(file.rewrite({{"a", "old"}, {"b", "old"}}));
  const std::uint64_t before = file.size();
  StateBatch batch;
  batch.set("a", "new");
  batch.set("b", "new");
  ASSERT_TRUE(file.append(batch));
  const std::uint64_t whole = file.size();
  for (std::uint64_t size = whole - 1; size > before; --size) {
    std::filesystem::resize_file(path(), size);
    const StateContents contents = read();
    EXPECT_NE(contents.damage, "");
    EXPECT_EQ(contents.entries.at("a"), "old") << size;
    EXPECT_EQ(contents.entries.at("b"), "old") << size;
  }
}

TEST_F(StateFileTest, DamageAtAnyByteIsNoticedAndNothingAfterItBelieved) {
  StateFile file(path(), kBoot);
  ASSERT_TRUE(file.rewrite({{"a", "1"}}));
  for (const char* value : {"2", "3", "4"}) {
    StateBatch batch;
    batch.set("a", value);
    ASSERT_TRUE(file.append(batch));
  }
  std::ifstream stream(path(), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(stream)), {});
  ASSERT_EQ(parse_state(good, kBoot)->entries.at("a"), "4");
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const unsigned char flip : std::array<unsigned char, 3>{0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ flip);
      const auto contents = parse_state(bad, kBoot);
      if (!contents) continue;
      EXPECT_NE(contents->damage, "") << "byte " << at;
    }
    const auto cut = parse_state(std::string_view(good).substr(0, at), kBoot);
    if (cut && cut->damage.empty()) {
      // Between two batches: a state that was true once.
      EXPECT_TRUE(cut->entries.empty() || cut->entries.contains("a"));
    }
  }
}

TEST_F(StateFileTest, TellsTheKeysThatAreLeftInTheirOrder) {
  StateFile file(path(), kBoot);
  ASSERT_TRUE(file.rewrite({{"c", "1"}, {"a", "2"}, {"b", "3"}}));
  StateBatch batch;
  batch.remove("b");
  batch.set("d", "4");
  ASSERT_TRUE(file.append(batch));
  std::vector<std::string> told;
  ASSERT_TRUE(
      read_state(path(), kBoot, [&](const auto& keys) { told.assign(keys.begin(), keys.end()); }));
  EXPECT_EQ(told, (std::vector<std::string>{"a", "c", "d"}));
  told.clear();
  EXPECT_FALSE(read_state(path(), "another",
                          [&](const auto& keys) { told.assign(keys.begin(), keys.end()); }));
  EXPECT_TRUE(told.empty());
}

TEST_F(StateFileTest, OfAnotherBootOrVersionItIsRefusedWithASentence) {
  ASSERT_TRUE(StateFile(path(), kBoot).rewrite({{"a", "1"}}));
  EXPECT_EQ(read_state(path(), "another").error().message(), "It is of another boot");
  EXPECT_NE(parse_state("pidward-state 2 x\n", "x").error().message().find("version 2"),
            std::string::npos);
  EXPECT_FALSE(parse_state("", kBoot));
  EXPECT_FALSE(parse_state("#!/bin/sh\n", kBoot));
  EXPECT_EQ(read_state(directory_.path("none"), kBoot).error().sys_errno(), ENOENT);
}

TEST_F(StateFileTest, AFullFileSystemLeavesWhatWasThere) {
  const std::string mount = directory_.path("full");
  std::filesystem::create_directory(mount);
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_FAIL() << "a small file system is needed, and root to mount it";
  }
  {
    StateFile file(mount + "/state", kBoot);
    ASSERT_TRUE(file.rewrite({{"a", "1"}}));
    StateBatch large;
    large.set("b", std::string(200000, 'b'));
    EXPECT_FALSE(file.append(large));
    StateBatch small;
    small.set("a", "2");
    EXPECT_TRUE(file.append(small));
    EXPECT_FALSE(file.rewrite({{"c", std::string(200000, 'c')}}));
    const auto contents = read_state(mount + "/state", kBoot);
    ASSERT_TRUE(contents);
    EXPECT_EQ(contents->damage, "");
    EXPECT_EQ(contents->entries.at("a"), "2");
    EXPECT_EQ(contents->entries.size(), 1U);
  }
  ::umount2(mount.c_str(), MNT_DETACH);
}

TEST_F(StateFileTest, RoomIsHeldBackForWhenTheFileSystemIsFull) {
  const std::string mount = directory_.path("full");
  std::filesystem::create_directory(mount);
  ASSERT_EQ(::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=1m"), 0) << "needs root";
  const auto fill = [&] {
    std::ofstream filler(mount + "/filler", std::ios::app);
    while (filler.write(std::string(4096, 'x').data(), 4096).flush()) {
    }
  };
  {
    StateFile file(mount + "/state", kBoot);
    ASSERT_TRUE(file.rewrite({{"a", "1"}}));
    EXPECT_TRUE(file.has_room());
    fill();
    StateBatch batch;
    batch.set("b", std::string(1000, 'b'));
    int written = 0;
    while (file.has_room() && written < 1000 && file.append(batch)) ++written;
    EXPECT_FALSE(file.has_room());
    // Said in good time: there is enough for what must be written now.
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(file.append(batch)) << i;
    EXPECT_FALSE(file.find_room());
    std::filesystem::remove(mount + "/filler");
    EXPECT_TRUE(file.find_room());
    // The next one goes on with it, though it could not make another.
    fill();
    StateFile next(mount + "/state", kBoot);
    EXPECT_FALSE(next.rewrite({{"c", std::string(900000, 'c')}}));
    EXPECT_FALSE(std::filesystem::exists(mount + "/state.new"));
    const auto was = read_state(mount + "/state", kBoot);
    ASSERT_TRUE(was);
    ASSERT_TRUE(next.resume(was->entries));
    StateBatch difference;
    difference.set_difference(was->entries, {{"a", "2"}});
    ASSERT_TRUE(next.append(difference));
    const auto now = read_state(mount + "/state", kBoot);
    ASSERT_TRUE(now);
    EXPECT_EQ(now->damage, "");
    EXPECT_EQ(now->entries, (StateEntries{{"a", "2"}}));
  }
  ::umount2(mount.c_str(), MNT_DETACH);
}

TEST_F(StateFileTest, TheChecksumIsTheUsualOne) {
  EXPECT_EQ(crc32("123456789"), 0xcbf43926U);
  EXPECT_EQ(crc32(""), 0U);
  EXPECT_EQ(crc32("The quick brown fox jumps over the lazy dog"), 0x414fa339U);
}

}  // namespace
}  // namespace pidward::runtime
