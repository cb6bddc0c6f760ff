// Implicit and default dependencies, and settings that follow from others.
#include "unit/implicit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

const std::string kUsr = Tree::kUsr;
constexpr std::string_view kShutdown = "shutdown.target";

UnitSpecPtr loaded(Tree& tree, const std::string& unit, const std::string& content) {
  tree.files.add_file(kUsr + unit, content);
  auto spec = tree.load(unit);
  EXPECT_EQ(spec->load_state, LoadState::loaded) << errors(*spec);
  return spec;
}

ServiceType type_of(const UnitSpec& spec) {
  return spec.settings.choice<ServiceType>(Directive::Type);
}

bool ends_at_shutdown(const UnitSpec& spec) {
  return has(spec, Dependency::Conflicts, kShutdown) && has(spec, Dependency::Before, kShutdown);
}

TEST(ServiceImplies, TheBaseSystemAndItsEnd) {
  Tree tree;
  const auto spec = loaded(tree, "a.service", Tree::service());
  EXPECT_TRUE(has(*spec, Dependency::Requires, "sysinit.target"));
  EXPECT_TRUE(has(*spec, Dependency::After, "sysinit.target"));
  EXPECT_TRUE(has(*spec, Dependency::After, "basic.target"));
  EXPECT_FALSE(has(*spec, Dependency::Requires, "basic.target"));
  EXPECT_TRUE(ends_at_shutdown(*spec));
  EXPECT_TRUE(has(*spec, Dependency::InSlice, "system.slice"));
  EXPECT_TRUE(has(*spec, Dependency::Requires, "system.slice"));
  EXPECT_TRUE(has(*spec, Dependency::After, "system.slice"));
  EXPECT_EQ(spec->settings.string(Directive::Slice), "system.slice");
  EXPECT_TRUE(has(*spec, Dependency::After, "systemd-journald.socket"));
}

TEST(ServiceImplies, BasicTargetInAUsersSupervisor) {
  Tree tree;
  tree.scope = Scope::user;
  tree.files.add_file("/usr/lib/pidward/user/a.service", Tree::service());
  const auto spec = tree.load("a.service");
  EXPECT_TRUE(has(*spec, Dependency::Requires, "basic.target"));
  EXPECT_FALSE(has(*spec, Dependency::Requires, "sysinit.target"));
  EXPECT_TRUE(has(*spec, Dependency::InSlice, "app.slice"));
  EXPECT_FALSE(has(*spec, Dependency::After, "systemd-journald.socket"));
}

TEST(ServiceImplies, NothingButItsSliceWithDefaultDependenciesOff) {
  Tree tree;
  const auto spec = loaded(tree, "a.service", Tree::service("DefaultDependencies=no\n"));
  EXPECT_FALSE(has(*spec, Dependency::Requires, "sysinit.target"));
  EXPECT_FALSE(has(*spec, Dependency::Conflicts, kShutdown));
  EXPECT_TRUE(has(*spec, Dependency::InSlice, "system.slice"));
}

TEST(ServiceImplies, ASliceOfItsOwnForInstances) {
  Tree tree;
  tree.files.add_file(kUsr + "foo-bar@.service", Tree::service());
  EXPECT_TRUE(
      has(*tree.load("foo-bar@x.service"), Dependency::InSlice, "system-foo\\x2dbar.slice"));
  const auto chosen = loaded(tree, "b.service", Tree::service() + "Slice=mine.slice\n");
  EXPECT_TRUE(has(*chosen, Dependency::InSlice, "mine.slice"));
  EXPECT_FALSE(has(*chosen, Dependency::InSlice, "system.slice"));
}

TEST(ServiceImplies, ATypeFromWhatItHas) {
  Tree tree;
  EXPECT_EQ(type_of(*loaded(tree, "a.service", Tree::service())), ServiceType::simple);
  EXPECT_EQ(type_of(*loaded(tree, "b.service", Tree::service() + "BusName=org.example.B\n")),
            ServiceType::dbus);
  const auto oneshot =
      loaded(tree, "c.service", "[Service]\nRemainAfterExit=yes\nExecStop=/bin/true\n");
  EXPECT_EQ(type_of(*oneshot), ServiceType::oneshot);
  EXPECT_EQ(oneshot->settings.span(Directive::TimeoutStartSec), kInfinity);
  const auto bounded =
      loaded(tree, "d.service", Tree::service() + "Type=oneshot\nTimeoutStartSec=5\n");
  EXPECT_EQ(bounded->settings.span(Directive::TimeoutStartSec), std::chrono::seconds(5));
}

