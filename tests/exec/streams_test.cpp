// Standard streams and passed descriptors, as the program sees them.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "exec/fixture.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;
using unit::StandardInput;
using unit::StandardOutput;
using unit::StreamTarget;

StreamTarget input(StandardInput kind, std::string argument = {}) {
  return {static_cast<std::int64_t>(kind), std::move(argument)};
}
StreamTarget output(StandardOutput kind, std::string argument = {}) {
  return {static_cast<std::int64_t>(kind), std::move(argument)};
}

using StreamsTest = ExecTest;

TEST_P(StreamsTest, InputIsEmptyByDefault) {
  shell("wc -c");
  EXPECT_EQ(run().output, "0\n");
}

TEST_P(StreamsTest, DataIsFedToInput) {
  set(Directive::StandardInput, input(StandardInput::data));
  set(Directive::StandardInputText, std::string("one\ntwo\n"));
  shell("cat");
  EXPECT_EQ(run().output, "one\ntwo\n");
}

TEST_P(StreamsTest, AFileIsReadAndAMissingOneIs208) {
  write("in", "contents\n");
  set(Directive::StandardInput, input(StandardInput::file, path("in")));
  shell("cat");
  EXPECT_EQ(run().output, "contents\n");
  set(Directive::StandardInput, input(StandardInput::file, path("missing")));
  EXPECT_EQ(run().status.code, 208);
}

TEST_P(StreamsTest, AppendKeepsWhatIsThereAndTruncateDoesNot) {
  write("log", "old\n");
  shell("echo new");
  set(Directive::StandardOutput, output(StandardOutput::append, path("log")));
  run();
  EXPECT_EQ(read(path("log")), "old\nnew\n");
  set(Directive::StandardOutput, output(StandardOutput::truncate, path("log")));
  run();
  EXPECT_EQ(read(path("log")), "new\n");
}

TEST_P(StreamsTest, TheMaskHoldsForFilesThatAreMade) {
  set(Directive::UMask, std::int64_t{0077});
  set(Directive::StandardOutput,
      unit::StreamTarget{static_cast<std::int64_t>(unit::StandardOutput::append), path("new")});
  shell("exit 0");
  EXPECT_EQ(run().status.code, 0);
  struct stat info {};
  ASSERT_EQ(::stat(path("new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST_P(StreamsTest, AnUnwritableOutputIs209AndErrorIs222) {
  shell("echo x");
  set(Directive::StandardOutput, output(StandardOutput::file, "/no/such/dir/log"));
  EXPECT_EQ(run().status.code, 209);
  set(Directive::StandardOutput, output(StandardOutput::null));
  set(Directive::StandardError, output(StandardOutput::file, "/no/such/dir/log"));
  EXPECT_EQ(run().status.code, 222);
}

TEST_P(StreamsTest, ErrorInheritsOutput) {
  shell("echo out; echo err >&2");
  EXPECT_EQ(run().output, "out\nerr\n");
}

TEST_P(StreamsTest, OneFileForOutputAndErrorHasOneOffset) {
  set(Directive::StandardOutput, output(StandardOutput::truncate, path("both")));
  set(Directive::StandardError, output(StandardOutput::truncate, path("both")));
  shell("echo out; echo err >&2; echo again");
  run();
  EXPECT_EQ(read(path("both")), "out\nerr\nagain\n");
}

TEST_P(StreamsTest, JournalIsTheStreamThatIsHandedIn) {
  auto pipe = sys::make_pipe();
  ASSERT_TRUE(pipe);
  set(Directive::StandardOutput, output(StandardOutput::journal));
  request_.logs[STDOUT_FILENO] = pipe->write_end.get();
  shell("echo to the log; echo and this >&2");
  run();
  pipe->write_end.reset();
  auto text = sys::read_all(pipe->read_end.get());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "to the log\nand this\n");
}

TEST_P(StreamsTest, OutputAndErrorMayHaveLogsOfTheirOwn) {
  auto out = sys::make_pipe();
  auto err = sys::make_pipe();
  ASSERT_TRUE(out && err);
  set(Directive::StandardOutput, output(StandardOutput::journal));
  set(Directive::StandardError, output(StandardOutput::kmsg));
  request_.logs[STDOUT_FILENO] = out->write_end.get();
  request_.logs[STDERR_FILENO] = err->write_end.get();
  shell("echo to the log; echo to the kernel >&2");
  run();
  out->write_end.reset();
  err->write_end.reset();
  EXPECT_EQ(*sys::read_all(out->read_end.get()), "to the log\n");
  EXPECT_EQ(*sys::read_all(err->read_end.get()), "to the kernel\n");
}

TEST_P(StreamsTest, JournalWithoutALogIsNowhereAndNotAnError) {
  set(Directive::StandardOutput, output(StandardOutput::journal));
  shell("echo lost");
  const RunResult result = run();
  EXPECT_EQ(result.status.code, 0);
}

TEST_P(StreamsTest, PassedDescriptorsComeInOrderWithTheirNames) {
  std::vector<sys::Fd> files;
  for (const char* text : {"first", "second", "third"})
    files.push_back(std::move(*sys::make_memfd(text, text)));
  request_.passed = {
      {files[2].get(), "c", false}, {files[0].get(), "a", true}, {files[1].get(), "", false}};
  shell(
      "echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID == $$)); cat <&3; cat <&4; cat <&5; ls "
      "/proc/$$/fd");
  EXPECT_EQ(run().output, "3 c:a:unknown 1\nthirdfirstsecond0\n1\n2\n3\n4\n5\n");
}

TEST_P(StreamsTest, PassedDescriptorsAreNonBlockingWhereAskedFor) {
  auto blocking = sys::make_socketpair(SOCK_STREAM | SOCK_NONBLOCK);
  auto non_blocking = sys::make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(blocking && non_blocking);
  request_.passed = {{blocking->first.get(), "a", false}, {non_blocking->first.get(), "b", true}};
  shell("true");
  run();
  EXPECT_EQ(::fcntl(blocking->first.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(non_blocking->first.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(StreamsTest, InputFromANamedDescriptor) {
  auto file = sys::make_memfd("named", "by name\n");
  ASSERT_TRUE(file);
  request_.passed = {{file->get(), "web", false}};
  set(Directive::StandardInput, input(StandardInput::fd, "web"));
  shell("cat");
  EXPECT_EQ(run().output, "by name\n");
  set(Directive::StandardInput, input(StandardInput::fd, "other"));
  EXPECT_EQ(run().compiled.exit_code, ExitCode::standard_input);
}

TEST_P(StreamsTest, AConnectionIsInputAndOutput) {
  auto pair = sys::make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(pair);
  ASSERT_TRUE(sys::write_all(pair->first.get(), "ping\n"));
  request_.connection = pair->second.get();
  set(Directive::StandardInput, input(StandardInput::socket));
  set(Directive::StandardOutput, output(StandardOutput::inherit));
  shell("read -r line; echo \"got $line\"");
  run();
  auto answer = sys::read_some(pair->first.get(), 64);
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, "got ping\n");
}

INSTANTIATE_TEST_SUITE_P(Descriptors, StreamsTest, copied_or_handed_over(), way_of);

}  // namespace
}  // namespace pidward::exec
