#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/enums.hpp"
#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

struct Parsed {
  Result<Value> value;
  std::vector<ParseNote> notes;
};

/// As the readers parse, with notes.
Parsed read(Directive id, std::string_view text) {
  ParseContext context;
  std::vector<ParseNote> notes;
  context.notes = &notes;
  auto value = parse_value(row(id), text, context);
  return {std::move(value), std::move(notes)};
}

template <typename T>
T parsed(Directive id, std::string_view text) {
  Parsed result = read(id, text);
  for (const ParseNote& note : result.notes) ADD_FAILURE() << note.message;
  if (result.value) {
    if constexpr (std::is_same_v<T, ExitStatusSet> || std::is_same_v<T, StreamTarget>) {
      return *boxed<T>(*result.value);
    } else {
      return std::get<T>(*std::move(result.value));
    }
  }
  ADD_FAILURE() << row(id).name << "=" << text << ": " << result.value.error().message();
  return T{};
}

std::string complaint(Directive id, std::string_view text) {
  auto value = parse_value(row(id), text);
  EXPECT_FALSE(value.has_value()) << row(id).name << "=" << text;
  return value ? "" : value.error().message();
}

TEST(Environment, IsAListOfAssignments) {
  EXPECT_THAT(
      parsed<Words>(Directive::Environment, R"("VAR1=word1 word2" VAR2=word3 "VAR3=$word 5 6")"),
      ElementsAre("VAR1=word1 word2", "VAR2=word3", "VAR3=$word 5 6"));
  EXPECT_THAT(parsed<Words>(Directive::Environment, R"(A=\x41 'B=C D' E= A=2)"),
              ElementsAre("A=2", "B=C D", "E="));
}

TEST(Environment, DropsBadWordsAlone) {
  const Parsed result = read(Directive::Environment, "A=1 2B=3 C D=4");
  EXPECT_THAT(std::get<Words>(*result.value), ElementsAre("A=1", "D=4"));
  ASSERT_EQ(result.notes.size(), 2U);
  EXPECT_THAT(result.notes[0].message, HasSubstr("'2B' is not a name"));
  EXPECT_THAT(result.notes[1].message, HasSubstr("NAME=VALUE is expected"));
}

TEST(Environment, KeepsWhatStandsBeforeABrokenQuote) {
  const Parsed result = read(Directive::Environment, R"(A=1 "B=2)");
  EXPECT_THAT(std::get<Words>(*result.value), ElementsAre("A=1"));
  EXPECT_EQ(result.notes.size(), 1U);
}

TEST(Environment, FilesMayBeMissingWithADash) {
  EXPECT_THAT(parsed<Words>(Directive::EnvironmentFile, "-/etc/default//foo"),
              ElementsAre("-/etc/default/foo"));
  EXPECT_THAT(parsed<Words>(Directive::EnvironmentFile, "/etc/a b"), ElementsAre("/etc/a b"));
  EXPECT_THAT(complaint(Directive::EnvironmentFile, "etc/foo"), HasSubstr("absolute path"));
}

TEST(Paths, AreAbsoluteAndSimplified) {
  EXPECT_EQ(parsed<std::string>(Directive::RootDirectory, "/a//b/./c/"), "/a/b/c");
  EXPECT_EQ(parsed<std::string>(Directive::RootDirectory, "//"), "/");
  EXPECT_THAT(complaint(Directive::RootDirectory, "a"), HasSubstr("'a' is not an absolute path"));
  EXPECT_THAT(complaint(Directive::RootDirectory, "/a/../b"), HasSubstr("without '..'"));
  EXPECT_THAT(complaint(Directive::RootDirectory, "/" + std::string(5000, 'x')), HasSubstr("4095"));
  EXPECT_THAT(parsed<Words>(Directive::ReadWritePaths, R"(-/a +/b -+/c "/d e")"),
              ElementsAre("-/a", "+/b", "-+/c", "/d e"));
  EXPECT_THAT(parsed<Words>(Directive::ExecSearchPath, "/a:/b//c"), ElementsAre("/a", "/b/c"));
}

TEST(Paths, BelowVarRunMove) {
  const Parsed result = read(Directive::PIDFile, "/var/run/x.pid");
  EXPECT_EQ(std::get<std::string>(*result.value), "/run/x.pid");
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_FALSE(result.notes[0].dropped);
}

