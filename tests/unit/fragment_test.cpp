#include "unit/syntax/fragment.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/enums.hpp"
#include "unit/value_format.hpp"

namespace pidward::unit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Severity = Diagnostic::Severity;

/// Reads texts one after the other into one unit: a fragment and its drop-ins.
class Unit {
 public:
  explicit Unit(std::string_view name = "web.service") : spec(*UnitName::parse(name)) {
    specifiers.runtime_root = "/run";
  }

  Unit& read(std::string content, bool strict = false) {
    ReadContext context{spec.name, &specifiers, strict, {}};
    read_fragment({"/etc/web.service", std::move(content), false}, context, spec);
    return *this;
  }
  [[nodiscard]] std::vector<std::string> said() const {
    std::vector<std::string> lines;
    for (const Diagnostic& each : spec.diagnostics) {
      lines.push_back(std::string(to_string(each.severity)) + " " +
                      std::to_string(each.where.line) + ":" + std::to_string(each.where.column) +
                      " " + each.message + (each.advice.empty() ? "" : " [" + each.advice + "]"));
    }
    return lines;
  }
  [[nodiscard]] std::vector<std::string> edges() const {
    std::vector<std::string> texts;
    for (const DependencyEdge& each : spec.dependencies) {
      EXPECT_EQ(each.origin, Origin::file);
      texts.push_back(std::string(to_string(each.kind)) + " " + each.other.str());
    }
    return texts;
  }

  SpecifierContext specifiers;
  UnitSpec spec;
};

TEST(Fragment, BecomesSettingsAndDependencies) {
  Unit unit;
  unit.read(
      "[Unit]\nDescription=The web on %n\nAfter=b.service "
      "a.service\nAfter=a.service\nRequires=a.service\n"
      "[Service]\nExecStart=/bin/web\nRestart=on-failure\n[Install]\nWantedBy=multi-user.target\n");
  EXPECT_THAT(unit.said(), IsEmpty());
  EXPECT_EQ(unit.spec.settings.string(Directive::Description), "The web on web.service");
  EXPECT_EQ(unit.spec.settings.choice<RestartPolicy>(Directive::Restart),
            RestartPolicy::on_failure);
  EXPECT_EQ(unit.spec.settings.commands(Directive::ExecStart).at(0).line, 7U);
  EXPECT_THAT(unit.spec.settings.words(Directive::WantedBy), ElementsAre("multi-user.target"));
  EXPECT_THAT(unit.edges(),
              ElementsAre("Requires a.service", "After a.service", "After b.service"));
  EXPECT_EQ(unit.spec.load_state, LoadState::stub);
}

TEST(Fragment, AddsUpListsAndReplacesScalars) {
  Unit unit;
  unit.read(
      "[Service]\nEnvironment=A=1 "
      "B=2\nEnvironment=A=3\nNice=1\nNice=2\nExecStartPre=/bin/a\nExecStartPre=/bin/b\n");
  EXPECT_THAT(unit.spec.settings.words(Directive::Environment), ElementsAre("A=3", "B=2"));
  EXPECT_EQ(unit.spec.settings.integer(Directive::Nice), 2);
  EXPECT_THAT(unit.spec.settings.commands(Directive::ExecStartPre), SizeIs(2));
}

TEST(Fragment, ResetsByTheEmptyValueInADropIn) {
  Unit unit;
  unit.read("[Service]\nExecStart=/bin/a\nEnvironment=A=1\nUser=www\nRestartSec=5\n");
  unit.read("[Service]\nExecStart=\nExecStart=/bin/b\nEnvironment=\nUser=\nRestartSec=\n");
  EXPECT_THAT(unit.said(), IsEmpty());
  EXPECT_EQ(unit.spec.settings.commands(Directive::ExecStart).at(0).path, "/bin/b");
  EXPECT_FALSE(unit.spec.settings.is_set(Directive::Environment));
  EXPECT_FALSE(unit.spec.settings.is_set(Directive::User));
  EXPECT_EQ(unit.spec.settings.span(Directive::RestartSec), std::chrono::milliseconds(100));
}

TEST(Fragment, ResetsConditionsAndAssertsApart) {
  Unit unit;
  unit.read(
      "[Unit]\nConditionPathExists=/a\nAssertPathExists=/"
      "b\nConditionHost=x\nConditionUser=\nConditionFirstBoot=no\n");
  EXPECT_THAT(unit.spec.settings.conditions(),
              ElementsAre(Condition{"PathExists", "/b", true, false, false},
                          Condition{"FirstBoot", "no", false, false, false}));
}

