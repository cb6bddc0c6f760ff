// A child is made before anybody has written down that it exists, and must not run until somebody
// has: it waits at a gate.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"
#include "sys/kernel.hpp"

namespace pidward::exec {

/// What the parent decided. `waited_at`: not yet, and the child sleeps until it has.
enum class GateState : std::uint32_t { closed, waited_at, open, abandoned };

/// What parent and child share at the gate. Should the parent die before it has decided, the child
/// looks for itself whether it is known: a file that has grown to `recorded_size` says so.
struct GateWords {
  GateState state = GateState::closed;
  std::int32_t record_fd = -1;      ///< the file in which the parent writes; the child has it too
  std::uint64_t recorded_size = 0;  ///< set before that write; 0: it has not come that far
};

/// Memory for one gate, shared even with a child that has its own of everything else. Must outlive
/// the child's way to exec.
class Gate {
 public:
  Gate() = default;
  static Result<Gate> create();
  Gate(Gate&& other) noexcept;
  Gate& operator=(Gate&& other) noexcept;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();
  explicit operator bool() const { return words_ != nullptr; }

  [[nodiscard]] GateWords* words() const { return words_; }
  /// For the next child; only while none looks.
  void reset(GateState state);
  /// Where the record of the child is about to be written, and how long that file is then.
  void announce_record(int fd, std::uint64_t size);
  /// The first decision counts.
  void decide(GateState decision);

 private:
  void unmap() noexcept;
  GateWords* words_ = nullptr;
};

}  // namespace pidward::exec
