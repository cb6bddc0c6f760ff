// Preset files and the operation that follows them.
#include "unit/preset.hpp"

#include <cerrno>

#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEtc = Tree::kEtc;
const std::string kUsr = Tree::kUsr;
const std::string kPresets = "/usr/lib/pidward/system-preset/";
const std::string kEtcPresets = "/etc/pidward/system-preset/";

const std::string kInstallable = Tree::service() + "[Install]\nWantedBy=m.target\n";

TEST(Presets, WithoutFilesEverythingIsEnabled) {
  Tree tree;
  EXPECT_EQ(preset_state(tree.context(), name("a.service")), "enabled");
}

TEST(Presets, TheFirstRuleThatFitsDecides) {
  Tree tree;
  tree.files.add_file(kPresets + "50-a.preset",
                      "# comment\n; another\n\n  enable a*.service\ndisable b.service # x\n");
  tree.files.add_file(kPresets + "90-default.preset", "ignore c.*\ndisable *\n");
  tree.files.add_file(kPresets + "99-late", "enable *\n");
  EXPECT_EQ(preset_state(tree.context(), name("abc.service")), "enabled");
  EXPECT_EQ(preset_state(tree.context(), name("b.service")), "disabled");
  EXPECT_EQ(preset_state(tree.context(), name("c.timer")), "ignored");
  EXPECT_EQ(preset_state(tree.context(), name("d.service")), "disabled");
}

TEST(Presets, AFileOfTheSameNameOverridesAndALinkToNullRemoves) {
  Tree tree;
  tree.files.add_file(kPresets + "50.preset", "enable a.service\n");
  tree.files.add_file(kPresets + "60.preset", "disable b.service\n");
  tree.files.add_file(kEtcPresets + "50.preset", "disable a.service\n");
  tree.files.add_link(kEtcPresets + "60.preset", "/dev/null");
  EXPECT_EQ(preset_state(tree.context(), name("a.service")), "disabled");
  EXPECT_EQ(preset_state(tree.context(), name("b.service")), "enabled");
}

TEST(Presets, LinesThatMakeNoSenseAreNamedWithTheirPlace) {
  Tree tree;
  tree.files.add_file(kPresets + "50.preset", "enabel a.service\ndisable\ndisable b.service\n");
  tree.files.add_file(kPresets + "60.preset", "");
  tree.files.fail(kPresets + "60.preset", EIO);
  const Presets presets(tree.files, tree.context().path.preset_dirs);
  ASSERT_EQ(presets.diagnostics().size(), 3U);
  EXPECT_THAT(presets.diagnostics()[0].to_string(),
              HasSubstr("50.preset:1:1: warning: \"enabel\""));
  EXPECT_THAT(presets.diagnostics()[1].to_string(), HasSubstr("50.preset:2:1"));
  EXPECT_THAT(presets.diagnostics()[2].to_string(), HasSubstr("60.preset"));
  EXPECT_EQ(presets.query(name("b.service")).action, PresetAction::disable);
}

TEST(PresetOperation, EnablesAndDisables) {
  Tree tree;
  tree.files.add_file(kPresets + "50.preset", "disable off.service\n");
  tree.files.add_file(kUsr + "on.service", kInstallable);
  tree.files.add_file(kUsr + "off.service", kInstallable);
  tree.files.add_link(kEtc + "m.target.wants/off.service", kUsr + "off.service");
  const InstallRequest request{.operation = InstallOperation::preset,
                               .names = {"on.service", "off.service"}};
  EXPECT_THAT(tree.install(request),
              ElementsAre("+" + kEtc + "m.target.wants/on.service -> " + kUsr + "on.service",
                          "-" + kEtc + "m.target.wants/off.service"));
  EXPECT_THAT(tree.install(request), IsEmpty());
}

TEST(PresetOperation, DoesOnlyHalfWhenAskedTo) {
  Tree tree;
  tree.files.add_file(kPresets + "50.preset", "disable off.service\n");
  tree.files.add_file(kUsr + "on.service", kInstallable);
  tree.files.add_file(kUsr + "off.service", kInstallable);
  tree.files.add_link(kEtc + "m.target.wants/off.service", kUsr + "off.service");
  EXPECT_THAT(tree.install(
                  {.operation = InstallOperation::preset, .preset_mode = PresetMode::disable_only}),
              ElementsAre("-" + kEtc + "m.target.wants/off.service"));
  EXPECT_THAT(
      tree.install({.operation = InstallOperation::preset, .preset_mode = PresetMode::enable_only}),
      ElementsAre("+" + kEtc + "m.target.wants/on.service -> " + kUsr + "on.service"));
}

TEST(PresetOperation, EnablesTheInstancesThatThePresetNames) {
  Tree tree;
  tree.files.add_file(kPresets + "50.preset", "enable t@.service one two\n");
  tree.files.add_file(kUsr + "t@.service", kInstallable);
  EXPECT_THAT(tree.install({.operation = InstallOperation::preset, .names = {"t@.service"}}),
              testing::UnorderedElementsAre(
                  "+" + kEtc + "m.target.wants/t@one.service -> " + kUsr + "t@.service",
                  "+" + kEtc + "m.target.wants/t@two.service -> " + kUsr + "t@.service"));
  EXPECT_EQ(preset_state(tree.context(), name("t@one.service")), "enabled");
}

TEST(PresetOperation, OfAllPassesOverAliasesMasksAndStaticUnits) {
  Tree tree;
  tree.files.add_file(kUsr + "a.service", kInstallable);
  tree.files.add_file(kUsr + "static.service", Tree::service());
  tree.files.add_file(kUsr + "t@.service", kInstallable);
  tree.files.add_link(kUsr + "alias.service", "a.service");
  tree.files.add_link(kEtc + "masked.service", "/dev/null");
  EXPECT_THAT(tree.install({.operation = InstallOperation::preset}),
              ElementsAre("+" + kEtc + "m.target.wants/a.service -> " + kUsr + "a.service"));
}

}  // namespace
}  // namespace pidward::unit::test
