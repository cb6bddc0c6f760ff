// What settings are in the interface files of a control group.
#include "runtime/resource_control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/value_parse.hpp"

namespace pidward::runtime {
namespace {

using ::testing::ElementsAre;
using unit::Directive;

constexpr MachineSize kMachine{.memory = 1000000, .tasks = 400};

class ResourceFiles : public ::testing::Test {
 protected:
  void set(Directive id, std::string_view text) {
    settings_.set(id, *unit::parse_value(unit::row(id), text));
  }
  /// "NAME=TEXT", and a '-' in front where the unit does not say so.
  [[nodiscard]] std::string file(std::string_view name) const {
    for (const ControlFile& each : control_files(settings_, kMachine)) {
      if (each.name == name) return (each.is_set ? "" : "-") + each.text;
    }
    return "no such file";
  }
  unit::Settings settings_;
};

TEST_F(ResourceFiles, AreAsInANewGroupWhereNothingIsSet) {
  EXPECT_FALSE(limits_anything(settings_));
  for (const ControlFile& each : control_files(settings_, kMachine)) {
    EXPECT_FALSE(each.is_set) << each.name;
  }
  EXPECT_EQ(file("cpu.weight"), "-100");
  EXPECT_EQ(file("cpu.idle"), "-0");
  EXPECT_EQ(file("cpu.max"), "-max 100000");
  EXPECT_EQ(file("memory.low"), "-0");
  EXPECT_EQ(file("memory.max"), "-max");
  EXPECT_EQ(file("pids.max"), "-max");
  EXPECT_EQ(file("cpuset.cpus"), "-");
}

TEST_F(ResourceFiles, HaveBytesAndSharesOfWhatThereIs) {
  set(Directive::MemoryMax, "1K");
  set(Directive::MemoryHigh, "12.5%");
  set(Directive::MemorySwapMax, "0");
  set(Directive::MemoryMin, "infinity");
  set(Directive::TasksMax, "25%");
  EXPECT_TRUE(limits_anything(settings_));
  EXPECT_EQ(file("memory.max"), "1024");
  EXPECT_EQ(file("memory.high"), "125000");
  EXPECT_EQ(file("memory.swap.max"), "0");
  EXPECT_EQ(file("memory.min"), "max");
  EXPECT_EQ(file("pids.max"), "100");
}

TEST_F(ResourceFiles, HaveQuotasInTheirPeriod) {
  set(Directive::CPUQuota, "150%");
  EXPECT_EQ(file("cpu.max"), "150000 100000");
  set(Directive::CPUQuotaPeriodSec, "10ms");
  EXPECT_EQ(file("cpu.max"), "15000 10000");
  set(Directive::CPUQuotaPeriodSec, "1h");
  EXPECT_EQ(file("cpu.max"), "1500000 1000000");
  set(Directive::CPUQuota, "0.01%");
  EXPECT_EQ(file("cpu.max"), "1000 1000000");
  settings_.unset(Directive::CPUQuota);
  EXPECT_EQ(file("cpu.max"), "max 1000000");
}

TEST_F(ResourceFiles, HaveNoWeightWhereTheUnitIsIdle) {
  set(Directive::CPUWeight, "20");
  EXPECT_EQ(file("cpu.weight"), "20");
  EXPECT_EQ(file("cpu.idle"), "-0");
  set(Directive::CPUWeight, "idle");
  EXPECT_EQ(file("cpu.idle"), "1");
  EXPECT_EQ(file("cpu.weight"), "no such file");
}

TEST_F(ResourceFiles, HaveSetsAsTheKernelWritesThem) {
  set(Directive::AllowedCPUs, "0 1 2 5 8-9");
  EXPECT_EQ(file("cpuset.cpus"), "0-2,5,8-9");
  set(Directive::AllowedMemoryNodes, "0");
  EXPECT_EQ(file("cpuset.mems"), "0");
}

TEST_F(ResourceFiles, NeedTheControllersOfWhatIsSetOrCounted) {
  EXPECT_THAT(wanted_controllers(settings_), ElementsAre("memory", "pids"));
  set(Directive::CPUQuota, "10%");
  set(Directive::AllowedCPUs, "0");
  set(Directive::IOAccounting, "yes");
  set(Directive::TasksAccounting, "no");
  EXPECT_THAT(wanted_controllers(settings_), ElementsAre("memory", "io", "cpu", "cpuset"));
  set(Directive::TasksMax, "5");
  EXPECT_THAT(wanted_controllers(settings_), ElementsAre("memory", "io", "cpu", "pids", "cpuset"));
}

TEST_F(ResourceFiles, AreNumbersOnTheBus) {
  EXPECT_EQ(resource_number(Directive::MemoryMax, "50%", kMachine), 500000U);
  EXPECT_EQ(resource_number(Directive::TasksMax, "50%", kMachine), 200U);
  EXPECT_EQ(resource_number(Directive::CPUQuota, "25.5%", kMachine), 255000U);
  EXPECT_EQ(resource_number(Directive::CPUWeight, "idle", kMachine), 0U);
  EXPECT_EQ(resource_number(Directive::MemoryMax, "infinity", kMachine), UINT64_MAX);
  EXPECT_EQ(resource_number(Directive::MemoryMax, "", kMachine), std::nullopt);
  EXPECT_GT(machine_size().memory, 0U);
  EXPECT_GT(machine_size().tasks, 0U);
}

TEST(Words, AreFoundWhole) {
  EXPECT_TRUE(has_word("cpuset cpu io\n", "cpu"));
  EXPECT_TRUE(has_word("cpuset cpu io\n", "io"));
  EXPECT_FALSE(has_word("cpuset io\n", "cpu"));
  EXPECT_FALSE(has_word("", "cpu"));
}

TEST_F(ResourceFiles, DelegationAsksForControllers) {
  EXPECT_FALSE(delegated_controllers(settings_));
  set(Directive::Delegate, "cpu memory");
  EXPECT_THAT(*delegated_controllers(settings_), ElementsAre("cpu", "memory"));
  EXPECT_THAT(wanted_controllers(settings_), ElementsAre("memory", "pids", "cpu"));
  set(Directive::Delegate, "yes");
  EXPECT_THAT(*delegated_controllers(settings_),
              ElementsAre("cpu", "cpuset", "io", "memory", "pids"));
  set(Directive::Delegate, "no");
  EXPECT_FALSE(delegated_controllers(settings_));
  set(Directive::Delegate, "devices pids");
  EXPECT_THAT(*delegated_controllers(settings_), ElementsAre("pids"));
  set(Directive::Delegate, "");
  EXPECT_THAT(*delegated_controllers(settings_), ElementsAre());
}

}  // namespace
}  // namespace pidward::runtime
