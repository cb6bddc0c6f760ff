#include "runtime/worker_pool.hpp"

#include <csignal>
#include <system_error>
#include <utility>

namespace pidward::runtime {
namespace {

/// With no task begun for so long, all threads count as held up.
constexpr std::chrono::milliseconds kHeldUp(500);
constexpr std::size_t kMostThreads = 64;

}  // namespace

WorkerPool::WorkerPool(boost::asio::io_context& io, std::size_t threads)
    : io_(io), limit_(threads), progress_(io) {}

WorkerPool::~WorkerPool() {
  stop();
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  progress_.cancel();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  alive_.reset();
}

void WorkerPool::enqueue(Task task) {
  ++pending_;
  std::unique_lock lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (idle_ >= queue_.size() || threads_.size() >= limit_) {
    const bool waits = idle_ < queue_.size();
    lock.unlock();
    wake_.notify_one();
    if (waits) watch_progress();
    return;
  }
  lock.unlock();
  if (add_thread() || !threads_.empty()) {
    wake_.notify_one();
    return;
  }
  // No thread at all can be made: doing it here, late and in the way, is better than never.
  lock.lock();
  Task only = std::move(queue_.back());
  queue_.pop_back();
  lock.unlock();
  only();
}

void WorkerPool::watch_progress() {
  if (std::exchange(watching_progress_, true)) return;
  std::unique_lock lock(mutex_);
  const std::uint64_t begun = begun_;
  lock.unlock();
  progress_.expires_after(kHeldUp);
  progress_.async_wait([this, begun](const boost::system::error_code& error) {
    if (error) return;
    watching_progress_ = false;
    std::unique_lock held(mutex_);
    if (stopping_ || queue_.empty()) return;
    const bool is_stuck = begun_ == begun && threads_.size() < kMostThreads;
    held.unlock();
    if (is_stuck) static_cast<void>(add_thread());
    watch_progress();
  });
}

bool WorkerPool::add_thread() {
  // Signals are the loop's business: a new thread blocks all of them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  bool made = true;
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    made = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return made;
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (stopping_) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    ++begun_;
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace pidward::runtime
