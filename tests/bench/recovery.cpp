// Times how long a new pidward takes to know again all that the last one supervised: from its start
// to READY=1, and to the moment when it has answered that every service is there with its process.
// Reports; asserts nothing about time.
//   bench-recovery [--services N] [--kills N] [--without-keeper] [--json]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "bench/shared.h"
#include "bus/client/client.hpp"
#include "crash/keeper.hpp"
#include "support/temporary_directory.hpp"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  int services = 2000;
  int kills = 20;
  bool keeps = true;
  bool json = false;
};

void write_units(const pidward::test::TemporaryDirectory& directory, const Options& options,
                 const std::string& child) {
  const std::string board = directory.path("board");
  std::ofstream(board).close();
  fs::resize_file(board, sizeof(bench_board));
  fs::create_directories(directory.path("units/bench.target.wants"));
  directory.write("units/bench.target", "[Unit]\nDescription=All services of the benchmark\n");
  for (int slot = 0; slot < options.services; ++slot) {
    const std::string name = fmt::format("bench-{}.service", slot);
    const std::string file = directory.write(
        "units/" + name, fmt::format("[Unit]\nDescription=Trivial service {}\n"
                                     "DefaultDependencies=no\n[Service]\nExecStart={} {} {}\n"
                                     "Restart=always\n",
                                     slot, child, board, slot));
    fs::create_symlink(file, directory.path("units/bench.target.wants/" + name));
  }
}

/// How many services are active; -1 when the daemon does not answer.
int active_services(pidward::bus::Client& client) {
  const auto units = client.manager("ListUnitsFiltered", [](pidward::bus::Writer& out) {
    out.open_array("s").s("active").close();
  });
  if (!units) return -1;
  int active = 0;
  pidward::bus::Reader unit(units->get());
  for (unit.enter('a', "(ssssssouso)"); unit.enter('r', "ssssssouso"); unit.exit()) {
    active += unit.s().starts_with("bench-") ? 1 : 0;
    unit.skip("sssssouso");
  }
  return active;
}

/// How many main processes are found in the kernel, by a walk through all control groups.
int main_processes(pidward::bus::Client& client) {
  const auto processes = client.manager(
      "ListProcesses", [](pidward::bus::Writer& out) { out.open_array("s").close(); });
  if (!processes) return -1;
  int mains = 0;
  pidward::bus::Reader process(processes->get());
  for (process.enter('a', "(tuusss)"); process.enter('r', "tuusss"); process.exit()) {
    process.skip("tuus");
    mains += process.s() == "main" ? 1 : 0;
    process.skip("s");
  }
  return mains;
}

double ms_since(Clock::time_point begun) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

struct Figures {
  std::vector<double> ready, told, walked;
};

void print(const Options& options, Figures& figures) {
  const auto median = [](std::vector<double>& values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  const double ready = median(figures.ready);
  const double told = median(figures.told);
  const double walked = median(figures.walked);
  if (options.json) {
    fmt::print(
        "{{\"services\":{},\"kills\":{},\"keeper\":{},\"ready_ms\":{:.1f},\"ready_max_ms\":{:.1f},"
        "\"told_ms\":{:.1f},\"walked_ms\":{:.1f}}}\n",
        options.services, options.kills, options.keeps, ready, figures.ready.back(), told, walked);
  } else {
    fmt::print(
        "{} services, {} kills, descriptors kept: {}; everything known, and ready, after {:.1f} ms "
        "(median), {:.1f} ms (longest); a client has the list of all units after {:.1f} ms, and "
        "that of all processes, by a walk through the kernel, after {:.1f} ms\n",
        options.services, options.kills, options.keeps, ready, figures.ready.back(), told, walked);
  }
}

int run(const Options& options) {
  const fs::path tools = fs::read_symlink("/proc/self/exe").parent_path();
  const pidward::test::TemporaryDirectory directory;
  write_units(directory, options, (tools / "bench-child").string());
  pidward::test::Keeper::Options parent;
  parent.directory = directory.path();
  parent.keeps_descriptors = options.keeps;
  parent.command = {(tools.parent_path().parent_path() / "daemon" / "pidward").string(),
                    "--system",
                    "--runtime-dir",
                    directory.path("run"),
                    "--unit-path",
                    directory.path("units"),
                    "--log-dir",
                    directory.path("log"),
                    "--state-dir",
                    directory.path("state"),
                    "--config",
                    directory.write("pidward.yaml", "{}\n"),
                    "--bus",
                    "off",
                    "--log-level",
                    "warning",
                    "--unit",
                    "bench.target"};
  pidward::test::Keeper keeper(parent);
  const std::string socket = directory.path("run/private");
  if (!keeper.start()) return fmt::print(stderr, "pidward does not come up\n"), 1;
  const auto is_up = [&] {
    auto client = pidward::bus::Client::connect({.socket = socket});
    return client && main_processes(*client) == options.services;
  };
  while (keeper.look_after(std::chrono::milliseconds(50)) && !is_up()) {
  }
  Figures figures;
  for (int i = 0; i < options.kills; ++i) {
    // Rest, so that what is measured is one recovery and nothing else.
    if (!keeper.look_after(std::chrono::milliseconds(500))) break;
    keeper.kill();
    const auto begun = Clock::now();
    if (!keeper.start()) break;
    figures.ready.push_back(ms_since(begun));
    auto client = pidward::bus::Client::connect({.socket = socket});
    const int active = client ? active_services(*client) : -1;
    figures.told.push_back(ms_since(begun));
    const int mains = client ? main_processes(*client) : -1;
    figures.walked.push_back(ms_since(begun));
    if (std::min(active, mains) != options.services) {
      fmt::print(stderr, "Of {} services {} are active, with {} main processes\n", options.services,
                 active, mains);
      break;
    }
  }
  const bool whole = static_cast<int>(figures.walked.size()) == options.kills;
  if (!figures.walked.empty()) print(options, figures);
  const auto code = keeper.stop();
  return whole && code == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") {
      options.json = true;
    } else if (word == "--without-keeper") {
      options.keeps = false;
    } else if (word == "--services" && i + 1 < argc) {
      options.services = std::clamp(std::atoi(argv[++i]), 1, static_cast<int>(BENCH_SLOTS));
    } else if (word == "--kills" && i + 1 < argc) {
      options.kills = std::max(1, std::atoi(argv[++i]));
    } else {
      fmt::print(stderr,
                 "usage: bench-recovery [--services N] [--kills N] [--without-keeper] [--json]\n");
      return 2;
    }
  }
  return run(options);
}
