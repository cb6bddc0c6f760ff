// An allocation of sd-bus' that failed is one of ours, and ends the program as one of C++ would.
#pragma once

#include <cerrno>
#include <new>

namespace pidward::bus {

/// `result` of an sd-bus call, unless it says so.
inline int checked(int result) {
  if (result != -ENOMEM) return result;
  if (const std::new_handler handler = std::get_new_handler()) handler();
  throw std::bad_alloc();
}

}  // namespace pidward::bus
