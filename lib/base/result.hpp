// Result<T>: a value or an Error. The standard's std::expected without exceptions, for compilers
// whose own is not complete yet; named and shaped alike, so that it can be replaced one day.
#pragma once

#include <utility>
#include <variant>

#include "base/error.hpp"

namespace pidward {

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;`, as with std::expected
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): `return Error(...);`
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  /// Undefined unless has_value(); std::get makes it a bad_variant_access, which nothing catches: a
  /// bug stops here.
  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] Error& error() & { return std::get<1>(state_); }
  [[nodiscard]] const Error& error() const& { return std::get<1>(state_); }
  [[nodiscard]] Error&& error() && { return std::get<1>(std::move(state_)); }

  [[nodiscard]] T value_or(T fallback) && {
    return has_value() ? std::move(*this).value() : std::move(fallback);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  [[nodiscard]] Error& error() & { return *error_; }
  [[nodiscard]] const Error& error() const& { return *error_; }
  [[nodiscard]] Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace pidward

#define PIDWARD_CONCAT_(a, b) a##b
#define PIDWARD_CONCAT(a, b) PIDWARD_CONCAT_(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): declarations and names cannot stand in parentheses.
/// `PIDWARD_TRY(auto x, f());` binds the value of f() or returns its error from the current
/// function.
#define PIDWARD_TRY(declaration, expression) \
  PIDWARD_TRY_(declaration, expression, PIDWARD_CONCAT(pidward_result_, __LINE__))
#define PIDWARD_TRY_(declaration, expression, name) \
  auto name = (expression);                         \
  if (!name) return std::move(name).error();        \
  declaration = *std::move(name)
// NOLINTEND(bugprone-macro-parentheses)
/// `PIDWARD_CHECK(f());` returns f()'s error from the current function, if there is one.
#define PIDWARD_CHECK(expression)                              \
  do {                                                         \
    if (auto pidward_status = (expression); !pidward_status) { \
      return std::move(pidward_status).error();                \
    }                                                          \
  } while (false)
