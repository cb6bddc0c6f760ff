// crash_test: kills the daemon at system call number 1, 2, 3 … of everything that a scripted day
// has it do, lets the next daemon take over, and compares the world with the one that was not
// killed.
//
//   crash_test [--memory] [--first N] [--every N] [--at-most N] [--without-keeper]
//              [--disable-feature NAME] [--only NAME]
//
// Without options every boundary of every deed is tried. A boundary is the entry or the exit of one
// system call of the daemon's main thread; with --memory it is an allocation of any thread of it,
// which then fails.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/core.h>

#include "crash/day.hpp"

int main(int argc, char** argv) {
  pidward::test::DayOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (word == "--first") {
      options.first = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--every") {
      options.every = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--at-most") {
      options.at_most = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--without-keeper") {
      options.keeps = false;
    } else if (word == "--memory") {
      options.memory = true;
    } else if (word == "--only") {
      options.only = value();
    } else if (word == "--disable-feature") {
      options.disabled.push_back(value());
    } else {
      fmt::print(stderr, "crash_test: unknown option {}\n", word);
      return 2;
    }
  }
  return pidward::test::Day(std::move(options)).run();
}
