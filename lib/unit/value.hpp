// What a directive can hold, once parsed. A Value is plain data: comparable, printable, without
// behaviour.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"

namespace pidward::unit {

/// One ExecStart=-like line (systemd.service(5), "Command lines").
struct ExecCommand {
  std::string path;  ///< what to execute: absolute, or a name to look up in ExecSearchPath=
  std::vector<std::string>
      argv;  ///< argv[0] included; $VAR and ${VAR} are still to be expanded at start
  bool ignore_failure = false;   ///< '-'
  bool no_env_expand = false;    ///< ':'
  bool full_privileges = false;  ///< '+'
  bool no_setuid = false;        ///< '!'
  bool ambient_magic = false;    ///< '!!'
  std::uint32_t line = 0;        ///< where it stands, for messages; not part of equality

  friend bool operator==(const ExecCommand& a, const ExecCommand& b) {
    return a.path == b.path && a.argv == b.argv && a.ignore_failure == b.ignore_failure &&
           a.no_env_expand == b.no_env_expand && a.full_privileges == b.full_privileges &&
           a.no_setuid == b.no_setuid && a.ambient_magic == b.ambient_magic;
  }
};
using ExecList = std::vector<ExecCommand>;

/// One Condition…= or Assert…= line. `kind` is the part behind the prefix: "PathExists".
struct Condition {
  std::string kind;
  std::string parameter;
  bool is_assert = false;
  bool trigger = false;  ///< '|'
  bool negate = false;   ///< '!'
  friend bool operator==(const Condition&, const Condition&) = default;
};
using ConditionList = std::vector<Condition>;

/// Exit codes and signals, as SuccessExitStatus= lists them. Both sorted and unique.
struct ExitStatusSet {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> signals;
  [[nodiscard]] bool empty() const { return codes.empty() && signals.empty(); }
  friend bool operator==(const ExitStatusSet&, const ExitStatusSet&) = default;
};

/// What "infinity" is in a number without a sign.
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// A Limit…=: kNoLimit is infinity.
struct ResourceLimit {
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  friend bool operator==(const ResourceLimit&, const ResourceLimit&) = default;
};

/// Where a standard stream goes: the index of its word in k…Names, and what follows the colon (path
/// or fd name).
struct StreamTarget {
  std::int64_t kind = 0;
  std::string argument;
  friend bool operator==(const StreamTarget&, const StreamTarget&) = default;
};

/// One RuntimeDirectory=-like entry: a relative path and its symlinks ("foo:bar").
struct ExecDirectory {
  std::string path;
  std::vector<std::string> symlinks;
  friend bool operator==(const ExecDirectory&, const ExecDirectory&) = default;
};

/// One Listen…= line of a socket unit. `type` is "Stream", "Datagram", "SequentialPacket", "FIFO",
/// "Netlink", "Special", "MessageQueue", "USBFunction", as the bus's Listen property names them.
struct SocketListen {
  std::string type;
  std::string address;
  friend bool operator==(const SocketListen&, const SocketListen&) = default;
};

struct Calendar;

/// One On…Sec= (`base` "OnBootSec" …, `span`) or OnCalendar= (`base` "OnCalendar", `expression` in
/// its normalised form) of a timer; one PathExists=-like line of a path unit has base "PathExists"
/// and the path in `expression`.
struct Trigger {
  std::string base;
  Duration span{};
  std::string expression;
  std::shared_ptr<const Calendar> calendar;  ///< what the expression of OnCalendar= means
  friend bool operator==(const Trigger& a, const Trigger& b) {
    return a.base == b.base && a.span == b.span && a.expression == b.expression;
  }
};

/// Text kept as written, for directives whose effect is not there yet and whose syntax we do not
/// judge.
struct RawText {
  std::vector<std::string> lines;
  friend bool operator==(const RawText&, const RawText&) = default;
};

/// A T of its own on the heap, with the behaviour of a T: what is large and rare is held so, and a
/// Value stays small. Moved from, it may only be assigned to or destroyed.
template <typename T>
class Boxed {
 public:
  Boxed(T value)  // NOLINT(google-explicit-constructor): a T is to become a Value as all others do
      : held_(std::make_unique<T>(std::move(value))) {}
  Boxed(const Boxed& other) : held_(std::make_unique<T>(*other.held_)) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(const Boxed& other) {
    if (this != &other) held_ = std::make_unique<T>(*other.held_);
    return *this;
  }
  Boxed& operator=(Boxed&&) noexcept = default;
  ~Boxed() = default;

  [[nodiscard]] T& operator*() { return *held_; }
  [[nodiscard]] const T& operator*() const { return *held_; }
  friend bool operator==(const Boxed& a, const Boxed& b) { return *a == *b; }

 private:
  std::unique_ptr<T> held_;
};

/// std::int64_t: integers, choices (index), signals, modes; std::uint64_t: sizes and counts
/// (UINT64_MAX = infinity); std::vector<std::string>: lists of words, paths, names, "KEY=VALUE"
/// assignments.
using Value = std::variant<bool, std::int64_t, std::uint64_t, Duration, std::string,
                           std::vector<std::string>, ExecList, ConditionList, Boxed<ExitStatusSet>,
                           ResourceLimit, Boxed<StreamTarget>, std::vector<ExecDirectory>,
                           std::vector<SocketListen>, std::vector<Trigger>, RawText>;
static_assert(sizeof(Value) <= sizeof(std::string) + sizeof(void*), "there are many of them");

/// What the value holds in a box; nullptr where that is no T.
template <typename T>
[[nodiscard]] const T* boxed(const Value& value) {
  const auto* const box = std::get_if<Boxed<T>>(&value);
  return box == nullptr ? nullptr : &**box;
}

}  // namespace pidward::unit
