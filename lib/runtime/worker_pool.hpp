// A few threads for everything that may block, so that the loop never does: unit files, user
// look-ups, conditions, slow disks. Started with the first task. Where all of them are held up, as
// by a network mount that is dead, further ones take their place: one unit's disk is no other's.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "runtime/loop_timer.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

class WorkerPool {
 public:
  explicit WorkerPool(boost::asio::io_context& io, std::size_t threads = 2);
  /// stop().
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Runs `work` on a thread of the pool, then `done` with its result on the loop. `work` must not
  /// touch anything of the loop's.
  template <typename Work, typename Done>
  void run(Work work, Done done) {
    submit([this, work = std::move(work), done = std::move(done)]() mutable {
      post_result([done = std::move(done), result = work()]() mutable { done(std::move(result)); });
    });
  }
  /// Closes a descriptor whose close may take its time, as that of an inotify instance does.
  void close(sys::Fd fd) {
    if (!fd) return;
    run(
        [fd = std::move(fd)]() mutable {
          fd.reset();
          return true;
        },
        [](bool) {});
  }
  /// Waits for the tasks that run; those that did not begin are dropped, and so are all results and
  /// whatever comes later. To be called before anything goes that a task may be using.
  void stop();
  /// Tasks whose result has not arrived on the loop.
  [[nodiscard]] std::size_t pending() const { return pending_; }

 private:
  using Guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  /// std::function wants copies; tasks and results may be move-only.
  class Task {
   public:
    template <typename F>
    explicit Task(F body) : body_(std::make_unique<Body<F>>(std::move(body))) {}
    void operator()() { body_->run(); }

   private:
    struct Base {
      virtual ~Base() = default;
      virtual void run() = 0;
    };
    template <typename F>
    struct Body final : Base {
      explicit Body(F f) : function(std::move(f)) {}
      void run() override { function(); }
      F function;
    };
    std::unique_ptr<Base> body_;
  };

  template <typename F>
  void submit(F body) {
    enqueue(Task(std::move(body)));
  }
  template <typename F>
  void post_result(F body) {
    boost::asio::post(
        io_, [this, alive = std::weak_ptr<bool>(alive_), body = std::move(body)]() mutable {
          if (alive.expired()) return;
          // All is done: nobody is held up, and no timer need wake the loop to find that out.
          if (--pending_ == 0 && std::exchange(watching_progress_, false)) progress_.cancel();
          body();
        });
  }
  void enqueue(Task task);
  void work();
  /// False: there is none of them left to be had.
  bool add_thread();
  void watch_progress();

  boost::asio::io_context& io_;
  std::size_t limit_;  ///< threads while all goes well
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::size_t pending_ = 0;  ///< the loop's alone
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::uint64_t begun_ = 0;  ///< tasks that were taken from the queue
  std::vector<std::thread> threads_;
  LoopTimer progress_;
  bool watching_progress_ = false;  ///< the loop's alone
};

}  // namespace pidward::runtime
