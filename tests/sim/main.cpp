// sim [--crashes] [--seed N] [--first N] [--count N] [--check-mutations]
// With --crashes the daemon dies now and then and the next one takes over.
// Plays seeded lives of random units and stops at the first broken promise, printing its seed.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fmt/core.h>

#include "sim/world.hpp"

namespace pidward::sim {
namespace {

volatile std::sig_atomic_t seed_low = 0;
volatile std::sig_atomic_t seed_high = 0;

/// A contract that breaks inside the engine aborts: even then the seed must be known.
void say_seed(int) {
  const auto seed = static_cast<std::uint64_t>(static_cast<std::uint32_t>(seed_high)) << 32 |
                    static_cast<std::uint32_t>(seed_low);
  std::fprintf(stderr, "aborted in seed %llu\n", static_cast<unsigned long long>(seed));
}

bool with_crashes = false;

std::optional<Violation> play(std::uint64_t seed, Mutation mutation, bool verbose) {
  seed_low = static_cast<std::sig_atomic_t>(seed);
  seed_high = static_cast<std::sig_atomic_t>(seed >> 32);
  World world(seed, mutation);
  world.verbose = verbose;
  world.crashes = with_crashes;
  return world.live();
}

int play_many(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    if (const auto violation = play(seed, Mutation::none, false)) {
      fmt::print("seed {}: {}\nReplay it with {}--seed {}\n", seed, violation->what,
                 with_crashes ? "--crashes " : "", seed);
      return 1;
    }
  }
  fmt::print("{} schedules from seed {}: every promise held\n", count, first);
  return 0;
}

int play_one(std::uint64_t seed) {
  const auto violation = play(seed, Mutation::none, true);
  fmt::print("seed {}: {}\n", seed, violation ? violation->what : "every promise held");
  return violation ? 1 : 0;
}

/// A watchdog that cannot bark is none: each built-in fault must be noticed in some life.
int check_mutations() {
  constexpr std::uint64_t kLives = 300;
  int missed = 0;
  for (const Mutation mutation :
       {Mutation::lose_exit, Mutation::double_spawn, Mutation::lose_job_removed,
        Mutation::deaf_to_kill, Mutation::lose_disarm, Mutation::forget_order}) {
    std::uint64_t noticed = 0;
    std::string example;
    for (std::uint64_t seed = 1; seed <= kLives; ++seed) {
      const auto violation = play(seed, mutation, false);
      if (!violation) continue;
      if (noticed++ == 0) example = violation->what;
    }
    fmt::print("fault {}: noticed in {} of {} lives, such as: {}\n", static_cast<int>(mutation),
               noticed, kLives, example);
    if (noticed == 0) ++missed;
  }
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pidward::sim

int main(int argc, char** argv) {
  using namespace pidward::sim;
  std::signal(SIGABRT, say_seed);
  std::uint64_t first = 1;
  std::uint64_t count = 1000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--check-mutations") return check_mutations();
    if (word == "--crashes") {
      with_crashes = true;
      continue;
    }
    if (i + 1 == argc) {
      fmt::print(stderr, "sim: {} needs a number\n", word);
      return 2;
    }
    const std::uint64_t number = std::strtoull(argv[++i], nullptr, 10);
    if (word == "--seed") return play_one(number);
    if (word == "--first") {
      first = number;
    } else if (word == "--count") {
      count = number;
    } else {
      fmt::print(stderr, "sim: unknown option {}\n", word);
      return 2;
    }
  }
  return play_many(first, count);
}
