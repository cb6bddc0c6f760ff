// Bystanders: processes that come and go as fast as they can be made, take every number that falls
// free, and are nobody's to touch. One process makes and collects them, and knows from what each
// one died: by its order, of the naive actor's signal, or of anything else.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <optional>

#include <sys/types.h>

#include "sys/pidfd.hpp"

namespace pidward::test {

/// What the one who acts by number sends. Nothing else here does.
inline constexpr int kNaiveSignal = SIGUSR2;

/// Shared by the process that makes the bystanders and the one that watches the daemon.
struct Board {
  struct Birth {
    std::atomic<std::uint64_t> inode;
    std::atomic<pid_t> number;
  };
  static constexpr std::size_t kBirths = 1U << 16U;

  std::atomic<bool> over;
  std::atomic<std::uint64_t> made;    ///< bystanders so far
  std::atomic<std::uint64_t> wraps;   ///< times that the numbers began anew
  std::atomic<std::uint64_t> naive;   ///< ended by the naive actor
  std::atomic<std::uint64_t> wrong;   ///< ended by somebody else
  std::atomic<int> wrong_signal;      ///< of the last of these
  std::atomic<int> failed_at;         ///< line at which the harness gave up
  std::atomic<pid_t> wanted;          ///< keep the bystander that has this number
  std::atomic<std::uint32_t> ticket;  ///< counts wishes; futex
  std::atomic<std::uint32_t> kept;    ///< ticket of the wish that is fulfilled; futex
  std::array<Birth, kBirths> births;  ///< the latest ones

  /// The number that a bystander with this inode had, if it is among the latest.
  [[nodiscard]] std::optional<pid_t> number_of(std::uint64_t inode) const;
  /// Waits until a bystander has the number, which it then keeps until let_go(). False when nobody
  /// got it for a time no machine needs: somebody else has it.
  [[nodiscard]] bool keep(pid_t number);
  void let_go();
};

/// Makes and ends bystanders until the board says it is over; a number that is wanted is asked for
/// by name as soon as it is free. Returns an exit code.
int churn(Board& board);

}  // namespace pidward::test
