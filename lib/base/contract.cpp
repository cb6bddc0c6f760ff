#include "base/contract.hpp"

#include <cstdio>
#include <cstdlib>

#include <fmt/core.h>

namespace pidward {

void contract_failed(const char* condition, const char* file, int line) {
  fmt::print(stderr, "pidward: bug: {}:{}: '{}' does not hold\n", file, line, condition);
  std::abort();
}

}  // namespace pidward
