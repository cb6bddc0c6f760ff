#include "runtime/clock.hpp"

#include <ctime>

namespace pidward::runtime {
namespace {

Duration read_clock(clockid_t id) {
  timespec value{};
  ::clock_gettime(id, &value);
  return std::chrono::seconds(value.tv_sec) + Duration(value.tv_nsec / 1000);
}

}  // namespace

MonoTime mono_now() {
  return MonoTime(read_clock(CLOCK_MONOTONIC));
}

Now now() {
  return {mono_now(), WallTime(read_clock(CLOCK_REALTIME))};
}

}  // namespace pidward::runtime
