// A real manager on a real loop, with units, logs and sockets in a directory of the test's own and,
// where the system has them, control groups below one of its own.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/manager.hpp"
#include "support/patience.hpp"
#include "support/temporary_directory.hpp"

namespace pidward::runtime {

class ManagerTest : public testing::Test {
 protected:
  void write_unit(const std::string& name, const std::string& text) {
    directory_.write("units/" + name, text);
  }
  void service(const std::string& name, const std::string& lines) {
    write_unit(name, "[Unit]\nDefaultDependencies=no\n[Service]\n" + lines);
  }

  [[nodiscard]] Config config() const {
    Config config;
    config.runtime_directory = directory_.path("run");
    config.state_directory = directory_.path("state");
    config.log_directory = directory_.path("log");
    config.unit_path = {directory_.path("units")};
    config.bus = BusMode::off;
    config.log_level = LogLevel::error;
    config.control_group = fmt::format("pidward-test-{}", ::getpid());
    config.use_control_groups = use_groups_;
    // As the daemon has it, and what the test says besides.
    const char* off = std::getenv("PIDWARD_DISABLE_FEATURES");
    config.disabled_features =
        sys::KernelFeatures::split_names(std::string(off != nullptr ? off : "") + " " + disabled_);
    return config;
  }
  void start_manager() {
    auto manager = Manager::create(io_, config());
    ASSERT_TRUE(manager) << manager.error().to_string();
    manager_ = *std::move(manager);
  }
  void TearDown() override {
    if (!manager_) return;
    manager_->request_exit(0);
    run_until([this] { return manager_->exit_code().has_value(); });
    manager_.reset();
  }

  /// Runs the loop until `done`; gives up, and fails, after a time no machine needs.
  void run_until(const std::function<bool()>& done) {
    boost::asio::steady_timer limit(io_, test::patience());
    bool late = false;
    limit.async_wait([&](const boost::system::error_code& error) { late = late || !error; });
    // What happens outside the loop, such as a shell's forks, is asked for again and again.
    boost::asio::steady_timer tick(io_);
    const std::function<void()> ask_again = [&] {
      tick.expires_after(std::chrono::milliseconds(5));
      tick.async_wait([&](const boost::system::error_code& error) {
        if (!error) ask_again();
      });
    };
    ask_again();
    io_.restart();
    while (!done() && !late && io_.run_one() > 0) {
    }
    tick.cancel();
    limit.cancel();
    io_.restart();
    while (io_.poll_one() > 0) {
    }
    EXPECT_FALSE(late) << "the world did not come to be as expected";
  }

  Result<engine::RequestOutcome> request(const std::string& unit, engine::JobType type) {
    std::optional<Result<engine::RequestOutcome>> outcome;
    JobSubmission submission;
    submission.unit = unit;
    submission.type = type;
    manager_->submit(submission,
                     [&](Result<engine::RequestOutcome> result) { outcome = std::move(result); });
    run_until([&] { return outcome.has_value(); });
    return *outcome;
  }
  void start(const std::string& unit) { ASSERT_TRUE(request(unit, engine::JobType::start)); }
  void stop(const std::string& unit) { ASSERT_TRUE(request(unit, engine::JobType::stop)); }

  engine::UnitStatus status(const std::string& unit) {
    const auto id = manager_->engine().find(*unit::UnitName::parse(unit));
    return id ? manager_->engine().status(*id) : engine::UnitStatus{};
  }
  void wait_for(const std::string& unit, engine::ActiveState state) {
    run_until([&] {
      const engine::UnitStatus now = status(unit);
      return now.active == state && !now.job;
    });
    EXPECT_EQ(engine::to_string(status(unit).active), engine::to_string(state)) << unit;
  }

  bool use_groups_ = true;
  std::string disabled_;  ///< kernel features to do without
  test::TemporaryDirectory directory_;
  boost::asio::io_context io_{1};
  std::unique_ptr<Manager> manager_;
};

}  // namespace pidward::runtime
