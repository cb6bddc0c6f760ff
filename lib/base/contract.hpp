// Contracts: conditions whose failure is a bug of ours, never bad input.
#pragma once

namespace pidward {
/// Says what broke on standard error and aborts.
[[noreturn]] void contract_failed(const char* condition, const char* file, int line);
}  // namespace pidward

/// A condition that holds unless pidward itself is wrong. Checked in every build.
#define PIDWARD_EXPECT(condition) \
  ((condition) ? static_cast<void>(0) : ::pidward::contract_failed(#condition, __FILE__, __LINE__))
