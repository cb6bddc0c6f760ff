#include "runtime/unit_stream.hpp"

#include <chrono>
#include <utility>

#include <malloc.h>

namespace pidward::runtime {
namespace {

// To be woken for each would cost more than to wait for a few.
constexpr std::size_t kAtOnce = 64;

}  // namespace

UnitStream::UnitStream(UnitSource& source) {
  // Two threads that do nothing but allocate would wait for each other at one heap.
  ::mallopt(M_ARENA_MAX, 2);
  // Where there can be no thread, when somebody waits for it.
  reading_ = std::async(
      std::launch::async | std::launch::deferred,
      [this, &source, names = names_.get_future(), rest = rest_.get_future()]() mutable {
        source.look_around();
        source.load_each(names.get(), [this](unit::UnitSpecPtr spec) { put(std::move(spec)); });
        end();
        if (const auto what = rest.get()) what();
      });
}

UnitStream::~UnitStream() {
  if (!begun_) names_.set_value({});
  if (!has_rest_) rest_.set_value({});
}

void UnitStream::then(std::function<void()> rest) {
  has_rest_ = true;
  rest_.set_value(std::move(rest));
}

void UnitStream::read(std::vector<unit::UnitName> names) {
  begun_ = true;
  names_.set_value(std::move(names));
}

void UnitStream::put(unit::UnitSpecPtr spec) {
  std::size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    read_.push_back(std::move(spec));
    waiting = read_.size();
  }
  if (waiting == kAtOnce) some_.notify_one();
}

void UnitStream::end() {
  const std::lock_guard lock(mutex_);
  all_ = true;
  some_.notify_one();
}

UnitSource::Specs UnitStream::next() {
  if (reading_.valid() &&
      reading_.wait_for(std::chrono::seconds(0)) == std::future_status::deferred) {
    reading_.get();
  }
  std::unique_lock lock(mutex_);
  some_.wait(lock, [this] { return all_ || read_.size() >= kAtOnce; });
  return std::exchange(read_, {});
}

}  // namespace pidward::runtime
