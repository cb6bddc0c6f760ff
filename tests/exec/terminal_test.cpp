// StandardInput=tty and what belongs to it, with a real pseudo-terminal.
#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#include "exec/fixture.hpp"
#include "support/patience.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;
using unit::StandardInput;
using unit::StandardOutput;
using unit::StreamTarget;

class TerminalTest : public ExecTest {
 protected:
  void SetUp() override {
    ExecTest::SetUp();
    terminal_ = sys::Fd(sys::adopt_fd, ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(terminal_);
    ASSERT_EQ(::grantpt(terminal_.get()), 0);
    ASSERT_EQ(::unlockpt(terminal_.get()), 0);
    line_ = ::ptsname(terminal_.get());  // NOLINT(concurrency-mt-unsafe): one thread
    // Somebody must have it open, or the other end reads as hung up between two programs.
    ours_ = *sys::open_path(line_, O_RDWR | O_NOCTTY);
    set(Directive::TTYPath, line_);
    take(StandardInput::tty);
  }
  void take(StandardInput kind) {
    set(Directive::StandardInput, StreamTarget{static_cast<std::int64_t>(kind), {}});
  }
  /// The request as it stands, on its way.
  SpawnedChild start() {
    Compiled compiled = compile(request());
    EXPECT_TRUE(compiled.plan);
    auto child = spawner_.spawn(std::move(compiled.plan));
    EXPECT_TRUE(child);
    return *std::move(child);
  }
  /// A session that has the terminal until it is killed.
  SpawnedChild holder() {
    command({"/bin/sleep", "1000"});
    SpawnedChild child = start();
    EXPECT_TRUE(wait_for_outcome(child).executed);
    return child;
  }
  static void kill(SpawnedChild& child, int signal) {
    ASSERT_TRUE(child.pidfd().send_signal(signal));
  }
  /// Returns once the child sits in read(2), which before its program runs only the wait for a
  /// terminal calls.
  static void wait_until_it_waits(const SpawnedChild& child) {
    const std::string file = "/proc/" + std::to_string(child.pid()) + "/syscall";
    const std::string reading = std::to_string(SYS_read) + " ";
    while (!read(file).starts_with(reading)) std::this_thread::yield();
  }
  /// What has been written to the terminal, up to its first end of line.
  std::string line_said() {
    std::string text;
    while (text.find('\n') == std::string::npos) {
      pollfd waiting{terminal_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, test::patience_ms()) != 1) break;
      const auto more = sys::read_some(terminal_.get(), 256);
      if (!more || more->empty()) break;
      text += *more;
    }
    return text.substr(0, text.find('\r'));
  }

  sys::Fd terminal_;  ///< the person's side
  sys::Fd ours_;
  std::string line_;  ///< path of the program's side
};

TEST_P(TerminalTest, ItIsStandardInputAndTheControllingTerminal) {
  ASSERT_TRUE(sys::write_all(terminal_.get(), "typed\n"));
  shell("tty; read -r word; echo \"$word\"; read -r word2 < /dev/tty; echo \"$word2\"");
  ASSERT_TRUE(sys::write_all(terminal_.get(), "again\n"));
  const RunResult result = run();
  EXPECT_EQ(result.output, line_ + "\ntyped\nagain\n");
}

TEST_P(TerminalTest, OutputIsTheSameTerminal) {
  set(Directive::StandardOutput, StreamTarget{static_cast<std::int64_t>(StandardOutput::tty), {}});
  shell("test -t 1 && test -t 2 && echo both");
  EXPECT_EQ(run().status.code, 0);
  EXPECT_EQ(line_said(), "both");
}

TEST_P(TerminalTest, OutputAloneDoesNotTakeIt) {
  take(StandardInput::null);
  set(Directive::StandardOutput, StreamTarget{static_cast<std::int64_t>(StandardOutput::tty), {}});
  shell("test -t 1 && ! (: < /dev/tty) 2>/dev/null && echo only");
  EXPECT_EQ(run().status.code, 0);
  EXPECT_EQ(line_said(), "only");
}

TEST_P(TerminalTest, FailDoesNotWaitForOneThatIsTaken) {
  SpawnedChild first = holder();
  take(StandardInput::tty_fail);
  shell("true");
  const RunResult second = run();
  EXPECT_EQ(second.status.code, 208);
  ASSERT_TRUE(second.outcome && second.outcome->error);
  EXPECT_NE(second.outcome->error->to_string().find("take the terminal " + line_),
            std::string::npos);
  kill(first, SIGKILL);
  wait_for_end(first.pidfd());
}

TEST_P(TerminalTest, ForceTakesItFromAnotherSession) {
  SpawnedChild first = holder();
  take(StandardInput::tty_force);
  ASSERT_TRUE(sys::write_all(terminal_.get(), "mine\n"));
  shell("read -r word < /dev/tty; echo \"$word\"");
  EXPECT_EQ(run().output, "mine\n");
  kill(first, SIGKILL);
  wait_for_end(first.pidfd());
}

