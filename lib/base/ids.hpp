// Strong ids: numbers of different things do not mix.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace pidward {

/// A number that means one kind of thing. Zero is "none" everywhere.
template <typename Tag, typename Number>
class StrongId {
 public:
  using number_type = Number;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Number number) : number_(number) {}
  [[nodiscard]] constexpr Number number() const { return number_; }
  constexpr explicit operator bool() const { return number_ != 0; }
  friend constexpr auto operator<=>(StrongId,
                                    StrongId) = default;  // NOLINT(modernize-use-nullptr): misread

 private:
  Number number_ = 0;
};

/// A process, named by the inode number of its pidfd. Unique until reboot where the kernel has
/// pidfs (6.9); on older kernels unique among the processes we hold. Never a PID.
using ProcessId = StrongId<struct ProcessIdTag, std::uint64_t>;
/// A unit loaded in the engine. Never reused while the daemon runs.
using UnitId = StrongId<struct UnitIdTag, std::uint32_t>;
/// A job, numbered from 1 as systemd does; visible on the bus.
using JobId = StrongId<struct JobIdTag, std::uint32_t>;
/// One attempt to start a process. Never reused while the daemon runs.
using SpawnId = StrongId<struct SpawnIdTag, std::uint64_t>;

/// 128 random bits naming one activation of one unit (systemd.exec(5), $INVOCATION_ID).
struct InvocationId {
  std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] bool is_null() const;
  /// 32 lower-case hex digits.
  [[nodiscard]] std::string to_string() const;
  static Result<InvocationId> parse(std::string_view hex);
  friend bool operator==(const InvocationId&, const InvocationId&) = default;
};

}  // namespace pidward

template <typename Tag, typename Number>
struct std::hash<pidward::StrongId<Tag, Number>> {
  std::size_t operator()(pidward::StrongId<Tag, Number> id) const noexcept {
    return std::hash<Number>{}(id.number());
  }
};
