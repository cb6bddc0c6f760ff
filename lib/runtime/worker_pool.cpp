#include "runtime/worker_pool.hpp"

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

namespace pidward::runtime {
namespace {

/// With no task begun for so long, all threads count as held up.
constexpr std::chrono::milliseconds kHeldUp(500);
constexpr std::size_t kMostThreads = 64;
/// What runs when the daemon ends is given so long.
constexpr std::chrono::seconds kLastPatience(2);

}  // namespace

WorkerPool::WorkerPool(boost::asio::io_context& io, std::size_t threads)
    : limit_(threads), door_(std::make_shared<LoopDoor>(io)), progress_(io) {}

WorkerPool::~WorkerPool() {
  stop();
}

bool WorkerPool::stop() {
  if (std::exchange(stopped_, true)) return all_ended_;
  Shared& shared = *shared_;
  std::deque<Task> dropped;
  std::unique_lock lock(shared.mutex);
  shared.stopping = true;
  dropped.swap(shared.queue);
  shared.wake.notify_all();
  const auto all_ended = [&shared] {
    return std::ranges::all_of(shared.workers, [](const Worker& each) { return each.ended; });
  };
  all_ended_ = shared.ended.wait_for(lock, kLastPatience, all_ended);
  for (Worker& each : shared.workers) {
    if (!each.thread.joinable()) continue;
    if (each.ended) {
      lock.unlock();
      each.thread.join();
      lock.lock();
    } else {
      each.thread.detach();
    }
  }
  lock.unlock();
  door_->close();
  progress_.cancel();
  alive_.reset();
  expected_.clear();
  return all_ended_;
}

std::uint64_t WorkerPool::expect(std::unique_ptr<AnyThen> then) {
  expected_.emplace(++last_id_, std::move(then));
  return last_id_;
}

void WorkerPool::finish(std::uint64_t id, void* result) {
  const auto then = expected_.extract(id);
  // All is done: nobody is held up, and no timer need wake the loop to find that out.
  if (expected_.empty() && std::exchange(watching_progress_, false)) progress_.cancel();
  if (then) then.mapped()->run(result);
}

void WorkerPool::enqueue(Task task) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  if (shared.stopping) return;
  shared.queue.push_back(std::move(task));
  if (shared.idle >= shared.queue.size() || shared.workers.size() >= limit_) {
    const bool waits = shared.idle < shared.queue.size();
    lock.unlock();
    shared.wake.notify_one();
    if (waits) watch_progress();
    return;
  }
  const bool has_thread = !shared.workers.empty();
  lock.unlock();
  if (add_thread() || has_thread) {
    shared.wake.notify_one();
    return;
  }
  // No thread at all can be made: doing it here, late and in the way, is better than never.
  lock.lock();
  Task only = std::move(shared.queue.back());
  shared.queue.pop_back();
  lock.unlock();
  only();
}

void WorkerPool::watch_progress() {
  if (std::exchange(watching_progress_, true)) return;
  std::unique_lock lock(shared_->mutex);
  const std::uint64_t begun = shared_->begun;
  lock.unlock();
  progress_.expires_after(kHeldUp);
  progress_.async_wait([this, begun](const boost::system::error_code& error) {
    if (error) return;
    watching_progress_ = false;
    std::unique_lock held(shared_->mutex);
    if (shared_->stopping || shared_->queue.empty()) return;
    const bool is_stuck = shared_->begun == begun && shared_->workers.size() < kMostThreads;
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
  const std::lock_guard lock(shared_->mutex);
  Worker& worker = shared_->workers.emplace_back();
  try {
    worker.thread = std::thread([shared = shared_, &worker] { work(shared, worker); });
  } catch (const std::system_error&) {
    shared_->workers.pop_back();
    made = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return made;
}

void WorkerPool::work(const std::shared_ptr<Shared>& shared, Worker& self) {
  std::unique_lock lock(shared->mutex);
  while (true) {
    ++shared->idle;
    shared->wake.wait(lock, [&shared] { return shared->stopping || !shared->queue.empty(); });
    --shared->idle;
    if (shared->stopping) break;
    {
      Task task = std::move(shared->queue.front());
      shared->queue.pop_front();
      ++shared->begun;
      lock.unlock();
      task();
    }
    lock.lock();
  }
  self.ended = true;
  shared->ended.notify_all();
}

}  // namespace pidward::runtime
