// From a raw result to a Result; for the .cpp files of this layer.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "sys/kernel.hpp"

namespace pidward::sys {

/// The value of a raw result, or the error with `what` in front.
inline Result<long> checked(long result, std::string_view what) {
  if (is_error(result)) return Error::from_errno(static_cast<int>(-result), what);
  return result;
}

/// Success or the error with `what` in front.
inline Status checked_status(long result, std::string_view what) {
  if (is_error(result)) return Error::from_errno(static_cast<int>(-result), what);
  return {};
}

}  // namespace pidward::sys
