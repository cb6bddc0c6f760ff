// pidward: the daemon. Reads options and configuration, then hands over to the runtime and the bus.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/core.h>
#include <malloc.h>
#include <unistd.h>

#include "bus/server.hpp"
#include "runtime/logger.hpp"
#include "runtime/manager.hpp"
#include "runtime/signals.hpp"
#include "sys/descriptor_reserve.hpp"
#include "sys/fd.hpp"
#include "unit/unit_path.hpp"

#ifndef PIDWARD_VERSION
#error "the build defines PIDWARD_VERSION"
#endif

namespace {

using pidward::Result;
using pidward::runtime::BusMode;
using pidward::runtime::Config;

constexpr int kBadConfiguration = 78;  // EX_CONFIG of sysexits.h
constexpr int kLoggerControl = 3;

struct Options {
  bool user = false;
  bool system = false;
  bool no_cgroup = false;
  bool check_config = false;
  std::string config_file, runtime_dir, state_dir, log_dir, log_level, bus;
  std::vector<std::string> unit_path, disabled, units;
};

void declare(CLI::App& app, Options& options) {
  app.add_flag("--user", options.user, "Supervise one user's units");
  app.add_flag("--system", options.system, "Supervise the system's units (the default for root)");
  app.add_option("--config", options.config_file, "Configuration file");
  app.add_option("--runtime-dir", options.runtime_dir, "Directory of sockets and state");
  app.add_option("--unit-path", options.unit_path,
                 "Directories of unit files, instead of the usual ones")
      ->delimiter(':');
  app.add_option("--log-dir", options.log_dir, "Directory of the services' logs");
  app.add_option("--state-dir", options.state_dir, "Directory of what lasts across reboots");
  app.add_option("--log-level", options.log_level,
                 "emerg, alert, crit, err, warning, notice, info or debug");
  app.add_flag("--no-cgroup", options.no_cgroup, "Run without control groups");
  app.add_option("--disable-feature", options.disabled,
                 "Do without a kernel feature (see pidwardctl features)");
  app.add_option("--bus", options.bus, "auto, off or required")
      ->check(CLI::IsMember({"auto", "off", "required"}));
  app.add_option("--unit", options.units, "Start this unit instead of the default target");
  app.add_flag("--check-config,--test", options.check_config, "Check the configuration and end");
  app.set_version_flag("--version", "pidward " PIDWARD_VERSION);
}

/// Where the configuration is when nobody says otherwise.
std::string usual_file(bool user) {
  if (!user) return "/etc/pidward/pidward.yaml";
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return std::string(value != nullptr ? value : "");
  };
  std::string directory = variable("XDG_CONFIG_HOME");
  if (directory.empty()) directory = variable("HOME") + "/.config";
  return directory + "/pidward/pidward.yaml";
}

Result<Config> read_file(const Options& options, Config base) {
  const bool named = !options.config_file.empty();
  const bool user = base.scope == pidward::unit::Scope::user;
  const std::string path = named ? options.config_file : usual_file(user);
  auto text = pidward::sys::read_file(path);
  if (!text && !named && text.error().sys_errno() == ENOENT) return base;
  if (!text) return std::move(text).error().within("Cannot read the configuration");
  return pidward::runtime::read_config(*text, path, std::move(base));
}