TEST(Fragment, KeepsListensTogetherAndResetsThemTogether) {
  Unit unit("web.socket");
  unit.read("[Socket]\nListenStream=80\nListenDatagram=\nListenDatagram=81\nListenFIFO=/run/f\n");
  const auto& listens = std::get<std::vector<SocketListen>>(*unit.spec.settings.find(kListenStore));
  EXPECT_THAT(listens, ElementsAre(SocketListen{"Datagram", "81"}, SocketListen{"FIFO", "/run/f"}));
}

TEST(Fragment, SaysThatDependenciesCannotBeReset) {
  Unit unit;
  unit.read("[Unit]\nAfter=a.service\nAfter=\n");
  EXPECT_THAT(unit.edges(), ElementsAre("After a.service"));
  EXPECT_THAT(unit.said(), ElementsAre(HasSubstr("note 3:1 After= cannot be reset")));
}

TEST(Fragment, CombinesCapabilitySetsAsSystemdDoes) {
  const auto set = [](const std::string& lines, Directive id = Directive::CapabilityBoundingSet) {
    return std::get<std::uint64_t>(*Unit().read("[Service]\n" + lines).spec.settings.get(id));
  };
  const std::string key = "CapabilityBoundingSet=";
  EXPECT_EQ(set(key + "CAP_CHOWN\n" + key + "CAP_KILL\n"), 0x21U);
  EXPECT_EQ(set(key + "CAP_CHOWN CAP_KILL\n" + key + "~CAP_KILL\n"), 1U);
  EXPECT_EQ(set(key + "~CAP_CHOWN\n" + key + "~CAP_KILL\n"), ~std::uint64_t{0x21});
  EXPECT_EQ(set(key + "CAP_CHOWN\n" + key + "\n"), 0U);
  EXPECT_EQ(set(key + "CAP_CHOWN\n" + key + "~\n"), ~std::uint64_t{0});
  EXPECT_EQ(set("AmbientCapabilities=CAP_CHOWN\nAmbientCapabilities=CAP_KILL\n",
                Directive::AmbientCapabilities),
            0x21U);
}

TEST(Fragment, NamesFileLineColumnAndTheNearestName) {
  Unit unit;
  unit.read(
      "[Unit]\nDescripton=x\n[Service]\n  Restart = "
      "alwys\nDescription=y\nFooBarBaz=1\nX-Mine=1\n[Servic]\na=b\n[X-Own]\nc=d\n");
  EXPECT_THAT(
      unit.said(),
      ElementsAre(
          "warning 2:1 there is no Descripton= in [Unit]; the line is left out [Did you mean "
          "Description=?]",
          AllOf(HasSubstr("warning 4:13 Restart=: 'alwys' is none of"),
                HasSubstr("[Did you mean always?]")),
          "warning 5:1 there is no Description= in [Service]; the line is left out [It belongs in "
          "[Unit].]",
          "warning 6:1 there is no FooBarBaz= in [Service]; the line is left out",
          "warning 8:1 there is no section [Servic]; it is left out [Did you mean [Service]?]"));
  EXPECT_EQ(unit.spec.diagnostics[0].where.file, "/etc/web.service");
}

TEST(Fragment, IsStrictOnDemand) {
  Unit unit;
  unit.read("[Unit]\nFoo=1\n[Bar]\nX=1\n", true);
  EXPECT_THAT(unit.said(), ElementsAre(HasSubstr("error 2:1"), HasSubstr("error 3:1")));
}

TEST(Fragment, FailsTheUnitWhereSystemdDoes) {
  for (const char* line :
       {"ExecStart=foo/bar", "User=a b/c", "RootDirectory=foo", "WorkingDirectory=foo",
        "SupplementaryGroups=a:b", "Group=%Q", "ExecStop=@/bin/x"}) {
    EXPECT_THAT(Unit().read(std::string("[Service]\n") + line).said(),
                ElementsAre(HasSubstr("error 2:")))
        << line;
  }
  for (const char* line : {"ExecStop=-foo/bar", "WorkingDirectory=-foo", "Type=foo",
                           "Environment=2=3", "LimitNOFILE=2:1", "TimeoutStopSec=5parsecs",
                           "RuntimeDirectory=/abs", "EnvironmentFile=foo"}) {
    EXPECT_THAT(Unit().read(std::string("[Service]\n") + line).said(),
                ElementsAre(HasSubstr("warning 2:")))
        << line;
  }
  EXPECT_THAT(Unit().read("[Service\nUser=x\n").said(), testing::Contains(HasSubstr("error 1:1")));
}

