#include "runtime/config.hpp"

#include <gmock/gmock.h>

namespace pidward::runtime {
namespace {

using testing::HasSubstr;

TEST(Config, EverySettingIsRead) {
  const auto config = read_config(
      "runtime-directory: /r\nstate-directory: /s\nlog-directory: /l\nunit-path: [/a, /b]\n"
      "systemd-directories: false\ndefault-target: x.target\nbus: required\nlog-level: debug\n"
      "strict-units: true\ncontrol-group: mine\nuse-control-groups: no\ndisabled-features: "
      "[pidfs]\n"
      "log-max-bytes: 1M\nlog-max-files: 3\ndefault-timeout-start: 5s\ndefault-timeout-stop: 6s\n"
      "default-timeout-abort: 7s\ndefault-restart: 1s\ndefault-start-limit-interval: 2s\n"
      "default-start-limit-burst: 9\ndefault-environment: {A: b}\n",
      "p.yaml", {});
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->runtime_directory, "/r");
  EXPECT_EQ(config->unit_path.size(), 2U);
  EXPECT_FALSE(config->systemd_directories);
  EXPECT_EQ(config->bus, BusMode::required);
  EXPECT_EQ(config->log_level, LogLevel::debug);
  EXPECT_TRUE(config->strict_units);
  EXPECT_FALSE(config->use_control_groups);
  EXPECT_EQ(config->log_max_bytes, 1U << 20U);
  EXPECT_EQ(config->log_max_files, 3U);
  EXPECT_EQ(config->default_timeout_abort, Duration(std::chrono::seconds(7)));
  EXPECT_EQ(config->default_start_limit_burst, 9U);
  EXPECT_EQ(config->default_environment, std::vector<std::string>{"A=b"});
}

TEST(Config, TheTimeOfAnAbortMayBeThatOfTheStop) {
  const auto config = read_config("default-timeout-abort: null\n", "p.yaml", {});
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_FALSE(config->default_timeout_abort.has_value());
}

TEST(Config, AnEmptyFileChangesNothing) {
  Config base;
  base.default_target = "kept.target";
  const auto config = read_config("# nothing\n", "p.yaml", base);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->default_target, "kept.target");
}

TEST(Config, AllThatIsWrongIsSaidAtOnceWithItsPlace) {
  for (const char* wrong : {"disabled-features: [nosuch]\n", "default-target: \"not a name\"\n",
                            "default-target: a@.service\n", "control-group: ../x\n"}) {
    const auto refused = read_config(wrong, "p.yaml", {});
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().to_string().find("p.yaml:1"), std::string::npos) << wrong;
  }
  EXPECT_TRUE(read_config("disabled-features: [pidfs]\ncontrol-group: a/b\n", "p.yaml", {}));
  const auto config = read_config("log-levl: info\nbus: maybe\nlog-max-files: 1\n", "p.yaml", {});
  ASSERT_FALSE(config);
  const std::string text = config.error().to_string();
  EXPECT_THAT(
      text, HasSubstr("p.yaml:1:1: there is no setting \"log-levl\"; did you mean \"log-level\"?"));
  EXPECT_THAT(text, HasSubstr("p.yaml:2:6: bus"));
  EXPECT_THAT(text, HasSubstr("p.yaml:3:16: log-max-files"));
}

TEST(Config, WhatIsNotYamlIsAnErrorWithItsLine) {
  const auto config = read_config("bus: [off\n", "p.yaml", {});
  ASSERT_FALSE(config);
  ASSERT_TRUE(config.error().where());
  EXPECT_EQ(config.error().where()->file, "p.yaml");
  EXPECT_FALSE(read_config("- a\n- b\n", "p.yaml", {}));
}

}  // namespace
}  // namespace pidward::runtime
