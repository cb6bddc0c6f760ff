// How long a test waits for something that is sure to come, before it gives up.
#pragma once

#include <chrono>
#include <cstdlib>

namespace pidward::test {

/// A minute, or as many seconds as $PIDWARD_TEST_PATIENCE says where everything is slower.
inline std::chrono::milliseconds patience() {
  static const std::chrono::milliseconds time = [] {
    const char* const text = std::getenv("PIDWARD_TEST_PATIENCE");  // NOLINT(concurrency-mt-unsafe)
    const int seconds = text == nullptr ? 0 : std::atoi(text);      // NOLINT(cert-err34-c)
    return std::chrono::seconds(seconds > 0 ? seconds : 60);
  }();
  return time;
}
/// The same for poll(2).
inline int patience_ms() {
  return static_cast<int>(patience().count());
}

}  // namespace pidward::test
