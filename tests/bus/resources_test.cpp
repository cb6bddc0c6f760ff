// What a unit uses, freezing it, cleaning up after it, and the manager's remaining queries.
#include <filesystem>

#include "bus/bus_fixture.hpp"

namespace pidward::test {
namespace {

class UnitsAtWork : public BusFixture {
 protected:
  static Data property(Client& client, const std::string& unit, const char* interface,
                       const char* name) {
    const auto value = client.property(bus::unit_path(unit), interface, name);
    EXPECT_TRUE(value) << name << ": " << value.error().to_string();
    return value ? *value : Data{};
  }
  static constexpr const char* kService = "org.pidward1.Service";
};

TEST_F(UnitsAtWork, ShowWhatTheirControlGroupCounts) {
  unit("busy.service",
       "[Service]\nExecStart=/bin/sh -c 'i=0; while [ $i -lt 20000 ]; do "
       "i=$((i+1)); done; exec sleep infinity'\n");
  start({});
  Client client = this->client();
  run_job(client, "StartUnit", "busy.service");
  const std::string group = property(client, "busy.service", kService, "ControlGroup").text;
  if (group.empty()) {
    // Without a writable hierarchy nothing is counted, and that is said as systemd says it.
    EXPECT_EQ(property(client, "busy.service", kService, "CPUUsageNSec").number, UINT64_MAX);
  } else {
    EXPECT_NE(property(client, "busy.service", kService, "CPUUsageNSec").number, UINT64_MAX);
  }
  EXPECT_EQ(property(client, "busy.service", kService, "TasksCurrent").number, 1U);
  EXPECT_EQ(property(client, "busy.service", kService, "UID").number, ::getuid());
  EXPECT_EQ(property(client, "busy.service", kService, "GID").number, ::getgid());
  run_job(client, "StopUnit", "busy.service");
  EXPECT_EQ(property(client, "busy.service", kService, "UID").number, UINT32_MAX);
}

TEST_F(UnitsAtWork, AreFrozenAndThawedByTheirControlGroup) {
  unit("web.service", kSleeper);
  start({});
  Client client = this->client();
  EXPECT_EQ(error_of(client, "FreezeUnit", [](Writer& out) { out.s("web.service"); }),
            Errc::no_such_unit);
  run_job(client, "StartUnit", "web.service");
  const auto state = [&] {
    return property(client, "web.service", bus::kUnitInterface, "FreezerState").text;
  };
  const bool can = property(client, "web.service", bus::kUnitInterface, "CanFreeze").number != 0;
  const auto frozen = client.manager("FreezeUnit", [](Writer& out) { out.s("web.service"); });
  ASSERT_EQ(static_cast<bool>(frozen), can);
  if (!can) {
    EXPECT_EQ(frozen.error().code(), Errc::not_supported);
    return;
  }
  EXPECT_EQ(state(), "frozen");
  ask(client, "ThawUnit", [](Writer& out) { out.s("web.service"); });
  EXPECT_EQ(state(), "running");
  ask(client, "FreezeUnit", [](Writer& out) { out.s("web.service"); });
  // A stop is not held up by the frost.
  EXPECT_EQ(run_job(client, "StopUnit", "web.service"), "done");
  EXPECT_EQ(state(), "running");
}

TEST_F(UnitsAtWork, WithoutControlGroupsFreezingIsRefused) {
  unit("web.service", kSleeper);
  start({"--no-cgroup"});
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  EXPECT_EQ(error_of(client, "FreezeUnit", [](Writer& out) { out.s("web.service"); }),
            Errc::not_supported);
}

TEST_F(UnitsAtWork, AreCleanedWhenTheyAreDown) {
  const std::string name = "pidward-test-" + std::to_string(::getpid());
  unit("dirs.service", "[Service]\nExecStart=/bin/sleep infinity\nRuntimeDirectory=" + name +
                           "\nRuntimeDirectoryPreserve=yes\n");
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "dirs.service");
  const std::string path = "/run/" + name;
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(property(client, "dirs.service", bus::kUnitInterface, "CanClean").strings(),
            std::vector<std::string>{"runtime"});
  const auto clean = [](const std::vector<std::string>& mask) {
    return [mask](Writer& out) { out.s("dirs.service").as(mask); };
  };
  EXPECT_FALSE(client.manager("CleanUnit", clean({"all"})));
  run_job(client, "StopUnit", "dirs.service");
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(error_of(client, "CleanUnit", clean({"everything"})), Errc::invalid_argument);
  EXPECT_FALSE(client.manager("CleanUnit", clean({"state"})));
  EXPECT_TRUE(client.manager("CleanUnit", clean({"runtime"})));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(UnitsAtWork, SayWhichConditionFailed) {
  unit("picky.service", "[Unit]\nConditionPathExists=/\nConditionPathExists=/no/such/path\n" +
                            std::string(kSleeper));
  start();
  Client client = this->client();
  EXPECT_EQ(run_job(client, "StartUnit", "picky.service"), "done");
  const Data rows = property(client, "picky.service", bus::kUnitInterface, "Conditions");
  ASSERT_EQ(rows.items.size(), 2U);
  EXPECT_EQ(rows.items[0].items[4].integer(), 0);
  EXPECT_EQ(rows.items[1].items[4].integer(), -1);
  EXPECT_NE(property(client, "picky.service", bus::kUnitInterface, "ConditionTimestamp").number,
            0U);
}

TEST_F(UnitsAtWork, ACallerInNoUnitHasNoSelf) {
  start();
  Client client = this->client();
  EXPECT_EQ(
      error_name_of(client, "/org/pidward1/unit/self", "org.freedesktop.DBus.Properties", "GetAll"),
      "org.pidward1.NoUnitForPID");
}

TEST_F(UnitsAtWork, ListTheLinksOfAUnitFileAndPresetAll) {
  unit("web.service", std::string(kSleeper) + "[Install]\nWantedBy=multi-user.target\n");
  start();
  Client client = this->client();
  const auto links = [](Writer& out) { out.s("web.service").b(false); };
  EXPECT_TRUE(ask(client, "GetUnitFileLinks", links).items.empty());
  ASSERT_TRUE(client.manager("EnableUnitFiles", [](Writer& out) {
    out.as(std::vector<std::string>{"web.service"}).b(false).b(false);
  }));
  const Data found = ask(client, "GetUnitFileLinks", links);
  ASSERT_EQ(found.items.size(), 1U);
  EXPECT_TRUE(std::filesystem::is_symlink(found.items[0].text));
  EXPECT_TRUE(client.manager("PresetAllUnitFiles",
                             [](Writer& out) { out.s("enable-only").b(false).b(false); }));
  EXPECT_EQ(error_of(client, "PresetAllUnitFiles",
                     [](Writer& out) { out.s("perhaps").b(false).b(false); }),
            Errc::invalid_argument);
}

}  // namespace
}  // namespace pidward::test
