// Errors as values: what went wrong, where, why, and what to do about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidward {

/// What kind of failure this is, as far as a caller may want to act on it. The bus gives each its
/// D-Bus error name.
enum class Errc : std::uint8_t {
  failed,            ///< anything without a kind of its own; sys_errno often says more
  invalid_argument,  ///< the caller's words are off
  not_found,         ///< a file, a directory, a key
  access_denied,     ///< the caller may not do this
  not_supported,     ///< by this kernel, this build or this mode
  limit_exceeded,    ///< descriptors, memory, queue length
  timed_out,
  syntax,  ///< a unit file or configuration that does not parse
  no_such_unit,
  unit_exists,
  unit_masked,
  unit_load_failed,  ///< bad setting, unreadable fragment
  unit_inactive,
  only_by_dependency,  ///< RefuseManualStart=/RefuseManualStop=
  no_isolation,        ///< AllowIsolate=no
  no_such_job,
  job_type_not_applicable,  ///< reload of a unit that cannot reload
  transaction_destructive,
  transaction_cyclic,
  transaction_conflict,  ///< jobs that exclude each other and cannot be merged
  shutting_down,
  no_such_process,
  process_mismatch,  ///< a pid and an inode that do not belong together
};

/// A place in a file that a person wrote. Lines and columns count from 1; 0 means unknown.
struct Location {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  friend bool operator==(const Location&, const Location&) = default;
  /// "FILE:LINE:COLUMN", leaving out what is unknown.
  [[nodiscard]] std::string to_string() const;
};

/// One failure. `message` is a sentence for a person; `advice`, where there is any, says what to
/// do.
class Error {
 public:
  Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

  /// A failed system call: "WHAT: strerror". `errno_value` is positive.
  static Error from_errno(int errno_value, std::string_view what);

  [[nodiscard]] Errc code() const { return code_; }
  /// Positive errno of the system call behind this, or 0.
  [[nodiscard]] int sys_errno() const { return sys_errno_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::optional<Location>& where() const { return where_; }
  [[nodiscard]] const std::string& advice() const { return advice_; }

  Error&& with_code(Errc code) && {
    code_ = code;
    return std::move(*this);
  }
  Error&& at(Location where) && {
    where_ = std::move(where);
    return std::move(*this);
  }
  Error&& advise(std::string advice) && {
    advice_ = std::move(advice);
    return std::move(*this);
  }
  /// Puts "CONTEXT: " in front, outermost last: the reader sees the way from the request to the
  /// fault.
  Error&& within(std::string_view context) &&;

  /// "FILE:LINE:COLUMN: message. advice"
  [[nodiscard]] std::string to_string() const;

 private:
  Errc code_;
  int sys_errno_ = 0;
  std::string message_;
  std::string advice_;
  std::optional<Location> where_;
};

/// Name of an Errc in lower case with dashes, for logs and JSON.
std::string_view to_string(Errc code);

}  // namespace pidward