TEST_P(TerminalTest, WaitsUntilItIsFree) {
  SpawnedChild first = holder();
  shell("exec echo served");
  SpawnedChild second = start();
  wait_until_it_waits(second);
  EXPECT_FALSE(second.outcome());
  kill(first, SIGKILL);
  wait_for_end(first.pidfd());
  EXPECT_TRUE(wait_for_outcome(second).executed);
  EXPECT_EQ(wait_for_end(second.pidfd()).code, 0);
  EXPECT_EQ(read(output_path()), "served\n");
}

TEST_P(TerminalTest, AStopEndsTheWait) {
  SpawnedChild first = holder();
  shell("true");
  SpawnedChild second = start();
  wait_until_it_waits(second);
  kill(second, SIGTERM);
  const ExitStatus status = wait_for_end(second.pidfd());
  EXPECT_EQ(status.kind, ExitStatus::Kind::killed);
  EXPECT_EQ(status.code, SIGTERM);
  kill(first, SIGKILL);
  wait_for_end(first.pidfd());
}

TEST_P(TerminalTest, SomethingElseIsNoTerminal) {
  write("file", "");
  set(Directive::TTYPath, path("file"));
  shell("true");
  EXPECT_EQ(run().status.code, 208);
}

TEST_P(TerminalTest, ItHasTheSizeAsked) {
  set(Directive::TTYRows, std::uint64_t{33});
  set(Directive::TTYColumns, std::uint64_t{77});
  shell("stty size");
  EXPECT_EQ(run().output, "33 77\n");
}

TEST_P(TerminalTest, ResetMakesItSaneBeforeAndAfter) {
  termios modes{};
  ASSERT_EQ(::tcgetattr(ours_.get(), &modes), 0);
  ::cfmakeraw(&modes);
  ASSERT_EQ(::tcsetattr(ours_.get(), TCSANOW, &modes), 0);
  set(Directive::TTYReset, true);
  shell("stty -a | grep -c ' icanon'; stty raw -echo");
  EXPECT_TRUE(may_block(request()));
  const RunResult result = run();
  EXPECT_EQ(result.output, "1\n");
  EXPECT_TRUE(result.compiled.warnings.empty());
  const auto spec = request().spec;
  ASSERT_TRUE(has_terminal(*spec));
  release_terminal(*spec);
  ASSERT_EQ(::tcgetattr(ours_.get(), &modes), 0);
  EXPECT_NE(modes.c_lflag & ICANON, 0U);
  EXPECT_NE(modes.c_lflag & ECHO, 0U);
}

TEST_P(TerminalTest, ItIsNamedInTheEnvironment) {
  shell("echo $TERM");
  EXPECT_EQ(run().output, "vt220\n");
}

TEST_P(TerminalTest, DisallocatingWipesTheScreenAndItsHistory) {
  set(Directive::TTYVTDisallocate, true);
  shell("tty");
  EXPECT_TRUE(may_block(request()));
  const RunResult result = run();
  EXPECT_EQ(result.output, line_ + "\n");
  EXPECT_TRUE(result.compiled.warnings.empty());
  std::array<char, 64> seen{};
  const ssize_t length = ::read(terminal_.get(), seen.data(), seen.size());
  ASSERT_GT(length, 0);
  const std::string text(seen.data(), static_cast<std::size_t>(length));
  EXPECT_NE(text.find("\033[3J"), std::string::npos) << "the history is still there";
  EXPECT_TRUE(has_terminal(*request().spec));
}

TEST_P(TerminalTest, HangUpEndsTheSessionThatHasIt) {
  SpawnedChild first = holder();
  set(Directive::TTYVHangup, true);
  shell("tty");
  EXPECT_EQ(run().output, line_ + "\n");
  const ExitStatus status = wait_for_end(first.pidfd());
  EXPECT_EQ(status.kind, ExitStatus::Kind::killed);
  EXPECT_EQ(status.code, SIGHUP);
}

TEST_P(TerminalTest, ItBelongsToTheUserAndThenToRootAgain) {
  set(Directive::User, std::string("nobody"));
  shell("stat -c '%U %a' \"$(tty)\"");
  set(Directive::StandardOutput,
      StreamTarget{static_cast<std::int64_t>(StandardOutput::truncate), path("owner")});
  run();
  EXPECT_EQ(read(path("owner")), "nobody 620\n");
  release_terminal(*request().spec);
  struct stat info {};
  ASSERT_EQ(::stat(line_.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_P(TerminalTest, ATerminalThatIsNotThereIsSaid) {
  set(Directive::TTYPath, std::string("/dev/no-such-terminal"));
  set(Directive::TTYReset, true);
  shell("true");
  const RunResult result = run();
  EXPECT_EQ(result.status.code, 208);
  ASSERT_EQ(result.compiled.warnings.size(), 1U);
  EXPECT_NE(result.compiled.warnings[0].find("/dev/no-such-terminal"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Descriptors, TerminalTest, copied_or_handed_over(), way_of);

}  // namespace
}  // namespace pidward::exec