TEST(ServiceImplies, TheBusWhereThatSaysThatItIsUp) {
  Tree tree;
  const auto bus =
      loaded(tree, "a.service", Tree::service() + "Type=dbus\nBusName=org.example.A\n");
  EXPECT_TRUE(has(*bus, Dependency::Requires, "dbus.socket"));
  EXPECT_TRUE(has(*bus, Dependency::After, "dbus.socket"));
  EXPECT_TRUE(has(*loaded(tree, "b.service", Tree::service() + "BusName=org.example.B\n"),
                  Dependency::After, "dbus.socket"));
  const auto early =
      loaded(tree, "c.service", Tree::service() + "Type=notify\nBusName=org.example.C\n");
  EXPECT_FALSE(has(*early, Dependency::After, "dbus.socket"));
  EXPECT_FALSE(has(*loaded(tree, "d.service", Tree::service()), Dependency::After, "dbus.socket"));
}

TEST(ServiceImplies, ThatWhoManagesGroupsAnswersForTheirMemory) {
  Tree tree;
  const auto policy = [&](const std::string& unit, const std::string& content) {
    return loaded(tree, unit, content)->settings.choice<OomPolicy>(Directive::OOMPolicy);
  };
  const std::string own = "Delegate=cpu\n";
  EXPECT_EQ(policy("a.service", Tree::service()), OomPolicy::stop);
  EXPECT_EQ(policy("b.service", Tree::service() + own), OomPolicy::go_on);
  EXPECT_EQ(policy("c.service", Tree::service() + own + "OOMPolicy=kill\n"), OomPolicy::kill);
  EXPECT_EQ(policy("d.service", Tree::service() + "Delegate=no\n"), OomPolicy::stop);
}

TEST(ServiceImplies, WhatDelegateAddsUpTo) {
  Tree tree;
  const auto delegated = [&](const std::string& unit, const std::string& lines) {
    const auto spec = loaded(tree, unit, Tree::service() + lines);
    return fmt::format("{} {}", spec->settings.delegates(),
                       fmt::join(spec->settings.words(Directive::Delegate), " "));
  };
  EXPECT_EQ(delegated("a.service", ""), "false no");
  EXPECT_EQ(delegated("b.service", "Delegate=cpu\nDelegate=pids cpu\n"), "true cpu pids");
  EXPECT_EQ(delegated("c.service", "Delegate=yes\nDelegate=cpu\n"), "true yes");
  EXPECT_EQ(delegated("d.service", "Delegate=no\nDelegate=cpu\n"), "true cpu");
  EXPECT_EQ(delegated("e.service", "Delegate=cpu\nDelegate=\n"), "true ");
  EXPECT_EQ(delegated("f.service", "Delegate=\nDelegate=off\n"), "false no");
  EXPECT_EQ(delegated("g.service", "Delegate=1\n"), "true yes");
}

TEST(ServiceImplies, ANotifySocketWhereItIsNeeded) {
  Tree tree;
  const auto access = [](const UnitSpecPtr& spec) {
    return spec->settings.choice<NotifyAccess>(Directive::NotifyAccess);
  };
  EXPECT_EQ(access(loaded(tree, "a.service", Tree::service() + "Type=notify\n")),
            NotifyAccess::main);
  EXPECT_EQ(access(loaded(tree, "b.service", Tree::service() + "WatchdogSec=3\n")),
            NotifyAccess::main);
  EXPECT_EQ(access(loaded(tree, "c.service", Tree::service() + "Type=notify\nNotifyAccess=all\n")),
            NotifyAccess::all);
  EXPECT_EQ(access(loaded(tree, "d.service", Tree::service())), NotifyAccess::none);
}

TEST(ServiceImplies, InputWhereThereIsSome) {
  Tree tree;
  const auto kind = [](const UnitSpec& spec) {
    return static_cast<StandardInput>(spec.settings.stream(Directive::StandardInput)->kind);
  };
  EXPECT_EQ(kind(*loaded(tree, "a.service", Tree::service() + "StandardInputText=hello\n")),
            StandardInput::data);
  EXPECT_EQ(kind(*loaded(tree, "b.service",
                         Tree::service() + "StandardInputText=hello\nStandardInput=null\n")),
            StandardInput::null);
  EXPECT_EQ(kind(*loaded(tree, "c.service", Tree::service())), StandardInput::null);
}

