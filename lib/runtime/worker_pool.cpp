#include "runtime/worker_pool.hpp"

#include <csignal>
#include <system_error>

namespace pidward::runtime {

WorkerPool::WorkerPool(boost::asio::io_context& io, std::size_t threads)
    : io_(io), limit_(threads) {}

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
    lock.unlock();
    wake_.notify_one();
    return;
  }
  lock.unlock();
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
  if (made || !threads_.empty()) {
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

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (stopping_) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace pidward::runtime
