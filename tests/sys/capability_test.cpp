#include "sys/capability.hpp"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include "sys/fd.hpp"

namespace pidward::sys {
namespace {

TEST(Capability, HasTheKernelsNumbers) {
  EXPECT_EQ(capability_number("CAP_CHOWN"), CAP_CHOWN);
  EXPECT_EQ(capability_number("cap_net_bind_service"), CAP_NET_BIND_SERVICE);
  EXPECT_EQ(capability_number("Cap_Sys_Admin"), CAP_SYS_ADMIN);
  EXPECT_EQ(capability_number("cap_setfcap"), CAP_SETFCAP);
  EXPECT_EQ(capability_number("cap_audit_read"), CAP_AUDIT_READ);
  EXPECT_EQ(capability_number("cap_checkpoint_restore"), CAP_CHECKPOINT_RESTORE);
  EXPECT_EQ(capability_number("12"), 12);
}

TEST(Capability, RefusesOtherWords) {
  for (const char* word : {"", "kill", "cap_", "cap_fly", "64", "-1", "12x", "cap_kill "}) {
    EXPECT_FALSE(capability_number(word)) << word;
  }
}

TEST(Capability, NamesEveryNumberItKnowsBack) {
  for (int number = 0; number <= CAP_LAST_CAP; ++number) {
    EXPECT_EQ(capability_number(capability_name(number)), number);
  }
  EXPECT_EQ(capability_name(60), "cap_60");
}

TEST(Capability, KnowsTheLastOneOfThisKernel) {
  const auto text = read_file("/proc/sys/kernel/cap_last_cap");
  ASSERT_TRUE(text);
  EXPECT_EQ(std::to_string(last_capability()) + "\n", *text);
  EXPECT_EQ(all_capabilities(), (CapabilitySet{1} << (last_capability() + 1)) - 1);
}

TEST(Capability, ReadsOurOwnAsTheStatusFileHasThem) {
  const auto own = own_capabilities();
  const auto status = read_file("/proc/thread-self/status");
  ASSERT_TRUE(own && status);
  const std::size_t at = status->find("CapEff:\t");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(own->effective, std::stoull(status->substr(at + 8, 16), nullptr, 16));
}

TEST(Capability, SurvivesTheKernelsLayout) {
  const Capabilities sets{0x123456789abcdef0, 0xfedcba9876543210, 0x00000001ffffffff};
  const Capabilities back = from_raw(to_raw(sets));
  EXPECT_EQ(back.effective, sets.effective);
  EXPECT_EQ(back.permitted, sets.permitted);
  EXPECT_EQ(back.inheritable, sets.inheritable);
}

}  // namespace
}  // namespace pidward::sys
