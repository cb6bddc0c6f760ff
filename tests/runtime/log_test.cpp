// The format of log lines, files that rotate, the reader, and the logger itself on real pipes.
#include <atomic>
#include <thread>

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/log_files.hpp"
#include "runtime/log_line.hpp"
#include "runtime/log_reader.hpp"
#include "runtime/logger.hpp"
#include "support/temporary_directory.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {
namespace {

using test::TemporaryDirectory;

/// A logger on a thread, and the daemon's end of its socket.
class RunningLogger {
 public:
  explicit RunningLogger(const std::string& directory, LogLimits limits = {})
      : RunningLogger(LoggerSettings{.directory = directory, .limits = limits}) {}
  explicit RunningLogger(const LoggerSettings& settings) {
    auto pair = sys::make_socketpair(SOCK_SEQPACKET);
    control_ = std::move(pair->first);
    thread_ = std::thread([fd = pair->second.release(), settings] { run_logger(fd, settings); });
  }
  ~RunningLogger() { finish(); }
  RunningLogger(const RunningLogger&) = delete;
  RunningLogger& operator=(const RunningLogger&) = delete;

  sys::Fd open(int id, const std::string& unit, LogLevel most_verbose = LogLevel::debug,
               const std::string& copies = {}) {
    auto pipe = sys::make_pipe();
    EXPECT_TRUE(sys::send_message(control_.get(),
                                  fmt::format("open\n{}\n{}\nprog\n42\n6\n1\n{}\n{}", id, unit,
                                              static_cast<unsigned>(most_verbose), copies),
                                  {pipe->read_end.get()}));
    return std::move(pipe->write_end);
  }
  /// As the next daemon does, which cannot know whether the last one came that far.
  void open_again(int id, const std::string& unit, const sys::Fd& pipe) {
    EXPECT_TRUE(sys::send_message(
        control_.get(), fmt::format("open\n{}\n{}\nprog\n42\n6\n1\n7", id, unit), {pipe.get()}));
  }
  std::string wait_for_message() {
    pollfd waiting{control_.get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    auto message = sys::receive_message(control_.get(), 4096);
    return message && *message ? (*message)->bytes : std::string();
  }
  void finish() {
    control_.reset();
    if (thread_.joinable()) thread_.join();
  }
  sys::Fd& control() { return control_; }

 private:
  sys::Fd control_;
  std::thread thread_;
};

TEST(LogLine, SurvivesTheWayThroughAFile) {
  LogLine line{WallTime(Duration(1'772'366'400'123'456)),
               LogLevel::warning,
               LinePart::whole,
               "nginx",
               4711,
               "a: [b]: c"};
  std::string text = format_log_line(line);
  EXPECT_EQ(text, "2026-03-01T12:00:00.123456Z 4. nginx[4711]: a: [b]: c\n");
  text.pop_back();
  EXPECT_EQ(parse_log_line(text), line);
}

TEST(LogLine, WhatIsNotOneIsRefused) {
  for (const char* text :
       {"", "hello", "2026-03-01T12:00:00.123456Z 9. a[1]: x",
        "2026-03-01T12:00:00.123456Z 4! a[1]: x", "2026-03-01 12:00:00.123456Z 4. a[1]: x"}) {
    EXPECT_FALSE(parse_log_line(text)) << text;
  }
}

TEST(LogFile, RotatesWithinItsBound) {
  const TemporaryDirectory directory;
  const LogLimits limits{4096, 2};
  LogFile file(directory.path(), "a.service", limits);
  const std::string record =
      format_log_line({{}, LogLevel::info, LinePart::whole, "p", 1, std::string(100, 'x')});
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(file.append(record));
  std::uint64_t total = 0;
  for (unsigned age = 0; age < 3; ++age) {
    const auto text = sys::read_file(log_file_path(directory.path(), "a.service", age));
    if (text) total += text->size();
  }
  EXPECT_LE(total, limits.max_bytes);
  EXPECT_GT(total, limits.max_bytes / 2);
  EXPECT_FALSE(sys::read_file(log_file_path(directory.path(), "a.service", 2)));
}

TEST(LogFile, AFullDiskLosesLinesAndSaysHowMany) {
  const TemporaryDirectory directory;
  LogFile gone(directory.path() + "/missing", "a.service", {});
  EXPECT_FALSE(gone.append("x\n"));
  EXPECT_EQ(gone.lost(), 1U);
  ASSERT_EQ(::mkdir((directory.path() + "/missing").c_str(), 0700), 0);
  const std::string record = format_log_line({{}, LogLevel::info, LinePart::whole, "p", 1, "back"});
  ASSERT_TRUE(gone.append(record));
  const auto lines = read_last_log_lines(directory.path() + "/missing", "a.service", 10);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_NE((*lines)[0].text.find("1 lines are missing"), std::string::npos);
}

TEST(LogReader, FindsTheLastLinesAcrossRotatedFiles) {
  const TemporaryDirectory directory;
  LogFile file(directory.path(), "a.service", {8192, 4});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(file.append(
        format_log_line({{}, LogLevel::info, LinePart::whole, "p", 1, fmt::format("line {}", i)})));
  }
  const auto lines = read_last_log_lines(directory.path(), "a.service", 70);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 70U);
  EXPECT_EQ(lines->front().text, "line 30");
  EXPECT_EQ(lines->back().text, "line 99");
  EXPECT_TRUE(read_last_log_lines(directory.path(), "none.service", 5)->empty());
}

TEST(Logger, WritesLinesWithLevelsAndTellsTheEnd) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  {
    const sys::Fd out = logger.open(7, "a.service");
    ASSERT_TRUE(sys::write_all(out.get(), "one\n<3>two\nno newline"));
  }
  EXPECT_EQ(logger.wait_for_message(), "eof\n7");
  const auto lines = read_last_log_lines(directory.path(), "a.service", 10);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 3U);
  EXPECT_EQ((*lines)[0].text, "one");
  EXPECT_EQ((*lines)[0].source, "prog");
  EXPECT_EQ((*lines)[0].pid, 42U);
  EXPECT_EQ((*lines)[1].text, "two");
  EXPECT_EQ((*lines)[1].level, LogLevel::error);
  EXPECT_EQ((*lines)[2].part, LinePart::unfinished);
}