TEST(WorkingDirectory, MayBeTheHomeOrMissing) {
  EXPECT_EQ(parsed<std::string>(Directive::WorkingDirectory, "~"), "~");
  EXPECT_EQ(parsed<std::string>(Directive::WorkingDirectory, "-~"), "-~");
  EXPECT_EQ(parsed<std::string>(Directive::WorkingDirectory, "-/a/"), "-/a");
  EXPECT_THAT(complaint(Directive::WorkingDirectory, "foo"), HasSubstr("absolute path"));
}

TEST(Accounts, HaveNamesOrNumbers) {
  for (const char* name : {"root", "0", "1000", "www-data", "user.name", "DOMAIN+user", "a,b"}) {
    EXPECT_EQ(parsed<std::string>(Directive::User, name), name);
  }
  for (const char* name : {"a b/c", "a:b", "-5", "65535", "4294967295", "..", "99999999999"}) {
    EXPECT_THAT(complaint(Directive::User, name), HasSubstr("is not a"));
  }
}

TEST(Names, OfBusesAndDescriptorsAreChecked) {
  EXPECT_EQ(parsed<std::string>(Directive::BusName, "org.example.Foo"), "org.example.Foo");
  for (const char* name : {"org", "org..a", ".org.a", "org.1a", "org.a.", ":1.5", "org.a b"}) {
    EXPECT_THAT(complaint(Directive::BusName, name), HasSubstr("bus name"));
  }
  EXPECT_THAT(complaint(Directive::FileDescriptorName, "a:b"), HasSubstr("descriptor name"));
}

TEST(Conditions, HaveTriggerAndNegation) {
  EXPECT_THAT(parsed<ConditionList>(Directive::ConditionPathExists, "|!/a"),
              ElementsAre(Condition{"PathExists", "/a", false, true, true}));
  EXPECT_THAT(parsed<ConditionList>(Directive::AssertHost, "! web"),
              ElementsAre(Condition{"Host", "web", true, false, true}));
  EXPECT_THAT(complaint(Directive::ConditionPathExists, "a"), HasSubstr("absolute path"));
}

TEST(ExitStatuses, AreNumbersNamesAndSignals) {
  EXPECT_EQ(parsed<ExitStatusSet>(Directive::SuccessExitStatus, "TEMPFAIL 250 SIGKILL 1 250"),
            (ExitStatusSet{{1, 75, 250}, {9}}));
  const Parsed result = read(Directive::SuccessExitStatus, "1 foo SIGTERM 300");
  EXPECT_EQ(*boxed<ExitStatusSet>(*result.value), (ExitStatusSet{{1}, {15}}));
  EXPECT_EQ(result.notes.size(), 2U);
  const Parsed other = read(Directive::SuccessExitStatus, "0x10 017 \"3\"");
  EXPECT_EQ(*boxed<ExitStatusSet>(*other.value), (ExitStatusSet{{15, 16}, {}}));
  EXPECT_EQ(other.notes.size(), 1U);
}

TEST(Delegation, IsATruthValueOrAListOfControllers) {
  EXPECT_EQ(parsed<Words>(Directive::Delegate, "ON"), Words{"yes"});
  EXPECT_EQ(parsed<Words>(Directive::Delegate, "0"), Words{"no"});
  EXPECT_EQ(parsed<Words>(Directive::Delegate, "pids \"cpu\""), (Words{"pids", "cpu"}));
  const Parsed result = read(Directive::Delegate, "pids,cpu memory");
  EXPECT_EQ(std::get<Words>(*result.value), Words{"memory"});
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_THAT(result.notes.front().message, HasSubstr("'pids,cpu' is not"));
}

