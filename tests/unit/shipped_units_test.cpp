// The units that pidward ships load without a word, and hold together.
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>

#include "unit/loader_tree.hpp"

namespace pidward::unit::test {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

/// Copies a folder of units/ into the tree, links as links.
void copy(const std::string& folder, const std::string& to, MemorySource& files) {
  const fs::path from = fs::path(PIDWARD_SOURCE_DIR) / "units" / folder;
  ASSERT_TRUE(fs::is_directory(from)) << from;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string path = to + "/" + entry.path().filename().string();
    if (entry.is_symlink()) {
      files.add_link(path, fs::read_symlink(entry.path()).string());
    } else if (entry.is_regular_file()) {
      std::ifstream in(entry.path(), std::ios::binary);
      files.add_file(path, std::string(std::istreambuf_iterator<char>(in), {}));
    }
  }
}

void expect_all_load(const Tree& tree) {
  const UnitLoader loader(tree.context());
  ASSERT_FALSE(loader.unit_file_names().empty());
  for (const std::string& text : loader.unit_file_names()) {
    const auto spec = loader.load(name(text));
    EXPECT_EQ(spec->load_state, LoadState::loaded) << text;
    EXPECT_THAT(spec->diagnostics, IsEmpty()) << text << "\n" << errors(*spec) << warnings(*spec);
    EXPECT_FALSE(spec->settings.string(Directive::Description).empty()) << text;
  }
}

TEST(ShippedUnits, OfTheSystemAllLoad) {
  Tree tree;
  copy("system", "/usr/lib/pidward/system", tree.files);
  expect_all_load(tree);
  EXPECT_EQ(tree.load("default.target")->name.str(), "multi-user.target");
  EXPECT_EQ(tree.load("runlevel5.target")->name.str(), "graphical.target");
}

TEST(ShippedUnits, OfUsersAllLoad) {
  Tree tree;
  tree.scope = Scope::user;
  copy("user", "/usr/lib/pidward/user", tree.files);
  expect_all_load(tree);
}

TEST(ShippedUnits, CarryAPackagedServiceWithoutAnythingMissing) {
  Tree tree;
  copy("system", "/usr/lib/pidward/system", tree.files);
  tree.files.add_file(
      "/usr/lib/systemd/system/web.service",
      "[Unit]\nAfter=network-online.target remote-fs.target nss-lookup.target time-sync.target\n"
      "Wants=network-online.target\n[Service]\nExecStart=/bin/"
      "true\n[Install]\nWantedBy=multi-user.target\n");
  tree.files.add_link("/etc/systemd/system/multi-user.target.wants/web.service",
                      "/usr/lib/systemd/system/web.service");
  for (const UnitSpecPtr& spec :
       UnitLoader(tree.context()).load_closure({name("multi-user.target")}, {})) {
    // Named for their order alone, and not there without systemd: the journal's socket and the
    // like.
    const bool optional =
        spec->name.str().rfind("systemd-", 0) == 0 || spec->name.str() == "display-manager.service";
    if (!optional) {
      EXPECT_EQ(spec->load_state, LoadState::loaded) << spec->name.str();
    }
  }
  EXPECT_TRUE(has(*tree.load("multi-user.target"), Dependency::Wants, "web.service"));
  EXPECT_TRUE(has(*tree.load("multi-user.target"), Dependency::After, "web.service"));
}

TEST(ShippedUnits, OfTheDemoAllLoadAndHangTogether) {
  Tree tree;
  copy("system", "/usr/lib/pidward/system", tree.files);
  copy("demo", "/etc/pidward/system", tree.files);
  const auto demo = tree.load("demo.target");
  for (const char* unit :
       {"demo-prepare.service", "demo-web.service", "demo-notify.service", "demo-flaky.service"}) {
    const auto spec = tree.load(unit);
    EXPECT_EQ(spec->load_state, LoadState::loaded) << unit << errors(*spec);
    EXPECT_THAT(spec->diagnostics, IsEmpty()) << unit << warnings(*spec);
    EXPECT_TRUE(has(*demo, Dependency::Wants, unit));
    EXPECT_TRUE(has(*demo, Dependency::After, unit));
    if (std::string_view(unit) != "demo-prepare.service") {
      EXPECT_TRUE(has(*spec, Dependency::After, "demo-prepare.service"));
    }
  }
  EXPECT_EQ(
      tree.load("demo-notify.service")->settings.commands(Directive::ExecStart).at(0).argv.at(1),
      "/etc/pidward/system/demo-notify.pl");
}

}  // namespace
}  // namespace pidward::unit::test