TEST(Logger, APipeThatItIsGivenTwiceIsReadOnce) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  auto pipe = sys::make_pipe();
  ASSERT_TRUE(pipe);
  logger.open_again(1, "a.service", pipe->read_end);
  logger.open_again(1, "a.service", pipe->read_end);
  pipe->read_end.reset();
  ASSERT_TRUE(sys::write_all(pipe->write_end.get(), "hello\n"));
  pipe->write_end.reset();
  EXPECT_EQ(logger.wait_for_message(), "eof\n1");
  // Its number means another one now.
  auto next = logger.open(1, "a.service");
  ASSERT_TRUE(sys::write_all(next.get(), "again\n"));
  next.reset();
  EXPECT_EQ(logger.wait_for_message(), "eof\n1");
  logger.finish();
  const auto lines = read_last_log_lines(directory.path(), "a.service", 10);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[0].text, "hello");
  EXPECT_EQ((*lines)[1].text, "again");
}

TEST(Logger, LinesBeyondTheMostVerboseLevelAreDropped) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  {
    const sys::Fd out = logger.open(1, "a.service", LogLevel::warning);
    ASSERT_TRUE(sys::write_all(out.get(), "an info\n<3>an error\n<7>a detail\n<4>a warning\n"));
  }
  EXPECT_EQ(logger.wait_for_message(), "eof\n1");
  const auto lines = read_last_log_lines(directory.path(), "a.service", 10);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[0].text, "an error");
  EXPECT_EQ((*lines)[1].text, "a warning");
}

TEST(Logger, LongAndBinaryLinesArriveWhole) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  std::string text(3 * kLongestLogLine + 17, 'y');
  text[5] = '\0';
  text[6] = '\xff';
  {
    const sys::Fd out = logger.open(1, "a.service");
    ASSERT_TRUE(sys::write_all(out.get(), text + "\n"));
  }
  EXPECT_EQ(logger.wait_for_message(), "eof\n1");
  const auto lines = read_last_log_lines(directory.path(), "a.service", 10);
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 1U);
  EXPECT_EQ(lines->front().text, text);
}

TEST(Logger, AFloodOfOneServiceDoesNotHoldAnother) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  const sys::Fd noisy = logger.open(1, "noisy.service");
  sys::Fd quiet = logger.open(2, "quiet.service");
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    const std::string block(60000, '\n');
    while (!stop) static_cast<void>(sys::write_all(noisy.get(), block));
  });
  ASSERT_TRUE(sys::write_all(quiet.get(), "here\n"));
  quiet.reset();
  EXPECT_EQ(logger.wait_for_message(), "eof\n2");
  stop = true;
  flood.join();
  const auto lines = read_last_log_lines(directory.path(), "quiet.service", 5);
  ASSERT_TRUE(lines && !lines->empty());
  EXPECT_EQ(lines->back().text, "here");
}

TEST(Logger, OutlivesTheDaemonForAsLongAsServicesWrite) {
  const TemporaryDirectory directory;
  RunningLogger logger(directory.path());
  sys::Fd out = logger.open(1, "a.service");
  ASSERT_TRUE(sys::write_all(out.get(), "before\n"));
  logger.control().reset();
  ASSERT_TRUE(sys::write_all(out.get(), "after\n"));
  out.reset();
  logger.finish();
  EXPECT_EQ(read_last_log_lines(directory.path(), "a.service", 5)->size(), 2U);
}

