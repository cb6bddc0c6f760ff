// Which streams a service logs through, and where else each of them goes.
#include <gmock/gmock.h>

#include "manager_fixture.hpp"
#include "runtime/state_file.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class LogStreams : public ManagerTest {
 protected:
  /// For each stream of a running service with these lines, the letters of what it is copied to.
  std::vector<std::string> copies(const std::string& name, const std::string& lines) {
    service(name, "ExecStart=/bin/sleep 1000\n" + lines);
    if (!manager_) start_manager();
    start(name);
    wait_for(name, engine::ActiveState::active);
    const auto state = read_state(directory_.path("run/state"), *sys::boot_id());
    EXPECT_TRUE(state);
    std::vector<std::string> found;
    if (!state) return found;
    for (const auto& [key, header] : state->entries) {
      if (!key.starts_with("fd log-")) continue;
      if (header.find("\n" + name + "\n") == std::string::npos) continue;
      found.push_back(header.substr(header.rfind('\n') + 1));
    }
    return found;
  }
};

TEST_F(LogStreams, AreOneWhereOutputAndErrorGoTheSameWays) {
  EXPECT_THAT(copies("a.service", ""), ElementsAre(""));
  EXPECT_THAT(copies("b.service", "StandardOutput=journal\nStandardError=journal\n"),
              ElementsAre(""));
  EXPECT_THAT(copies("c.service", "StandardOutput=journal+console\n"), ElementsAre("c"));
  EXPECT_THAT(copies("d.service", "StandardOutput=kmsg\nStandardError=kmsg\n"), ElementsAre("k"));
}

TEST_F(LogStreams, AreTwoWhereOneOfThemIsCopiedElsewhere) {
  EXPECT_THAT(copies("a.service", "StandardError=journal+console\n"),
              UnorderedElementsAre("", "c"));
  EXPECT_THAT(copies("b.service", "StandardOutput=kmsg\nStandardError=journal\n"),
              UnorderedElementsAre("k", ""));
  EXPECT_THAT(copies("c.service", "StandardOutput=kmsg\nStandardError=kmsg+console\n"),
              UnorderedElementsAre("k", "kc"));
}

TEST_F(LogStreams, AreOfTheStreamThatLogsAlone) {
  EXPECT_THAT(copies("a.service", "StandardOutput=null\nStandardError=kmsg+console\n"),
              ElementsAre("kc"));
  EXPECT_THAT(copies("b.service", "StandardOutput=kmsg\nStandardError=null\n"), ElementsAre("k"));
  EXPECT_THAT(copies("c.service", "StandardOutput=null\nStandardError=null\n"), ElementsAre());
}

}  // namespace
}  // namespace pidward::runtime
