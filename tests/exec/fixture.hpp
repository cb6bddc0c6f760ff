// Runs one command of a made-up unit through the real compile and spawn, and collects what it
// wrote.
#pragma once

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "exec/spawn.hpp"

namespace pidward::exec {

struct RunResult {
  Compiled compiled;                   ///< what compile() said; the plan itself is gone
  std::optional<ExecOutcome> outcome;  ///< absent when there was nothing to spawn
  ExitStatus status;
  std::string output;
};

/// The parameter: with how many descriptors open a child is handed its own instead of copies of
/// all.
class ExecTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pidward-exec-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::filesystem::permissions(directory_, std::filesystem::perms::all);
    request_.roots = {directory_ + "/run", directory_ + "/state", directory_ + "/cache",
                      directory_ + "/logs", directory_ + "/etc"};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static unit::UnitName name() { return *unit::UnitName::parse("sample.service"); }

  void set(unit::Directive directive, unit::Value value) {
    settings_.set(directive, std::move(value));
  }
  /// `argv` as ExecStart=, its output into a file.
  unit::ExecCommand& command(std::vector<std::string> argv) {
    command_ = {};
    command_.path = argv.at(0);
    command_.argv = std::move(argv);
    return command_;
  }
  /// The shell is to expand the variables in `script`, not the command line.
  unit::ExecCommand& shell(const std::string& script) {
    command({"/bin/sh", "-c", script}).no_env_expand = true;
    return command_;
  }

  /// The request as it stands, with the settings made so far.
  ExecRequest request() {
    auto spec = std::make_shared<unit::UnitSpec>(name());
    spec->settings = settings_;
    spec->settings.set(unit::Directive::ExecStart, unit::ExecList{command_});
    if (!settings_.is_set(unit::Directive::StandardOutput)) {
      spec->settings.set(unit::Directive::StandardOutput, output_to(output_path()));
    }
    request_.spec = spec;
    return request_;
  }
  static unit::StreamTarget output_to(const std::string& path) {
    return {static_cast<std::int64_t>(unit::StandardOutput::truncate), path};
  }
  [[nodiscard]] std::string output_path() const { return directory_ + "/output"; }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  RunResult run() {
    RunResult result;
    result.compiled = compile(request());
    if (!result.compiled.plan) return result;
    auto child = spawner_.spawn(std::move(result.compiled.plan));
    if (!child) {
      ADD_FAILURE() << child.error().to_string();
      return result;
    }
    result.outcome = wait_for_outcome(*child);
    result.status = wait_for_end(child->pidfd());
    result.output = read(output_path());
    return result;
  }

  static ExecOutcome wait_for_outcome(SpawnedChild& child) {
    for (;;) {
      pollfd waiting{child.report_fd(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      if (auto outcome = child.outcome()) return *outcome;
    }
  }
  static ExitStatus wait_for_end(const sys::Pidfd& pidfd) {
    pollfd waiting{pidfd.get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    auto end = pidfd.reap();
    if (!end || !*end) {
      ADD_FAILURE() << "could not be reaped";
      return {};
    }
    return (*end)->status;
  }
  static std::string read(const std::string& file) {
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(path(file)) << text;
  }

  std::string directory_;
  unit::Settings settings_;
  unit::ExecCommand command_;
  ExecRequest request_;
  Spawner spawner_{GetParam()};
};

inline auto copied_or_handed_over() {
  return ::testing::Values(std::numeric_limits<int>::max(), 0);
}
inline std::string way_of(const ::testing::TestParamInfo<int>& info) {
  return info.param == 0 ? "HandedOver" : "Copied";
}

inline bool is_root() {
  return ::geteuid() == 0;
}

}  // namespace pidward::exec