TEST(LogFollower, SeesWhatIsWrittenLaterAcrossARotation) {
  const TemporaryDirectory directory;
  LogFile file(directory.path(), "a.service", {4096, 2});
  const auto record = [](int i) {
    return format_log_line(
        {{}, LogLevel::info, LinePart::whole, "p", 1, fmt::format("{:0100}", i)});
  };
  ASSERT_TRUE(file.append(record(0)));
  auto follower = LogFollower::open(directory.path(), "a.service");
  ASSERT_TRUE(follower);
  EXPECT_TRUE(follower->read_new()->empty());
  int seen = 0;
  for (int i = 1; i <= 60; ++i) {
    ASSERT_TRUE(file.append(record(i)));
    const auto lines = follower->read_new();
    ASSERT_TRUE(lines);
    for (const LogLine& line : *lines) {
      EXPECT_EQ(line.text, fmt::format("{:0100}", ++seen));
    }
  }
  EXPECT_EQ(seen, 60);
}

// What is written between the opening of a follower and the reading of the last lines is in one of
// both, and not in both.
TEST(LogFollower, TheLastLinesEndWhereItBegins) {
  const TemporaryDirectory directory;
  LogFile file(directory.path(), "a.service", {16384, 4});
  int last = 0;
  const auto append = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(file.append(format_log_line(
          {{}, LogLevel::info, LinePart::whole, "p", 1, fmt::format("{:0100}", ++last)})));
    }
  };
  append(10);
  for (const int meanwhile : {0, 3, 25, 70}) {  // the third with a rotation, the last with two
    auto follower = LogFollower::open(directory.path(), "a.service");
    ASSERT_TRUE(follower);
    const int before = last;
    append(meanwhile);
    const auto lines = read_last_log_lines(directory.path(), "a.service", 5, &*follower);
    ASSERT_TRUE(lines && !lines->empty());
    EXPECT_EQ(lines->back().text, fmt::format("{:0100}", before)) << meanwhile;
    const auto news = follower->read_new();
    ASSERT_TRUE(news);
    ASSERT_EQ(news->empty(), meanwhile == 0);
    if (meanwhile == 0) continue;
    EXPECT_EQ(news->size(), static_cast<std::size_t>(meanwhile));
    EXPECT_EQ(news->front().text, fmt::format("{:0100}", before + 1));
    EXPECT_EQ(news->back().text, fmt::format("{:0100}", last));
  }
  auto none = LogFollower::open(directory.path(), "b.service");
  ASSERT_TRUE(none);
  LogFile other(directory.path(), "b.service", {4096, 2});
  ASSERT_TRUE(
      other.append(format_log_line({{}, LogLevel::info, LinePart::whole, "p", 1, "after"})));
  EXPECT_TRUE(read_last_log_lines(directory.path(), "b.service", 5, &*none)->empty());
  EXPECT_EQ(none->read_new()->size(), 1U);
}

TEST(Logger, CopiesLinesToTheKernelLogAndTheConsole) {
  const TemporaryDirectory directory;
  const std::string kernel = directory.write("kmsg", "");
  const std::string console = directory.write("console", "");
  {
    RunningLogger logger(LoggerSettings{
        .directory = directory.path(), .limits = {}, .kernel_log = kernel, .console = console});
    const sys::Fd both = logger.open(1, "both.service", LogLevel::info, "kc");
    const sys::Fd none = logger.open(2, "none.service");
    ASSERT_TRUE(sys::write_all(both.get(), "<3>bad\n<7>chatter\n"));
    ASSERT_TRUE(sys::write_all(none.get(), "quiet\n"));
  }
  EXPECT_EQ(directory.read("kmsg"), "<3>prog[42]: bad\n");
  EXPECT_EQ(directory.read("console"), "prog[42]: bad\n");
  const auto lines = read_last_log_lines(directory.path(), "both.service", 10);
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->size(), 1U);
}

TEST(Logger, SaysOnceThatLinesCannotBeCopied) {
  const TemporaryDirectory directory;
  RunningLogger logger(LoggerSettings{
      .directory = directory.path(), .limits = {}, .console = directory.path("no/console")});
  const sys::Fd stream = logger.open(1, "a.service", LogLevel::debug, "c");
  ASSERT_TRUE(sys::write_all(stream.get(), "one\ntwo\n"));
  const std::string told = logger.wait_for_message();
  EXPECT_TRUE(told.starts_with("trouble\n")) << told;
  EXPECT_NE(told.find("no/console"), std::string::npos) << told;
}

}  // namespace
}  // namespace pidward::runtime