TEST(Streams, NameTheirTarget) {
  const auto kind = [](StandardOutput output) { return static_cast<std::int64_t>(output); };
  using Target = StreamTarget;
  EXPECT_EQ(parsed<Target>(Directive::StandardOutput, "append:/a"),
            (Target{kind(StandardOutput::append), "/a"}));
  EXPECT_EQ(parsed<Target>(Directive::StandardOutput, "fd"),
            (Target{kind(StandardOutput::fd), ""}));
  EXPECT_EQ(parsed<Target>(Directive::StandardOutput, "fd:x"),
            (Target{kind(StandardOutput::fd), "x"}));
  EXPECT_EQ(parsed<Target>(Directive::StandardInput, "data").kind,
            static_cast<std::int64_t>(StandardInput::data));
  EXPECT_THAT(complaint(Directive::StandardOutput, "file:x"), HasSubstr("absolute"));
  EXPECT_THAT(complaint(Directive::StandardOutput, "file"), HasSubstr("file:PATH is expected"));
  EXPECT_THAT(complaint(Directive::StandardOutput, "journal:x"), HasSubstr("not a stream"));
  EXPECT_THAT(complaint(Directive::StandardOutput, "fd:a:b"), HasSubstr("descriptor name"));
  EXPECT_THAT(complaint(Directive::StandardInput, "append:/a"), HasSubstr("not a stream"));
}

TEST(Streams, OfSyslogDaysBecomeTheJournal) {
  const Parsed result = read(Directive::StandardOutput, "syslog");
  EXPECT_EQ(boxed<StreamTarget>(*result.value)->kind,
            static_cast<std::int64_t>(StandardOutput::journal));
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_THAT(result.notes[0].message, HasSubstr("'syslog' is obsolete"));
}

TEST(ExecDirectories, AreRelativeWithLinks) {
  using Directory = ExecDirectory;
  EXPECT_THAT(
      parsed<std::vector<Directory>>(Directive::RuntimeDirectory, "foo foo/bar:baz:qux foo:x"),
      ElementsAre(Directory{"foo", {"x"}}, Directory{"foo/bar", {"baz", "qux"}}));
  const Parsed result = read(Directive::RuntimeDirectory, "/abs ok ../x private/y .");
  EXPECT_THAT(std::get<std::vector<Directory>>(*result.value), ElementsAre(Directory{"ok", {}}));
  EXPECT_EQ(result.notes.size(), 4U);
  EXPECT_THAT(
      parsed<std::vector<Directory>>(Directive::RuntimeDirectory, R"(a\x41b\x20c 'x y:l' m\:n)"),
      ElementsAre(Directory{"aAb c", {}}, Directory{"x y", {"l"}}, Directory{"m:n", {}}));
  EXPECT_EQ(read(Directive::RuntimeDirectory, R"(a\ b a\qb)").notes.size(), 2U);
  EXPECT_THAT(complaint(Directive::ConfigurationDirectory, "a:b"), HasSubstr("does not make"));
}

TEST(Listens, AreAddressesOfTheirKind) {
  const auto address = [](Directive id, std::string_view text) {
    return parsed<std::vector<SocketListen>>(id, text).at(0);
  };
  EXPECT_EQ(address(Directive::ListenStream, "/run//x"), (SocketListen{"Stream", "/run/x"}));
  for (const char* good :
       {"@abstract", "8080", "127.0.0.1:80", "[::1]:80", "[fe80::1]:80%eth0", "vsock::1234"}) {
    EXPECT_EQ(address(Directive::ListenStream, good).address, good);
  }
  EXPECT_EQ(address(Directive::ListenFIFO, "/run/f").type, "FIFO");
  EXPECT_EQ(address(Directive::ListenNetlink, "kobject-uevent 1").address, "kobject-uevent 1");
  EXPECT_EQ(address(Directive::ListenMessageQueue, "/q").address, "/q");
  for (const char* bad : {"0", "65536", "localhost:80", "1.2.3:80", "::1:80", "[::1]", "[::1",
                          "[x]:80", "foo", "@", "vsock:x:1", "[::1]:80%", "/a/../b"}) {
    EXPECT_THAT(complaint(Directive::ListenStream, bad), HasSubstr("is not"));
  }
  EXPECT_THAT(complaint(Directive::ListenStream, "/" + std::string(107, 'x')),
              HasSubstr("107 bytes"));
  EXPECT_THAT(complaint(Directive::ListenSequentialPacket, "80"), HasSubstr("only paths"));
  EXPECT_THAT(complaint(Directive::ListenMessageQueue, "/a/b"), HasSubstr("message queue"));
  EXPECT_THAT(complaint(Directive::ListenNetlink, "x y"), HasSubstr("netlink"));
}