TEST(Fragment, BadLinesCostNothingElse) {
  Unit unit;
  unit.read("Foo=1\n[Service]\nnonsense\nUser=www\nNice=99\nUMask=\xff\nUMask=027\n");
  EXPECT_EQ(unit.spec.settings.string(Directive::User), "www");
  EXPECT_EQ(unit.spec.settings.integer(Directive::UMask), 027);
  EXPECT_THAT(unit.said(), SizeIs(4));
}

TEST(Fragment, ListsWhatHasNoEffectInOneLine) {
  Unit unit;
  unit.read(
      "[Service]\nPrivateTmp=yes\nPrivateTmp=yes\nPrivateDevices=no\nProtectSystem="
      "no\nStandardOutput=kmsg\nPrivateUsers=yes\n");
  EXPECT_THAT(
      unit.said(),
      ElementsAre("unsupported 2:12 without effect in this version of pidward: PrivateTmp= (line "
                  "2), PrivateUsers= (line 7)"));
  EXPECT_EQ(unit.spec.settings.string(Directive::PrivateTmp), "yes");
}

TEST(Fragment, ReadsOldNames) {
  Unit unit;
  unit.read(
      "[Unit]\nBindTo=a.service\nRequiresOverridable=b.service\nOnFailureIsolate=yes\n"
      "[Service]\nStartLimitInterval=3\nStandardError=syslog\nTimeoutSec=7\nSysVStartPriority=5\n");
  EXPECT_THAT(unit.edges(), ElementsAre("Requires b.service", "BindsTo a.service"));
  EXPECT_EQ(unit.spec.settings.choice<JobMode>(Directive::OnFailureJobMode), JobMode::isolate);
  EXPECT_EQ(unit.spec.settings.span(Directive::StartLimitIntervalSec), std::chrono::seconds(3));
  EXPECT_EQ(unit.spec.settings.span(Directive::TimeoutStartSec), std::chrono::seconds(7));
  EXPECT_EQ(unit.spec.settings.span(Directive::TimeoutStopSec), std::chrono::seconds(7));
  EXPECT_THAT(unit.said(),
              ElementsAre(HasSubstr("note 3:1 RequiresOverridable= is obsolete"),
                          HasSubstr("note 4:1 OnFailureIsolate= is obsolete"),
                          HasSubstr("note 7:15 StandardError=: 'syslog' is obsolete")));
}

TEST(Fragment, FillsTemplatesInDependenciesWithTheOwnInstance) {
  EXPECT_THAT(Unit("web@one.service").read("[Unit]\nAfter=db@.service db-%i.service\n").edges(),
              ElementsAre("After db-one.service", "After db@one.service"));
  EXPECT_THAT(Unit().read("[Unit]\nAfter=db@.service\n").edges(),
              ElementsAre("After db@web.service"));
}

TEST(Fragment, DoesNotJudgeInATemplateWhatNeedsAnInstance) {
  const std::string text = "[Unit]\nBindsTo=%i.device\n[Service]\nUser=%i\n";
  EXPECT_THAT(Unit("web@.service").read(text).said(), IsEmpty());
  EXPECT_THAT(Unit("web@a:b.service").read(text).said(),
              ElementsAre(HasSubstr("error 4:6 User=: 'a:b' is not")));
}

TEST(Fragment, DoesNotDependOnItself) {
  Unit unit;
  unit.read("[Unit]\nAfter=web.service b.service\n");
  EXPECT_THAT(unit.edges(), ElementsAre("After b.service"));
  EXPECT_THAT(unit.said(), ElementsAre(HasSubstr("cannot depend on itself")));
}

TEST(Fragment, LeavesTheSectionsOfMountsToOthers) {
  Unit unit("srv.mount");
  unit.read("[Unit]\nDescription=x\n[Mount]\nWhat=/dev/sda1\nNonsense=1\n");
  EXPECT_THAT(unit.said(), IsEmpty());
}

TEST(Fragment, OnlySocketsAreSockets) {
  Unit unit;
  unit.read("[Service]\nSockets=a.socket b.service\n");
  EXPECT_THAT(unit.said(), ElementsAre(HasSubstr("b.service is not a socket unit")));
  EXPECT_THAT(unit.edges(), ::testing::UnorderedElementsAre(
                                "Wants a.socket", "TriggeredBy a.socket", "After a.socket"));
}

