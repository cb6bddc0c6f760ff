#include "process/process_name.hpp"

#include <gtest/gtest.h>

#include "sys/live_child.hpp"

namespace pidward::process {
namespace {

using sys::Feature;
using test::LiveChild;

TEST(ProcessName, IsANumberAnInodeOrBoth) {
  const auto both = parse_process_name("4711:123456789012", BareNumber::pid);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->pid, 4711);
  EXPECT_EQ(both->inode, ProcessId(123456789012));
  const auto pid = parse_process_name("4711", BareNumber::pid);
  ASSERT_TRUE(pid);
  EXPECT_EQ(pid->pid, 4711);
  EXPECT_FALSE(pid->inode);
  const auto inode = parse_process_name("4711", BareNumber::inode);
  ASSERT_TRUE(inode);
  EXPECT_FALSE(inode->pid);
  EXPECT_EQ(inode->inode, ProcessId(4711));
}

TEST(ProcessName, RefusesWhatIsNone) {
  for (const char* text : {"", ":", "1:", ":1", "0", "0:5", "5:0", "-1", "1:2:3", "1:x", "x", " 1",
                           "99999999999", "99999999999:1", "1:99999999999999999999"}) {
    const auto name = parse_process_name(text, BareNumber::pid);
    ASSERT_FALSE(name) << text;
    EXPECT_EQ(name.error().code(), Errc::invalid_argument) << text;
  }
}

TEST(ProcessName, LeadsToTheProcessWhoseNumbersBelongTogether) {
  const auto features = sys::KernelFeatures::probe();
  ASSERT_TRUE(features);
  const LiveChild child = LiveChild::sleeping();
  const auto by_pid = open_by_name({child.pid(), {}}, *features);
  ASSERT_TRUE(by_pid);
  EXPECT_EQ(*by_pid->pid(), child.pid());
  if (!features->has(Feature::pidfs)) {
    EXPECT_EQ(open_by_name({child.pid(), ProcessId(1)}, *features).error().code(),
              Errc::not_supported);
    return;
  }
  const ProcessId inode(*child.pidfd().inode());
  EXPECT_TRUE(open_by_name({child.pid(), inode}, *features));
  const auto wrong = open_by_name({child.pid(), ProcessId(inode.number() + 1)}, *features);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Errc::process_mismatch);
  for (const std::string& number : {std::to_string(child.pid()), std::to_string(inode.number()),
                                    std::to_string(inode.number() + 1)}) {
    EXPECT_NE(wrong.error().message().find(number), std::string::npos) << wrong.error().message();
  }
  if (features->has(Feature::pidfs_handles)) {
    const auto by_inode = open_by_name({{}, inode}, *features);
    ASSERT_TRUE(by_inode) << by_inode.error().to_string();
    EXPECT_EQ(*by_inode->pid(), child.pid());
  }
}

TEST(ProcessName, OfAnotherProcessIsRefusedForAnOpenOne) {
  const LiveChild one = LiveChild::sleeping();
  const LiveChild two = LiveChild::sleeping();
  EXPECT_TRUE(check_name(one.pidfd(), {one.pid(), {}}));
  EXPECT_EQ(check_name(one.pidfd(), {two.pid(), {}}).error().code(), Errc::process_mismatch);
}

}  // namespace
}  // namespace pidward::process
