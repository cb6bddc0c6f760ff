// Settings changed while a unit is loaded.
#include <filesystem>

#include <unistd.h>

#include "bus/wish.hpp"

namespace pidward::test {
namespace {

class SetProperty : public BusFixture {
 protected:
  static Result<bus::MessageRef> set(Client& client, const std::string& name, bool runtime,
                                     const Wish& wish) {
    return client.manager("SetUnitProperties", [&](Writer& out) {
      out.s(name).b(runtime);
      wish.write(out);
    });
  }
};

TEST_F(SetProperty, WritesADropInAndShowsTheValue) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  run_job(client, "StartUnit", "web.service");
  const auto changed = set(client, "web.service", false, Wish().text("Description", "50% changed"));
  ASSERT_TRUE(changed) << changed.error().to_string();
  const std::string file = directory.path("units.control/web.service.d/50-Description.conf");
  auto all = client.properties(bus::unit_path("web.service"));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("Description"), "50% changed");
  EXPECT_EQ(all->text("ActiveState"), "active");
  EXPECT_EQ(all->strings("DropInPaths"), std::vector<std::string>{file});
  ASSERT_TRUE(set(client, "web.service", true, Wish().number("MemoryMax", 1U << 30U)));
  ask(client, "Reload");
  all = client.properties(bus::unit_path("web.service"));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->text("Description"), "50% changed");
  EXPECT_EQ(all->number("MemoryMax"), 1U << 30U);
  EXPECT_TRUE(std::filesystem::exists(
      directory.path("run/system.control/web.service.d/50-MemoryMax.conf")));
}

TEST_F(SetProperty, TakesBoundsAndSharesAndShowsWhatTheyComeTo) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  const auto shown = [&client](const char* name) {
    return client.properties(bus::unit_path("web.service"))->number(name);
  };
  const auto unset = std::uint64_t(-1);
  EXPECT_EQ(shown("MemoryMax"), unset);
  EXPECT_EQ(shown("CPUWeight"), unset);
  EXPECT_EQ(shown("MemoryMin"), 0U);
  EXPECT_EQ(shown("MemoryLow"), 0U);
  const auto share = [](std::uint32_t part) { return [=](Writer& out) { out.u(part); }; };
  ASSERT_TRUE(set(client, "web.service", true,
                  Wish()
                      .number("TasksMax", 100)
                      .number("CPUWeight", 0)
                      .number("CPUQuotaPerSecUSec", 1500000)
                      .value("MemoryMaxScale", "u", share(UINT32_MAX / 2))));
  EXPECT_EQ(shown("TasksMax"), 100U);
  EXPECT_EQ(shown("CPUWeight"), 0U);
  EXPECT_EQ(shown("CPUQuotaPerSecUSec"), 1500000U);
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_LE(shown("MemoryMax"), pages * page / 2);
  EXPECT_GT(shown("MemoryMax"), 0U);
  EXPECT_EQ(directory.read("run/system.control/web.service.d/50-CPUQuota.conf"),
            "# Written by set-property; do not edit.\n[Service]\nCPUQuota=\nCPUQuota=150%\n");
  // Not set any more.
  ASSERT_TRUE(set(client, "web.service", true,
                  Wish().number("CPUWeight", unset).number("TasksMax", unset)));
  EXPECT_EQ(shown("CPUWeight"), unset);
  EXPECT_EQ(shown("TasksMax"), unset);
  for (const auto& [directive, text] :
       std::vector<std::pair<std::string, std::string>>{{"CPUWeight", "0"},
                                                        {"CPUWeight", "10001"},
                                                        {"CPUQuota", "50"},
                                                        {"MemoryMax", "-1"},
                                                        {"MemoryMax", "101%"},
                                                        {"TasksMax", "0"}}) {
    EXPECT_FALSE(set(client, "web.service", true, Wish().assignment(directive, text)))
        << directive << "=" << text;
  }
}

TEST_F(SetProperty, RefusesWhatCannotBeChanged) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  const auto code = [&](const std::string& name, const Wish& wish) {
    const auto answer = set(client, name, true, wish);
    EXPECT_FALSE(answer);
    return answer ? Errc::failed : answer.error().code();
  };
  EXPECT_EQ(code("web.service", Wish().text("User", "nobody")), Errc::invalid_argument);
  EXPECT_EQ(code("web.service", Wish().text("Levitate", "yes")), Errc::invalid_argument);
  EXPECT_EQ(code("web.service", Wish().text("MemoryMax", "lots")), Errc::invalid_argument);
  EXPECT_EQ(code("missing.service", Wish().text("Description", "x")), Errc::no_such_unit);
  EXPECT_EQ(code("no suffix", Wish().text("Description", "x")), Errc::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(directory.path("run/system.control")));
}

}  // namespace
}  // namespace pidward::test