TEST(ServiceImplies, TheLogOnlyWhereItWritesToIt) {
  Tree tree;
  EXPECT_FALSE(has(*loaded(tree, "a.service", Tree::service() + "StandardOutput=null\n"),
                   Dependency::After, "systemd-journald.socket"));
  EXPECT_TRUE(has(
      *loaded(tree, "b.service", Tree::service() + "StandardOutput=null\nStandardError=journal\n"),
      Dependency::After, "systemd-journald.socket"));
}

TEST(ServiceImplies, OutputWhereTheInputHasAnotherEnd) {
  Tree tree;
  const auto output = [&](const std::string& name, const std::string& lines) {
    const auto spec = loaded(tree, name, Tree::service() + lines);
    const StreamTarget* const target = spec->settings.stream(Directive::StandardOutput);
    return target == nullptr ? StandardOutput::journal : static_cast<StandardOutput>(target->kind);
  };
  EXPECT_EQ(output("a.service", "StandardInput=socket\n"), StandardOutput::inherit);
  EXPECT_EQ(output("b.service", "StandardInput=tty\n"), StandardOutput::inherit);
  EXPECT_EQ(output("c.service", "StandardInput=fd:x\n"), StandardOutput::inherit);
  EXPECT_EQ(output("d.service", "StandardInput=socket\nStandardOutput=null\n"),
            StandardOutput::null);
  // There is nothing to write to behind these, so "inherit" is the default again.
  EXPECT_EQ(output("e.service", "StandardOutput=inherit\n"), StandardOutput::journal);
  EXPECT_EQ(output("f.service", "StandardInputText=x\nStandardOutput=inherit\n"),
            StandardOutput::journal);
}

TEST(ServiceImplies, OrderAfterWhatMakesItsDirectoriesUsable) {
  Tree tree;
  EXPECT_TRUE(has(*loaded(tree, "a.service", Tree::service() + "StateDirectory=a\n"),
                  Dependency::After, "systemd-remount-fs.service"));
  EXPECT_FALSE(has(*loaded(tree, "b.service", Tree::service() + "RuntimeDirectory=b\n"),
                   Dependency::After, "systemd-remount-fs.service"));
  EXPECT_TRUE(has(*loaded(tree, "c.service", Tree::service() + "PrivateTmp=yes\n"),
                  Dependency::After, "systemd-tmpfiles-setup.service"));
}

TEST(MountsFor, OrderAfterEveryPrefixAndRequireThoseWithAFile) {
  Tree tree;
  tree.files.add_file(kUsr + "srv.mount", "[Mount]\nWhat=x\nWhere=/srv\n");
  const auto spec = loaded(tree, "a.service", Tree::service("RequiresMountsFor=/srv/data\n"));
  EXPECT_TRUE(has(*spec, Dependency::After, "srv.mount"));
  EXPECT_TRUE(has(*spec, Dependency::Requires, "srv.mount"));
  EXPECT_TRUE(has(*spec, Dependency::After, "srv-data.mount"));
  EXPECT_FALSE(has(*spec, Dependency::Requires, "srv-data.mount"));
  EXPECT_FALSE(has(*spec, Dependency::After, "-.mount"));
}

TEST(MountsFor, SettingsOrderAfterMountsThatHaveAFile) {
  Tree tree;
  tree.files.add_file(kUsr + "srv.mount", "[Mount]\nWhat=x\nWhere=/srv\n");
  const auto spec = loaded(tree, "a.service", Tree::service() + "WorkingDirectory=/srv/www\n");
  EXPECT_TRUE(has(*spec, Dependency::After, "srv.mount"));
  EXPECT_FALSE(has(*spec, Dependency::After, "srv-www.mount"));
  EXPECT_FALSE(has(*loaded(tree, "b.service", Tree::service() + "WorkingDirectory=-/srv/www\n"),
                   Dependency::After, "srv.mount"));
}

