// verify: works without a daemon, names everything at once, and its exit code gates a deployment.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/child.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::test {
namespace {

struct Verdict {
  int code = -1;
  std::string out;
};

Verdict verify(const TemporaryDirectory& directory, const std::vector<std::string>& arguments) {
  ProgramCall call{.arguments = {PIDWARDCTL_PROGRAM, "verify"},
                   .environment = {"PIDWARD_UNIT_PATH=" + directory.path("units")},
                   .out = directory.path("out")};
  call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
  auto run = Program::start(call);
  if (!run) return {};
  const auto status = run->wait();
  return {.code = status ? status->code : -1, .out = directory.read("out")};
}

TEST(Verify, IsContentWithAGoodUnit) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("good.service", "[Unit]\nDescription=Good\n[Service]\nExecStart=/bin/true\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 0) << verdict.out;
  EXPECT_EQ(verdict.out, "");
}

TEST(Verify, NamesEverythingAtOnce) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("bad.service",
                      "[Unit]\nDescripton=typo\n[Service]\nExecStart=/bin/true\n"
                      "Restart=sometimes\nTimeoutStartSec=soon\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 1);
  EXPECT_NE(verdict.out.find("bad.service:2"), std::string::npos) << verdict.out;
  EXPECT_NE(verdict.out.find("Description"), std::string::npos) << verdict.out;
  EXPECT_NE(verdict.out.find("bad.service:5"), std::string::npos) << verdict.out;
  EXPECT_NE(verdict.out.find("bad.service:6"), std::string::npos) << verdict.out;
}

TEST(Verify, FindsProgramsThatAreNotThere) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("gone.service", "[Service]\nExecStart=/nonexistent/program --flag\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 1);
  EXPECT_NE(verdict.out.find("/nonexistent/program does not exist"), std::string::npos)
      << verdict.out;
}

TEST(Verify, LooksForProgramsWithoutAPathWhereTheUnitWould) {
  const TemporaryDirectory directory;
  const std::string file = directory.write(
      "named.service", "[Service]\nExecStart=sleep infinity\nExecStop=no-such-program-here\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 1);
  EXPECT_NE(verdict.out.find("named.service:3"), std::string::npos) << verdict.out;
  EXPECT_EQ(verdict.out.find("sleep"), std::string::npos) << verdict.out;
}

TEST(Verify, TakesATemplateByName) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("units/each@.service", "[Service]\nExecStart=/bin/sleep %i\nWrong=1\n");
  const Verdict verdict = verify(directory, {"each@.service"});
  EXPECT_NE(verdict.out.find(file + ":3"), std::string::npos) << verdict.out;
  EXPECT_EQ(verdict.out.find("is a template"), std::string::npos) << verdict.out;
}

TEST(Verify, LetsAProgramBeMissingThatMayBe) {
  const TemporaryDirectory directory;
  const std::string file = directory.write(
      "may.service", "[Service]\nExecStartPre=-/nonexistent/program\nExecStart=/bin/true\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 0) << verdict.out;
}

TEST(Verify, KnowsUnitsByNameAndYaml) {
  const TemporaryDirectory directory;
  directory.write("units/web.service.yaml", "Service:\n  ExecStart: /bin/true\n");
  EXPECT_EQ(verify(directory, {"web"}).code, 0);
  EXPECT_EQ(verify(directory, {"missing"}).code, 1);
  EXPECT_EQ(verify(directory, {directory.path("nothing.service")}).code, 1);
}

TEST(Verify, FailsForALineThatIsLeftOut) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("odd.service", "[Service]\nExecStart=/bin/true\nRestart=sometimes\n");
  EXPECT_EQ(verify(directory, {file}).code, 1);
}

TEST(Verify, OnlyWarnsOfDirectivesWithoutEffectYet) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("early.service", "[Service]\nExecStart=/bin/true\nDynamicUser=yes\n");
  const Verdict verdict = verify(directory, {file});
  EXPECT_EQ(verdict.code, 0) << verdict.out;
  EXPECT_NE(verdict.out.find("early.service:3"), std::string::npos) << verdict.out;
  EXPECT_NE(verdict.out.find("unsupported"), std::string::npos) << verdict.out;
}

TEST(Verify, PrintsJson) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("bad.service", "[Service]\nExecStart=/bin/true\nNise=5\n");
  const Verdict verdict = verify(directory, {"--json", file});
  const auto list = nlohmann::json::parse(verdict.out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["line"], 3);
  EXPECT_EQ(list[0]["severity"], "error");
}

}  // namespace
}  // namespace pidward::test