TEST(InputData, IsTextAndBase64) {
  EXPECT_EQ(parsed<std::string>(Directive::StandardInputText, R"(a\tb)"), "a\tb\n");
  EXPECT_EQ(parsed<std::string>(Directive::StandardInputData, "SGVs bG8K"), "Hello\n");
  for (const char* bad : {"!!!", "SGVsbG8", "SG=s", "====", "SGVsbG9="}) {
    EXPECT_THAT(complaint(Directive::StandardInputData, bad), HasSubstr("base64"));
  }
}

TEST(Documentation, IsAListOfAddresses) {
  EXPECT_THAT(parsed<Words>(Directive::Documentation, "man:foo(1) https://example.org/"),
              ElementsAre("man:foo(1)", "https://example.org/"));
  EXPECT_THAT(complaint(Directive::Documentation, "see the book"), HasSubstr("address"));
}

TEST(UnitNames, AreChecked) {
  EXPECT_THAT(parsed<Words>(Directive::After, R"(a.service dev-x\x2dy.device)"),
              ElementsAre("a.service", R"(dev-x\x2dy.device)"));
  EXPECT_EQ(read(Directive::After, "a.service bogus").notes.size(), 1U);
  EXPECT_THAT(complaint(Directive::Service, "a.socket"), HasSubstr(".service"));
  EXPECT_THAT(complaint(Directive::Slice, "a.service"), HasSubstr(".slice"));
}

TEST(Lists, ComeBackFromFormatting) {
  const std::pair<Directive, const char*> kCases[] = {
      {Directive::Environment, R"("A=b c" "D=\n\"" E=%h)"},
      {Directive::UnsetEnvironment, R"(A "B=c d")"},
      {Directive::Documentation, "man:a(1) http://x"},
      {Directive::ReadWritePaths, R"("/a b" -/c)"},
      {Directive::ExecSearchPath, "/a:/b"},
      {Directive::SuccessExitStatus, "TEMPFAIL 250 SIGKILL"},
      {Directive::StandardOutput, "append:/a b"},
      {Directive::RuntimeDirectory, "a:b c/d"},
      {Directive::RuntimeDirectory, R"(a\x20b\x3ac:d\x5ce)"},
      {Directive::ListenStream, "[::1]:80"},
      {Directive::OnBootSec, "5min"},
      {Directive::OnCalendar, "daily"},
      {Directive::PathExists, "/a"},
      {Directive::ConditionHost, "|!x"},
      {Directive::EnvironmentFile, "-/a b"},
      {Directive::StandardInputData, "SGVsbG8K"},
      {Directive::SystemCallFilter, "~@mount @clock"},
  };
  for (const auto& [id, text] : kCases) {
    auto value = parse_value(row(id), text);
    ASSERT_TRUE(value.has_value()) << text << ": " << value.error().message();
    const auto lines = format_value(row(id), *value);
    ASSERT_EQ(lines.size(), 1U) << text;
    EXPECT_EQ(lines[0].key, row(id).name);
    auto again = parse_value(row(id), lines[0].text);
    ASSERT_TRUE(again.has_value()) << lines[0].text << ": " << again.error().message();
    EXPECT_EQ(*value, *again) << lines[0].text;
  }
}

TEST(FileText, ResetsFirstAndDoublesPercentSigns) {
  const Row& description = row(Directive::Description);
  EXPECT_EQ(*format_for_file(description, std::string("100% fine")),
            "Description=\nDescription=100%% fine\n");
  EXPECT_EQ(*format_for_file(row(Directive::CapabilityBoundingSet), ~std::uint64_t{1}),
            "CapabilityBoundingSet=~\nCapabilityBoundingSet=~cap_chown\n");
}

TEST(FileText, RefusesWhatWouldBecomeAnotherLine) {
  const Row& description = row(Directive::Description);
  EXPECT_FALSE(
      format_for_file(description, std::string("a\n[Service]\nExecStart=/bin/evil")).has_value());
  EXPECT_FALSE(format_for_file(description, std::string("a\\")).has_value());
  EXPECT_FALSE(format_for_file(description, std::string(" a")).has_value());
}

}  // namespace
}  // namespace pidward::unit
