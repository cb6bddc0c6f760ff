#include "exec/handover.hpp"

#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sys/live_child.hpp"
#include "sys/peer.hpp"

namespace pidward::exec {
namespace {

sys::Fd file() {
  auto made = sys::make_memfd("handed-over", "text");
  EXPECT_TRUE(made);
  return made ? *std::move(made) : sys::Fd();
}

/// What waits at the number, taken out as a child would: inodes of the descriptors.
std::vector<std::uint64_t> taken(int number) {
  auto message = sys::receive_message(number, 16);
  std::vector<std::uint64_t> inodes;
  if (!message || !*message) return inodes;
  for (const sys::Fd& each : (*message)->fds) inodes.push_back(*sys::inode_of(each.get()));
  return inodes;
}

TEST(LowNumbers, AMessageWaitsAtALowNumber) {
  const auto numbers = LowNumbers::keep();
  ASSERT_TRUE(numbers) << numbers.error().to_string();
  const sys::Fd first = file();
  const sys::Fd second = file();
  const auto held = LowNumbers::hand_over(*numbers, {first.get(), second.get()});
  ASSERT_TRUE(held);
  EXPECT_LT(held->number(), (*numbers)->end());
  const std::vector<std::uint64_t> expected{*sys::inode_of(first.get()),
                                            *sys::inode_of(second.get())};
  EXPECT_EQ(taken(held->number()), expected);
}

TEST(LowNumbers, WhatAChildDidNotTakeIsNotForTheNext) {
  const auto numbers = LowNumbers::keep();
  ASSERT_TRUE(numbers);
  const sys::Fd first = file();
  const sys::Fd second = file();
  int number = -1;
  {
    // It ended at its gate.
    const auto held = LowNumbers::hand_over(*numbers, {first.get()});
    ASSERT_TRUE(held);
    number = held->number();
  }
  const auto held = LowNumbers::hand_over(*numbers, {second.get()});
  ASSERT_TRUE(held);
  EXPECT_EQ(held->number(), number);
  EXPECT_EQ(taken(number), std::vector<std::uint64_t>{*sys::inode_of(second.get())});
  EXPECT_TRUE(taken(number).empty());
}

TEST(LowNumbers, AMessageKeepsAPipeOpenUntilItIsGivenBack) {
  const auto numbers = LowNumbers::keep();
  ASSERT_TRUE(numbers);
  auto pipe = sys::make_pipe(O_NONBLOCK);
  ASSERT_TRUE(pipe);
  char byte = 0;
  {
    const auto held = LowNumbers::hand_over(*numbers, {pipe->write_end.get()});
    ASSERT_TRUE(held);
    pipe->write_end.reset();
    EXPECT_EQ(::read(pipe->read_end.get(), &byte, 1), -1);
  }
  // Now its reader hears of the end.
  EXPECT_EQ(::read(pipe->read_end.get(), &byte, 1), 0);
}

TEST(LowNumbers, NobodyIsHandedAnythingWhereAllAreInUse) {
  const auto numbers = LowNumbers::keep();
  ASSERT_TRUE(numbers);
  const sys::Fd one = file();
  std::vector<LowNumbers::Held> all;
  for (int i = 0; i < LowNumbers::kCount; ++i) {
    auto held = LowNumbers::hand_over(*numbers, {one.get()});
    ASSERT_TRUE(held) << i;
    all.push_back(*std::move(held));
  }
  EXPECT_FALSE(LowNumbers::hand_over(*numbers, {one.get()}));
  all.pop_back();
  EXPECT_TRUE(LowNumbers::hand_over(*numbers, {one.get()}));
}

TEST(LowNumbers, OneSocketIsKeptForTheNextOfWhateverThereWere) {
  const auto numbers = LowNumbers::keep();
  ASSERT_TRUE(numbers);
  const sys::Fd one = file();
  const std::size_t before = test::open_descriptors();
  ASSERT_TRUE(LowNumbers::hand_over(*numbers, {one.get()}));
  EXPECT_EQ(test::open_descriptors(), before + 1);
  {
    std::vector<LowNumbers::Held> all;
    for (int i = 0; i < 10; ++i) all.push_back(*LowNumbers::hand_over(*numbers, {one.get()}));
    EXPECT_EQ(test::open_descriptors(), before + 10);
  }
  EXPECT_EQ(test::open_descriptors(), before + 1);
  const auto held = LowNumbers::hand_over(*numbers, {one.get()});
  ASSERT_TRUE(held);
  EXPECT_EQ(taken(held->number()).size(), 1U);
}

}  // namespace
}  // namespace pidward::exec
