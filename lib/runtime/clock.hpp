// The two clocks, read. The engine never does this itself: time is its argument.
#pragma once

#include "base/time.hpp"

namespace pidward::runtime {

/// Both clocks, one right after the other.
Now now();
/// CLOCK_MONOTONIC.
MonoTime mono_now();

}  // namespace pidward::runtime