TEST(SocketImplies, ItsServiceAndSocketsTarget) {
  Tree tree;
  const auto spec = loaded(tree, "a.socket", "[Socket]\nListenStream=/run/a\n");
  EXPECT_TRUE(has(*spec, Dependency::Triggers, "a.service"));
  EXPECT_TRUE(has(*spec, Dependency::Before, "a.service"));
  EXPECT_TRUE(has(*spec, Dependency::Before, "sockets.target"));
  EXPECT_TRUE(has(*spec, Dependency::Requires, "sysinit.target"));
  EXPECT_TRUE(ends_at_shutdown(*spec));
  EXPECT_TRUE(has(*spec, Dependency::InSlice, "system.slice"));
  const auto other = loaded(tree, "b.socket", "[Socket]\nListenStream=/run/b\nService=x.service\n");
  EXPECT_TRUE(has(*other, Dependency::Triggers, "x.service"));
  EXPECT_FALSE(has(*other, Dependency::Triggers, "b.service"));
}

TEST(SocketImplies, NoServiceThatCouldBeNamedWhenItAccepts) {
  Tree tree;
  const auto spec = loaded(tree, "a.socket", "[Socket]\nListenStream=/run/a\nAccept=yes\n");
  EXPECT_FALSE(has(*spec, Dependency::Triggers, "a.service"));
}

TEST(SocketImplies, TheDeviceItIsBoundTo) {
  Tree tree;
  const auto spec = loaded(tree, "a.socket", "[Socket]\nListenStream=80\nBindToDevice=eth0\n");
  EXPECT_TRUE(has(*spec, Dependency::BindsTo, "sys-subsystem-net-devices-eth0.device"));
  EXPECT_TRUE(has(*spec, Dependency::After, "sys-subsystem-net-devices-eth0.device"));
}

TEST(SocketImplies, TheLogOnlyWhereItRunsSomething) {
  Tree tree;
  const std::string listens = "[Socket]\nListenStream=80\n";
  EXPECT_FALSE(has(*loaded(tree, "a.socket", listens + "WorkingDirectory=/srv\n"),
                   Dependency::After, "systemd-journald.socket"));
  EXPECT_TRUE(has(*loaded(tree, "b.socket", listens + "ExecStopPost=/bin/true\n"),
                  Dependency::After, "systemd-journald.socket"));
}

TEST(ServiceSockets, AreWantedAndComeFirst) {
  Tree tree;
  const auto spec = loaded(tree, "a.service", Tree::service() + "Sockets=x.socket y.socket\n");
  EXPECT_TRUE(has(*spec, Dependency::Wants, "x.socket"));
  EXPECT_TRUE(has(*spec, Dependency::After, "y.socket"));
  EXPECT_TRUE(has(*spec, Dependency::TriggeredBy, "y.socket"));
}

TEST(TimerImplies, WhatItStartsAndWhenTheClockIsRight) {
  Tree tree;
  const auto calendar = loaded(tree, "a.timer", "[Timer]\nOnCalendar=daily\n");
  EXPECT_TRUE(has(*calendar, Dependency::Triggers, "a.service"));
  EXPECT_TRUE(has(*calendar, Dependency::Before, "a.service"));
  EXPECT_TRUE(has(*calendar, Dependency::Before, "timers.target"));
  EXPECT_TRUE(has(*calendar, Dependency::After, "time-sync.target"));
  EXPECT_TRUE(has(*calendar, Dependency::After, "time-set.target"));
  EXPECT_FALSE(has(*calendar, Dependency::InSlice, "system.slice"));
  const auto monotonic = loaded(tree, "b.timer", "[Timer]\nOnBootSec=5min\nUnit=x.service\n");
  EXPECT_TRUE(has(*monotonic, Dependency::Triggers, "x.service"));
  EXPECT_FALSE(has(*monotonic, Dependency::After, "time-sync.target"));
}

TEST(TimerImplies, TheFirstUnitItNames) {
  Tree tree;
  const auto spec =
      loaded(tree, "a.timer", "[Timer]\nOnBootSec=1\nUnit=x.service\nUnit=y.service\n");
  EXPECT_TRUE(has(*spec, Dependency::Triggers, "x.service"));
  EXPECT_FALSE(has(*spec, Dependency::Triggers, "y.service"));
  ASSERT_EQ(spec->diagnostics.size(), 1U);
  EXPECT_THAT(spec->diagnostics.front().message, testing::HasSubstr("x.service is activated"));
  EXPECT_EQ(spec->diagnostics.front().where.line, 4U);
  const auto other =
      loaded(tree, "b.timer", "[Timer]\nOnBootSec=1\nUnit=x.service\nUnit=\nUnit=y.service\n");
  EXPECT_TRUE(has(*other, Dependency::Triggers, "y.service"));
}

