#include <set>
#include <string>

#include <gtest/gtest.h>

#include "unit/directive.hpp"
#include "unit/enums.hpp"
#include "unit/spec.hpp"
#include "unit/value_parse.hpp"

namespace pidward::unit {
namespace {

struct Known {
  Section section;
  std::string_view name;
};
constexpr Known kKnown[] = {
#define KNOWN(section, name) {Section::section, #name},
#include "unit/known_directives.inc"
#undef KNOWN
};

TEST(DirectiveTable, HasARowForEveryDirectiveOfSystemd) {
  for (const Known& known : kKnown) {
    EXPECT_NE(find_row(known.section, known.name), nullptr)
        << "[" << to_string(known.section) << "] " << known.name;
  }
  EXPECT_GT(std::size(kKnown), 400U);
}

TEST(DirectiveTable, IsIndexedByItsDirectives) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < directive_table().size(); ++i) {
    const Row& each = directive_table()[i];
    EXPECT_EQ(static_cast<std::size_t>(each.id), i);
    EXPECT_EQ(&row(each.id), &each);
    EXPECT_TRUE(names.insert(each.name).second) << each.name << " has two rows";
    EXPECT_NE(each.sections, 0) << each.name;
    EXPECT_FALSE(each.summary.empty()) << each.name;
    EXPECT_TRUE(each.summary.ends_with('.')) << each.name;
    EXPECT_EQ(each.bus_name.empty(), each.bus_type.empty()) << each.name;
  }
}

TEST(DirectiveTable, GivesEveryChoiceItsWordsAndOnlyThose) {
  for (const Row& each : directive_table()) {
    const bool wants_words = each.syntax == Syntax::choice || each.syntax == Syntax::stream_input ||
                             each.syntax == Syntax::stream_output;
    if (wants_words) {
      EXPECT_FALSE(each.choices.empty()) << each.name;
    } else if (each.syntax != Syntax::tristate) {
      EXPECT_TRUE(each.choices.empty()) << each.name;
    }
  }
}

TEST(DirectiveTable, HasDefaultsThatParseAndBelongToTheirSyntax) {
  for (const Row& each : directive_table()) {
    const Value* const value = default_value(each.id);
    EXPECT_EQ(value != nullptr, !each.default_text.empty()) << each.name;
  }
  EXPECT_EQ(std::get<Duration>(*default_value(Directive::RestartSec)),
            std::chrono::milliseconds(100));
  EXPECT_EQ(std::get<std::int64_t>(*default_value(Directive::KillSignal)), 15);
  EXPECT_EQ(std::get<std::uint64_t>(*default_value(Directive::CapabilityBoundingSet)),
            ~std::uint64_t{0});
  EXPECT_EQ(default_value(Directive::ExecStart), nullptr);
}

TEST(DirectiveTable, FindsOldNamesUnderTheirNewOnes) {
  EXPECT_EQ(find_row(Section::Unit, "BindTo")->id, Directive::BindsTo);
  EXPECT_EQ(find_row(Section::Service, "StartLimitBurst")->id, Directive::StartLimitBurst);
  EXPECT_EQ(find_row(Section::Service, "ReadOnlyDirectories")->id, Directive::ReadOnlyPaths);
  EXPECT_EQ(find_row(Section::Unit, "ReadOnlyDirectories"), nullptr);
  EXPECT_EQ(find_row(Section::Unit, "ExecStart"), nullptr);
  for (const Alias& alias : alias_table()) {
    for (std::size_t i = 0; i < kSections; ++i) {
      const auto section = static_cast<Section>(i);
      if ((alias.sections & section_bit(section)) == 0) continue;
      EXPECT_EQ(find_row(section, alias.name)->id, alias.target) << alias.name;
    }
  }
}

TEST(DirectiveTable, FindsRowsByTheirBusName) {
  EXPECT_EQ(find_bus_row(Section::Service, "RestartUSec")->id, Directive::RestartSec);
  EXPECT_EQ(find_bus_row(Section::Service, "Environment")->id, Directive::Environment);
  EXPECT_EQ(find_bus_row(Section::Timer, "RestartUSec"), nullptr);
  EXPECT_EQ(find_bus_row(Section::Service, ""), nullptr);
}

TEST(DirectiveTable, SuggestsTheNearestName) {
  EXPECT_EQ(nearest_name(Section::Service, "ExecStrat"), "ExecStart");
  EXPECT_EQ(nearest_name(Section::Service, "execstart"), "ExecStart");
  EXPECT_EQ(nearest_name(Section::Service, "Restrat"), "Restart");
  EXPECT_EQ(nearest_name(Section::Unit, "Descripton"), "Description");
  EXPECT_EQ(nearest_name(Section::Unit, "SomethingElse"), std::nullopt);
  EXPECT_EQ(nearest_name(Section::Unit, ""), std::nullopt);
  EXPECT_EQ(nearest_name(Section::Unit, std::string(100000, 'a')), std::nullopt);
}

TEST(DirectiveTable, KeepsListsThatBelongTogetherInOnePlace) {
  EXPECT_EQ(stored_under(Directive::AssertPathExists), kConditionStore);
  EXPECT_EQ(stored_under(Directive::ListenDatagram), kListenStore);
  EXPECT_EQ(stored_under(Directive::OnBootSec), kTimerStore);
  EXPECT_EQ(stored_under(Directive::PathChanged), kPathStore);
  EXPECT_EQ(stored_under(Directive::StandardInputText), kInputDataStore);
  EXPECT_EQ(stored_under(Directive::ExecStart), Directive::ExecStart);
  for (const Row& each : directive_table())
    EXPECT_EQ(stored_under(stored_under(each.id)), stored_under(each.id));
}

TEST(DirectiveTable, HasADependencyKindForEveryDependencyDirective) {
  for (const Row& each : directive_table()) {
    if (each.syntax != Syntax::unit_names || each.id == Directive::Sockets) continue;
    bool found = false;
    for (std::size_t i = 0; i < kDependencies; ++i)
      found = found || to_string(static_cast<Dependency>(i)) == each.name;
    EXPECT_TRUE(found) << each.name;
  }
}

TEST(DirectiveTable, KnowsItsSections) {
  EXPECT_EQ(parse_section("Service"), Section::Service);
  EXPECT_EQ(parse_section("service"), std::nullopt);
  EXPECT_EQ(to_string(Section::Install), "Install");
}

TEST(Settings, FallBackToDefaultsAndThenToZero) {
  Settings settings;
  EXPECT_EQ(settings.span(Directive::RestartSec), std::chrono::milliseconds(100));
  EXPECT_EQ(settings.string(Directive::User), "");
  EXPECT_TRUE(settings.commands(Directive::ExecStart).empty());
  EXPECT_EQ(settings.choice<KillMode>(Directive::KillMode), KillMode::control_group);
  EXPECT_FALSE(settings.is_set(Directive::RestartSec));
  settings.set(Directive::RestartSec, Duration(5));
  settings.set(Directive::User, std::string("nobody"));
  settings.set(Directive::RestartSec, Duration(7));
  EXPECT_EQ(settings.span(Directive::RestartSec), Duration(7));
  EXPECT_EQ(settings.entries().size(), 2U);
  settings.unset(Directive::RestartSec);
  settings.unset(Directive::RestartSec);
  EXPECT_EQ(settings.span(Directive::RestartSec), std::chrono::milliseconds(100));
  EXPECT_EQ(settings.string(Directive::User), "nobody");
}

}  // namespace
}  // namespace pidward::unit