Result<Config> make_config(const Options& options) {
  const bool user = options.user || (!options.system && ::geteuid() != 0);
  auto scope = user ? pidward::unit::Scope::user : pidward::unit::Scope::system;
  auto base = pidward::runtime::default_config(scope);
  // Without a runtime directory in the environment a named one will do.
  if (!base && options.runtime_dir.empty()) return base;
  Config start;
  if (base) start = *std::move(base);
  start.scope = scope;
  PIDWARD_TRY(Config config, read_file(options, std::move(start)));
  if (!options.runtime_dir.empty()) config.runtime_directory = options.runtime_dir;
  if (!options.state_dir.empty()) config.state_directory = options.state_dir;
  if (!options.log_dir.empty()) config.log_directory = options.log_dir;
  if (config.log_directory.empty()) config.log_directory = config.runtime_directory + "/log";
  const char* unit_path =
      std::getenv("PIDWARD_UNIT_PATH");  // NOLINT(concurrency-mt-unsafe): one thread
  if (unit_path != nullptr) config.unit_path = pidward::unit::split_unit_path(unit_path);
  if (!options.unit_path.empty()) config.unit_path = options.unit_path;
  if (!options.log_level.empty()) {
    PIDWARD_TRY(config.log_level, pidward::parse_log_level(options.log_level));
  }
  if (options.no_cgroup) config.use_control_groups = false;
  if (options.bus == "off") config.bus = BusMode::off;
  if (options.bus == "auto") config.bus = BusMode::automatic;
  if (options.bus == "required") config.bus = BusMode::required;
  const char* list =
      std::getenv("PIDWARD_DISABLE_FEATURES");  // NOLINT(concurrency-mt-unsafe): one thread
  for (const std::string& name :
       pidward::sys::KernelFeatures::split_names(list != nullptr ? list : "")) {
    config.disabled_features.push_back(name);
  }
  config.disabled_features.insert(config.disabled_features.end(), options.disabled.begin(),
                                  options.disabled.end());
  config.boot_units = options.units;
  config.logger_program = "/proc/self/exe";
  return config;
}

int complain(const pidward::Error& error, int code) {
  fmt::print(stderr, "pidward: {}\n", error.to_string());
  return code;
}

int serve(boost::asio::io_context& io, pidward::runtime::Manager& manager) {
  auto server = pidward::bus::Server::create(io, manager);
  if (!server) return complain(server.error(), EXIT_FAILURE);
  manager.boot();
  io.run();
  return manager.exit_code().value_or(EXIT_FAILURE);
}

int supervise(Config config) {
  // A loop and a few workers: one heap is enough, and it gives back what it does not need.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  boost::asio::io_context io(1);
  auto manager = pidward::runtime::Manager::create(io, std::move(config));
  if (!manager) return complain(manager.error(), EXIT_FAILURE);
  const int code = serve(io, **manager);
  if ((*manager)->end()) return code;
  complain(pidward::Error(pidward::Errc::timed_out,
                          "What was asked of a file system has not been answered; not waited for"),
           code);
  ::_exit(code);
}

// The same program, started again by the daemon: --logger DIRECTORY MAX_BYTES MAX_FILES.
int log_for_daemon(char** arguments) {
  pidward::runtime::LoggerSettings settings;
  settings.directory = arguments[2];
  settings.limits.max_bytes = std::strtoull(arguments[3], nullptr, 10);
  settings.limits.max_files = static_cast<std::uint32_t>(std::strtoul(arguments[4], nullptr, 10));
  return pidward::runtime::run_logger(kLoggerControl, settings);
}

/// An allocation failed. Nothing is unwound: that would let go of what is held, step by step and
/// half-way through whatever was being done. As after SIGKILL, the next daemon goes on from what
/// was written down.
[[noreturn]] void out_of_memory() {
  constexpr std::string_view kWords =
      "pidward: There is no memory left, and pidward ends; what it supervises runs on, and the "
      "next "
      "one takes over\n";
  const ssize_t written = ::write(STDERR_FILENO, kWords.data(), kWords.size());
  static_cast<void>(written);
  ::_exit(EXIT_FAILURE);
}

int run(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == "--logger") return log_for_daemon(argv);
  // What was kept for us may have all the numbers that we were allowed.
  static_cast<void>(pidward::sys::raise_descriptor_limit());
  // An end that is asked for while we are still coming up is one in order, too.
  pidward::runtime::Signals::block();
  Options options;
  CLI::App app("pidward supervises services and knows each process by its pidfd");
  declare(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  auto config = make_config(options);
  if (!config) return complain(config.error(), kBadConfiguration);
  if (options.check_config) return EXIT_SUCCESS;
  return supervise(*std::move(config));
}

}  // namespace

int main(int argc, char** argv) {
  std::set_new_handler(out_of_memory);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "pidward: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