TEST(PathImplies, WhatItStarts) {
  Tree tree;
  const auto spec = loaded(tree, "a.path", "[Path]\nPathExists=/srv/x\n");
  EXPECT_TRUE(has(*spec, Dependency::Triggers, "a.service"));
  EXPECT_TRUE(has(*spec, Dependency::Before, "paths.target"));
  EXPECT_TRUE(ends_at_shutdown(*spec));
}

TEST(SliceImplies, ItsParents) {
  Tree tree;
  const auto spec = tree.load("a-b.slice");
  EXPECT_TRUE(has(*spec, Dependency::InSlice, "a.slice"));
  EXPECT_TRUE(has(*spec, Dependency::Requires, "a.slice"));
  EXPECT_TRUE(ends_at_shutdown(*spec));
  EXPECT_TRUE(has(*tree.load("a.slice"), Dependency::InSlice, "-.slice"));
  EXPECT_TRUE(tree.load("-.slice")->dependencies.empty());
}

TEST(TargetImplies, OrderAfterItsMembers) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  tree.files.add_file(kUsr + "early.service", Tree::service("DefaultDependencies=no\n"));
  tree.files.add_file(kUsr + "late.service", Tree::service("After=m.target\n"));
  tree.files.add_file(kUsr + "last.service", Tree::service());
  const auto spec = loaded(tree, "m.target",
                           "[Unit]\nWants=a.service early.service late.service gone.service\n"
                           "Requires=last.service\nBefore=last.service\n");
  EXPECT_TRUE(has(*spec, Dependency::After, "a.service"));
  EXPECT_FALSE(has(*spec, Dependency::After, "early.service"));
  EXPECT_FALSE(has(*spec, Dependency::After, "late.service"));
  EXPECT_FALSE(has(*spec, Dependency::After, "last.service"));
  EXPECT_FALSE(has(*spec, Dependency::After, "gone.service"));
  EXPECT_TRUE(ends_at_shutdown(*spec));
}

TEST(TargetImplies, NoOrderWhenItSaysSo) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", Tree::service());
  const auto spec = loaded(tree, "m.target", "[Unit]\nWants=a.service\nDefaultDependencies=no\n");
  EXPECT_FALSE(has(*spec, Dependency::After, "a.service"));
  EXPECT_FALSE(has(*spec, Dependency::Conflicts, kShutdown));
}

TEST(TargetImplies, ShutdownDoesNotConflictWithItself) {
  Tree tree;
  const auto spec = loaded(tree, "shutdown.target", "[Unit]\nDescription=x\n");
  EXPECT_TRUE(spec->dependencies.empty());
}

TEST(Edges, AreUniqueSortedAndNeverLeadHome) {
  Tree tree;
  tree.files.add_link(kUsr + "b.service", "a.service");
  const auto spec = loaded(tree, "a.service",
                           Tree::service("After=x.service x.service a.service b.service\n"
                                         "Before=shutdown.target\n"));
  EXPECT_EQ(
      std::count_if(spec->dependencies.begin(), spec->dependencies.end(),
                    [](const DependencyEdge& edge) { return edge.other.str() == "x.service"; }),
      1);
  EXPECT_FALSE(has(*spec, Dependency::After, "a.service"));
  EXPECT_FALSE(has(*spec, Dependency::After, "b.service"));
  for (const DependencyEdge& edge : spec->dependencies) {
    if (edge.kind == Dependency::Before && edge.other.str() == kShutdown) {
      EXPECT_EQ(edge.origin, Origin::file);
    }
  }
}

TEST(Defaults, OfTheManagerGoUnderTheUnitsOwn) {
  Tree tree;
  tree.defaults.set(Directive::TimeoutStartSec, Duration(std::chrono::seconds(7)));
  tree.defaults.set(Directive::RestartSec, Duration(std::chrono::seconds(8)));
  const auto spec = loaded(tree, "a.service", Tree::service() + "RestartSec=1\n");
  EXPECT_EQ(spec->settings.span(Directive::TimeoutStartSec), std::chrono::seconds(7));
  EXPECT_EQ(spec->settings.span(Directive::RestartSec), std::chrono::seconds(1));
  EXPECT_FALSE(
      loaded(tree, "m.target", "[Unit]\nDescription=x\n")->settings.is_set(Directive::RestartSec));
  EXPECT_EQ(loaded(tree, "o.service", Tree::service() + "Type=oneshot\n")
                ->settings.span(Directive::TimeoutStartSec),
            kInfinity);
}

}  // namespace
}  // namespace pidward::unit::test
