#include "sys/fd.hpp"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <type_traits>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sys/descriptor_reserve.hpp"
#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"

namespace pidward::sys {
namespace {

bool is_open(int fd) {
  return raw_syscall(SYS_fcntl, fd, F_GETFD, 0) >= 0;
}
bool closes_on_exec(int fd) {
  return (raw_syscall(SYS_fcntl, fd, F_GETFD, 0) & FD_CLOEXEC) != 0;
}

TEST(Fd, IsNeverMadeFromANumberByAccident) {
  static_assert(!std::is_constructible_v<Fd, int>);
  static_assert(!std::is_copy_constructible_v<Fd>);
  static_assert(!std::is_copy_assignable_v<Fd>);
  EXPECT_FALSE(Fd());
  EXPECT_EQ(Fd().get(), -1);
}

TEST(Fd, ClosesWhenItGoes) {
  int number = -1;
  {
    auto file = open_path("/dev/null", O_RDONLY);
    ASSERT_TRUE(file);
    number = file->get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, ClosesTheOldOneWhenAnotherIsMovedIn) {
  auto first = open_path("/dev/null", O_RDONLY);
  auto second = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(first && second);
  const int old = first->get();
  const int kept = second->get();
  *first = *std::move(second);
  EXPECT_FALSE(is_open(old));
  EXPECT_EQ(first->get(), kept);
  EXPECT_TRUE(is_open(kept));
}

TEST(Fd, SurvivesBeingMovedIntoItself) {
  auto file = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(file);
  Fd& alias = *file;
  *file = std::move(alias);
  EXPECT_TRUE(is_open(file->get()));
}

TEST(Fd, IsClosedOnceEvenIfCloseReportsAnError) {
  auto file = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(file);
  const Fd not_really_closed(adopt_fd, file->get());
  {
    test::FaultyKernel kernel;
    kernel.fail(SYS_close, EINTR);
    file->reset();
    EXPECT_EQ(kernel.count(SYS_close), 1);
  }
  EXPECT_FALSE(*file);
}

TEST(Fd, OfEveryKindClosesOnExec) {
  const auto pipe = make_pipe();
  const auto pair = make_socketpair(SOCK_DGRAM);
  const auto socket = make_socket(AF_UNIX, SOCK_STREAM);
  const auto memory = make_memfd("test");
  const auto file = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(pipe && pair && socket && memory && file);
  const auto copy = file->duplicate();
  ASSERT_TRUE(copy);
  for (const Fd* fd : {&pipe->read_end, &pipe->write_end, &pair->first, &pair->second, &*socket,
                       &*memory, &*file, &*copy}) {
    EXPECT_TRUE(closes_on_exec(fd->get()));
  }
}

TEST(Fd, DuplicatesAtOrAboveANumber) {
  const auto file = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(file);
  const auto copy = file->duplicate(100);
  ASSERT_TRUE(copy);
  EXPECT_GE(copy->get(), 100);
}

TEST(Fd, ReadsBackWhatAMemfdHolds) {
  const auto file = make_memfd("test", "one");
  ASSERT_TRUE(file);
  EXPECT_EQ(*read_all(file->get()), "one");
  const std::string long_text(100000, 'x');
  const auto big = make_memfd("test", long_text);
  ASSERT_TRUE(big);
  EXPECT_EQ(*read_all(big->get()), long_text);
}

TEST(Fd, ReadsOnFromWhereTheFileWasReadTo) {
  const auto file = make_memfd("test", "123456");
  ASSERT_TRUE(file);
  ASSERT_EQ(::lseek(file->get(), 4, SEEK_SET), 4);
  EXPECT_EQ(*read_all(file->get()), "56");
  EXPECT_EQ(*read_all(file->get()), "");
}

TEST(Fd, ReadsExactlyTheLimitAndRefusesMore) {
  const auto fits = make_memfd("test", "12345");
  const auto exceeds = make_memfd("test", "123456");
  ASSERT_TRUE(fits && exceeds);
  EXPECT_EQ(*read_all(fits->get(), 5), "12345");
  const auto refused = read_all(exceeds->get(), 5);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::limit_exceeded);
}

TEST(Fd, GoesOnReadingAndWritingAfterASignal) {
  const auto file = make_memfd("test", "abc");
  ASSERT_TRUE(file);
  test::FaultyKernel kernel;
  kernel.fail(SYS_read, EINTR, 0, 3);
  EXPECT_EQ(*read_all(file->get()), "abc");
  kernel.fail(SYS_write, EINTR, 0, 3);
  EXPECT_TRUE(write_all(file->get(), "def"));
  EXPECT_EQ(kernel.count(SYS_write), 4);
}

TEST(Fd, SaysWhatCouldNotBeOpened) {
  const auto missing = read_file("/proc/self/no-such-file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::not_found);
  EXPECT_NE(missing.error().message().find("/proc/self/no-such-file"), std::string::npos);
}

TEST(Fd, LeavesNothingOpenWhenAStepFails) {
  const std::size_t before = test::open_descriptors();
  test::FaultyKernel kernel;
  kernel.fail(SYS_write, ENOSPC);
  const auto file = make_memfd("test", "text");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().sys_errno(), ENOSPC);
  kernel.fail(SYS_pipe2, EMFILE);
  EXPECT_EQ(make_pipe().error().code(), Errc::limit_exceeded);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Fd, TheTableHasRoomBeforeItIsNeeded) {
  const auto size = [] {
    const std::string text = read_file("/proc/self/status").value_or("");
    return std::strtol(text.c_str() + text.find("FDSize:") + 7, nullptr, 10);
  };
  const std::size_t before = test::open_descriptors();
  const auto wanted = static_cast<int>(2 * size());
  make_room_for_descriptors(wanted);
  EXPECT_GE(size(), wanted);
  EXPECT_EQ(test::open_descriptors(), before);
  // More than are allowed: as many as are.
  make_room_for_descriptors(1 << 30);
  EXPECT_GE(size(), wanted);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Fd, FillsClosedStandardDescriptors) {
  test::LiveChild child([] {
    raw_syscall(SYS_close, 0);
    raw_syscall(SYS_close, 2);
    if (!fill_standard_fds()) return 1;
    for (const int number : {0, 1, 2}) {
      if (!is_open(number)) return 2;
    }
    return closes_on_exec(0) || closes_on_exec(2) ? 3 : 0;
  });
  test::wait_for_end(child.pidfd());
  const auto end = child.pidfd().reap();
  ASSERT_TRUE(end && *end);
  EXPECT_EQ((*end)->status, (ExitStatus{ExitStatus::Kind::exited, 0}));
}

}  // namespace
}  // namespace pidward::sys