TEST(Fragment, ATimerMayActivateAnotherButNotItself) {
  Unit unit("a.timer");
  unit.read("[Timer]\nUnit=b.timer\nUnit=a.timer\nOnCalendar=nonsense\n");
  EXPECT_EQ(unit.spec.settings.string(Directive::Unit), "b.timer");
  EXPECT_THAT(unit.said(), ElementsAre(HasSubstr("3:6 Unit=: a.timer cannot activate itself"),
                                       HasSubstr("4:12 OnCalendar=: 'nonsense'")));
}

TEST(Fragment, WantsItsSockets) {
  Unit unit;
  unit.read("[Service]\nSockets=a.socket\n");
  EXPECT_THAT(unit.edges(), ::testing::UnorderedElementsAre(
                                "Wants a.socket", "TriggeredBy a.socket", "After a.socket"));
  EXPECT_THAT(unit.spec.settings.words(Directive::Sockets), ElementsAre("a.socket"));
}

TEST(Fragment, MakesARelativePidFileAbsolute) {
  EXPECT_EQ(Unit().read("[Service]\nPIDFile=web.pid\n").spec.settings.string(Directive::PIDFile),
            "/run/web.pid");
}

TEST(Fragment, KnowsWhichSectionsAUnitHas) {
  EXPECT_THAT(Unit("a.target").read("[Service]\nExecStart=/bin/a\n").said(),
              ElementsAre("warning 1:1 a target has no section [Service]; it is left out"));
  EXPECT_THAT(Unit("a.timer").read("[Timer]\nUnit=b.service\n").said(), IsEmpty());
}

TEST(Fragment, StaysSmallWhateverComes) {
  std::string noise;
  for (int i = 0; i < 100000; ++i) noise += "garbage" + std::to_string(i) + "=x\n";
  EXPECT_THAT(Unit().read("[Unit]\n" + noise).said(), SizeIs(101));
  EXPECT_THAT(Unit().read("[Unit]\n" + noise + "[Service]\nUser=a:b\n").said(), SizeIs(102));
  EXPECT_THAT(Unit().read(std::string(kMaxFragmentSize + 1, '#')).said(),
              ElementsAre(HasSubstr("larger than 4 MiB")));
  std::string many = "[Service]\n";
  for (int i = 0; i < 5000; ++i) many += "Environment=A" + std::to_string(i) + "=1\n";
  EXPECT_THAT(Unit().read(many).said(), testing::Contains(HasSubstr("more than 4096 entries")));
  EXPECT_THAT(Unit().read("").said(), IsEmpty());
}

TEST(Fragment, ReadsBackWhatIsWrittenForADropIn) {
  Unit unit;
  unit.read(
      "[Service]\nExecStart=/bin/a 'x y' "
      "%%h\nEnvironment=\"A=100%%\"\nRuntimeDirectory=a:b\nSuccessExitStatus=5 TERM\n"
      "CapabilityBoundingSet=CAP_CHOWN\nStandardInputText=hello\\nworld\nCPUAffinity=0-3\nUser="
      "www\n");
  ASSERT_THAT(unit.said(), IsEmpty());
  std::string dropin = "[Service]\n";
  for (const auto& [id, value] : unit.spec.settings.entries()) {
    auto text = format_for_file(row(id), value);
    ASSERT_TRUE(text.has_value()) << text.error().message();
    dropin += *text;
  }
  Unit again;
  again.read("[Service]\nExecStart=/bin/old\nEnvironment=OLD=1\nCapabilityBoundingSet=CAP_KILL\n")
      .read(dropin);
  EXPECT_THAT(again.said(), IsEmpty());
  EXPECT_EQ(again.spec.settings, unit.spec.settings) << dropin;
}

TEST(Assignments, AreAppliedOneByOne) {
  UnitSpec spec(*UnitName::parse("a.service"));
  SpecifierContext specifiers;
  const ReadContext context{spec.name, &specifiers, true, {}};
  apply_assignment(Section::Service, "Nice", "5", {"run", 0, 0}, context, spec);
  apply_assignment(Section::Unit, "After", "b.service", {"run", 0, 0}, context, spec);
  apply_assignment(Section::Service, "Nise", "5", {"run", 0, 0}, context, spec);
  EXPECT_EQ(spec.settings.integer(Directive::Nice), 5);
  EXPECT_THAT(spec.dependencies, SizeIs(1));
  ASSERT_THAT(spec.diagnostics, SizeIs(1));
  EXPECT_EQ(spec.diagnostics[0].severity, Severity::error);
}

}  // namespace
}  // namespace pidward::unit
